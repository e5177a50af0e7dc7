"""Nearest against stochastic rounding: one client, many clients, the same values or each its own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from fqlab.federation import Experiment, fit
from fqlab.quant import Grid, quantize
from fqlab.quant.codes import grid_index

__all__ = [
    "Parts", "crossing_uniform", "decoded", "dither_30", "mse_parts_of_mean", "federated", "ratio", "suresh_binary",
    "suresh_bound", "uniform",
]  # fmt: skip

QUANTILES = 41
"""Points that stand for the normal law of the clients' own deviations."""


@dataclass(frozen=True)
class Parts:
    """Expected squared error of the mean of M clients, in what averaging keeps and what it removes.

    Attributes:
        bias: stays, however many clients there are.
        chance: divided by M if every client draws for itself.
        common: the part of ``chance`` that stays if one draw serves all clients.
    """

    bias: float
    chance: float
    common: float = 0.0

    def mse(self, clients: Any, same: bool = False) -> Any:
        """The error of the mean of ``clients`` clients (a number or an array); ``same``: one draw serves all."""
        kept = self.common if same else 0.0
        return self.bias + kept + (self.chance - kept) / clients


def mse_parts_of_mean(x: torch.Tensor, clip: float, grid: Grid, rounding: str, deviation: float = 0.0) -> Parts:
    """Split the error: mean of the clients' codes minus mean of their values.

    Exact but for the law of the deviations, which 41 quantiles stand for. A stochastic code has the clipped value as its
    mean and Δ² f (1 − f) as its variance (f: fraction above the lower level); under one draw two codes with fractions f
    and g have the covariance Δ² (min(f, g) − f g).

    Args:
        x: the common values, flat [n].
        deviation: standard deviation of a client's own values around ``x``.
    """
    p = (torch.arange(QUANTILES, dtype=torch.float64) + 0.5) / QUANTILES
    values = x + deviation * torch.special.ndtri(p).float()[:, None] if deviation else x[None]
    if rounding == "nearest":
        gaps = quantize(values, clip, grid).dequantize() - values
        chance = 0.0
        common = 0.0
    else:
        s = torch.tensor(clip)
        place = grid_index(values, s, grid)
        gaps, f = grid.decode(place, s) - values, place - place.floor()
        chance = float(grid.step(clip) ** 2 * (f * (1 - f)).mean())
        common = float(grid.step(clip) ** 2 * (_mean_of_lower(f) - f.mean(0).square()).mean())
    return Parts(float(gaps.mean(0).square().mean()), float(gaps.var(0, correction=0).mean()) + chance, common)


def _mean_of_lower(f: torch.Tensor) -> torch.Tensor:
    """Mean of min(f_i, f_j) over all pairs of rows: [rows, n] to [n]."""
    n = len(f)
    return torch.arange(2 * n - 1, 0, -2, dtype=f.dtype) @ f.sort(dim=0).values / n**2


def decoded(
    values: torch.Tensor, clip: float, grid: Grid, rounding: str, generator: torch.Generator, same: bool = False
) -> torch.Tensor:
    """What the server reads of ``values`` [clients, n] once quantized; ``same``: one draw serves all clients."""
    if rounding == "nearest":
        return quantize(values, clip, grid).dequantize()
    noise = torch.rand(values[:1].shape if same else values.shape, generator=generator).expand(values.shape)
    return quantize(values, clip, grid, rounding, noise=noise).dequantize()


@lru_cache(maxsize=1)
def uniform(n: int = 20_000) -> torch.Tensor:
    """Values spread evenly over [−1, 1]."""
    return 2 * (torch.arange(n) + 0.5) / n - 1


def _measured(clients: int, rounding: str, seed: int) -> float:
    draws = torch.Generator().manual_seed(seed)
    x = uniform()
    grid = Grid(2)
    return float((decoded(x.expand(clients, -1), 1.0, grid, rounding, draws).mean(0) - x).square().mean())


def ratio(seed: int, clients: int, over: str) -> float:
    """Squared errors of the mean of clients with the same uniform values, 2 bits: the other rounding over ``over``."""
    other = "nearest" if over == "stochastic" else "stochastic"
    return _measured(clients, other, seed) / _measured(clients, over, seed)


def crossing_uniform() -> float:
    """Number of clients at which both errors are equal, for the same uniform values."""
    nearest, stochastic = (mse_parts_of_mean(uniform(), 1.0, Grid(2), r) for r in ("nearest", "stochastic"))
    return (stochastic.chance - nearest.chance) / (nearest.bias - stochastic.bias)


def dither_30(seed: int) -> float:
    """Nearest over stochastic error of the mean of 30 clients whose values differ by one step (standard deviation)."""
    draws = torch.Generator().manual_seed(seed)
    grid = Grid(4)
    values = 0.5 * uniform() + float(grid.step(torch.tensor(1.0))) * torch.randn(30, 20_000, generator=draws)
    mse = [(decoded(values, 1.0, grid, r, draws) - values).mean(0).square().mean() for r in ("nearest", "stochastic")]
    return float(mse[0] / mse[1])


def _suresh(seed: int) -> tuple[float, float, float]:
    """Measured squared error of a mean of 10 vectors at 1 bit, its formula, and its bound."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(10, 256, generator=draws) + torch.linspace(-1, 1, 256)
    low, high = x.min(1, keepdim=True).values, x.max(1, keepdim=True).values
    middle, reach = (high + low) / 2, (high - low)[:, 0] / 2
    trials = []
    for _ in range(500):
        codes = quantize(x - middle, reach, Grid(1), "stochastic", draws, batch_dims=1)
        trials.append(float(((codes.dequantize() + middle).mean(0) - x.mean(0)).square().sum()))
    exact = float(((high - x) * (x - low)).sum()) / 100
    bound = 256 / (2 * 10) * float(x.square().sum(1).mean())
    return sum(trials) / len(trials), exact, bound


def suresh_binary(seed: int) -> float:
    """Measured over exact error of stochastic binary quantization."""
    measured, exact, _ = _suresh(seed)
    return measured / exact


def suresh_bound(seed: int) -> float:
    """Measured error of stochastic binary quantization over its bound d/(2n) · mean ‖X‖²."""
    measured, _, bound = _suresh(seed)
    return measured / bound


def federated(seed: int, rounding: str) -> float:
    """Accuracy on digits: 10 clients, 30 rounds, 2-bit max-abs."""
    options = {"bits": 2, "clip": "max_abs", "grid": "midrise", "rounding": rounding, "averaging": "size", "qat": False}
    shared: dict[str, Any] = dict(batch_size=32, lr=0.3, rounds=30, seed=seed, engine="vectorized")
    return fit(Experiment(method="clipped", options=options, **shared)).accuracy
