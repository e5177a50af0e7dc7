"""Rounds over slow lines, as ``tests/benchmarks/hosts.py`` measured them between network namespaces.

What a line must cost a round at least is arithmetic: the bits of a node's packets over the rate, and two delays for each
request that waits for the one before. What was expected of the measurement was written down from that, before it ran:

* No round is quicker than the arithmetic.
* Against a line without limit, a rate costs the packets' time up to half as much again, with Flower's own messages counted.
* A delay costs every width alike: 9 to 14 round trips. A window that has to open (slow start) is one or two of them, at 32 bits.
* One per cent of loss hardly meets a round's few frames. Five per cent keep TCP's window near 6 frames (Mathis et al.
  1997, 1.22 / sqrt(loss)), which at 32 bits is longer than the line's own rate would take, and at 2 bits makes no difference.

The first held. The others held in part: ``tests/studies/test_hosts.py`` holds each of them against the stored rounds, and names
those that differ, with the reason as far as it is known. Above all, five per cent of loss cost every width alike.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["EXCHANGES", "Cell", "Lines", "Place", "lines"]

STORE = Path(__file__).parent / "points" / "hosts.json"
Place = tuple[float, float, float]
"""A line: megabits a second, milliseconds each way, per cent of frames lost."""
EXCHANGES = 9
"""Requests of a node in a round that wait for each other, as Flower 1.42 sends them: a look for work, its five objects two at a
time, a receipt, the answer announced, its five objects two at a time."""


@dataclass(frozen=True)
class Cell:
    """Rounds of one setting over one line.

    Attributes:
        rate: of the line, in megabits a second; 0 for one without a limit.
        delay: milliseconds each way.
        loss: per cent of frames.
        bits: a weight on its way up.
        bytes_up: uploads of all clients in a round.
        packet_down: bytes of the packet that each node receives once a round.
        line_up: bytes that reached the server's cards in a round, Flower's own messages and TCP included.
        seconds: of each round.
    """

    rate: float
    delay: float
    loss: float
    bits: int
    bytes_up: int
    packet_down: int
    line_up: int
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Seconds of the middle round."""
        return statistics.median(self.seconds)

    def packet_seconds(self, nodes: int) -> float:
        """What the bits of a node's packets take at the line's rate."""
        return 8e-6 * (self.bytes_up / nodes + self.packet_down) / self.rate if self.rate else 0.0

    def least_seconds(self, nodes: int) -> float:
        """What a round takes at least: its packets, and the way there and back for each request."""
        return self.packet_seconds(nodes) + EXCHANGES * 2 * self.delay / 1000


@dataclass(frozen=True)
class Lines:
    """The stored table and how it came about."""

    setup: Mapping[str, Any]
    cells: tuple[Cell, ...]

    def at(self, rate: float, delay: float = 0.0, loss: float = 0.0) -> dict[int, Cell]:
        """Bits -> the cell of one line."""
        return {cell.bits: cell for cell in self.cells if (cell.rate, cell.delay, cell.loss) == (rate, delay, loss)}


def lines() -> Lines:
    """The stored rounds over slow lines."""
    stored = json.loads(STORE.read_text(encoding="utf-8"))
    cells = tuple(Cell(**{**cell, "seconds": tuple(cell["seconds"])}) for cell in stored["cells"])
    return Lines(stored["setup"], cells)
