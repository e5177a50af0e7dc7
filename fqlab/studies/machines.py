"""The same experiment on one machine and on several: both ledgers side by side, and rounds over slow lines.

The table of slow lines was measured between network namespaces by ``tests/benchmarks/hosts.py``.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fqlab.errors import NetworkError
from fqlab.federation import Experiment, Federation

__all__ = ["Cell", "Lines", "lines", "side_by_side"]

STORE = Path(__file__).parent / "points" / "hosts.json"


def side_by_side(experiment: Experiment) -> list[str]:
    """Each round's bytes with engine ``serial``, and where Flower can run beside them those with engine ``flower``."""
    from fqlab.federation.engines.flower.network import obstacle

    here = Federation(dataclasses.replace(experiment, engine="serial"))
    rows = [f"round {r.index}: one machine {r.bytes_up:,} bytes up and {r.bytes_down:,} down" for r in here]
    if (problem := obstacle()) is not None:
        return [*rows, f"No second ledger: {problem}"]
    there = Federation(dataclasses.replace(experiment, engine="flower"))
    try:
        both = zip(rows, there, strict=True)
        rows = [f"{row}; Flower {r.bytes_up:,} and {r.bytes_down:,} in {r.seconds:.1f} s" for row, r in both]
    except NetworkError as error:
        return [*rows, f"No second ledger: {error}"]
    same = _packets(here) == _packets(there)
    return [*rows, f"The ledgers {'agree' if same else 'differ'} packet by packet"]


def _packets(federation: Federation) -> list[tuple[Any, ...]]:
    return [(e.round_index, e.client, e.direction, e.total, e.code_bits) for e in federation.ledger.entries]


@dataclass(frozen=True)
class Cell:
    """Rounds of one setting over one line.

    Attributes:
        rate: of the line, in megabits a second; 0 for one that was not slowed down.
        bits: a weight on its way up.
        bytes_up: uploads of all clients in a round.
        packet_down: bytes of the packet that each node receives once a round.
        seconds: of each round.
    """

    rate: float
    bits: int
    bytes_up: int
    packet_down: int
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
