"""A chart as data of its picture: arms with values from the store, for one seed or the mean over all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from fqlab.papers.charts.model import Axis, Chart, Point, Published
from fqlab.papers.charts.store import stored
from fqlab.papers.claims import Result
from fqlab.plots.charts import Arm, Rebuilt, Scale
from fqlab.plots.spots import Tip

__all__ = ["MEAN", "Mark", "data", "marks"]

MEAN = -1
"""In place of the number of a seed: the mean over all of them."""


@dataclass(frozen=True)
class Mark:
    """A point of ours with its stored result, or a published one with none.

    Attributes:
        arm: number of its arm in the chart.
        place: number of the point within its arm.
    """

    point: Point | Published
    arm: int
    place: int
    result: Result | None = None

    def value(self, seed: int = MEAN) -> float:
        """What is drawn: the mean, or the value of one seed; NaN where nothing is stored or that seed was not run."""
        if isinstance(self.point, Published):
            return self.point.value
        if self.result is None:
            return math.nan
        return seeded(self.result, seed)

    @property
    def single(self) -> bool:
        """Whether it rests on one seed: nothing is known about its spread."""
        return self.result is not None and len(self.result.seeds) == 1

    @property
    def spread(self) -> float:
        """Standard deviation over the seeds; 0 where there is none."""
        return self.result.spread if self.result else 0.0


def seeded(result: Result, seed: int) -> float:
    """The mean of a result, or the value of one of its seeds; NaN where that seed was not run."""
    if seed == MEAN:
        return result.value
    return result.values[seed] if seed < len(result.values) else math.nan


@cache
def marks(chart: Chart) -> tuple[Mark, ...]:
    """Every point of a chart, arm by arm in its order; ours that are not stored are left out."""
    everything: list[Point | Published] = [*chart.points, *chart.published]
    found: list[Mark] = []
    for arm, name in enumerate(chart.arms):
        mine = [p for p in everything if p.arm == name]
        results = [stored(chart, p) if isinstance(p, Point) else None for p in mine]
        kept = [(p, r) for p, r in zip(mine, results, strict=True) if r is not None or isinstance(p, Published)]
        found += [Mark(p, arm, place, r) for place, (p, r) in enumerate(kept)]
    return tuple(found)


def data(
    chart: Chart,
    seed: int = MEAN,
    only: int | None = None,
    picked: Mark | None = None,
    again: Result | None = None,
    tips: Sequence[Sequence[Tip]] = (),
) -> Rebuilt.Data:
    """What the picture of a chart shows.

    Args:
        seed: number of the seed, or :data:`MEAN`.
        only: number of the arm that is looked at; the others are pale.
        picked: the point with a ring around it.
        again: its new result.
        tips: what the points say to the pointer, arm by arm.
    """
    every = marks(chart)
    values = {(m.point.arm, m.point.x): m.value(seed) for m in every}
    arms = tuple(_arm(chart, every, k, seed, only) for k in range(len(chart.arms)))
    fresh = None
    if again is not None:
        fresh = (seeded(again, seed), again.spread)
    here = (picked.arm, picked.place) if picked else None
    return Rebuilt.Data(
        chart.finding(values), chart.setup, _scale(chart.x), _scale(chart.y), arms, chart.bars, here, fresh, tips
    )


def _arm(chart: Chart, every: Sequence[Mark], k: int, seed: int, only: int | None) -> Arm:
    mine = [m for m in every if m.arm == k]
    return Arm(
        chart.arms[k],
        tuple(m.point.x for m in mine),
        tuple(m.value(seed) for m in mine),
        tuple(m.spread if seed == MEAN else 0.0 for m in mine),
        published=any(isinstance(m.point, Published) for m in mine),
        shown=only is None or only == k,
        single=tuple(m.single for m in mine),
        look=chart.looks.get(chart.arms[k]),
    )


def _scale(axis: Axis) -> Scale:
    return Scale(axis.label, axis.places, axis.low, axis.high, axis.log, axis.apart)
