"""A figure of a paper as data: axes, arms, our points with what computes them, and the points that were published."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fqlab.federation import Experiment
from fqlab.papers.claims import Claim, Observation, Row, row

__all__ = ["Axis", "Chart", "Finding", "Point", "Published"]

Finding = Callable[[Mapping[tuple[str, float], float]], str]
"""What a figure says, from (arm, x) -> mean of every point of ours."""


@dataclass(frozen=True)
class Axis:
    """One axis.

    Attributes:
        label: the quantity with its unit.
        places: (place, words) of its ticks in order; on an axis of categories the places are 0, 1, 2, ...
        low, high: its ends.
        log: whether it is logarithmic.
        say: how a sentence names a place, with {} for its words.
        apart: width over which the arms are spread at a place, so that their bars of spread can be told apart.
    """

    label: str
    places: tuple[tuple[float, str], ...]
    low: float
    high: float
    log: bool = False
    say: str = "{}"
    apart: float = 0.0

    @classmethod
    def categories(cls, label: str, *words: str, say: str = "{}") -> Axis:
        """Things in an order, or numbers that are not evenly spaced."""
        return cls(label, tuple(enumerate(words)), -0.5, len(words) - 0.5, say=say, apart=0.45)

    def at(self, x: float) -> str:
        """A place in words: ``2``."""
        return dict(self.places).get(x, f"{x:.3g}").replace("\n", "")

    def said(self, x: float) -> str:
        """A place in a sentence: ``2 bits``."""
        return self.say.format(self.at(x))


@dataclass(frozen=True)
class Point:
    """One of our points.

    Attributes:
        arm, x: where it stands; ``x`` is a place of the axis.
        recipe, args: what computes its value, as of a :class:`~fqlab.papers.claims.Row`.
        experiment: ``seed`` -> the federation behind it.
        claim: id of the row of the ledger that it bears on; empty where none does.
        again: recipe and args that compute it at scale demo, where its own scale is another.
        seeds: how many it has, where that is not as in the whole figure.
    """

    arm: str
    x: float
    recipe: str
    args: Mapping[str, Any]
    experiment: Callable[..., Experiment] = field(compare=False)
    claim: str = ""
    again: tuple[str, Mapping[str, Any]] | None = None
    seeds: int | None = None

    @property
    def ledger(self) -> Row | None:
        """The row of the ledger that it bears on."""
        return row(self.claim) if self.claim else None


@dataclass(frozen=True)
class Published:
    """A point of the source.

    Attributes:
        arm, x, value: where it stands.
        provenance: one of :data:`~fqlab.papers.claims.PROVENANCE`.
        where: table or page, and what was derived from it.
    """

    arm: str
    x: float
    value: float
    provenance: str
    where: str
    claim: str = ""

    @property
    def ledger(self) -> Claim | None:
        """The claim that quotes it."""
        found = row(self.claim) if self.claim else None
        return found if isinstance(found, Claim) else None


@dataclass(frozen=True, eq=False)
class Chart:
    """A figure.

    Attributes:
        name: number of the lesson and what it is, ``07-layers``.
        shows: what it is of, ``BSQ, Figure 3: bits by layer``.
        source: claims' file of the paper.
        setup: what ours is, in a sentence.
        scale: of our points.
        arms: in the order in which they are drawn.
        points, published: what stands in it.
        finding: writes the headline.
        bars: columns from zero instead of lines.
        seeds: of each point that does not say how many it has.
        looks: arm -> number of its look in a series, where another figure has given it one.
        paper: which of the source's papers it is of.
    """

    name: str
    shows: str
    source: str
    setup: str
    x: Axis
    y: Axis
    arms: tuple[str, ...]
    points: tuple[Point, ...]
    finding: Finding
    published: tuple[Published, ...] = ()
    scale: str = "demo"
    bars: bool = False
    seeds: int = 3
    looks: Mapping[str, int] = field(default_factory=dict)
    paper: int = 0

    def id(self, point: Point) -> str:
        """Name of a point in the store: ``07-layers/α = 0.02/6``."""
        return f"{self.name}/{point.arm}/{point.x:g}"

    def row(self, point: Point) -> Row:
        """What computes a point at the scale of the figure."""
        return self._as_row(point, point.recipe, point.args, self.scale, point.seeds or self.seeds)

    def again(self, point: Point) -> Row | None:
        """What computes a point at scale demo, if anything does."""
        if point.again is not None:
            return self._as_row(point, *point.again, "demo", self.seeds)
        return self.row(point) if self.scale == "demo" else None

    def _as_row(self, point: Point, recipe: str, args: Mapping[str, Any], scale: str, seeds: int) -> Row:
        says = f"{self.y.label}, {point.arm}, {self.x.said(point.x)}"
        return Observation(self.id(point), self.source, says, recipe=recipe, args=args, seeds=seeds, scales=(scale,))
