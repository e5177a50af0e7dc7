"""One 8-bit device among nine 2-bit ones: who is heard, and what is forgotten."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch

from fqlab.aggregate import inverse_error_weights
from fqlab.federation import Experiment, Federation
from fqlab.methods import acting
from fqlab.quant import Grid, clip_for, expected_mse
from fqlab.studies.octav import normal
from fqlab.training.sgd import accuracy

__all__ = ["even", "only_fine", "ratio", "sevens", "weights"]

EVERY = "0123456789"
OTHERS = "012345689"


@lru_cache(maxsize=2)
def weights(devices: tuple[int, ...] = (8, *(2,) * 9)) -> tuple[float, ...]:
    """Inverse-error weights of devices with these bits that all hold the same bell-shaped weights."""
    mse = {b: expected_mse(normal(), _clip(b), Grid(b)) for b in set(devices)}
    return tuple(inverse_error_weights([float(mse[b]) for b in devices]).tolist())


def _clip(bits: int) -> torch.Tensor:
    return clip_for("octav", normal(), Grid(bits), level_aware=False)


def ratio() -> float:
    """How much more an 8-bit device counts than a 2-bit one."""
    return weights()[0] / weights()[1]


def _run(seed: int, fine: str = OTHERS, coarse: str = EVERY, output: int = 2, **options: object) -> tuple[float, float]:
    """Final accuracy of all digits and of the sevens."""
    widths = ", ".join(["8-8"] + [f"2-{output}"] * 9)
    settings = {"client_bits": widths, "rounding": "stochastic", "qat": False, **options}
    federation = Federation(
        Experiment(
            method="clipped", options=acting("clipped", settings), model="mlp", lr=0.3, batch_size=32, clients=10, rounds=30, seed=seed,
            engine="vectorized", evaluate_every=30, partition="by_label", split={"holds": f"{fine}-{coarse}"},
        )
    )  # fmt: skip
    *_, last = federation
    simulation = federation.simulation
    y = federation.simulation.dataset.test_y
    sevens = accuracy(simulation.model, federation.server.weights, simulation.dataset.test_x[y == 7], y[y == 7])
    return last.accuracy, sevens


def sevens(seed: int, **settings: Any) -> float:
    """Share of the sevens read right; only the 2-bit devices have any.

    Args:
        settings: over inverse-error weights: options of the method, or ``output``, the bits of all output layers.
    """
    return _run(seed, **settings)[1]


def only_fine(seed: int) -> float:
    """Only the 8-bit device has sevens: inverse errors less samples."""
    return _run(seed, EVERY, OTHERS)[1] - _run(seed, EVERY, OTHERS, averaging="size")[1]


def even(seed: int) -> float:
    """Everybody has all digits: accuracy by inverse errors less by samples."""
    return _run(seed, EVERY)[0] - _run(seed, EVERY, averaging="size")[0]
