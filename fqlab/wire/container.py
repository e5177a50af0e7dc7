"""The packet as a file: a ``.safetensors`` container whose header carries a layer table and checksums.

::

    8 bytes   length of the header, little-endian
    header    JSON: {"__metadata__": {"fqlab": "CRC VERSION SUMS TABLE"}, "floats": {...}, "ints": {...}, "planes": {...}}
    floats    float32: the clip of every coded layer and all that is not quantized, in the order of the table
    ints      integers, little-endian, in the order of the table
    planes    one part for each coded layer, in the order of the table

TABLE is a JSON list with a row for each entry of the payload (:class:`Row`). SUMS is a JSON list of one or two lists: the
CRC-32 of every part as stored (floats, ints, then each coded layer); and if zstandard made any part smaller, the stored
lengths, 0 for a part that stayed as it was.
CRC is the CRC-32 of the header and its length, with its own eight digits left out. So every bit of a packet is
under exactly one checksum, and that checksum knows the name of what it protects.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple, NoReturn
from zlib import crc32

import numpy as np

from fqlab.errors import WireError, shown
from fqlab.quant.grids import KINDS, Grid
from fqlab.wire.entropy import compress, decompress
from fqlab.wire.symbols import group_bytes, stored_planes, to_groups

__all__ = [
    "INTS",
    "MAX_ENTRIES",
    "VERSION",
    "Layout",
    "Packed",
    "Part",
    "Row",
    "Segment",
    "fail",
    "load",
    "read",
    "write",
]

VERSION = 1
MAX_ENTRIES = 2**26  # of one packet: an absent bit plane costs nothing to send, so what it unpacks to needs a bound
INTS = {"uint8": 1, "int16": 2, "int32": 4, "int64": 8}  # type -> bytes
MARK = b'"fqlab":"'
FRONT = b'{"__metadata__":{' + MARK
NOTHING = np.frombuffer(b"", np.uint8)


_grid = lru_cache(maxsize=64)(Grid)


class Row(NamedTuple):
    """A line of the layer table; on the wire floats keep the first two columns, integers three, codes five."""

    name: str
    shape: tuple[int, ...]
    type: str = "float32"  # float32, a key of INTS, bool, or the kind of a grid
    bits: int = 1  # of the grid
    used: int = 0  # mask of the bit planes that are not all zero

    @property
    def coded(self) -> bool:
        """Whether the entry travels as bit planes."""
        return self.type == "bool" or self.type in KINDS

    @property
    def grid(self) -> Grid | None:
        """The grid of codes, else None."""
        return _grid(self.bits, self.type) if self.type in KINDS else None

    @property
    def count(self) -> int:
        """Number of entries."""
        return math.prod(self.shape)

    @property
    def code_bits(self) -> int:
        """Bits of one code at fixed length, 0 for numbers that are not coded."""
        return self.grid.code_bits if self.grid else int(self.type == "bool")

    @property
    def plane_size(self) -> int:
        """Bytes of one bit plane."""
        return -(-self.count // 8)

    def columns(self) -> tuple[Any, ...]:
        """The row as it is written."""
        return self if self.coded else self[: 2 if self.type == "float32" else 3]


class Segment(NamedTuple):
    """Bytes under one checksum, on their way into a packet."""

    pieces: Sequence[np.ndarray]  # fixed length, one after the other
    symbols: np.ndarray | None = None  # what the entropy coder reads instead, if these are codes
    used: int = 0


class Packed(NamedTuple):
    """A packet, its layer table, and how many bytes floats, ints and each coded layer take in it."""

    bytes: bytes
    rows: tuple[Row, ...]
    lengths: tuple[int, ...]


class Part(NamedTuple):
    """Bytes under one checksum, found in a packet."""

    field: str
    start: int
    stop: int
    crc: int
    length: int  # of the fixed-length form
    zipped: bool
    row: Row | None = None

    @property
    def coded_row(self) -> Row:
        """The row of a part that holds codes or a mask."""
        if self.row is None:
            raise ValueError(f"{self.field} is no coded layer")
        return self.row


class Layout(NamedTuple):
    """Where everything lies in a packet: rows of the table, end of the header, and the parts in order."""

    rows: tuple[Row, ...]
    header_end: int
    parts: list[Part]


def fail(client: object, field: str, why: str) -> NoReturn:
    """Raise the :class:`~fqlab.errors.WireError` that names client and field."""
    sender = "Packet" if client is None else f"Packet of client {shown(client)}"
    raise WireError(f"{sender}: {field} cannot be used, because {why}.")


# ---------------------------------------------------------------------------------------------------------- write


def _stored(segment: Segment, coding: str) -> tuple[Sequence[Any], int, int]:
    """What to send, its length, and its length again if it is compressed, else 0."""
    size = sum([piece.nbytes for piece in segment.pieces])
    if coding == "fixed" or not size:
        return segment.pieces, size, 0
    if segment.symbols is None:
        zipped = compress(b"".join(bytes(piece) for piece in segment.pieces))
    else:
        zipped = compress(to_groups(segment.symbols, segment.used))
    return ([zipped], len(zipped), len(zipped)) if len(zipped) < size else (segment.pieces, size, 0)


def _crc(pieces: Sequence[Any]) -> int:
    value = 0
    for piece in pieces:
        value = crc32(piece, value)
    return value


def _header_crc(packet: bytes | memoryview, digits: int, end: int) -> bytes:
    return b"%08x" % crc32(packet[digits + 8 : end], crc32(packet[:digits]))


@lru_cache(maxsize=256)
def _table(rows: tuple[Row, ...], floats: int, ints: int, planes: int, zipped: bool) -> str:
    """The header behind its sums: the layer table inside a JSON string, then dtype and place of each buffer that is not
    empty, as safetensors writes it. Most packets of a run have the same, so it is kept, as is what it means
    (:func:`_meaning`)."""
    table = json.dumps(json.dumps([row.columns() for row in rows], separators=(",", ":")))[1:-1]
    text = f']] {table}"}}'
    start = 0
    for name, size in (("floats", floats), ("ints", ints), ("planes", planes)):
        kind, width = ("U8", 1) if zipped or name != "floats" else ("F32", 4)
        place = f'"shape":[{size // width}],"data_offsets":[{start},{start + size}]'
        text += f',"{name}":{{"dtype":"{kind}",{place}}}' if size else ""
        start += size
    return text + "}"


def write(rows: Sequence[Row], segments: Sequence[Segment], coding: str) -> Packed:
    """Join segments (floats, ints, then one for each coded row) under a header."""
    bodies, lengths, unpacked = zip(*[_stored(segment, coding) for segment in segments], strict=True)
    sums = ",".join([str(_crc(body)) for body in bodies])
    if any(unpacked):
        sums += f"],[{','.join(map(str, unpacked))}"
    rows = tuple(rows)
    floats, ints, *planes = lengths
    rest = f" {VERSION} [[{sums}{_table(rows, floats, ints, sum(planes), bool(unpacked[0]))}".encode()
    rest += b" " * (-(len(FRONT) + 8 + len(rest)) % 8)  # the buffers start at a multiple of 8
    head = (len(FRONT) + 8 + len(rest)).to_bytes(8, "little") + FRONT
    signed = (head, b"%08x" % crc32(rest, crc32(head)), rest)
    return Packed(b"".join(chain(signed, *bodies)), rows, lengths)


# ----------------------------------------------------------------------------------------------------------- read


def _header(packet: bytes, client: object) -> tuple[bytes, bytes, int]:
    """The sums, the header without sums, and the end of the header, once its checksum holds."""
    end = 8 + int.from_bytes(packet[:8], "little")
    if len(packet) < 8 or end > len(packet):
        fail(client, "the header", f"the packet ends after {len(packet)} bytes")
    digits = packet.find(MARK, 8, end) + len(MARK)
    if digits < len(MARK) or packet[digits : digits + 8] != _header_crc(packet, digits, end):
        fail(client, "the header", "its checksum does not match")
    _, version, sums, rest = packet[digits:end].split(b" ", 3)
    if version != b"%d" % VERSION:
        number = version.decode()
        fail(client, "the header", f"it is of version {number}, but this library reads version {VERSION}")
    return sums, packet[8:digits] + rest, end


def _row(columns: list[Any]) -> Row:
    """A checked row. Raises ValueError or TypeError where a column makes no sense."""
    row = Row(columns[0], tuple(columns[1]), *columns[2:])
    named = type(row.name) is str and (row.coded or row.type in INTS or row.type == "float32")
    shaped = type(columns[1]) is list and all(type(n) is int and 0 <= n <= MAX_ENTRIES for n in row.shape)
    if not named or not shaped or type(row.used) is not int or not 0 <= row.used < 1 << max(row.code_bits, 1):
        raise ValueError(f"the row of {shown(row.name)} makes no sense")
    return row


@lru_cache(maxsize=256)
def _meaning(header: bytes) -> tuple[tuple[Row, ...], tuple[tuple[str, int, Row | None], ...], int]:
    """The rows of the layer table in a header without sums; field, fixed-length bytes and row of every part that they imply;
    and the number of entries.

    Raises:
        ValueError or another error: if the table makes no sense.
    """
    rows = tuple(_row(columns) for columns in json.loads(json.loads(header)["__metadata__"]["fqlab"]))
    entries = sum(row.count for row in rows)
    if len({row.name for row in rows}) < len(rows) or entries > MAX_ENTRIES:
        raise ValueError("names repeat or entries are too many")
    floats = sum(4 * row.count if row.type == "float32" else 4 * bool(row.grid) for row in rows)
    ints = sum(INTS.get(row.type, 0) * row.count for row in rows)
    coded = [(f"the codes of {shown(r.name)}", len(stored_planes(r.used)) * r.plane_size, r) for r in rows if r.coded]
    return rows, (("floats", floats, None), ("ints", ints, None), *coded), entries


def _parts(plan: Sequence[tuple[str, int, Row | None]], sums: list[int], unpacked: list[int], start: int) -> list[Part]:
    parts = []
    for (field, length, row), crc, size in zip(plan, sums, unpacked or [0] * len(sums), strict=True):
        if type(size) is not int or size < 0:
            raise ValueError("a length is not a length")
        parts.append(Part(field, start, start + (size or length), crc, length, size > 0, row))
        start = parts[-1].stop
    return parts


def read(packet: bytes, client: object = None, most: int = MAX_ENTRIES) -> Layout:
    """Check the header and the length of ``packet``; nothing is allocated on the word of a header.

    Raises:
        WireError: if the header is damaged, of another version or senseless, or the packet is too short or too long.
    """
    try:
        sums, table, end = _header(packet, client)
        crcs, *unpacked = json.loads(sums.decode())  # bytes it would look at for their encoding
        rows, plan, entries = _meaning(table)
        layout = Layout(rows, end, _parts(plan, crcs, unpacked[0] if unpacked else [], end))
    except WireError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        fail(client, "the header", "its layer table makes no sense")
    if entries > most:
        fail(client, "the header", f"it announces more than {most} entries")
    if layout.parts[-1].stop != len(packet):
        short = next((part for part in layout.parts if part.stop > len(packet)), layout.parts[-1])
        fail(client, short.field, f"the packet has {len(packet)} bytes, but its table {layout.parts[-1].stop}")
    return layout


def load(packet: bytes, part: Part, client: object = None) -> np.ndarray:
    """The bytes of ``part``, decompressed if need be: uint8, read-only.

    Raises:
        WireError: if the checksum or the compressed frame does not hold.
    """
    if part.start == part.stop and part.crc == 0:
        return NOTHING
    body = memoryview(packet)[part.start : part.stop]
    if crc32(body) != part.crc:
        fail(client, part.field, "its checksum does not match")
    if not part.zipped:
        return np.frombuffer(body, np.uint8)
    length = group_bytes(part.row.used, part.row.count) if part.row else part.length
    try:
        return np.frombuffer(decompress(bytes(body), length), np.uint8)
    except ValueError as error:
        fail(client, part.field, str(error))
