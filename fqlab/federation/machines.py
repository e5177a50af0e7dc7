"""The same experiment on one machine and on several: both ledgers side by side."""

from __future__ import annotations

import dataclasses
from typing import Any

from fqlab.errors import NetworkError
from fqlab.federation.engines.flower.network import obstacle
from fqlab.federation.experiment import Experiment
from fqlab.federation.loop import Federation

__all__ = ["side_by_side"]


def side_by_side(experiment: Experiment) -> list[str]:
    """Each round's bytes with engine ``serial``, and where Flower can run beside them those with engine ``flower``."""
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
