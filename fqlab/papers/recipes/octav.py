"""Numbers of OCTAV and ACIQ, from quantiles of the exact laws instead of random samples."""

from __future__ import annotations

from functools import lru_cache

import torch

from fqlab.experiment import Experiment
from fqlab.federation import fit
from fqlab.quant import Grid, aciq_laplace, clip_for, expected_error, octav

__all__ = ["gauss_clip_4", "laplace_clip_4", "aciq_laplace_4", "textbook_excess", "gain_over_max_abs"]


@lru_cache(maxsize=4)
def normal(n: int = 1_000_000) -> torch.Tensor:
    """Midpoint quantiles of a standard normal law."""
    p = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    return torch.special.ndtri(p).float()


@lru_cache(maxsize=4)
def laplace(n: int = 1_000_000) -> torch.Tensor:
    """Midpoint quantiles of the Laplace law with b = 1."""
    p = (torch.arange(n, dtype=torch.float64) + 0.5) / n - 0.5
    return (-p.sign() * torch.log1p(-2 * p.abs())).float()


@lru_cache(maxsize=1)
def digits_layers() -> tuple[torch.Tensor, torch.Tensor]:
    """The two layers of the digits network after ten federated rounds in full precision."""
    shared = dict(model="mlp", lr=0.3, batch_size=32, rounds=10, clients=10, engine="vectorized")
    trained = fit(Experiment(method="fedavg", **shared)).weights
    first, second = (w for w in trained.values() if w.dim() > 1)
    return first, second


def gauss_clip_4(seed: int, scale: str) -> float:
    """OCTAV's clip of a standard normal at 4 bits."""
    return float(octav(normal(), Grid(4, "octav")))


def laplace_clip_4(seed: int, scale: str) -> float:
    """OCTAV's clip of a Laplace law with b = 1 at 4 bits."""
    return float(octav(laplace(), Grid(4, "octav")))


def aciq_laplace_4(seed: int, scale: str) -> float:
    """ACIQ's clip of a Laplace law with b = 1 at 4 bits."""
    return float(aciq_laplace(laplace(), Grid(4, "octav")))


def textbook_excess(seed: int, scale: str) -> float:
    """Percent by which the textbook constant's MSE exceeds the level-aware one's optimum, narrow grid, 2 bits."""
    x, grid = normal(200_000), Grid(2, "narrow")
    best = min(float(expected_error(x, torch.tensor(s), grid)) for s in torch.linspace(1.0, 1.5, 101).tolist())
    return 100 * (float(expected_error(x, octav(x, grid, level_aware=False), grid)) / best - 1)


def gain_over_max_abs(seed: int, scale: str) -> float:
    """How many times smaller the 4-bit error of a million normal weights is with OCTAV's clip than with max-abs."""
    x, grid = torch.randn(10**6, generator=torch.Generator().manual_seed(seed)), Grid(4)
    wide, tight = (expected_error(x, clip_for(rule, x, grid), grid) for rule in ("max_abs", "octav"))
    return float(wide / tight)
