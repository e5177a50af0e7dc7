"""One client a thread, one intra-op thread each: right for convolutional nets on CPUs.

Every client's arithmetic is what the serial engine does, hence the same bits for any number of workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from fqlab.federation.engines.serial import located
from fqlab.federation.engines.simulation import ClientResult, ClientTask, Simulation, local_round

__all__ = ["run"]


def run(
    simulation: Simulation, tasks: list[ClientTask], stop: Callable[[], bool], workers: int = 2
) -> Iterator[ClientResult]:
    """Replies in the order of ``tasks``; clients that have not begun when ``stop()`` turns true never do."""

    def work(model: torch.nn.Module, task: ClientTask) -> ClientResult | None:
        if stop():
            return None
        with located(task, model):
            return local_round(simulation, task, model)

    for result in simulation.crew.map(work, tasks):
        if result is None:
            return
        yield result
