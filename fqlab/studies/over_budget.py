"""FedMPQ whose last step of growing may pass the budget, as in the authors' public code; the library's method never does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fqlab.methods.fedmpq import FedMPQ
from fqlab.quant import MAX_BITS, mean_bits

__all__ = ["OverBudget", "past_the_budget"]


def past_the_budget(
    base: Sequence[int], reduced: Sequence[int], sizes: Sequence[int], budget: float
) -> tuple[int, ...]:
    """Algorithm 2 of FedMPQ as its public code has it: arguments as for :func:`fqlab.quant.pruning_growing`.

    Returns:
        Widths 1-8, grown until their mean reaches ``budget``; the last bit may pass it, by less than its layer's share.
    """
    widths = list(base)
    priority = [size * (lost + 1) for size, lost in zip(sizes, reduced, strict=True)]
    for layer in sorted(range(len(widths)), key=lambda k: -priority[k]):
        while mean_bits(sizes, widths) > budget and widths[layer] > 1:
            widths[layer] = widths[layer] - 1
    for layer in sorted(range(len(widths)), key=lambda k: priority[k]):
        while mean_bits(sizes, widths) < budget and widths[layer] < MAX_BITS:
            widths[layer] = widths[layer] + 1
    return tuple(widths)


@dataclass(frozen=True)
class OverBudget(FedMPQ):
    """FedMPQ with :func:`past_the_budget`: for measuring what it costs to keep budgets."""

    def spend(self, base: Sequence[int], reduced: Sequence[int], sizes: Sequence[int], budget: float) -> Sequence[int]:
        return past_the_budget(base, reduced, sizes, budget)
