"""What peers share: the work by its number, with data, network and the training of one client, and how rounds are timed."""

from __future__ import annotations

from functools import cache

import torch
from plain import PlainLoop
from rounds import BATCH, LR, WORKS

from fqlab.federation import Federation

__all__ = ["loop", "rounds_between"]


@cache
def loop(number: int) -> PlainLoop:
    """The plain loop of a work, over all its clients; one thread in each process."""
    work = WORKS[number]
    torch.set_num_threads(1)
    parts = Federation(work.experiment("serial")).simulation.train
    return PlainLoop(work.dataset, work.model, parts, BATCH, LR)


def rounds_between(times: list[float]) -> list[float]:
    """Seconds of every round but the first, from the moments at which rounds ended."""
    return [after - before for before, after in zip(times, times[1:], strict=False)]
