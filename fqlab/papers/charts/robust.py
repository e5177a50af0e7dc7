"""Robust training: accuracy against deployed bits, and KURE's ablation of the kurtosis that it aims at."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from fqlab.papers.charts.model import Axis, Chart, Point, Published
from fqlab.papers.figures.robustness import BITS, PUBLISHED
from fqlab.studies import robust
from fqlab.studies.scale import robust as long

__all__ = ["CHARTS"]

WIDTHS = (32, 8, 6, 4, 3, 2)
"""Columns of the digest's table, in its order."""
ARMS = {"fedavg": "FedAvg", "kure": "KURE", "apqn": "APQN, 4 bit", "qat": "QAT, 4 bit", "mqat": "MQAT"}
LONG = {"fedavg": "FedAvg", "kure": "KURE", "apqn-4": "APQN, 4 bit", "qat-4": "QAT, 4 bit", "mqat": "MQAT"}
TWINS = {"fedavg": "fedavg", "kure": "kure", "apqn-4": "apqn", "qat-4": "qat", "mqat": "mqat"}
CLAIMS = {
    "kure": "robust-kure-max-abs",
    "apqn": "robust-apqn-gain",
    "qat": "robust-qat-gain",
    "mqat": "robust-mqat-gain",
}
PERCENT = tuple((p, f"{p} %") for p in range(0, 101, 25))
DEPLOYED = Axis.categories("bits of the deployed weights", *map(str, WIDTHS), say="{} bit")
ACCURACY = Axis("test accuracy (%)", PERCENT, 0, 104)
HARDER = Axis("test accuracy (%)", tuple((p, f"{p} %") for p in range(0, 41, 10)), 0, 42)


def _falls(values: Mapping[tuple[str, float], float]) -> str:
    plain, kure = (values[arm, 5] for arm in ("FedAvg", "KURE"))
    return f"Down to 3 bits all of them hold; at 2 bits FedAvg keeps {plain:.0f} %, KURE {kure:.0f} %"


def _holds(values: Mapping[tuple[str, float], float]) -> str:
    return f"{_falls(values)}, MQAT {values['MQAT', 5]:.0f} %"


def _at_all_widths(scale: str, claims: Mapping[str, str]) -> tuple[Point, ...]:
    """The points of the runs that take long; they run again on digits."""
    arms = {arm: long.ARMS[scale, arm] for arm in LONG}
    return tuple(
        Point(name, k, "scale.robust:at", {"arm": arm, "bits": bits}, arms[arm].at, claims.get(arm, ""),
              ("robust:width_accuracy", {"method": TWINS[arm], "bits": bits}), arms[arm].seeds)
        for arm, name in LONG.items() for k, bits in enumerate(WIDTHS)
    )  # fmt: skip


def _targets(values: Mapping[tuple[str, float], float]) -> str:
    low, high = (values[f"target {t:g}, ours", 0] for t in (1.8, 6.0))
    return f"A flatter target survives fewer bits: {low:.0f} % at 2 bits with 1.8, {high:.0f} % with 6 (ours)"


CHARTS = {
    "06-widths": Chart(
        "06-widths", "Robust training: accuracy against deployed bits, digits", "robust",
        "Ours: digits, 64-64-10, 10 clients, 20 rounds, max-abs ranges, 3 seeds. No table or figure of the paper is public.",
        DEPLOYED, ACCURACY, tuple(ARMS.values()),
        tuple(
            Point(name, k, "robust:width_accuracy", {"method": arm, "bits": bits},
                  partial(robust.width_experiment, arm), CLAIMS.get(arm, ""))
            for arm, name in ARMS.items() for k, bits in enumerate(WIDTHS)
        ),
        _falls,
    ),
    "06-widths-fashion": Chart(
        "06-widths-fashion", "Robust training: accuracy against deployed bits, Fashion-MNIST", "robust",
        "Ours: Fashion-MNIST, LeNet-5, 100 clients, Dirichlet 0.5, 10 a round, 40 rounds, max-abs ranges, 3 seeds.",
        DEPLOYED, ACCURACY, tuple(LONG.values()),
        _at_all_widths("small", {arm: f"robust-fashion-{arm}" for arm in LONG if arm != "fedavg"}),
        _falls,
        scale="small",
    ),
    "06-widths-cifar": Chart(
        "06-widths-cifar", "Robust training: accuracy against deployed bits, CIFAR-10", "robust",
        "Ours: CIFAR-10, two of five batches, ResNet-20, 100 clients, 10 a round, 100 rounds; FedAvg, KURE 3 seeds, else one.",
        DEPLOYED, HARDER, tuple(LONG.values()),
        _at_all_widths("paper", {a: f"robust-cifar-{'kure' if a in ('fedavg', 'kure') else f'kept-{a}'}" for a in LONG}),
        _holds,
        scale="paper",
    ),
    "06-kurtosis": Chart(
        "06-kurtosis", "KURE: accuracy against bits, one line a target of the kurtosis", "robust",
        "Ours: digits, 10 clients, 20 rounds, λ = 0.1, max-abs range, 3 seeds. Stars: ResNet-18 on ImageNet, weights only.",
        Axis.categories("bits of the deployed weights", *map(str, BITS), say="{} bit"), ACCURACY,
        tuple(f"target {t:g}, {whose}" for whose in ("ours", "KURE") for t in PUBLISHED),
        tuple(
            Point(f"target {t:g}, ours", k, "robust:target_accuracy", {"target": t, "bits": bits},
                  partial(robust.targeted, t), "robust-kure-max-abs")
            for t in PUBLISHED for k, bits in enumerate(BITS)
        ),
        _targets,
        tuple(
            Published(f"target {t:g}, KURE", k, value, "code", "KURE's notebook of experiments, ablation of the target")
            for t, row in PUBLISHED.items() for k, value in enumerate(row)
        ),
        paper=1,
    ),
}  # fmt: skip
