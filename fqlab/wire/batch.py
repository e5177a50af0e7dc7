"""Packets of many clients at once: what alike payloads have in common is worked out once, and their codes as one array.

The bytes are those of :func:`fqlab.wire.pack`, one packet a client.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from fqlab.errors import WireError, one_of
from fqlab.quant.codes import Codes
from fqlab.tensors import Weights
from fqlab.wire.container import INTS, MAX_ENTRIES, Row, Segment, load, read
from fqlab.wire.packet import CODINGS, Payload, checked_row, entries_of, number_bytes, prepare, unpack
from fqlab.wire.sizes import Size, weighed
from fqlab.wire.stacked import PayloadStack, side_by_side, whole_stack
from fqlab.wire.symbols import from_planes, from_symbols, to_planes, to_symbols, top_symbol, used_bits

__all__ = ["pack_all", "unpack_all"]

Entries = Mapping[str, Any]  # of one group, so an entry is of the same kind in every payload
Prepared = tuple[Sequence[Row], Sequence[Segment]]


def pack_all(payloads: Sequence[Entries], *, coding: str = "fixed", entropy: bool = False) -> list[tuple[bytes, Size]]:
    """Each payload as a packet, and its size.

    Args:
        payloads: one a client, see :func:`fqlab.wire.pack`.
        coding: ``"fixed"`` or ``"zstd"``.
        entropy: also find out how many bytes each would take entropy-coded.

    Raises:
        ConfigError: as ``pack``.
    """
    one_of("coding", coding, CODINGS)
    packets: list[Any] = [None] * len(payloads)
    if whole_stack(payloads):
        groups = [range(len(payloads))]
    else:
        payloads = [entries_of(payload) for payload in payloads]
        groups = _groups([_kind(payload) for payload in payloads])
    for members in groups:
        group = [payloads[i] for i in members]
        for i, prepared in zip(members, _prepare(group) if len(group) > 1 else [prepare(group[0])], strict=True):
            packets[i] = weighed(*prepared, coding, entropy)
    return packets


def _groups(kinds: Sequence[Hashable]) -> list[list[int]]:
    """The places of equal values."""
    places: dict[Hashable, list[int]] = {}
    for i, kind in enumerate(kinds):
        places.setdefault(kind, []).append(i)
    return list(places.values())


def _kind(payload: Entries) -> Hashable:
    """What payloads of one group share: names, shapes, types and grids. An entry of a wrong type is in a group of its own."""
    return tuple(
        (n, v.shape, v.grid if isinstance(v, Codes) else v.dtype) if _sound(v) else n for n, v in payload.items()
    )


def _sound(value: Any) -> bool:
    return isinstance(value, torch.Tensor) or (isinstance(value, Codes) and not value.clip.dim())


def _prepare(payloads: Sequence[Entries]) -> Iterator[Prepared]:
    """Rows and segments of every payload of one group."""
    rows = tuple(checked_row(name, value) for name, value in payloads[0].items())
    if sum(row.count for row in rows) > MAX_ENTRIES:
        prepare(payloads[0])  # says what is wrong
    entries = side_by_side(payloads).entries
    coded = {at: _planes(_symbols(entries[row.name])) for at, row in enumerate(rows) if row.coded}
    floats = [_numbers(entries[row.name]) for row in rows if row.type == "float32" or row.grid]
    integers = [_numbers(entries[row.name]) for row in rows if row.type in INTS]
    for c in range(len(payloads)):
        client_rows = rows
        if coded:
            client_rows = tuple(row._replace(used=coded[at][1][c]) if row.coded else row for at, row in enumerate(rows))
        planes = [Segment([packed[c]], symbols[c], used[c]) for symbols, used, packed in coded.values()]
        yield client_rows, [Segment([n[c] for n in floats]), Segment([n[c] for n in integers]), *planes]


def _numbers(entry: Codes | torch.Tensor) -> np.ndarray:
    """What travels of stacked numbers, or of the clips of codes, as it is: ``[clients, n]``."""
    values = entry.clip if isinstance(entry, Codes) else entry
    return number_bytes(values).reshape(len(values), -1)


def _symbols(entry: Codes | torch.Tensor) -> np.ndarray:
    """The symbols of stacked codes or masks, ``[clients, n]``."""
    symbols = to_symbols(entry) if isinstance(entry, Codes) else entry.numpy(force=True).view(np.uint8)
    return symbols.reshape(entry.shape[0], -1)


def _planes(symbols: np.ndarray) -> tuple[np.ndarray, list[int], list[np.ndarray]]:
    """Symbols ``[clients, n]``, each client's used planes, and its packed planes."""
    used = used_bits(symbols).tolist()
    packed = [symbols[0]] * len(symbols)
    for members in _groups(used):
        planes = to_planes(symbols if len(members) == len(used) else symbols[members], used[members[0]])
        for i, bits in zip(members, planes, strict=True):
            packed[i] = bits
    return symbols, used, packed


def unpack_all(
    packets: Sequence[bytes], clients: Sequence[object], *, most: int = MAX_ENTRIES
) -> list[Payload | WireError]:
    """Inverse of :func:`pack_all`: each client's payload, or the :class:`~fqlab.errors.WireError` that says what is wrong.

    A packet of more than ``most`` entries is wrong. Tensors of different clients share memory: nobody may write to them.
    """
    opened: list[Any] = [_opened(packet, client, most) for packet, client in zip(packets, clients, strict=True)]
    results: list[Any] = [one if isinstance(one, WireError) else None for one in opened]
    for members in _groups([i if isinstance(one, WireError) else one[0] for i, one in enumerate(opened)]):
        if len(members) > 1:
            payloads = _decode(opened[members[0]][0], [opened[i][1] for i in members])
            for i, payload in zip(members, payloads, strict=False):
                results[i] = payload
    return [_alone(packets[i], clients[i], most) if one is None else one for i, one in enumerate(results)]


def _opened(packet: bytes, client: object, most: int) -> tuple[Hashable, list[np.ndarray]] | WireError:
    """The rows of a packet and its parts, checked; a compressed one stays apart from all others."""
    try:
        layout = read(packet, client, most)
        if any(part.zipped for part in layout.parts):
            return object(), []
        return layout.rows, [load(packet, part, client) for part in layout.parts]
    except WireError as error:
        return error


def _alone(packet: bytes, client: object, most: int) -> Payload | WireError:
    try:
        return unpack(packet, client=client, most=most)
    except WireError as error:
        return error


def _decode(rows: Sequence[Row], parts: Sequence[Sequence[np.ndarray]]) -> Sequence[Payload]:
    """The payloads of packets with the same rows; none at all if a code lies outside its grid."""
    floats, ints, *planes = [np.array(of) for of in zip(*parts, strict=True)]
    numbers, counts = _Tape(floats), _Tape(ints)
    codes: dict[str, Codes] = {}
    tensors: Weights = {}
    for row in rows:
        if not row.coded:
            tensors[row.name] = (numbers if row.type == "float32" else counts).take(row.type, row.shape)
            continue
        symbols = from_planes(planes.pop(0), row.used, row.count)
        shape = (len(parts), *row.shape)
        if row.grid is None:
            tensors[row.name] = torch.from_numpy(symbols.view(np.bool_).reshape(shape))
        elif symbols.max(initial=0) > top_symbol(row.grid):
            return []
        else:
            values = torch.from_numpy(from_symbols(symbols, row.grid).reshape(shape))
            codes[row.name] = Codes(values, row.grid, numbers.take("float32", ()))
    return PayloadStack({**codes, **tensors}, len(parts)).members()


class _Tape:
    """Numbers of all clients, ``[clients, bytes]``, read one tensor after the other."""

    def __init__(self, data: np.ndarray) -> None:
        self.data = torch.from_numpy(data)
        self.at = 0

    def take(self, kind: str, shape: tuple[int, ...]) -> torch.Tensor:
        start = self.at
        self.at = self.at + math.prod(shape) * (4 if kind == "float32" else INTS[kind])
        numbers = self.data[:, start : self.at]
        numbers = numbers if kind == "float32" else numbers.clone()  # integers may lie at an odd place
        return numbers.view(getattr(torch, kind)).reshape(len(numbers), *shape)
