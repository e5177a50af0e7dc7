"""LotteryFL, Table 2 as bars: accuracy on own classes and cost, method by method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from fqlab.federation import Experiment
from fqlab.papers.charts.model import Axis, Chart, Point, Published
from fqlab.studies import lottery

__all__ = ["CHARTS", "TABLE"]

METHODS = ("Standalone", "FedAvg", "LG-FedAvg", "LotteryFL(0.1)", "LotteryFL(0.3)", "LotteryFL(0.5)")
"""Rows of the table, in its order."""
TABLE = {
    "MNIST": ((90.72, 96.46, 97.87, 99.96, 99.95, 99.96), (0, 663.76, 524.02, 163.57, 230.17, 304.54)),
    "CIFAR-10": ((65.44, 47.67, 76.77, 90.61, 89.91, 90.53), (0, 9425.35, 7174.58, 2439.56, 3560.58, 4501.36)),
}
"""Data -> accuracy in % and MB one way at :data:`METHODS`, 20 clients a round, two classes with 20 images each."""
OURS = (
    {"method": "standalone"}, {"method": "fedavg"}, {"method": "lg_fedavg"}, {"target": 0.1}, {"target": 0.3}, {"target": 0.5},
)  # fmt: skip
CLAIMS = {0: "lottery-alone", 1: "lottery-fedavg", 3: "lottery-tickets", 5: "lottery-half"}
COSTS = {3: "lottery-one-way", 5: "lottery-half-one-way"}
PLACES = Axis.categories("", *(name.replace("(", "\n(") for name in METHODS))


def _experiment(settings: Mapping[str, object], seed: int = 0) -> Experiment:
    return replace(lottery.experiment(seed=seed, **settings), evaluate_every=lottery.ROUNDS)  # type: ignore[arg-type]


def _own(values: Mapping[tuple[str, float], float]) -> str:
    alone, tickets = (values["digits", k] for k in (0, 3))
    return f"On digits whoever trains alone reads {alone:.0f} %, LotteryFL(0.1) {tickets:.0f} %; as printed 91 and 100"


def _cost(values: Mapping[tuple[str, float], float]) -> str:
    return f"LotteryFL(0.1) sends {values['digits', 3]:.0%} of FedAvg's weights, as printed 25 %"


def _published(kind: int) -> tuple[Published, ...]:
    """The table's accuracies (0), or its costs over FedAvg's (1)."""
    points = []
    for data, columns in TABLE.items():
        for k, value in enumerate(columns[kind]):
            where = f"Table 2, {data}, 20 clients a round"
            shown, badge = (value, "printed") if kind == 0 else (value / columns[1][1], "derived")
            where += "" if kind == 0 else f": {value:g} of {columns[1][1]:g} MB"
            claim = (CLAIMS, COSTS)[kind].get(k, "") if data == "MNIST" else ""
            points.append(Published(f"{data}, published", k, shown, badge, where, claim))
    return tuple(points)


def _accuracies() -> tuple[Point, ...]:
    return tuple(
        Point("digits", k, "lottery:own", settings, partial(_experiment, settings), CLAIMS.get(k, ""))
        for k, settings in enumerate(OURS)
    )


def _costs() -> tuple[Point, ...]:
    """Of the baselines all bytes up, of the tickets the share of weights as the paper counts it."""
    recipes = [("lottery:one_way", s) if "target" in s else ("lottery:uploaded", s) for s in OURS]
    return tuple(
        Point("digits", k, recipe, settings, partial(_experiment, settings), COSTS.get(k, ""))
        for k, (recipe, settings) in enumerate(recipes)
    )


DIGITS = "digits, 10 clients, 40 rounds, last round, 3 seeds"
NAMES = ("MNIST, published", "CIFAR-10, published", "digits")
CHARTS = {
    "09-accuracy": Chart(
        "09-accuracy", "LotteryFL, Table 2: accuracy on own classes", "lottery",
        f"Ours: {DIGITS}. Published: each client's best round, 20 clients a round.",
        PLACES, Axis("accuracy, own classes (%)", tuple((p, f"{p} %") for p in range(0, 101, 25)), 0, 112), NAMES,
        _accuracies(), _own, _published(0), bars=True,
    ),
    "09-bytes": Chart(
        "09-bytes", "LotteryFL, Table 2: cost over FedAvg's, one way", "lottery", f"Ours: {DIGITS}.",
        PLACES, Axis("cost, FedAvg = 1", ((0.0, "0"), (0.5, "½"), (1.0, "1")), 0, 1.2), NAMES,
        _costs(), _cost, _published(1), bars=True,
    ),
}  # fmt: skip
