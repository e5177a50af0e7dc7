"""Clipped uniform quantization: accuracy against rounds. The paper's figures could not be read; the arms are its code's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from fqlab.federation import Experiment
from fqlab.papers.charts.model import Axis, Chart, Point
from fqlab.studies import clipped
from fqlab.studies.scale import clipped as mnist

__all__ = ["CHARTS"]

NAMES = {
    "float": "full precision",
    "octav-nearest": "OCTAV, nearest",
    "octav-stochastic": "OCTAV, stochastic",
    "octav-nearest-inverse": "OCTAV, inverse error",
    "max-abs-nearest": "max |w|, nearest",
    "max-abs-stochastic": "max |w|, stochastic",
    "4224": "OCTAV, 4-2-2-4",
}
"""Arm of the study -> its name here; all but the first and the last send 2-2-2-2 bits."""
SEEN = (1, 2, 5, 10, 20)
CLAIMS = {
    "octav-nearest": "clipped-mnist-near-octav-nearest",
    "octav-stochastic": "clipped-mnist-stochastic-octav",
    "octav-nearest-inverse": "clipped-mnist-inverse",
    "max-abs-nearest": "clipped-mnist-max-abs-nearest",
    "max-abs-stochastic": "clipped-mnist-stochastic-max-abs",
    "4224": "clipped-mnist-near-4224",
}
PERCENT = tuple((p, f"{p} %") for p in range(0, 101, 25))


def _with_seed(arm: str, seed: int = 0) -> Experiment:
    return replace(mnist.ARMS["small", arm].experiment, seed=seed)


def _finding(after: float, values: Mapping[tuple[str, float], float]) -> str:
    """The two roundings of the clipped arms at the last round, beside full precision."""
    full, near, chance = (values[NAMES[arm], after] for arm in ("float", "octav-nearest", "octav-stochastic"))
    return (
        f"At 2 bits nearest rounding ends at {near:.0f} %, stochastic at {chance:.0f} %, full precision at {full:.0f} %"
    )


CHARTS = {
    "05-rounds": Chart(
        "05-rounds", "Clipped quantization: accuracy against rounds, digits", "clipped",
        "Ours: digits, the paper's network and optimiser, 10 clients with even labels, 3 seeds. No figure of the paper is public.",
        Axis.categories("communication round", *map(str, SEEN), say="round {}"), Axis("test accuracy (%)", PERCENT, 0, 104),
        tuple(NAMES.values()),
        tuple(
            Point(name, k, "clipped:round_accuracy", {"arm": arm, "after": after},
                  partial(clipped.curve_experiment, arm), CLAIMS.get(arm, ""))
            for arm, name in NAMES.items() for k, after in enumerate(SEEN)
        ),
        partial(_finding, len(SEEN) - 1),
    ),
    "05-rounds-mnist": Chart(
        "05-rounds-mnist", "Clipped quantization: accuracy against rounds, MNIST", "clipped",
        "Ours: MNIST, 30 clients with 200 images, the paper's network and optimiser, 10 of its 200 rounds, 3 seeds.",
        Axis.categories("communication round", "5", "10", say="round {}"), Axis("test accuracy (%)", PERCENT, 0, 104),
        tuple(NAMES.values()),
        tuple(
            Point(name, k, "scale.clipped:round_accuracy", {"arm": arm, "after": after}, partial(_with_seed, arm),
                  CLAIMS.get(arm, ""), ("clipped:round_accuracy", {"arm": arm, "after": after}))
            for arm, name in NAMES.items() for k, after in enumerate((5, 10))
        ),
        partial(_finding, 1),
        scale="small",
    ),
}  # fmt: skip
