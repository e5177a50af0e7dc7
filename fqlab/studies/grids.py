"""What "b bits" means: levels, steps and errors of the five grids, and what they do to a federation."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch

from fqlab.federation import Experiment, fit
from fqlab.quant import Grid, clip_for, expected_mse
from fqlab.studies.octav import normal

__all__ = [
    "mse_4", "federated", "federated_same_ladder", "free_bit", "least", "levels", "step_4", "twelfth_normal",
    "twelfth_uniform",
]  # fmt: skip


def levels(grid: str) -> int:
    """Levels of a grid at 2 bits."""
    return Grid(2, grid).levels


@cache
def least(grid: Grid, size: int = 20_000) -> tuple[float, float]:
    """Best clip of a standard normal law on a grid, and the squared error there.

    Errors at 41 clips around OCTAV's, and a polynomial through them: the lowest point of one that is so flat.
    """
    x = normal(size)
    factors = np.linspace(0.85, 1.15, 41)
    start = float(clip_for("octav", x, grid))
    mse = [float(expected_mse(x, torch.tensor(start * k), grid)) for k in factors]
    fine = np.linspace(0.85, 1.15, 3001)
    smooth = np.polynomial.Polynomial.fit(factors, mse, 6)(fine)
    return start * float(fine[smooth.argmin()]), float(smooth.min())


def step_4() -> float:
    """Best step of four equally spaced levels for a standard normal law."""
    return Grid(2).step(least(Grid(2), 500_000)[0])


def mse_4() -> float:
    """Least squared error of four equally spaced levels for a standard normal law."""
    return least(Grid(2), 500_000)[1]


def twelfth_uniform() -> float:
    """Squared error over Δ²/12, uniform law within the clip, 4 bits."""
    x = (torch.arange(1_000_000) + 0.5) / 500_000 - 1
    grid = Grid(4)
    return float(expected_mse(x.float(), torch.tensor(1.0), grid)) / (grid.step(1.0) ** 2 / 12)


def twelfth_normal() -> float:
    """Squared error over Δ²/12, normal law, four levels at their best clip."""
    return mse_4() / (step_4() ** 2 / 12)


def free_bit() -> float:
    """Least error of "2 bit" mid-rise over that of "2 bit" sign-magnitude, normal law."""
    return least(Grid(2))[1] / least(Grid(2, "sign_magnitude"))[1]


def federated(seed: int, grid: str, bits: int = 2) -> float:
    """Accuracy on digits after 30 rounds: 10 clients, OCTAV's clip, nearest rounding, one grid for every layer."""
    options = {
        "bits": bits,
        "level_aware": True,
        "averaging": "size",
        "qat": False,
        "grid": grid,
        "rounding": "nearest",
    }
    shared: dict[str, Any] = dict(batch_size=32, lr=0.3, rounds=30, seed=seed, engine="vectorized")
    return fit(Experiment(method="clipped", options=options, **shared)).accuracy


def federated_same_ladder(seed: int) -> float:
    """Accuracy of "2 bit" sign-magnitude less that of 3-bit narrow: the same seven levels."""
    return federated(seed, "sign_magnitude") - federated(seed, "narrow", 3)
