"""Clipped uniform quantization: accuracy against rounds. The paper's figures could not be read; the arms are its code's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
LONG = NAMES | {
    "4444": "OCTAV, 4-4-4-4",
    "level-aware-stochastic": "level-aware, stoch.",
    "level-aware-nearest": "level-aware, nearest",
}
"""On MNIST also: more bits, and the clip that knows the grid's levels."""
CIFAR = {
    "cifar-float": "full precision",
    "cifar-4444-nearest": "4-4-4-4, nearest",
    "cifar-4444-stochastic": "4-4-4-4, stochastic",
}
SEEN = (1, 2, 5, 10, 20)
ROUNDS = (5, 10, 20, 30, 40)
CIFAR_ROUNDS = (5, 10, 15)
FULL_ROUNDS = (10, 20, 30, 40, 50)
LENGTHS = ("", "-40")
"""Ends of the names of an arm's runs on MNIST, the longer ones last."""
CLAIMS = {
    "octav-nearest": "clipped-mnist-near-octav-nearest",
    "octav-stochastic": "clipped-mnist-stochastic-octav",
    "octav-nearest-inverse": "clipped-mnist-inverse",
    "max-abs-nearest": "clipped-mnist-max-abs-nearest",
    "max-abs-stochastic": "clipped-mnist-stochastic-max-abs",
    "4224": "clipped-mnist-near-4224",
    "octav-nearest-40": "clipped-mnist-40-near-octav-nearest",
    "octav-stochastic-40": "clipped-mnist-40-near-octav-stochastic",
    "max-abs-nearest-40": "clipped-mnist-40-max-abs-nearest",
    "cifar-4444-nearest": "clipped-cifar-near",
    "cifar-4444-stochastic": "clipped-cifar-near-stochastic",
    "octav-stochastic-50": "clipped-mnist-50-near-octav-stochastic",
    "octav-nearest-50": "clipped-mnist-50-near-octav-nearest",
    "octav-nearest-inverse-50": "clipped-mnist-50-inverse",
    "max-abs-nearest-50": "clipped-mnist-50-max-abs-nearest",
    "max-abs-stochastic-50": "clipped-mnist-50-stochastic-max-abs",
    "4224-50": "clipped-mnist-50-near-4224",
}
"""Run -> the claim that it bears on. Of the longer runs those with one seed bear on an observation of their own name."""
PERCENT = tuple((p, f"{p} %") for p in range(0, 101, 25))


def _run(name: str, after: int) -> str:
    """The run to read an arm off after so many rounds: the one of most seeds, and of those the longest; empty if none was."""
    runs = {name + end: mnist.ARMS["small", name + end] for end in LENGTHS if ("small", name + end) in mnist.ARMS}
    seen = [run for run, arm in runs.items() if _evaluates(arm.experiment, after)]
    return max(seen, key=lambda run: (runs[run].seeds, runs[run].experiment.rounds), default="")


def _evaluates(experiment: Experiment, after: int) -> bool:
    return after <= experiment.rounds and after % experiment.evaluate_every == 0


def _read(scale: str, run: str, name: str, arm: str, after: int) -> Point:
    """The point of an arm, read off a stored run after so many rounds; it runs again on digits."""
    seeds = mnist.ARMS[scale, run].seeds
    claim = CLAIMS.get(run, f"clipped-mnist-40-{name}" if seeds == 1 else "")
    again = ("clipped:round_accuracy", {"arm": name, "after": after})
    args = {"arm": run, "after": after}
    return Point(arm, after, "scale.clipped:round_accuracy", args, mnist.ARMS[scale, run].at, claim, again, seeds)


def _curves(names: Mapping[str, str], rounds: tuple[int, ...]) -> tuple[Point, ...]:
    """The stored curves of some arms."""
    return tuple(point for name, arm in names.items() for after in rounds for point in _point(name, arm, after))


def _point(name: str, arm: str, after: int) -> Iterator[Point]:
    """The point of an arm after so many rounds, if it was seen then."""
    run = _run(name, after)
    if run:
        yield _read("small", run, name, arm, after)


def _rounds(rounds: tuple[int, ...], apart: float) -> Axis:
    places = tuple((float(r), str(r)) for r in rounds)
    return Axis("communication round", places, 0, 1.05 * rounds[-1], say="round {}", apart=apart)


ENDS = tuple(NAMES[arm] for arm in ("float", "octav-nearest", "octav-stochastic"))


def _finding(
    after: float, values: Mapping[tuple[str, float], float], bits: int = 2, arms: tuple[str, ...] = ENDS
) -> str:
    """The two roundings of the clipped arms at the last round, beside full precision."""
    full, near, chance = (values[arm, after] for arm in arms)
    return f"At {bits} bits nearest rounding ends at {near:.0f} %, stochastic at {chance:.0f} %, full precision at {full:.0f} %"


def _behind(values: Mapping[tuple[str, float], float]) -> str:
    full, chance = (values[NAMES[arm], FULL_ROUNDS[-1]] for arm in ("float", "octav-stochastic"))
    return f"With all images: {full:.1f} % in full precision after 50 rounds, {chance:.1f} % with 2 bits at random"


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
        "Ours: MNIST, 30 clients, 200 images each, the paper's network, 40 of its 200 rounds, 3 seeds; white inside: one.",
        _rounds(ROUNDS, 2.5),
        Axis("test accuracy (%)", tuple((p, f"{p} %") for p in range(50, 101, 10)), 50, 102), tuple(LONG.values()),
        _curves(LONG, ROUNDS), partial(_finding, ROUNDS[-1]), scale="small",
    ),
    "05-rounds-cifar": Chart(
        "05-rounds-cifar", "Clipped quantization: accuracy against rounds, CIFAR-10", "clipped",
        "Ours: CIFAR-10, two of five batches, 30 clients, the code's widths, 15 of its 200 rounds, 3 seeds.",
        _rounds(CIFAR_ROUNDS, 0.6),
        Axis("test accuracy (%)", tuple((p, f"{p} %") for p in range(40, 56, 5)), 40, 56), tuple(CIFAR.values()),
        _curves(CIFAR, CIFAR_ROUNDS), partial(_finding, CIFAR_ROUNDS[-1], bits=4, arms=tuple(CIFAR.values())), scale="small",
    ),
    "05-rounds-full": Chart(
        "05-rounds-full", "Clipped quantization: accuracy against rounds, MNIST in full", "clipped",
        "Ours: MNIST in full, 30 clients, the paper's network and training, 50 of its 200 rounds, 3 seeds.",
        _rounds(FULL_ROUNDS, 0.0),
        Axis("test accuracy (%)", tuple((p, f"{p} %") for p in range(90, 101, 2)), 89, 100), tuple(NAMES.values()),
        tuple(_read("paper", f"{name}-50", name, NAMES[name], after) for name in NAMES for after in FULL_ROUNDS), _behind, scale="paper",
    ),
}  # fmt: skip
