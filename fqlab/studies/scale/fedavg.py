"""FedAvg's table of rounds on MNIST: 100 clients, labels dealt evenly or in shards, 10 a round, rounds to a target."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fqlab.federation import Experiment
from fqlab.studies.scale.store import Arm, obtain

__all__ = ["ARMS", "TARGET", "rounds", "saved"]

TARGET = 0.95
"""Accuracy that the smaller network must reach; the paper's CNN goes to .99."""
TABLE: dict[str, dict[str, Any]] = {
    "e5-b10": dict(rounds=8, epochs=5, batch_size=10, lr=0.1),
    "fedsgd": dict(rounds=160, epochs=1, batch_size=600, lr=0.6, evaluate_every=2),
}
"""Arm -> local training; a batch of 600 is all that a client has. Each rate is the best of three on another seed."""


def experiment(training: dict[str, Any]) -> Experiment:
    """Scale small: the paper's data and clients with a network of one hidden layer, 784-200-10."""
    return Experiment(
        dataset="mnist", model="mlp", clients=100, participants=10, engine="vectorized", workers=1, **training
    )


ARMS = {("small", name): Arm("fedavg", f"small-{name}", experiment(training)) for name, training in TABLE.items()}
SHARDS: dict[str, dict[str, Any]] = {
    "e5-b10": dict(rounds=150),
    "fedsgd": dict(rounds=600, lr=0.3),
}
"""Arm -> what two-class shards change: rates are again the best of three on another seed (.03, .1, .3; .15, .3, .6)."""
TWO_SHARDS: dict[str, Any] = {"classes_per_client": 2, "samples_per_class": 280}
"""Every client draws two shards of one label each; the paper's have 300 images, for which there are too few here."""
ARMS |= {
    ("small", f"shards-{name}"): Arm(
        "fedavg",
        f"small-shards-{name}",
        replace(ARMS["small", name].experiment, partition="n_class", split=TWO_SHARDS, **changes),
    )
    for name, changes in SHARDS.items()
}
"""(scale, name) -> arm, in the order in which they are worth running."""


def rounds(seed: int, scale: str, arm: str) -> float:
    """The first round whose accuracy reaches :data:`TARGET`; NaN if none does."""
    curve = obtain(ARMS[scale, arm], seed).curve
    return next((float(n) for n, a in zip(curve["round"], curve["accuracy"], strict=True) if a >= TARGET), float("nan"))


def saved(seed: int, scale: str, arm: str = "e5-b10", over: str = "fedsgd") -> float:
    """Rounds that FedSGD needs over those that E = 5, B = 10 needs."""
    return rounds(seed, scale, over) / rounds(seed, scale, arm)
