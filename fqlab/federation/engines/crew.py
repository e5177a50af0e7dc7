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
            # The threads know no crew: one that nobody holds any more ends them, closed or not.
            self._pool = ThreadPoolExecutor(self.workers, "fqlab-client", _prepare, (self._own, self.model))
        yield from self._pool.map(lambda item: work(self._own.model, item), items)

    def close(self) -> None:
        """End the threads, each after what it works on; :meth:`map` starts them anew."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None


def _prepare(own: threading.local, model: nn.Module) -> None:
    """A thread begins: one intra-op thread, and a copy of the network."""
    torch.set_num_threads(1)
    own.model = copy.deepcopy(model)
