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

from fqlab.engines.serial import located
from fqlab.engines.site import Job, Reply, Site, local_round

__all__ = ["run"]


def run(site: Site, jobs: list[Job], stop: Callable[[], bool], workers: int = 2) -> Iterator[Reply]:
    """Replies in the order of ``jobs``; clients that have not begun when ``stop()`` turns true never do."""
    own = threading.local()

    def prepare() -> None:
        torch.set_num_threads(1)
        own.model = copy.deepcopy(site.model)

    def work(job: Job) -> Reply | None:
        if stop():
            return None
        with located(job, own.model):
            return local_round(site, job, own.model)

    with ThreadPoolExecutor(workers, "fqlab-client", initializer=prepare) as pool:
        for reply in pool.map(work, jobs):
            if reply is None:
                return
            yield reply
