"""``pack`` and ``unpack``: a payload as bytes, and back."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import torch

from fqlab.errors import ConfigError, WireError, one_of, shown
from fqlab.quant.codes import Codes
from fqlab.tensors import Weights, dense_real
from fqlab.wire.container import INTS, MAX_ENTRIES, Part, Row, Segment, fail, load, read, write
from fqlab.wire.symbols import (
    as_numpy,
    from_groups,
    from_planes,
    from_symbols,
    to_planes,
    to_symbols,
    top_symbol,
    used_bits,
)

__all__ = ["CODINGS", "Payload", "checked_row", "entries_of", "number_bytes", "pack", "prepare", "unpack"]

CODINGS = ("fixed", "zstd")


@dataclass(frozen=True, eq=False)
class Payload(Mapping[str, "Codes | torch.Tensor"]):
    """What one packet carries: codes of layers, and tensors that travel as they are; together a mapping by name.

    Attributes:
        codes: name -> codes of one client (scalar clip).
        tensors: name -> float32, integer or bool tensor.

    Raises:
        ConfigError: for a name that stands for codes and for a tensor.
    """

    codes: Mapping[str, Codes] = field(default_factory=dict)
    tensors: Mapping[str, torch.Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        twice = self.codes.keys() & self.tensors.keys()
        if twice:
            raise ConfigError(
                f"payload has {shown(min(twice))} twice, as codes and as a tensor; every name stands once."
            )

    def __getitem__(self, name: str) -> Codes | torch.Tensor:
        return self.codes[name] if name in self.codes else self.tensors[name]

    def __iter__(self) -> Iterator[str]:
        return chain(self.codes, self.tensors)

    def __len__(self) -> int:
        return len(self.codes) + len(self.tensors)

    def entries(self) -> dict[str, Codes | torch.Tensor]:
        """The whole mapping as a dictionary, which is quicker to look through."""
        return {**self.codes, **self.tensors}

    def decode(self) -> Weights:
        """Every entry as the tensor that it stands for."""
        return {name: layer.dequantize() for name, layer in self.codes.items()} | dict(self.tensors)


_TYPES = {getattr(torch, name): name for name in ("float32", "bool", *INTS)}


def checked_row(name: str, value: Any) -> Row:
    """The row of an entry, its ``used`` planes still unknown."""
    if not isinstance(name, str):
        raise ConfigError(f"payload has the key {shown(name)}, but every key must be a string.")
    if isinstance(value, Codes):
        if value.clip.dim():
            shape = list(value.clip.shape)
            raise ConfigError(
                f"payload[{shown(name)}].clip has shape {shape}, but a packet is one client's: use codes[client]."
            )
        return Row(name, tuple(value.shape), value.grid.kind, value.grid.bits)
    if isinstance(value, torch.Tensor):
        dense_real(f"payload[{shown(name)}]", value)
    if not isinstance(value, torch.Tensor) or value.dtype not in _TYPES:
        kind = value.dtype if isinstance(value, torch.Tensor) else type(value).__name__
        allowed = ", ".join(_TYPES.values())
        raise ConfigError(f"payload[{shown(name)}] is {kind}, but must be Codes or a tensor of {allowed}.")
    return Row(name, tuple(value.shape), _TYPES[value.dtype])


def entries_of(payload: Mapping[str, Codes | torch.Tensor]) -> dict[str, Codes | torch.Tensor]:
    """A payload, or any mapping, as a dictionary."""
    return payload.entries() if isinstance(payload, Payload) else dict(payload)


def number_bytes(tensor: torch.Tensor) -> np.ndarray:
    """The entries of ``tensor``, in row-major order, as they travel: little-endian."""
    array = np.ascontiguousarray(tensor.numpy(force=True))
    return array if sys.byteorder == "little" else array.byteswap()


def prepare(payload: Mapping[str, Codes | torch.Tensor]) -> tuple[list[Row], list[Segment]]:
    """Rows of the layer table, and the segments: floats, ints, then each coded entry."""
    rows = []
    floats = []
    ints = []
    coded = []
    for name, value in entries_of(payload).items():
        row = checked_row(name, value)
        if isinstance(value, Codes) or row.coded:
            symbols = to_symbols(value) if isinstance(value, Codes) else as_numpy(value).view(np.uint8)
            row = row._replace(used=int(used_bits(symbols)))
            coded.append(Segment([to_planes(symbols, row.used)], symbols, row.used))
        if isinstance(value, Codes):
            floats.append(number_bytes(value.clip))
        elif not row.coded:
            (ints if row.type in INTS else floats).append(number_bytes(value))
        rows.append(row)
    if sum(row.count for row in rows) > MAX_ENTRIES:
        raise ConfigError(f"payload has {sum(row.count for row in rows)} entries, but a packet holds {MAX_ENTRIES}.")
    return rows, [Segment(floats), Segment(ints), *coded]


def pack(payload: Mapping[str, Codes | torch.Tensor], *, coding: str = "fixed") -> bytes:
    """Encode a payload as one packet: a valid ``.safetensors`` file (layout in :mod:`fqlab.wire.container`).

    Equal payloads give equal bytes. ``pack`` and :func:`unpack` are inverses.

    Args:
        payload: a :class:`Payload`, or any mapping from names to codes of one client (scalar clip) and tensors: float32
            and integers travel as they are, bool takes one bit an entry. Any shapes, empty ones included.
        coding: ``"fixed"`` sends the bit planes of codes plane-major, highest plane first, without those that are
            all zero. ``"zstd"`` sends each layer, the floats and the integers entropy-coded (zstandard level 1) where
            that is smaller.

    Raises:
        ConfigError: for an unknown coding, or an entry of another type, naming it.
    """
    one_of("coding", coding, CODINGS)
    return write(*prepare(payload), coding).bytes


class _Tape:
    """Numbers read one tensor after the other."""

    def __init__(self, data: np.ndarray) -> None:
        self.data = data.copy()
        self.at = 0

    def take(self, dtype: str, shape: tuple[int, ...]) -> torch.Tensor:
        start = self.at
        self.at = self.at + math.prod(shape) * (4 if dtype == "float32" else INTS[dtype])
        return torch.from_numpy(self.data[start : self.at].view(dtype).reshape(shape))


def _coded(packet: bytes, part: Part, client: object) -> np.ndarray:
    """Flat codes (int16) or mask (bool) of a coded part."""
    row = part.coded_row
    body = load(packet, part, client)
    symbols = (from_groups if part.zipped else from_planes)(body, row.used, row.count)
    if row.grid is None:
        return symbols.view(np.bool_)
    if row.used > top_symbol(row.grid) and symbols.max(initial=0) > top_symbol(row.grid):
        fail(client, part.field, f"a code lies outside {row.grid}")
    return from_symbols(symbols, row.grid)


def unpack(packet: bytes, *, client: object = None, most: int = MAX_ENTRIES) -> Payload:
    """Decode a packet: the payload that :func:`pack` was given, on the CPU.

    Nothing in a packet is executed, and no memory is taken on the word of a header: sizes must agree with the bytes that
    are there, and a packet unpacks to at most ``most`` entries. Float values are not
    judged: NaN and infinity pass (the guard of the server deals with them).

    Args:
        packet: what arrived.
        client: who sent it, for the error message.
        most: entries that a packet may have.

    Raises:
        WireError: if any bit of the packet is not what was sent, or it is of another version; names client and field.
    """
    if not isinstance(packet, (bytes, bytearray, memoryview)):
        raise WireError(f"packet is of type {type(packet).__name__}, but must be bytes.")
    packet = bytes(packet)
    layout = read(packet, client, most)
    floats, ints, *coded = layout.parts
    parts = iter(coded)
    floats = _Tape(load(packet, floats, client))
    ints = _Tape(load(packet, ints, client))
    codes: dict[str, Codes] = {}
    tensors: Weights = {}
    for row in layout.rows:
        if row.coded:
            values = torch.from_numpy(_coded(packet, next(parts), client).reshape(row.shape))
            if row.grid:
                codes[row.name] = Codes(values, row.grid, floats.take("float32", ()))
            else:
                tensors[row.name] = values
        else:
            tensors[row.name] = (floats if row.type == "float32" else ints).take(row.type, row.shape)
    return Payload(codes, tensors)
