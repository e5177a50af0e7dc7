"""Numbers of quantization-robust federated averaging and of KURE, on digits.

No table of the federated paper was readable, so :func:`smoke` measures a set-up of our own: digits, 64-256-128-10, 20
clients with Dirichlet 0.5, 10 a round, 150 rounds of 5 epochs. Another implementation with another split of the data
measured the same table before; the claims compare with it. A run takes one to three minutes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from fqlab.federation import Experiment, fit
from fqlab.federation.deployment import robustness
from fqlab.methods import acting

__all__ = [
    "METHODS", "WIDTHS", "earlier_distance", "first_to_fall", "full_precision_loss", "mqat_against_kure", "quick",
    "quick_accuracy", "quick_difference", "smoke", "smoke_accuracy", "smoke_difference", "target_accuracy", "targeted",
    "width_accuracy", "width_experiment", "worst_drop",
]  # fmt: skip

METHODS: dict[str, dict[str, Any]] = {
    "fedavg": {},
    "kure": {"variant": "kure", "penalty": 0.1},
    "apqn": {"variant": "apqn", "bits": 4},
    "apqn_mixed": {"variant": "apqn", "bits": 0},
    "qat": {"variant": "qat", "bits": 4},
    "mqat_client": {"variant": "mqat", "per": "client"},
    "mqat": {"variant": "mqat"},
}
"""Row of the table -> settings of the method ``robust``; none for plain FedAvg."""
MAIN = ("kure", "apqn", "qat", "mqat")
"""The variants that the claims compare."""
WIDTHS = (32, 8, 6, 4, 3, 2)
EARLIER = {
    "fedavg": (97.6, 97.6, 97.6, 96.9, 96.1, 49.0),
    "kure": (97.6, 97.6, 97.5, 97.3, 97.1, 89.8),
    "apqn": (97.4, 97.4, 97.4, 97.3, 96.1, 47.7),
    "apqn_mixed": (97.1, 97.1, 97.1, 96.9, 95.0, 38.2),
    "qat": (96.9, 96.9, 96.9, 97.3, 95.2, 49.0),
    "mqat_client": (96.8, 96.9, 96.6, 96.1, 86.7, 62.0),
    "mqat": (96.2, 96.2, 96.2, 95.6, 92.9, 75.3),
}
"""Row -> accuracy in % at :data:`WIDTHS`, as measured before: means of three seeds."""


@lru_cache(maxsize=64)
def smoke(method: str, seed: int) -> dict[int, float]:
    """Accuracy in % of one row of the table, by deployed width, max-abs ranges."""
    options = METHODS[method]
    shared: dict[str, Any] = dict(
        model="robust_mlp", partition="dirichlet", split={"alpha": 0.5}, clients=20, participants=10
    )
    train: dict[str, Any] = dict(
        rounds=150, epochs=5, batch_size=32, lr=0.1, evaluate_every=150, seed=seed, engine="vectorized"
    )
    history = fit(Experiment(method="robust" if options else "fedavg", options=options, **shared, **train))
    return {bits: 100 * accuracy for bits, accuracy in robustness(history, WIDTHS).items()}


def smoke_accuracy(seed: int, method: str, bits: int) -> float:
    """One cell of the table."""
    return smoke(method, seed)[bits]


def smoke_difference(seed: int, method: str, bits: int, other: str = "", other_bits: int = 0) -> float:
    """Points of one cell over another; what is not given is the same."""
    return smoke(method, seed)[bits] - smoke(other or method, seed)[other_bits or bits]


def worst_drop(seed: int, bits: int) -> float:
    """Points between full precision and ``bits``, of the variant that loses most."""
    return max(smoke(m, seed)[32] - smoke(m, seed)[bits] for m in MAIN)


def full_precision_loss(seed: int) -> float:
    """Points in full precision between FedAvg and the worst variant."""
    return smoke("fedavg", seed)[32] - min(smoke(m, seed)[32] for m in MAIN)


def first_to_fall(seed: int) -> float:
    """Points at 2 bit between the worst variant and FedAvg; above 0 if FedAvg falls first."""
    return min(smoke(m, seed)[2] for m in MAIN) - smoke("fedavg", seed)[2]


def mqat_against_kure(seed: int) -> float:
    """Mean over 2, 3 and 4 bit, MQAT minus KURE, in points."""
    return sum(smoke("mqat", seed)[b] - smoke("kure", seed)[b] for b in (2, 3, 4)) / 3


def earlier_distance(seed: int) -> float:
    """Largest distance from the earlier table's means at 4 bit and more, in points."""
    cells = [(m, k) for m in ("fedavg", *MAIN) for k, b in enumerate(WIDTHS) if b >= 4]
    return max(abs(smoke(m, seed)[WIDTHS[k]] - EARLIER[m][k]) for m, k in cells)


@lru_cache(maxsize=64)
def quick(seed: int, variant: str, bits: int = 2, range_rule: str = "mse", widths: tuple[int, ...] = (2, 32)) -> Any:
    """Accuracies in % of a small run, the lesson's: 64-64-10, 10 clients, 20 rounds; deployed with the same range."""
    options: dict[str, Any] = {"variant": variant, "range_rule": range_rule} | (
        {"bits": bits} if variant in ("qat", "apqn") else {}
    )
    shared: dict[str, Any] = dict(lr=0.3, batch_size=32, rounds=20, evaluate_every=20, engine="vectorized", seed=seed)
    method = {"method": "fedavg"} if variant == "fedavg" else {"method": "robust", "options": acting("robust", options)}
    accuracies = robustness(fit(Experiment(**method, **shared)), widths, range_rule)
    return {b: 100 * a for b, a in accuracies.items()}


def quick_accuracy(seed: int, variant: str, deployed: int, range_rule: str = "mse") -> float:
    """Accuracy in % of the small run at a deployed width."""
    return quick(seed, variant, range_rule=range_rule)[deployed]


def quick_difference(
    seed: int, variant: str, bits: int, other: str = "", other_bits: int = 0, range_rule: str = "mse"
) -> float:
    """Points of one variant at one deployed width over another; what is not given is the same."""
    there = quick_accuracy(seed, other or variant, other_bits or bits, range_rule)
    return quick_accuracy(seed, variant, bits, range_rule) - there


QUICK: dict[str, Any] = dict(lr=0.3, batch_size=32, rounds=20, evaluate_every=20, engine="vectorized")
"""The lesson's federation: 64-64-10, 10 clients."""


def width_experiment(method: str, seed: int = 0) -> Experiment:
    """A row of :data:`METHODS` on the lesson's federation, max-abs ranges."""
    options = METHODS[method]
    return Experiment(method="robust" if options else "fedavg", options=options, seed=seed, **QUICK)


@lru_cache(maxsize=32)
def _widths(method: str, seed: int) -> dict[int, float]:
    return robustness(fit(width_experiment(method, seed)), WIDTHS)


def width_accuracy(seed: int, method: str, bits: int) -> float:
    """Accuracy in % of :func:`width_experiment` at a deployed width of :data:`WIDTHS`."""
    return 100 * _widths(method, seed)[bits]


def targeted(target: float, seed: int = 0) -> Experiment:
    """KURE with another kurtosis as its target, λ = 0.1, on the lesson's federation."""
    options = {"variant": "kure", "penalty": 0.1, "target": target}
    return Experiment(method="robust", options=options, seed=seed, **QUICK)


@lru_cache(maxsize=16)
def _targeted(target: float, seed: int, widths: tuple[int, ...] = (2, 3, 4, 5, 8, 32)) -> dict[int, float]:
    return robustness(fit(targeted(target, seed)), widths)


def target_accuracy(seed: int, target: float, bits: int) -> float:
    """Accuracy in % of :func:`targeted` with weights of 2, 3, 4, 5, 8 or 32 bits, max-abs range."""
    return 100 * _targeted(target, seed)[bits]
