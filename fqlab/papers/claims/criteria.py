"""Criteria, fixed before a run, and the verdicts they give."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fqlab.errors import ConfigError, shown

__all__ = [
    "HOLDS", "NOT_COMPARABLE", "NOT_RUN", "NOT_SEEN", "OPPOSITE", "VERDICTS", "WEAKER",
    "Criterion", "Direction", "Exact", "Estimate", "Near", "criterion",
]  # fmt: skip

HOLDS, WEAKER, NOT_SEEN, OPPOSITE = "holds", "weaker", "not seen", "opposite"
NOT_COMPARABLE, NOT_RUN = "not comparable", "not run"
VERDICTS: dict[str, str] = {
    HOLDS: "as the source says",
    WEAKER: "the right direction, less than half the published size",
    NOT_SEEN: "within two standard errors of nothing",
    OPPOSITE: "the other way round, or outside of what the statement allows",
    NOT_COMPARABLE: "our set-up cannot bear on the statement",
    NOT_RUN: "no run yet, or none of this machine's size",
}
"""Every verdict and what it means, the best first."""


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with the standard deviation of one seed (n − 1 in the denominator); 0 for a single one."""

    mean: float
    spread: float = 0.0
    count: int = 1

    @property
    def error(self) -> float:
        """Standard error of the mean: spread / √n."""
        return self.spread / math.sqrt(self.count)


@dataclass(frozen=True)
class Exact:
    """Counted, or a closed form: ours must be ``equals`` up to ``tolerance``, which has a reason."""

    equals: float
    tolerance: float
    because: str

    def verdict(self, m: Estimate) -> str:
        """Holds or opposite; chance has no part in it."""
        return HOLDS if abs(m.mean - self.equals) <= self.tolerance else OPPOSITE

    def __str__(self) -> str:
        within = f" ± {self.tolerance:g}" if self.tolerance else ""
        return f"must be {self.equals:.10g}{within}: {self.because}"


@dataclass(frozen=True)
class Direction:
    """An order: the mean must lie on one side of ``than`` by more than two standard errors.

    Attributes:
        sign: +1 for above, −1 for below.
        size: the published effect, if there is one: a distance from ``than``. Less than half of it is weaker.
        because: why the border lies there, where it is not nought or one.
    """

    than: float
    sign: int
    size: float | None = None
    because: str = ""

    def verdict(self, m: Estimate) -> str:
        """Holds, weaker, not seen or opposite."""
        effect = self.sign * (m.mean - self.than)
        if abs(effect) <= 2 * m.error:
            return NOT_SEEN
        if effect < 0:
            return OPPOSITE
        return WEAKER if self.size is not None and effect < self.size / 2 else HOLDS

    def __str__(self) -> str:
        size = "" if self.size is None else f"; the published effect is {self.size:g}"
        because = f": {self.because}" if self.because else ""
        side = "above" if self.sign > 0 else "below"
        return f"must be {side} {self.than:g} by two standard errors{size}{because}"


@dataclass(frozen=True)
class Near:
    """Two standard errors around the mean must lie within ``within`` of ``of``; the distance has a reason."""

    within: float
    of: float
    because: str

    def verdict(self, m: Estimate) -> str:
        """Holds if all of it lies within, opposite if all of it lies outside, else not seen."""
        gap = abs(m.mean - self.of)
        if gap + 2 * m.error <= self.within:
            return HOLDS
        return OPPOSITE if gap - 2 * m.error > self.within else NOT_SEEN

    def __str__(self) -> str:
        return f"must be within {self.within:g} of {self.of:.10g}: {self.because}"


Criterion = Exact | Direction | Near


def criterion(row: Mapping[str, Any]) -> Criterion:
    """The criterion that a claim's table in TOML states.

    Raises:
        ConfigError: if it is none of the three forms, or a distance is negative.
    """
    keys = set(row)
    try:
        if keys == {"equals", "tolerance", "because"}:
            return Exact(float(row["equals"]), _distance(row["tolerance"]), str(row["because"]))
        if keys == {"within", "of", "because"}:
            return Near(_distance(row["within"]), float(row["of"]), str(row["because"]))
        size = _distance(row["size"]) if "size" in row else None
        for side, sign in (("above", 1), ("below", -1)):
            if keys - {"size", "because"} == {side}:
                return Direction(float(row[side]), sign, size, str(row.get("because", "")))
    except (TypeError, ValueError):
        pass
    forms = "equals, tolerance, because; above or below, with or without size and because; or within, of, because"
    raise ConfigError(f"criterion is {shown(dict(row))}, but must be numbers (distances 0 or more) and text: {forms}.")


def _distance(value: Any) -> float:
    number = float(value)
    if not 0 <= number < math.inf:
        raise ValueError
    return number
