"""LotteryFL, Table 2 as bars: accuracy on own classes and cost, method by method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from fqlab.federation import Experiment
from fqlab.papers.charts.model import Axis, Chart, Point, Published
from fqlab.studies import lottery
from fqlab.studies.scale import lottery as mnist

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
LONG = ("alone", "fedavg", "lg-fedavg", "target-1", "target-3", "target-5")
"""Runs on MNIST with the paper's clients and rounds, method by method."""
LONG_CLAIMS = {
    "last": {0: "alone", 2: "lg", 3: "last-1", 4: "last-3", 5: "last-5"},
    "everybody": {1: "fedavg"},
    "best": {3: "best-1", 4: "best-3", 5: "best-5"},
    "cost": {3: "cost-1", 4: "cost-3", 5: "cost-5"},
}
"""Recipe -> place -> end of the id of its claim."""
PLACES = Axis.categories("", *(name.replace("(", "\n(") for name in METHODS))


def _experiment(settings: Mapping[str, object], seed: int = 0) -> Experiment:
    return replace(lottery.experiment(seed=seed, **settings), evaluate_every=lottery.ROUNDS)  # type: ignore[arg-type]


def _own(values: Mapping[tuple[str, float], float]) -> str:
    alone, tickets = (values["digits", k] for k in (0, 3))
    return f"On digits whoever trains alone reads {alone:.0f} %, LotteryFL(0.1) {tickets:.0f} %; as printed 91 and 100"


def _cost(values: Mapping[tuple[str, float], float]) -> str:
    return f"LotteryFL(0.1) sends {100 * values['digits', 3]:.0f} % of FedAvg's weights, as printed 25 %"


def _share(values: Mapping[tuple[str, float], float]) -> str:
    kept = 100 * values["MNIST, ours", 3]
    return f"LotteryFL(0.1) sends {kept:.0f} % of FedAvg's weights, as printed 25 %: the gate holds pruning up"


def _published(kind: int, *only: str) -> tuple[Published, ...]:
    """The table's accuracies (0), or its costs over FedAvg's (1), on all data or some."""
    points = []
    for data, columns in ((name, TABLE[name]) for name in only or TABLE):
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
    return tuple(
        Point("digits", k, _digits_cost(settings), settings, partial(_experiment, settings), COSTS.get(k, ""))
        for k, settings in enumerate(OURS)
    )


def _long(arm: str, recipe: str, k: int) -> Point:
    """A method's point on MNIST; it runs again on digits."""
    end = LONG_CLAIMS.get(recipe, {}).get(k, "")
    twin = "lottery:own" if recipe in ("last", "best", "everybody") else _digits_cost(OURS[k])
    return Point(
        arm, k, f"scale.lottery:{recipe}", {"arm": LONG[k]}, mnist.ARMS["paper", LONG[k]].at,
        f"lottery-mnist-{end}" if end else "", (twin, OURS[k]),
    )  # fmt: skip


def _digits_cost(settings: Mapping[str, object]) -> str:
    """Of the baselines all bytes up, of the tickets the share of weights as the paper counts it."""
    return "lottery:one_way" if "target" in settings else "lottery:uploaded"


def _rounds(values: Mapping[tuple[str, float], float]) -> str:
    best, last = (values[arm, 3] for arm in (BEST, LAST))
    return f"LotteryFL(0.1): {best:.0f} % as its code reports it, {last:.0f} % after the last round; printed {TABLE['MNIST'][0][3]:.0f}"


LAYERS = ("conv1", "conv2", "fc1", "fc2")
BARS = {0.5: "target-5", 0.3: "target-3", 0.1: "target-1"}
"""Bars of Figure 2 in its order: target -> arm."""
FIGURE_2 = {0.5: (12, 18, 28, 26), 0.3: (18, 26, 43, 36), 0.1: (10, 38, 70, 34)}
"""Target -> % of each layer's weights that fewer than a tenth of the clients keep; MNIST, read off the plot."""


def _kept(target: float) -> str:
    return f"target {target:g}"


def _theirs(target: float) -> str:
    return f"{_kept(target)}, paper"


def _read_off() -> tuple[Published, ...]:
    where = "Figure 2, MNIST, read off the plot to about 2 points"
    return tuple(
        Published(_theirs(target), k, value, "printed", where)
        for target, values in FIGURE_2.items() for k, value in enumerate(values)
    )  # fmt: skip


def _personal(values: Mapping[tuple[str, float], float]) -> str:
    ours = (values[_kept(target), 2] for target in (0.1, 0.5))
    return "Of fc1 few clients keep {:.0f} % at target 0.1 and {:.0f} % at 0.5; read off the paper's 70 and 28".format(
        *ours
    )


DIGITS = "digits, 10 clients, 40 rounds, last round, 3 seeds"
NAMES = ("MNIST, published", "CIFAR-10, published", "digits")
MNIST = "MNIST, 400 clients, 20 a round, 400 rounds, 3 seeds"
BEST, LAST = ("best round, 80 images", "last round")
ACCURACIES = Axis("accuracy, own classes (%)", tuple((p, f"{p} %") for p in range(0, 101, 25)), 0, 112)
PERSONAL = Axis("weights few clients keep (%)", tuple((p, f"{p} %") for p in range(0, 101, 25)), 0, 104)
SHARES = Axis("cost, FedAvg = 1", ((0.0, "0"), (0.5, "½"), (1.0, "1")), 0, 1.2)
CHARTS = {
    "09-accuracy": Chart(
        "09-accuracy", "LotteryFL, Table 2: accuracy on own classes", "lottery",
        f"Ours: {DIGITS}. Published: each client's best round, 20 clients a round.",
        PLACES, ACCURACIES, NAMES,
        _accuracies(), _own, _published(0), bars=True,
    ),
    "09-bytes": Chart(
        "09-bytes", "LotteryFL, Table 2: cost over FedAvg's, one way", "lottery", f"Ours: {DIGITS}.",
        PLACES, SHARES, NAMES, _costs(), _cost, _published(1), bars=True,
    ),
    "09-accuracy-mnist": Chart(
        "09-accuracy-mnist", "LotteryFL, Table 2: accuracy on own classes, MNIST", "lottery",
        f"Ours: {MNIST}; FedAvg on all ten classes.", PLACES, ACCURACIES, ("MNIST, published", LAST, BEST),
        (
            *(_long(LAST, "everybody" if k == 1 else "last", k) for k in range(len(LONG))),
            *(_long(BEST, "best", k) for k in LONG_CLAIMS["best"]),
        ),
        _rounds, _published(0, "MNIST"), bars=True, scale="paper",
    ),
    "09-bytes-mnist": Chart(
        "09-bytes-mnist", "LotteryFL, Table 2: cost over FedAvg's, one way, MNIST", "lottery", f"Ours: {MNIST}.",
        PLACES, SHARES, ("MNIST, published", "MNIST, ours"),
        tuple(_long("MNIST, ours", "cost" if k > 2 else "uploaded", k) for k in range(len(LONG))),
        _share, _published(1, "MNIST"), bars=True, scale="paper",
    ),
    "09-personal": Chart(
        "09-personal", "LotteryFL, Figure 2: weights that fewer than a tenth of the clients keep, MNIST", "lottery",
        f"Ours: {MNIST}. Stars: read off the figure, to about 2 points.",
        Axis.categories("layer", *LAYERS), PERSONAL, tuple(name for t in BARS for name in (_kept(t), _theirs(t))),
        tuple(
            Point(_kept(target), k, "scale.lottery:personal_share", {"arm": arm, "layer": layer},
                  mnist.ARMS["paper", arm].at, f"lottery-mnist-personal-{'layer' if target == 0.1 else 'target'}")
            for target, arm in BARS.items() for k, layer in enumerate(LAYERS)
        ),
        _personal, _read_off(), bars=True, scale="paper",
        looks={name: k for k, t in enumerate(BARS) for name in (_kept(t), _theirs(t))},
    ),
}  # fmt: skip
