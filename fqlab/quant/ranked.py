"""Sort once, then every question about a threshold is a look-up.

The rules for an optimal clip ask again and again how many values lie beyond a threshold and what they sum to.
Sorting a large tensor takes no longer than a few passes over it, because NumPy sorts float32 with the
processor's vector units, and sums in double precision make every answer exact.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import torch
from torch.nn.functional import pad

__all__ = ["Ranked", "ascending"]

SMALL = 2**13
"""Rows of up to so many values keep all running sums."""
STRIDE = 16
"""Longer ones keep every sixteenth: they need little memory."""
AT_ONCE = 2**12


class Ranked:
    """The values of each row in ascending order, NaN last, with their running sums.

    Args:
        rows: float32 ``[rows, n]``, contiguous; sorted in place, so hand over a copy of what is still needed.

    Attributes:
        values: ``rows``, ascending.
        size: n.
        whole: n for each row, int64 ``[rows, 1]``.
        sum: of each row, float64 ``[rows, 1]``.
    """

    def __init__(self, rows: torch.Tensor) -> None:
        self.values = ascending(rows)
        self.size = rows.shape[1]
        self.stride = 1 if self.size <= SMALL else STRIDE
        self.whole = torch.full((len(rows), 1), self.size, dtype=torch.int64, device=rows.device)
        self.sum = self.total(self.whole)

    def below(self, thresholds: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """How many values are < each of ``thresholds`` (float32 ``[rows, k]``): int64; and their sum: float64."""
        count = torch.searchsorted(self.values, thresholds)
        return count, self.total(count)

    def above(self, thresholds: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """How many values are > each of ``thresholds``, and their sum."""
        within = torch.searchsorted(self.values, thresholds, right=True)
        return self.size - within, self.sum - self.total(within)

    def total(self, count: torch.Tensor, power: int = 1) -> torch.Tensor:
        """Sum of the ``count`` (int64 ``[rows, k]``) smallest values, or of their squares: float64."""
        sums = self._sums if power == 1 else self._squares
        if self.stride == 1:
            return sums.gather(1, count)
        block = count // self.stride
        return sums.gather(1, block) + self._within(block, count, power)

    def _within(self, block: torch.Tensor, count: torch.Tensor, power: int) -> torch.Tensor:
        """What the values before number ``count`` add to the sum of the whole blocks before theirs."""
        place = block.unsqueeze(-1) * self.stride + torch.arange(self.stride, device=count.device)
        values = self.values.gather(1, place.clamp(max=self.size - 1).flatten(1)).reshape(place.shape)
        return values.double().pow(power).masked_fill(place >= count.unsqueeze(-1), 0).sum(-1)

    @cached_property
    def _sums(self) -> torch.Tensor:
        if self.stride == 1:
            return pad(self.values, (1, 0)).cumsum(1, dtype=torch.float64)
        return self._running(lambda part: part.sum(-1, dtype=torch.float64))

    @cached_property
    def _squares(self) -> torch.Tensor:
        return self._running(lambda part: torch.linalg.vector_norm(part, dim=-1, dtype=torch.float64).square_())

    def _running(self, of_blocks: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """Running sums over blocks of ``stride`` values, from 0: float64 ``[rows, blocks + 1]``."""
        blocks = self.values[:, : self.size // self.stride * self.stride].unflatten(1, (-1, self.stride))
        sums = blocks.new_zeros(len(blocks), blocks.shape[1] + 1, dtype=torch.float64)
        # Some blocks at a time, because PyTorch copies what it sums in another type.
        for some, total in zip(blocks.split(AT_ONCE, 1), sums[:, 1:].split(AT_ONCE, 1), strict=True):
            total.copy_(of_blocks(some))
        return sums.cumsum_(1)


def ascending(rows: torch.Tensor) -> torch.Tensor:
    """``rows`` (float32, contiguous) sorted along the last dimension, in place where it can be; NaN comes last."""
    if rows.device.type == "cpu":  # torch.sort finds the permutation as well, which takes it thirty times as long
        rows.numpy().sort(-1)
        return rows
    return rows.sort(-1).values
