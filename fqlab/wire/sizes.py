"""What a packet weighs, and what each of its bytes is for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch

from fqlab.errors import one_of
from fqlab.quant.codes import Codes
from fqlab.wire.container import INTS, MARK, Packed, Part, Row, Segment, read, write
from fqlab.wire.packet import CODINGS, prepare, unpack

__all__ = ["Field", "Size", "explain", "measure", "pack_measured", "weighed"]


class Size(NamedTuple):
    """Size of one packet.

    Attributes:
        total: ``len(packet)``, in bytes.
        fixed_bytes: bytes of the same payload at fixed length (its all-zero planes left out).
        entropy_bytes: bytes of the same payload with zstandard level 1; NaN if nobody asked for it.
        code_bits: Σ entries · bits per code, before any plane is left out or compressed; masks count one bit an entry.
            On ``sign_magnitude`` the sign is counted (bits + 1).
        magnitude_bits: the same without signs, which is what BSQ and FedMPQ count.
        code_bytes: bytes in the packet that hold codes and masks.
        float_bytes: bytes in the packet that hold plain numbers: clips, floats, integers.
        overhead_bytes: bytes of the header, ``total − code_bytes − float_bytes``.
    """

    total: int
    fixed_bytes: int
    entropy_bytes: float
    code_bits: int
    magnitude_bits: int
    code_bytes: int
    float_bytes: int
    overhead_bytes: int


def _size(packet: Packed, fixed: int, entropy: float) -> Size:
    """The size of ``packet``, whose payload takes ``fixed`` bytes at fixed length and ``entropy`` bytes coded."""
    floats, ints, *coded = packet.lengths
    total = len(packet.bytes)
    numbers = floats + ints
    codes = sum(coded)
    code_bits, signs = _bits(packet.rows)
    return Size(total, fixed, entropy, code_bits, code_bits - signs, codes, numbers, total - codes - numbers)


@lru_cache(maxsize=256)
def _bits(rows: tuple[Row, ...]) -> tuple[int, int]:
    """Bits of all codes of a layer table, and how many of them are signs of their own."""
    coded = [row for row in rows if row.coded]
    bits = sum(row.count * row.code_bits for row in coded)
    return bits, sum(row.count for row in coded if row.type == "sign_magnitude")


def measure(packet: bytes, *, client: object = None) -> Size:
    """Weigh a packet. Nothing is estimated: the packet is unpacked, packed in either coding and its bytes are counted.

    Raises:
        WireError: if the packet is damaged.
    """
    payload = prepare(unpack(packet, client=client))
    fixed, entropy = write(*payload, "fixed"), write(*payload, "zstd")
    layout = read(packet, client)
    packed = Packed(packet, layout.rows, tuple(part.stop - part.start for part in layout.parts))
    return _size(packed, len(fixed.bytes), len(entropy.bytes))


def pack_measured(
    payload: Mapping[str, Codes | torch.Tensor], *, coding: str = "fixed", entropy: bool = True
) -> tuple[bytes, Size]:
    """:func:`~fqlab.wire.packet.pack` and :func:`measure` in one go, for the ledger.

    Args:
        entropy: False leaves out what takes longest, ``entropy_bytes`` of a packet that is not so coded.

    Raises:
        ConfigError: as ``pack``.
    """
    return weighed(*prepare(payload), one_of("coding", coding, CODINGS), entropy)


def weighed(rows: Sequence[Row], segments: Sequence[Segment], coding: str, entropy: bool) -> tuple[bytes, Size]:
    """The packet of what :func:`~fqlab.wire.packet.prepare` made of a payload, and its size."""
    fixed = write(rows, segments, "fixed")
    if coding == "fixed" and not entropy:
        return fixed.bytes, _size(fixed, len(fixed.bytes), math.nan)
    zipped = write(rows, segments, "zstd")
    packet = fixed if coding == "fixed" else zipped
    return packet.bytes, _size(packet, len(fixed.bytes), len(zipped.bytes))


@dataclass(frozen=True)
class Field:
    """Bytes ``start:stop`` of a packet and what they say."""

    start: int
    stop: int
    name: str
    meaning: str


def _header_fields(packet: bytes, end: int) -> list[Field]:
    digits = packet.index(MARK) + len(MARK)
    brace = packet.rindex(b"}", 8, end) + 1
    return [
        Field(0, 8, "length", f"the header has {end - 8} bytes; a little-endian 64-bit number"),
        Field(8, digits, "header", "JSON, as safetensors wants it"),
        Field(digits, digits + 8, "checksum", "CRC-32 of the length and the header around these eight digits"),
        Field(
            digits + 8, brace, "table", "version, names, shapes, grids, checksums, then dtype and place of each buffer"
        ),
        Field(brace, end, "padding", "spaces, so that the buffers start at a multiple of 8"),
    ]


def _number_fields(part: Part, rows: Sequence[Row]) -> Iterator[Field]:
    """Fields of the floats or the integers."""
    if part.zipped:
        yield Field(part.start, part.stop, part.field, f"{part.length} bytes in a zstandard frame")
        return
    at = part.start
    for row in rows:
        each, what = (4, "float32") if part.field == "floats" else (INTS.get(row.type, 0), row.type)
        if row.grid and part.field == "floats":
            yield Field(at, at := at + 4, f"clip of {row.name}", "float32")
        elif row.type == what and each:
            yield Field(at, at := at + each * row.count, row.name, f"{row.count} × {what}")


def _plane_name(row: Row, plane: int) -> str:
    if row.type == "bool":
        return "mask"
    if row.type == "sign_magnitude":
        plane -= 1
    role = "sign" if plane < 0 else "MSB" if plane == row.code_bits - 1 - (row.type == "sign_magnitude") else ""
    role = role or ("LSB" if plane == 0 else "")
    return role if plane < 0 else f"bit {plane}" + f" ({role})" * bool(role)


def _code_fields(part: Part) -> Iterator[Field]:
    """Fields of one coded layer: its planes, highest first; a plane that is all zero is there with no bytes."""
    row = part.coded_row
    at = part.start
    if part.zipped:
        yield Field(at, part.stop, row.name, f"{row.count} codes of {row.code_bits} bits in a zstandard frame")
        return
    for plane in range(row.code_bits - 1, -1, -1):
        here = row.used >> plane & 1
        meaning = f"{row.count} bits, one an entry, the first in the highest bit" if here else "all zero, not sent"
        yield Field(at, at := at + here * row.plane_size, f"{row.name}: {_plane_name(row, plane)}", meaning)


def explain(packet: bytes, *, client: object = None) -> list[Field]:
    """Name every byte of a packet, in order; the fields cover the packet without gaps.

    Raises:
        WireError: if the header is damaged (the parts behind it are not checked: use ``unpack``).
    """
    layout = read(packet, client)
    floats, ints, *coded = layout.parts
    fields = _header_fields(packet, layout.header_end)
    fields += [*_number_fields(floats, layout.rows), *_number_fields(ints, layout.rows)]
    return fields + [field for part in coded for field in _code_fields(part)]
