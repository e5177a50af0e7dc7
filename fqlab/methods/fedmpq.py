"""FedMPQ: mixed-precision quantization for unequal devices (Chen & Vikalo, CVPR 2024, arXiv 2311.18129).

Every client has a budget of bits. It trains with a group lasso on bit planes, drops the planes of a layer that
hardly any weight uses, and sends what is left; the server averages the weights in full precision and hands each
client a model of its own: widths cut or grown until they fit the client's budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from fqlab.errors import in_range
from fqlab.methods.aqfl import AQFL, Widths, layer_sizes, sent_widths
from fqlab.methods.base import ReceivedUpdate, Server, unless
from fqlab.quant import MAX_BITS, Codes, adjust, pruning_growing

__all__ = ["ABLATION", "FedMPQ", "common_base", "history"]

ABLATION = {
    "fixed width": {"penalty": 0.0, "pruning": False, "growing": False},
    "group lasso": {"pruning": False, "growing": False},
    "MSB pruning": {"penalty": 0.0, "growing": False},
    "group lasso + MSB pruning": {"growing": False},
    "full method": {},
}
"""The arms of the paper's ablation, as options of :class:`FedMPQ`."""


@dataclass(frozen=True)
class FedMPQ(AQFL):
    """Mixed precision under a bit budget for every client, as in the authors' public code.

    A round: client n gets the float average quantized to its own widths b_n,l; trains digits (:class:`AQFL` with
    the same ``update``); prunes planes once (:func:`fqlab.quant.adjust`); uploads. The server takes the plain mean
    of the weights. Only the *widths* are weighed, with p_n = v_n|D_n| / Σ v_j|D_j|: a common base
    b̄_l = round(Σ p_n b_n,l) and one history Δ̄_l = round(Σ p_n Δb_n,l + 1), Δb the bits that pruning took. From the
    base each client's widths are cut or grown to its budget (Algorithm 2, :func:`fqlab.quant.pruning_growing`):
    the layer with the largest (M_l/M)·Δ̄_l is drained to 1 bit before the next, the one with the smallest grows
    to 8.

    Where the public code errs or would break a promise of ours, this differs: no budget is ever exceeded (there the
    last step of growing may); saturation survives several cuts; the sums Σ p_n run over the clients that answered
    and are normalised by them (there by all clients, so that the base shrinks with participation); and what
    :class:`AQFL` names.

    Args:
        pruning: drop planes on the client.
        epsilon: ε, share of ones below which the plane at the top goes, 0-1; reported as harmful above 0.03.
        growing: restore each budget at the server (Algorithm 2); without it, a client's widths only fall.

    ``budgets``, ``penalty``, ``update`` and ``activation_bits`` are those of :class:`AQFL`; λ is reported as harmful
    above 0.01. Budgets, λ and ε are the code's.

    >>> from fqlab.federation import Experiment, fit
    >>> last = fit(Experiment(method="fedmpq", rounds=3, lr=0.3, options={"budgets": "2-4-8"})).rounds[-1]
    >>> last.extras["bits"] <= (4 * 2 + 3 * 4 + 3 * 8) / 10
    True
    """

    pruning: bool = True
    epsilon: float = 0.02
    growing: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range("epsilon", self.epsilon, 0, 1)

    def idle(self) -> dict[str, str]:
        return super().idle() | unless(self.pruning, "pruning", "epsilon")

    def prune(self, codes: Codes) -> Codes:
        """Planes that less than ε of the weights use are dropped, at the top and then at the bottom."""
        return adjust(codes, threshold=self.epsilon) if self.pruning else codes

    def next_widths(self, server: Server, updates: Sequence[ReceivedUpdate]) -> Widths:
        """Algorithm 2 for every client that took part; an absent one keeps its widths."""
        bits = server.state.bits.clone()
        left = torch.tensor([sent_widths(server, update) for update in updates], dtype=torch.int64)
        lost = (torch.stack([bits[u.client] for u in updates]) - left).clamp(min=0)
        shares = [self.budget(u.client) * u.samples for u in updates]
        base = common_base(left, shares)
        reduced = [delta - 1 for delta in history(lost, shares)]
        for update, widths in zip(updates, left.tolist(), strict=True):
            if self.growing:
                widths = self.spend(base, reduced, layer_sizes(server), self.budget(update.client))
            bits[update.client] = torch.tensor(widths, dtype=torch.int64)
        return Widths(bits)

    def spend(self, base: Sequence[int], reduced: Sequence[int], sizes: Sequence[int], budget: float) -> Sequence[int]:
        """The common base, cut or grown to a client's budget."""
        return pruning_growing(base, reduced, sizes, budget)


def common_base(widths: torch.Tensor, shares: Sequence[float]) -> list[int]:
    """b̄_l = round(Σ_n p_n b_n,l), halves to even, in 1-8.

    Args:
        widths: b_n,l after pruning, ``[clients, layers]``.
        shares: p_n up to a factor.
    """
    return _mean(widths, shares).round().clamp(1, MAX_BITS).int().tolist()


def history(reduced: torch.Tensor, shares: Sequence[float]) -> list[int]:
    """Δ̄_l = round(Σ_n p_n Δb_n,l + 1), halves to even, at least 1: arguments as for :func:`common_base`."""
    return (_mean(reduced, shares) + 1).round().clamp(min=1).int().tolist()


def _mean(table: torch.Tensor, shares: Sequence[float]) -> torch.Tensor:
    p = torch.tensor(shares, dtype=torch.float64)
    return (p / p.sum()) @ table.to(torch.float64)
