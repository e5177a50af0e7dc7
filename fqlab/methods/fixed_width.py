"""The baselines of FedMPQ on its own footing: the same planes, grids and bytes, but no width ever changes."""

from __future__ import annotations

from dataclasses import dataclass

from fqlab.methods.fedmpq import FedMPQ

__all__ = ["FixedWidth"]


@dataclass(frozen=True)
class FixedWidth(FedMPQ):
    """Every client trains and sends all layers at one width of its own, its budget.

    ``budgets=8`` is FPQ8; ``budgets="2-2-4-4-4-6-6-6-8-8"`` is how AQFL (Abdelmoniem & Canini 2021) deals
    widths to unequal devices. Full precision is the method ``fedavg``. All settings are those of
    :class:`FedMPQ`, with group lasso, MSB pruning and Algorithm 2 off. A budget that is not a whole number
    gives the layers one of the two next widths.

    >>> from fqlab.federation import Experiment, fit
    >>> fit(Experiment(method="fixed_width", rounds=2, lr=0.3)).rounds[-1].extras["bits"]
    8.0
    """

    budgets: float | str = 8
    penalty: float = 0.0
    pruning: bool = False
    growing: bool = False
