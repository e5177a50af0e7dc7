"""Clipped quantization on MNIST and CIFAR-10: the paper's network, 30 clients, class-balanced split, its local training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fqlab.federation import Experiment
from fqlab.studies.scale.store import Arm, obtain

__all__ = ["ARMS", "CIFAR", "LONG", "TABLE", "accuracy", "experiment", "gain", "round_accuracy", "traffic"]

TWO: dict[str, Any] = {"bits": "2-2-2-2", "averaging": "size"}
FOUR: dict[str, Any] = {"bits": "4-4-4-4", "averaging": "size"}
TABLE: dict[str, dict[str, Any]] = {
    "float": {},
    "octav-nearest": TWO,
    "max-abs-nearest": {**TWO, "clip": "max_abs"},
    "octav-stochastic": {**TWO, "rounding": "stochastic"},
    "max-abs-stochastic": {**TWO, "clip": "max_abs", "rounding": "stochastic"},
    "octav-nearest-inverse": {**TWO, "averaging": "inverse_error"},
    "4224": {"bits": "4-2-2-4", "averaging": "size"},
}
"""Arm -> settings of the method ``clipped``; none for full precision."""


def experiment(options: dict[str, Any]) -> Experiment:
    """Scale small: a tenth of the images (200 a client, in four batches), 10 of the 200 rounds."""
    return Experiment(
        method="clipped" if options else "fedavg", options=options, dataset="mnist", model="clipped_cnn",
        partition="class_balanced", clients=30, reduce={"train": 6_000}, rounds=10, batch_size=64, lr=0.01,
        momentum=0.9, weight_decay=1e-4, evaluate_every=5, workers=1,
    )  # fmt: skip


ARMS = {("small", name): Arm("clipped", f"small-{name}", experiment(options)) for name, options in TABLE.items()}
THRICE = ("float", "octav-stochastic", "octav-nearest", "max-abs-nearest")
"""Arms of 40 rounds with three seeds, on which verdicts rest; the others have one."""
LONG: dict[str, dict[str, Any]] = {
    **{name: TABLE[name] for name in THRICE},
    "4224": TABLE["4224"],
    "4444": FOUR,
    "level-aware-nearest": {**TWO, "level_aware": True},
    "level-aware-stochastic": {**TWO, "level_aware": True, "rounding": "stochastic"},
    "max-abs-stochastic": TABLE["max-abs-stochastic"],
    "octav-nearest-inverse": TABLE["octav-nearest-inverse"],
}
"""Arms that go on for 40 rounds."""
ARMS |= {
    ("small", f"{name}-40"): Arm(
        "clipped",
        f"small-{name}-40",
        replace(experiment(options), rounds=40, evaluate_every=10),
        seeds=3 if name in THRICE else 1,
    )
    for name, options in LONG.items()
}
PAPER = {
    name: replace(experiment(options), reduce={}, rounds=200, evaluate_every=20) for name, options in TABLE.items()
}
"""The code's 200 rounds of all images."""
ARMS |= {("paper", name): Arm("clipped", f"paper-{name}", settings) for name, settings in PAPER.items()}
ARMS |= {
    ("paper", f"{name}-50"): Arm("clipped", f"paper-{name}-50", replace(PAPER[name], rounds=50, evaluate_every=10))
    for name in TABLE
}
CIFAR: dict[str, dict[str, Any]] = {
    "cifar-float": {},
    "cifar-4444-nearest": FOUR,
    "cifar-4444-stochastic": {**FOUR, "rounding": "stochastic"},
}
"""Arm -> settings on CIFAR-10, with the widths of the public code's files."""
ARMS |= {
    (scale, name): Arm("clipped", f"{scale}-{name}", replace(experiment(options), dataset="cifar10", **size))
    for scale, size in {
        "small": dict(reduce={"train": 20_000}, rounds=15),
        "paper": dict(reduce={}, rounds=200, evaluate_every=20),
    }.items()
    for name, options in CIFAR.items()
}
"""(scale, name) -> arm, in the order in which they are worth running; a number at the end is that of the rounds."""


def accuracy(seed: int, scale: str, arm: str) -> float:
    """Accuracy in % after the last round."""
    return 100 * obtain(ARMS[scale, arm], seed).curve["accuracy"][-1]


def round_accuracy(seed: int, scale: str, arm: str, after: int) -> float:
    """Accuracy in % after so many rounds, one of those that were evaluated."""
    curve = obtain(ARMS[scale, arm], seed).curve
    return 100 * curve["accuracy"][curve["round"].index(after)]


def gain(seed: int, scale: str, arm: str, over: str) -> float:
    """Points of one arm over another after the last round."""
    return accuracy(seed, scale, arm) - accuracy(seed, scale, over)


def traffic(seed: int, scale: str, arm: str, full: str = "float") -> float:
    """Bytes up of the arm in full precision over an arm's: packets, whole."""
    plain, ours = (obtain(ARMS[scale, name], seed).curve["bytes_up"][-1] for name in (full, arm))
    return plain / ours
