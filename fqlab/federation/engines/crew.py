"""Threads with one intra-op thread and a copy of the network each: where clients, stacks and test images are worked on.

Sums keep their order, hence their bits, whatever the number of workers. Autograd and the kernels release the interpreter
lock, so threads need neither pickling nor shared memory.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import nn

__all__ = ["Crew", "one_thread"]

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def one_thread() -> Iterator[None]:
    """One intra-op thread: small tensors gain nothing from more, and sums keep their order, hence their bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Crew:
    """``workers`` threads that are started at first need and kept: a round must not pay for them.

    Args:
        model: each thread works on a copy of it; the caller's own is used where one worker is enough.
        workers: 1 or more.
    """

    def __init__(self, model: nn.Module, workers: int) -> None:
        self.model = model
        self.workers = workers
        self._own = threading.local()
        self._pool: ThreadPoolExecutor | None = None

    def map(self, work: Callable[[nn.Module, Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """``work(model, item)`` of all items, in their order; an exception is raised where its result would stand."""
        if self.workers == 1 or len(items) == 1:
            for item in items:
                with one_thread():
                    result = work(self.model, item)
                yield result
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.workers, "fqlab-client", initializer=self._prepare)
        yield from self._pool.map(lambda item: work(self._own.model, item), items)

    def _prepare(self) -> None:
        torch.set_num_threads(1)
        self._own.model = copy.deepcopy(self.model)
