"""The yardstick: federated averaging as one writes it on a first afternoon, and what the machine could do at best."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from fqlab import data, models
from fqlab.data import Dataset

__all__ = ["PlainLoop", "copy_speed", "sgemm_speed", "threads"]


@contextmanager
def threads(count: int) -> Iterator[None]:
    """``count`` intra-op threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class PlainLoop:
    """One client after the other with ``torch.optim.SGD``, state dictionaries averaged, no packets, no guard.

    Args:
        parts: sample numbers of every client that takes part.
    """

    def __init__(self, dataset: str, model: str, parts: list[np.ndarray], batch: int, lr: float) -> None:
        self.data: Dataset = data.load(dataset)
        self.model: nn.Module = models.make(model, self.data, 0)
        self.parts = [torch.from_numpy(part) for part in parts]
        self.batch = batch
        self.lr = lr
        self.state = {name: value.clone() for name, value in self.model.state_dict().items()}

    def round(self) -> float:
        """One round with evaluation; the accuracy."""
        states = [self.train(part) for part in self.parts]
        total = sum(len(part) for part in self.parts)
        for name in self.state:
            self.state[name] = sum(s[name] * (len(p) / total) for s, p in zip(states, self.parts, strict=True))
        return self.evaluate(self.state)

    def evaluate(self, state: dict[str, torch.Tensor]) -> float:
        """Accuracy on the test data."""
        self.model.load_state_dict(state)
        self.model.eval()
        with torch.no_grad():
            logits = torch.cat([self.model(x) for x in self.data.test_x.split(1000)])
        return float((logits.argmax(1) == self.data.test_y).float().mean())

    def train(self, part: torch.Tensor) -> dict[str, torch.Tensor]:
        """The state after one client's epoch on samples ``part``."""
        self.model.load_state_dict(self.state)
        self.model.train()
        optimizer = torch.optim.SGD(self.model.parameters(), lr=self.lr)
        for index in part[torch.randperm(len(part))].split(self.batch):
            optimizer.zero_grad()
            loss = cross_entropy(self.model(self.data.train_x[index]), self.data.train_y[index])
            loss.backward()
            optimizer.step()
        return {name: value.clone() for name, value in self.model.state_dict().items()}


def best_of(work: Callable[[], object], repeats: int) -> float:
    """Least seconds of ``repeats`` runs."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def sgemm_speed(size: int = 1024, workers: int = 2) -> float:
    """Floating-point operations a second in a square float32 matrix product."""
    a, b = torch.rand(size, size), torch.rand(size, size)
    out = torch.empty(size, size)
    with threads(workers):
        return 2 * size**3 / best_of(lambda: torch.mm(a, b, out=out), 7)


def copy_speed(megabytes: int = 64) -> float:
    """Bytes a second read and written by a copy."""
    a = torch.rand(megabytes * 250_000)
    b = torch.empty_like(a)
    with threads(1):
        return 2 * 4 * a.numel() / best_of(lambda: b.copy_(a), 7)
