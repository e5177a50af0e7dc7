"""Quantization-robust averaging: 100 clients with Dirichlet labels, 10 a round; LeNet-5 on Fashion-MNIST at scale small,
ResNet-20 on CIFAR-10 at scale paper.

The federated paper's set-up could not be read: methods and statements are its, clients, rounds and rates are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from fqlab.federation import Experiment, Federation
from fqlab.federation.deployment import deploy
from fqlab.studies.scale.store import Arm, obtain

__all__ = ["ARMS", "at", "at_width", "deployed", "drop", "experiment", "gain", "kept", "large", "trained_for"]

WIDTHS = (8, 6, 4, 3, 2)
RULES = ("max_abs", "mse")
RATE = 0.02
"""Of ResNet-20: the best of .02, .05 and .1 after 30 rounds on another seed; .2 had learnt nothing after ten."""
VARIANTS: dict[str, dict[str, Any]] = {
    "fedavg": {},
    "kure": {"variant": "kure", "penalty": 0.1},
    "mqat": {"variant": "mqat"},
    "qat-4": {"variant": "qat", "bits": 4},
    "apqn-4": {"variant": "apqn", "bits": 4},
    "qat-2": {"variant": "qat", "bits": 2},
    "mqat-mse": {"variant": "mqat", "range_rule": "mse"},
    "qat-2-mse": {"variant": "qat", "bits": 2, "range_rule": "mse"},
    "qat-4-mse": {"variant": "qat", "bits": 4, "range_rule": "mse"},
    "apqn-4-mse": {"variant": "apqn", "bits": 4, "range_rule": "mse"},
}
"""Arm -> settings of the method ``robust``; none for plain FedAvg. ``-mse`` also trains with ranges of least error."""


def experiment(options: Mapping[str, Any]) -> Experiment:
    """Scale small: 300 images a client, 40 rounds of one epoch."""
    return Experiment(
        method="robust" if options else "fedavg", options=options, dataset="fashion_mnist", model="lenet5",
        partition="dirichlet", split={"alpha": 0.5}, reduce={"train": 30_000}, clients=100, participants=10, rounds=40,
        batch_size=32, lr=0.05, evaluate_every=10, workers=1,
    )  # fmt: skip


def deployed(federation: Federation) -> dict[str, float]:
    """Test accuracy of the final model at each width and range."""
    simulation = federation.simulation
    data = simulation.dataset

    def accuracy(bits: int, rule: str) -> float:
        rounded = deploy(federation.server.weights, simulation.spec.quantizable, bits, rule)
        return float((simulation.logits(rounded, data.test_x).argmax(1) == data.test_y).to(torch.float64).mean())

    widths = {f"w{bits}-{rule}": accuracy(bits, rule) for rule in RULES for bits in WIDTHS}
    return {"w32": accuracy(32, "max_abs"), **widths}


def large(options: Mapping[str, Any]) -> Experiment:
    """Scale paper: ResNet-20 with GroupNorm on two of CIFAR-10's five batches, 200 images a client, 100 rounds."""
    return replace(
        experiment(options), dataset="cifar10", model="resnet20", reduce={}, rounds=100, lr=RATE, evaluate_every=20
    )


ARMS = {
    ("small", name): Arm("robust", f"small-{name}", experiment(options), deployed) for name, options in VARIANTS.items()
}
ARMS |= {
    ("paper", name): Arm("robust", f"paper-{name}", large(VARIANTS[name]), deployed, seeds)
    for name, seeds in (("fedavg", 3), ("kure", 3), ("mqat", 1), ("qat-4", 1), ("apqn-4", 1))
}
"""(scale, name) -> arm, in the order in which they are worth running."""


def at(seed: int, scale: str, arm: str, bits: int, rule: str = "max_abs") -> float:
    """Accuracy in % of an arm's model rounded to ``bits``."""
    measures = obtain(ARMS[scale, arm], seed).measures
    return 100 * measures["w32" if bits == 32 else f"w{bits}-{rule}"]


def kept(seed: int, scale: str, arm: str, rule: str = "max_abs") -> float:
    """Points lost from full precision, averaged over 8, 6, 4, 3 and 2 bit."""
    full = at(seed, scale, arm, 32)
    return sum(full - at(seed, scale, arm, bits, rule) for bits in WIDTHS) / len(WIDTHS)


def gain(seed: int, scale: str, arm: str, rule: str = "max_abs") -> float:
    """Points less that an arm loses than FedAvg does, averaged over the widths."""
    return kept(seed, scale, "fedavg", rule) - kept(seed, scale, arm, rule)


def at_width(seed: int, scale: str, arm: str, bits: int, over: str = "fedavg", rule: str = "max_abs") -> float:
    """Points of one arm over another at one width."""
    return at(seed, scale, arm, bits, rule) - at(seed, scale, over, bits, rule)


def drop(seed: int, scale: str, arm: str) -> float:
    """Points in full precision that FedAvg is ahead of an arm."""
    return at(seed, scale, "fedavg", 32) - at(seed, scale, arm, 32)


def trained_for(seed: int, scale: str, arm: str, bits: int, rule: str = "max_abs") -> float:
    """Points at the width that was trained for over full precision."""
    return at(seed, scale, arm, bits, rule) - at(seed, scale, arm, 32)
