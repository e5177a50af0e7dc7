"""A node that damages what its first client sends, else like any other: ``python flower_bad_node.py PLAN.json``."""

from __future__ import annotations

import sys
from pathlib import Path

from fqlab.federation.engines.flower import client_app, ground, node
from fqlab.federation.engines.flower.bundle import Bundle

honest = node.answer


def answer(request, memory, about):
    reply = honest(request, memory, about)
    if not reply.packets:
        return reply
    first = bytearray(reply.packets[0])
    first[-1] ^= 1
    return Bundle(reply.header, [bytes(first), *reply.packets[1:]])


client_app.answer = answer

if __name__ == "__main__":
    sys.exit(ground.main(Path(sys.argv[1])))
