"""One experiment under several seeds, and two stored runs side by side."""

from __future__ import annotations

import json
import math
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fqlab import files
from fqlab.errors import ConfigError, in_range, shown
from fqlab.federation.experiment import Experiment
from fqlab.federation.loop import Federation
from fqlab.federation.records import History

__all__ = ["MEASURES", "Comparison", "Repeats", "Stored", "compare", "mean_and_spread", "read_run", "run_all", "seeded"]

MEASURES = {
    "accuracy": "accuracy, last round",
    "bytes_up": "bytes up",
    "bytes_up_coded": "bytes up, entropy-coded",
    "bytes_down": "bytes down",
    "bytes_down_coded": "bytes down, entropy-coded",
    "seconds": "seconds",
}
"""What a run is judged by: the last round's accuracy, and sums over all rounds; NaN for what was not measured."""


LARGEST_FILE = 2**28
"""Bytes of the largest file of a run that is read."""


def seeded(experiment: Experiment, count: int) -> list[Experiment]:
    """The experiment under ``count`` seeds in a row, from its own on.

    Raises:
        ConfigError: if ``count`` is not 1 or more.
    """
    in_range("seeds", count, 1, 10_000, integer=True)
    return [replace(experiment, seed=experiment.seed + k) for k in range(count)]


def mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation (n − 1); 0 for a single value."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def run_all(
    experiments: Sequence[Experiment],
    checkpoint: Callable[[int], Path] | None = None,
    after: Callable[[], object] = lambda: None,
) -> Iterator[History]:
    """Run experiments to their ends, one after the other.

    Args:
        experiments: what to run.
        checkpoint: gives the file of a seed.
        after: called after every round.
    """
    for experiment in experiments:
        federation = Federation(experiment, checkpoint=checkpoint(experiment.seed) if checkpoint else None)
        for _ in federation:
            after()
        yield federation.history()


@dataclass(frozen=True)
class Repeats:
    """The finished runs of one experiment, a seed each."""

    histories: tuple[History, ...]

    def rows(self) -> Iterator[dict[str, Any]]:
        """Round by round: mean accuracy, its spread over seeds, and mean bytes of one round."""
        for same in zip(*(history.rounds for history in self.histories), strict=True):
            accuracy, spread = mean_and_spread([r.accuracy for r in same])
            sums = {
                key: mean_and_spread([getattr(r, key) for r in same])[0] for key in ("bytes_up", "bytes_down", "mse")
            }
            yield {"index": same[0].index, "accuracy": accuracy, "spread": spread, **sums}

    def summary(self) -> dict[str, tuple[float, float]]:
        """Mean and spread of each of :data:`MEASURES`."""
        measures = _measured([[vars(r) for r in history.rounds] for history in self.histories])
        return {key: mean_and_spread(measures[key]) for key in MEASURES}

    def to_json(self) -> str:
        """All runs as JSON, with mean and spread of :data:`MEASURES` ahead."""
        pairs = {key: pair for key, pair in self.summary().items() if not math.isnan(pair[0])}
        summary = {key: {"mean": mean, "spread": spread} for key, (mean, spread) in pairs.items()}
        runs = [json.loads(history.to_json()) for history in self.histories]
        return json.dumps(
            {"seeds": [h.experiment.seed for h in self.histories], "summary": summary, "runs": runs}, indent=1
        )


def _measured(runs: Sequence[Sequence[Mapping[str, Any]]]) -> dict[str, list[float]]:
    """Every measure of every run, given the rounds of each."""
    number = lambda value: math.nan if value is None else float(value)
    sums = {key: [sum(number(r[key]) for r in rounds) for rounds in runs] for key in MEASURES if key != "accuracy"}
    return {"accuracy": [number(rounds[-1]["accuracy"]) for rounds in runs], **sums}


def _finite(measures: dict[str, list[float]]) -> dict[str, list[float]]:
    """``measures``; ValueError for an infinite one, which no run has."""
    if any(math.isinf(value) for values in measures.values() for value in values):
        raise ValueError("infinite")
    return measures


@dataclass(frozen=True)
class Stored:
    """A run read back: its settings, ``seed`` being one text for all of its seeds, and every measure of each seed."""

    settings: dict[str, Any]
    measures: dict[str, list[float]]


def read_run(path: Path) -> Stored:
    """What ``fqlab run --out`` wrote, for one seed or for several.

    Raises:
        ConfigError: if the file cannot be read or holds no run.
    """
    try:
        stored = json.loads(files.read_bytes(path, LARGEST_FILE).removeprefix(BOM_UTF8).decode())
        runs = stored.get("runs", [stored])
        seeds = ", ".join(str(run["experiment"]["seed"]) for run in runs)
        return Stored(
            _flat({**runs[0]["experiment"], "seed": seeds}), _finite(_measured([run["rounds"] for run in runs]))
        )
    except OSError as error:
        raise ConfigError(f"run is {shown(str(path))}, but no readable file is there ({error.strerror}).") from None
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        raise ConfigError(f"run is {shown(str(path))}, but must be a file that 'fqlab run --out' wrote.") from None


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with those of the method and of the partition among them, as flags of the command line name them."""
    outer = {name: value for name, value in settings.items() if name not in ("options", "split")}
    return {**outer, **settings["options"], **settings["split"]}


@dataclass(frozen=True)
class Comparison:
    """Two runs side by side.

    Attributes:
        settings: name -> the two values, for every setting in which they differ; None where a run has no such setting.
        measures: name -> mean and spread of the one and of the other; NaN for the spread of a single seed.
    """

    settings: dict[str, tuple[Any, Any]]
    measures: dict[str, tuple[tuple[float, float], tuple[float, float]]]

    def lines(self) -> Iterator[str]:
        """The comparison as a table: one row a setting, then one a measure with the difference or the ratio."""
        for name, (left, right) in self.settings.items():
            yield f"{name:<26} {_shown(left):>20} {_shown(right):>20}"
        for key, pairs in self.measures.items():
            (left, _), (right, _) = pairs
            if math.isnan(left) and math.isnan(right):
                continue
            change = f"{right - left:+.4f}" if key == "accuracy" else f"× {right / left:.3g}" if left else ""
            shown = [_measure(key, *pair) for pair in pairs]
            yield f"{MEASURES[key]:<26} {shown[0]:>20} {shown[1]:>20} {change if '-' not in shown else '':>10}".rstrip()


def _measure(key: str, mean: float, spread: float) -> str:
    """A measure in words; a dash for what was not measured."""
    if math.isnan(mean):
        return "-"
    if key == "accuracy":
        return f"{mean:.4f}" if math.isnan(spread) else f"{mean:.4f} ± {spread:.4f}"
    return f"{mean:,.{1 if key == 'seconds' else 0}f}"


def _shown(value: Any) -> str:
    """A setting as a cell of the table, whatever the file holds."""
    return "-" if value is None else shown(value, 60).removeprefix("'").removesuffix("'")


def _seen(values: Sequence[float]) -> tuple[float, float]:
    """Mean and spread; one seed says nothing of the spread."""
    mean, spread = mean_and_spread(values)
    return mean, spread if len(values) > 1 else math.nan


def compare(left: Stored, right: Stored) -> Comparison:
    """In what two runs differ, and what each is worth."""
    names = [*left.settings, *(name for name in right.settings if name not in left.settings)]
    pairs = {name: (left.settings.get(name), right.settings.get(name)) for name in names}
    both = {key: (_seen(left.measures[key]), _seen(right.measures[key])) for key in MEASURES}
    return Comparison({name: pair for name, pair in pairs.items() if pair[0] != pair[1]}, both)
