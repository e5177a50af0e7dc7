"""Numbers of the lesson on the fleet: eight cars alone, together, and together in few bits."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch

from fqlab.data.lidar import towns
from fqlab.federation import Experiment, Federation
from fqlab.tensors import Weights
from fqlab.training.sgd import infer

__all__ = [
    "ROUNDS", "alone", "by_town", "elsewhere", "elsewhere_alone", "elsewhere_together", "experiment", "lost", "order",
    "rare_elsewhere", "rare_home", "together",
]  # fmt: skip

ROUNDS = 15
RARE = 7
"""The canal town: a fifth of the other towns' objects, half of them cyclists."""
BITS = 3


def experiment(seed: int, method: str = "fedavg", **options: Any) -> Experiment:
    """Eight cars, each with the objects of its own town; PointNet, 15 rounds of one local epoch."""
    shared: dict[str, Any] = dict(
        dataset="lidar", model="pointnet", partition="by_writer", clients=8, epochs=1, batch_size=16
    )
    steps: dict[str, Any] = dict(lr=0.08, momentum=0.9, lr_decay=0.93, rounds=ROUNDS, evaluate_every=ROUNDS)
    return Experiment(method=method, options=options, seed=seed, engine="vectorized", **shared, **steps)


def _trained(chosen: Experiment) -> Federation:
    federation = Federation(chosen)
    for _ in federation:
        pass
    return federation


def by_town(federation: Federation, weights: Weights) -> list[float]:
    """Accuracy of one model on the test objects of each of the eight towns."""
    data = federation.simulation.dataset
    right = (infer(federation.simulation.model, weights, data.test_x).argmax(1) == data.test_y).float()
    return [float(right[data.test_groups == town.number].mean()) for town in towns()]


def elsewhere(values: list[float]) -> list[float]:
    """For each town the mean over the other ones; empty for an empty list."""
    return [(sum(values) - v) / (len(values) - 1) for v in values]


@lru_cache(maxsize=4)
def alone(seed: int) -> tuple[list[float], list[float]]:
    """Accuracy of each car's own model in its own town, and its mean over the other seven."""
    federation = _trained(experiment(seed, "standalone"))
    models = [federation.method.personalized(federation.server, c, federation.client_states[c]) for c in range(8)]
    table = np.array([by_town(federation, weights) for weights in models])
    home = np.diag(table)
    return home.tolist(), ((table.sum(1) - home) / 7).tolist()


@lru_cache(maxsize=24)
def together(seed: int, bits: int = 32, rounding: str = "nearest") -> list[float]:
    """Accuracy of the common model in each town; below 32 bits uploads are quantized between the largest weights."""
    options: dict[str, Any] = dict(bits=bits, clip="max_abs", rounding=rounding, averaging="size", qat=False)
    federation = _trained(experiment(seed) if bits == 32 else experiment(seed, "clipped", **options))
    return by_town(federation, federation.method.evaluation_weights(federation.server))


def elsewhere_alone(seed: int) -> float:
    """Accuracy of a car's own model in the other towns, mean over cars."""
    return float(np.mean(alone(seed)[1]))


def elsewhere_together(seed: int) -> float:
    """Accuracy of the common model in the other towns, mean over cars."""
    return float(np.mean(together(seed)))


def rare_elsewhere(seed: int) -> float:
    """Points that the canal car gains in the other towns by learning together."""
    return 100 * (elsewhere(together(seed))[RARE] - alone(seed)[1][RARE])


def rare_home(seed: int) -> float:
    """Points that the canal car gains in its own town."""
    return 100 * (together(seed)[RARE] - alone(seed)[0][RARE])


def _lost(seed: int, rounding: str) -> np.ndarray:
    return 100 * (np.array(together(seed)) - np.array(together(seed, BITS, rounding)))


def lost(seed: int, rounding: str, town: str) -> float:
    """Points lost at 3 bits in the canal town (``town="rare"``), or on average in the seven ``"others"``."""
    points = _lost(seed, rounding)
    return float(points[RARE] if town == "rare" else points[:RARE].mean())


def order(seed: int) -> float:
    """Largest change of any logit when the points of clouds are shuffled and a third of them is repeated."""
    from fqlab.models.layers import build
    from fqlab.models.pointnet import PointNet

    draws = torch.Generator().manual_seed(seed)
    net = build(lambda: PointNet(6), draws)
    cloud = torch.randn(20, 60, 3, generator=draws)
    shuffled = torch.cat([cloud, cloud[:, :20]], 1)[:, torch.randperm(80, generator=draws)]
    return float((net(cloud) - net(shuffled)).detach().abs().max())
