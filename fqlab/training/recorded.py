"""Steps on an NVIDIA GPU recorded once and played again: launching a small layer from Python takes longer than its work."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

import torch

from fqlab.tensors import Weights
from fqlab.training.sgd import Batch, Step

__all__ = ["LEAST", "Recorded"]

LEAST = 20
"""Steps from which on a recording pays; it takes as long as some five."""
FIRST = 2
"""Steps taken as they are: they make what stays (momentum, views, a library's own memory)."""


class Recorded:
    """A step that is recorded for each kind of batch and then played: the same operations on the same memory.

    Args:
        step: one optimiser step on the GPU that moves what it moves in place and never looks at a number.
    """

    def __init__(self, step: Step) -> None:
        self.step = step
        self._taken: dict[Hashable, int] = {}
        self._tapes: dict[Hashable, Step] = {}

    def __call__(self, batch: Batch) -> torch.Tensor:
        """The loss, in memory of its own."""
        kind = (batch.active, *((name, value.shape) for name, value in _tensors(batch).items()))
        taken = self._taken[kind] = self._taken.get(kind, 0) + 1
        if taken <= FIRST:
            return self.step(batch)
        if kind not in self._tapes:
            self._tapes[kind] = _tape(self.step, batch)
        return self._tapes[kind](batch)


def _tensors(batch: Batch) -> Weights:
    """All tensors of a batch, by name."""
    weight = {} if batch.weight is None else {"weight": batch.weight}
    return {"x": batch.x, "y": batch.y, **weight, **{f"noise/{name}": value for name, value in batch.noise.items()}}


def _tape(step: Step, batch: Batch) -> Step:
    """A recording of ``step`` for batches like this one, which is not taken yet."""
    own = replace(
        batch,
        x=batch.x.clone(),
        y=batch.y.clone(),
        weight=None if batch.weight is None else batch.weight.clone(),
        noise={name: value.clone() for name, value in batch.noise.items()},
    )
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = step(own)

    def play(batch: Batch) -> torch.Tensor:
        for mine, theirs in zip(_tensors(own).values(), _tensors(batch).values(), strict=True):
            mine.copy_(theirs)
        graph.replay()
        return loss.clone()

    return play
