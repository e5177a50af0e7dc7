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
    "mse_4", "federated_midrise", "federated_narrow", "federated_octav", "federated_same_ladder", "federated_sign_magnitude",
    "federated_twos_complement", "free_bit", "least", "levels_midrise", "levels_narrow", "levels_octav",
    "levels_sign_magnitude", "step_4", "twelfth_normal", "twelfth_uniform",
]  # fmt: skip


def levels_narrow(seed: int, scale: str) -> float:
    """Levels of the narrow grid at 2 bits."""
    return Grid(2, "narrow").levels


def levels_midrise(seed: int, scale: str) -> float:
    """Levels of the mid-rise grid at 2 bits."""
    return Grid(2, "midrise").levels


def levels_octav(seed: int, scale: str) -> float:
    """Levels of OCTAV's eq. (3) at 2 bits."""
    return Grid(2, "octav").levels


def levels_sign_magnitude(seed: int, scale: str) -> float:
    """Levels of 2 magnitude bits and a sign."""
    return Grid(2, "sign_magnitude").levels


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


def step_4(seed: int, scale: str) -> float:
    """Best step of four equally spaced levels for a standard normal law."""
    return Grid(2).step(least(Grid(2), 500_000)[0])


def mse_4(seed: int, scale: str) -> float:
    """Least squared error of four equally spaced levels for a standard normal law."""
    return least(Grid(2), 500_000)[1]


def twelfth_uniform(seed: int, scale: str) -> float:
    """Squared error over Δ²/12, uniform law within the clip, 4 bits."""
    x = (torch.arange(1_000_000) + 0.5) / 500_000 - 1
    grid = Grid(4)
    return float(expected_mse(x.float(), torch.tensor(1.0), grid)) / (grid.step(1.0) ** 2 / 12)


def twelfth_normal(seed: int, scale: str) -> float:
    """Squared error over Δ²/12, normal law, four levels at their best clip."""
    return mse_4(seed, scale) / (step_4(seed, scale) ** 2 / 12)


def free_bit(seed: int, scale: str) -> float:
    """Least error of "2 bit" mid-rise over that of "2 bit" sign-magnitude, normal law."""
    return least(Grid(2))[1] / least(Grid(2, "sign_magnitude"))[1]


def _federated(seed: int, grid: str, bits: int = 2) -> float:
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


def federated_narrow(seed: int, scale: str) -> float:
    """The narrow grid."""
    return _federated(seed, "narrow")


def federated_twos_complement(seed: int, scale: str) -> float:
    """Two's complement."""
    return _federated(seed, "twos_complement")


def federated_midrise(seed: int, scale: str) -> float:
    """The mid-rise grid."""
    return _federated(seed, "midrise")


def federated_octav(seed: int, scale: str) -> float:
    """OCTAV's grid."""
    return _federated(seed, "octav")


def federated_sign_magnitude(seed: int, scale: str) -> float:
    """Sign and magnitude."""
    return _federated(seed, "sign_magnitude")


def federated_same_ladder(seed: int, scale: str) -> float:
    """Accuracy of "2 bit" sign-magnitude less that of 3-bit narrow: the same seven levels."""
    return _federated(seed, "sign_magnitude") - _federated(seed, "narrow", 3)
