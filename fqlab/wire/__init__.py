"""Real packets: pack and unpack payloads, weigh them, open them byte by byte, keep the ledger."""

from fqlab.wire.batch import pack_all, unpack_all
from fqlab.wire.entropy import ans_bits, ans_decode, ans_encode, entropy
from fqlab.wire.ledger import Entry, Ledger
from fqlab.wire.packet import CODINGS, Payload, pack, unpack
from fqlab.wire.sizes import Field, Size, explain, measure, pack_measured

__all__ = [
    "CODINGS", "Entry", "Field", "Ledger", "Payload", "Size", "ans_bits", "ans_decode", "ans_encode", "entropy", "explain",
    "measure", "pack", "pack_all", "pack_measured", "unpack", "unpack_all",
]  # fmt: skip
