"""A node like any other but for its answers to rounds: ``BAD_NODE=damaged|silent python flower_bad_node.py PLAN.json``."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from fqlab.federation.engines.flower import client_app, ground, node
from fqlab.federation.engines.flower.bundle import Bundle

honest = node.answer


def damaged(request, memory, about):
    """What its first client sends has one bit flipped."""
    reply = honest(request, memory, about)
    if not reply.packets:
        return reply
    first = bytearray(reply.packets[0])
    first[-1] ^= 1
    return Bundle(reply.header, [bytes(first), *reply.packets[1:]])


def silent(request, memory, about):
    """It says who it is; a round it takes, and never comes back with it."""
    while request.header.get("ask") != "who":
        time.sleep(3600)
    return honest(request, memory, about)


client_app.answer = {"damaged": damaged, "silent": silent}[os.environ["BAD_NODE"]]

if __name__ == "__main__":
    sys.exit(ground.main(Path(sys.argv[1])))
