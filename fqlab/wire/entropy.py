"""How few bytes could these codes take? Shannon's bound, zstandard on the wire, constriction's ANS as the reference."""

from __future__ import annotations

import importlib
import threading
from typing import Any

import numpy as np
import zstandard

from fqlab.quant.codes import Codes
from fqlab.wire.symbols import from_symbols, to_symbols, top_symbol

__all__ = ["LEVEL", "ans_bits", "ans_decode", "ans_encode", "compress", "decompress", "entropy"]

LEVEL = 1  # Huffman coding is all there is to win in quantized weights: higher levels only hunt for matches

_local = threading.local()  # zstandard's contexts are not thread-safe, and costly to make


def compress(data: bytes | np.ndarray) -> bytes:
    """``data`` as one zstandard frame (level 1, length stored, no checksum of its own)."""
    if not hasattr(_local, "compressor"):
        _local.compressor = zstandard.ZstdCompressor(level=LEVEL)
    return _local.compressor.compress(data)  # type: ignore[arg-type]  # it takes any buffer


def decompress(frame: bytes, length: int) -> bytes:
    """Inverse of :func:`compress`; memory is taken only after the frame has agreed that it holds ``length`` bytes.

    Raises:
        ValueError: if the frame is broken or holds another number of bytes.
    """
    if not hasattr(_local, "decompressor"):
        _local.decompressor = zstandard.ZstdDecompressor()
    try:
        if zstandard.frame_content_size(frame) != length:
            raise ValueError(f"the zstandard frame does not hold {length} bytes")
        return _local.decompressor.decompress(frame, max_output_size=length, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise ValueError(f"the zstandard frame cannot be read ({error})") from None


def _counts(codes: Codes) -> np.ndarray:
    return np.bincount(to_symbols(codes), minlength=max(2, top_symbol(codes.grid) + 1))


def entropy(codes: Codes) -> float:
    """Empirical Shannon entropy H = −Σ p log₂ p of ``codes``, in bits per code (0 where there are none).

    No coder that treats codes one by one with a fixed table gets below H (Shannon 1948).
    """
    counts = _counts(codes)
    p = counts[counts > 0] / max(codes.values.numel(), 1)
    return float(abs(np.sum(p * np.log2(p))))


def _model(counts: np.ndarray) -> Any:
    constriction: Any = importlib.import_module("constriction")

    p = np.maximum(counts, 1e-9) / max(counts.sum(), 1)
    return constriction.stream.model.Categorical(p.astype(np.float32), perfect=False)


def ans_encode(codes: Codes) -> tuple[np.ndarray, np.ndarray]:
    """Code with asymmetric numeral systems (Duda 2013; ``constriction``) under the codes' own histogram.

    The reference coder: within a few bits of the entropy, but slower than zstandard and in need of the histogram.

    Returns:
        ``(words, counts)``: the uint32 words and how often each symbol occurs, which the receiver must know.
    """
    constriction: Any = importlib.import_module("constriction")

    counts = _counts(codes)
    coder = constriction.stream.stack.AnsCoder()
    coder.encode_reverse(to_symbols(codes).astype(np.int32), _model(counts))
    return coder.get_compressed(), counts


def ans_decode(words: np.ndarray, counts: np.ndarray, like: Codes) -> np.ndarray:
    """Inverse of :func:`ans_encode`: int16 codes of the shape and on the grid of ``like`` (its values are not read)."""
    constriction: Any = importlib.import_module("constriction")

    symbols = constriction.stream.stack.AnsCoder(words).decode(_model(counts), like.values.numel())
    return from_symbols(symbols, like.grid).reshape(like.shape)


def ans_bits(codes: Codes) -> int:
    """Size of :func:`ans_encode`'s words in bits; the histogram is not counted."""
    return 32 * len(ans_encode(codes)[0])
