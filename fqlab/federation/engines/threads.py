"""One client a thread, one intra-op thread each: right for convolutional nets on CPUs.

Autograd releases the interpreter lock, so threads need neither pickling nor shared memory. Every client's arithmetic
is what the serial engine does, hence the same bits for any number of workers.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import torch

from fqlab.federation.engines.serial import located
from fqlab.federation.engines.simulation import ClientResult, ClientTask, Simulation, local_round

__all__ = ["run"]


def run(
    simulation: Simulation, tasks: list[ClientTask], stop: Callable[[], bool], workers: int = 2
) -> Iterator[ClientResult]:
    """Replies in the order of ``tasks``; clients that have not begun when ``stop()`` turns true never do."""
    own = threading.local()

    def prepare() -> None:
        torch.set_num_threads(1)
        own.model = copy.deepcopy(simulation.model)

    def work(task: ClientTask) -> ClientResult | None:
        if stop():
            return None
        with located(task, own.model):
            return local_round(simulation, task, own.model)

    with ThreadPoolExecutor(workers, "fqlab-client", initializer=prepare) as pool:
        for result in pool.map(work, tasks):
            if result is None:
                return
            yield result
