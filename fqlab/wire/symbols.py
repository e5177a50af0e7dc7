"""Codes as unsigned symbols, symbols as bytes: bit planes for the wire, byte groups for the entropy coder.

A symbol is what is left of a code once its grid is known: the offset ``code − grid.low``, or on the sign-magnitude grid
``2·|code| + sign``, so that the lowest bit is the sign and the bits above it are the magnitude planes of BSQ.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from fqlab.errors import ConfigError
from fqlab.quant.codes import Codes
from fqlab.quant.grids import Grid

__all__ = [
    "as_numpy", "from_groups", "from_planes", "from_symbols", "group_bytes", "stored_planes", "to_groups", "to_planes",
    "to_symbols", "top_symbol", "used_bits",
]  # fmt: skip


def as_numpy(tensor: torch.Tensor) -> np.ndarray:
    """The entries of ``tensor`` in row-major order: a flat array, sharing memory where it can."""
    return np.ascontiguousarray(tensor.numpy(force=True)).reshape(-1)


@lru_cache(maxsize=256)
def top_symbol(grid: Grid) -> int:
    """Largest symbol a code of ``grid`` can have."""
    return 2 * grid.high + 1 if grid.kind == "sign_magnitude" else grid.high - grid.low


def to_symbols(codes: Codes) -> np.ndarray:
    """Unsigned symbols of ``codes``: a flat uint8 array (uint16 where a code takes 9 bits).

    Raises:
        ConfigError: if a code lies outside its grid, or codes are not whole numbers.
    """
    grid = codes.grid
    values = as_numpy(codes.values)
    if values.dtype.kind not in "iu":
        raise ConfigError(f"codes are {values.dtype}, but must be whole numbers.")
    if values.size and (values.min() < grid.low or values.max() > grid.high):  # before a cast could fold them back
        span = f"from {values.min()} to {values.max()}"
        raise ConfigError(f"codes run {span}, but must lie from {grid.low} to {grid.high} on {grid}.")
    values = values.astype(np.int16, copy=False)
    symbols = np.abs(values) * 2 + (values < 0) if grid.kind == "sign_magnitude" else values - grid.low
    return symbols.astype(np.uint16 if top_symbol(grid) > 255 else np.uint8)


def from_symbols(symbols: np.ndarray, grid: Grid) -> np.ndarray:
    """Inverse of :func:`to_symbols`: int16 codes."""
    values = symbols.astype(np.int16)
    if grid.kind != "sign_magnitude":
        return values + grid.low
    return (values >> 1) * (1 - 2 * (values & 1))


def used_bits(symbols: np.ndarray) -> np.ndarray:
    """Masks of the bit planes that are not zero everywhere, one a row of ``[..., n]``: bit p stands for plane p, plane 0
    the lowest."""
    return np.bitwise_or.reduce(symbols, axis=-1)


def stored_planes(used: int) -> list[int]:
    """Planes that travel, highest first: the planes of the mask ``used``."""
    return [p for p in range(used.bit_length() - 1, -1, -1) if used >> p & 1]


def to_planes(symbols: np.ndarray, used: int) -> np.ndarray:
    """Bit planes, highest first, each padded to whole bytes: uint8, flat for every row of ``symbols`` ``[..., n]``.

    Within a plane, entry 0 is the highest bit of byte 0. Planes outside ``used`` are zero and take no bytes. A ninth bit is
    packed apart: bytes take a twentieth of the time of wider numbers.
    """
    if symbols.dtype == np.uint16:
        ninth = to_planes((symbols >> 8).astype(np.uint8), used >> 8)
        return np.concatenate([ninth, to_planes(symbols.astype(np.uint8), used & 255)], axis=-1)
    masks = np.array([1 << p for p in stored_planes(used)], symbols.dtype)
    planes = np.packbits(symbols[..., None, :] & masks[:, None], axis=-1)
    return planes.reshape(*symbols.shape[:-1], planes.shape[-2] * planes.shape[-1])


def from_planes(packed: np.ndarray, used: int, count: int) -> np.ndarray:
    """Inverse of :func:`to_planes` for ``count`` symbols a row."""
    lead = packed.shape[:-1]
    if not used or not count:
        return np.zeros((*lead, count), np.uint8)
    if used > 255:
        size = -(-count // 8)
        ninth = from_planes(packed[..., :size], used >> 8, count).astype(np.uint16)
        return ninth << 8 | from_planes(packed[..., size:], used & 255, count)
    weights = np.array([1 << p for p in stored_planes(used)], np.uint8)
    bits = np.unpackbits(packed.reshape(*lead, weights.size, -1), axis=-1, count=count)
    return np.bitwise_or.reduce(bits * weights[:, None], axis=-2)


def _per_byte(used: int) -> int:
    """Symbols that fit side by side in one byte."""
    return 8 // min(max(used.bit_length(), 1), 8)


def group_bytes(used: int, count: int) -> int:
    """Length of :func:`to_groups` for ``count`` symbols."""
    return -(-count // _per_byte(used)) + (-(-count // 8) if used > 255 else 0)


def to_groups(symbols: np.ndarray, used: int) -> np.ndarray:
    """Whole symbols, as many as fit in a byte (8 of 1 bit, 4 of 2, 2 of 3 or 4, else 1): flat uint8.

    This is what the entropy coder reads. It counts bytes, and no symbol straddles a byte here, while bit planes would
    hide from it that the bits of one code belong together. The symbols that share a byte come from equal parts of
    the layer (first half with second half, ...). A ninth bit goes ahead as a bit plane.
    """
    if used > 255:
        return np.concatenate([np.packbits(symbols & 256), symbols.astype(np.uint8)])
    width = used.bit_length()
    fit = _per_byte(used)
    rows = np.zeros((fit, -(-symbols.size // fit)), np.uint8)
    rows.reshape(-1)[: symbols.size] = symbols
    groups = rows[0]
    for row in rows[1:]:
        groups = groups * np.uint8(1 << width) | row
    return groups


def from_groups(packed: np.ndarray, used: int, count: int) -> np.ndarray:
    """Inverse of :func:`to_groups` for ``count`` symbols."""
    if used > 255:
        ninth = np.unpackbits(packed[: -(-count // 8)], count=count)
        return packed[-(-count // 8) :] | ninth.astype(np.uint16) << 8
    width = used.bit_length()
    fit = _per_byte(used)
    shifts = np.arange(fit - 1, -1, -1, dtype=np.uint8)[:, None] * np.uint8(width)
    return (packed >> shifts & np.uint8((1 << width) - 1)).reshape(-1)[:count]
