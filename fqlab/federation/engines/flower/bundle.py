"""A message to a node or from it: a header and packets, as one row of bytes that Flower carries unopened.

::

    8 bytes   length of the header, little-endian
    header    JSON, with the length of every packet under "lengths"
    packets   one after the other, as :func:`fqlab.wire.pack` made them
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from fqlab.errors import WireError, shown

__all__ = ["Bundle", "from_records", "to_records"]

PREFIX = 8
RECORD, ARRAY = "fqlab", "bundle"
"""Names of the record and of its only array in a Flower message."""


@dataclass(frozen=True)
class Bundle:
    """What one message says (JSON values by name), and the packets it carries."""

    header: dict[str, Any]
    packets: list[bytes] = field(default_factory=list)

    def to_bytes(self) -> bytes:
        """The whole message; :meth:`from_bytes` is the inverse."""
        header = json.dumps({**self.header, "lengths": [len(packet) for packet in self.packets]}).encode()
        return b"".join([len(header).to_bytes(PREFIX, "little"), header, *self.packets])

    @classmethod
    def from_bytes(cls, data: bytes) -> Bundle:
        """Inverse of :meth:`to_bytes`.

        Raises:
            WireError: if lengths and bytes disagree, or the header is no JSON object.
        """
        end = PREFIX + int.from_bytes(data[:PREFIX], "little")
        try:
            header = json.loads(data[PREFIX:end])
            lengths = header.pop("lengths")
            whole = [length for length in lengths if type(length) is int and length >= 0]
        except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
            raise WireError(
                f"a message of {len(data)} bytes has a header that can't be read ({shown(error)})."
            ) from None
        if whole != lengths or end + sum(lengths) != len(data):
            raise WireError(f"a message has {len(data)} bytes, but its header speaks of others.")
        packets: list[bytes] = []
        for length in lengths:
            packets.append(data[end : end + length])
            end += length
        return cls(header, packets)


def to_records(bundle: Bundle) -> Any:
    """The bundle as the content of a Flower message: one array of bytes whose type nobody averages by accident."""
    from flwr.app import Array, ArrayRecord, RecordDict  # pyright: ignore[reportMissingImports]

    data = bundle.to_bytes()
    return RecordDict({RECORD: ArrayRecord({ARRAY: Array("uint8", (len(data),), "fqlab.bundle", data)})})


def from_records(records: Any) -> Bundle:
    """Inverse of :func:`to_records`.

    Raises:
        WireError: if the message is not one of ours, or damaged.
    """
    try:
        data = records[RECORD][ARRAY].data
    except (KeyError, TypeError, AttributeError):
        raise WireError("a message has no packets of fqlab in it.") from None
    return Bundle.from_bytes(data)
