"""Rounds over slow lines, as ``tests/benchmarks/hosts.py`` measured them between network namespaces."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Cell", "Lines", "lines"]

STORE = Path(__file__).parent / "points" / "hosts.json"


@dataclass(frozen=True)
class Cell:
    """Rounds of one setting over one line.

    Attributes:
        rate: of the line, in megabits a second; 0 for one that was not slowed down.
        bits: a weight on its way up.
        bytes_up: uploads of all clients in a round.
        packet_down: bytes of the packet that each node receives once a round.
        line_up: bytes that reached the server's cards in a round, Flower's own messages and TCP included.
        seconds: of each round.
    """

    rate: float
    bits: int
    bytes_up: int
    packet_down: int
    line_up: int
    seconds: tuple[float, ...]

    @property
    def least(self) -> float:
        """The quickest round: what other work on the machine has disturbed least."""
        return min(self.seconds)

    def payload_seconds(self, nodes: int) -> float:
        """What a node's packets alone would take on the line."""
        return 8e-6 * (self.bytes_up / nodes + self.packet_down) / self.rate if self.rate else 0.0


@dataclass(frozen=True)
class Lines:
    """The stored table and how it came about."""

    setup: Mapping[str, Any]
    cells: tuple[Cell, ...]


def lines() -> Lines:
    """The stored rounds over slow lines."""
    stored = json.loads(STORE.read_text(encoding="utf-8"))
    cells = tuple(Cell(**{**cell, "seconds": tuple(cell["seconds"])}) for cell in stored["cells"])
    return Lines(stored["setup"], cells)
