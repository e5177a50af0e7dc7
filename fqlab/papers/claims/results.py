"""Stored results (JSON, one file a row and scale) and the verdict that they give a claim."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from importlib.resources import files
from typing import Any, NamedTuple

from fqlab.papers.claims.criteria import NOT_COMPARABLE, NOT_RUN, Estimate
from fqlab.papers.claims.rows import Claim, Row, row

__all__ = ["Result", "Ruling", "judge", "read_result", "result", "ruling", "rulings", "stored_value"]


@dataclass(frozen=True)
class Result:
    """A stored measurement, and everything that decided it.

    Attributes:
        value, spread: mean and standard deviation over the seeds.
        recipe, args: what was called.
        time: when the run began, UTC, ``2026-11-26T00:45:00Z``.
        seconds: of processor time, all threads together.
        digest: of all the rest: a number that is changed by hand no longer fits.
    """

    id: str
    scale: str
    value: float
    spread: float
    seeds: tuple[int, ...]
    values: tuple[float, ...]
    recipe: str
    args: Mapping[str, Any]
    time: str
    commit: str
    versions: Mapping[str, str]
    machine: str
    seconds: float
    digest: str = ""

    @property
    def estimate(self) -> Estimate:
        """Mean, spread and number of seeds, as a criterion takes them."""
        return Estimate(self.value, self.spread, len(self.values))

    def signed(self) -> Result:
        """The same with its digest."""
        content = {key: value for key, value in asdict(self).items() if key != "digest"}
        text = json.dumps(content, sort_keys=True)
        return replace(self, digest=hashlib.sha256(text.encode()).hexdigest()[:16])

    def to_json(self) -> bytes:
        """As it is stored."""
        return (json.dumps(asdict(self), indent=1) + "\n").encode()


def read_result(text: str) -> Result:
    """A result from its JSON."""
    stored = json.loads(text)
    return Result(**{**stored, "seeds": tuple(stored["seeds"]), "values": tuple(stored["values"])})


def result(identity: str, scale: str | None = None) -> Result | None:
    """The stored result of a row, if there is one; without ``scale`` that of the largest scale that has one."""
    scales = reversed(row(identity).scales) if scale is None else (scale,)
    for name in scales:
        file = files("fqlab.papers") / "results" / f"{identity}.{name}.json"
        if file.is_file():
            return read_result(file.read_text(encoding="utf-8"))
    return None


def stored_value(identity: str, scale: str | None = None) -> tuple[float, float]:
    """Value and spread of a row's stored result; NaN and 0 if there is none."""
    stored = result(identity, scale)
    return (stored.value, stored.spread) if stored else (math.nan, 0.0)


class Ruling(NamedTuple):
    """A verdict of :data:`~fqlab.papers.claims.criteria.VERDICTS`, why, and the result it rests on, if any."""

    verdict: str
    why: str
    scale: str
    result: Result | None = None


def judge(c: Claim, scale: str, stored: Result | None) -> Ruling:
    """What a result says about a claim. One that is older than the criterion says nothing."""
    if scale in c.not_comparable:
        return Ruling(NOT_COMPARABLE, c.not_comparable[scale], scale, stored)
    if stored is None or c.criterion is None or c.fixed is None:
        return Ruling(NOT_RUN, c.not_run.get(scale, "no result is stored yet"), scale)
    if datetime.fromisoformat(stored.time.replace("Z", "+00:00")) <= c.fixed:
        return Ruling(NOT_RUN, "the stored result is older than the criterion", scale, stored)
    return Ruling(c.criterion.verdict(stored.estimate), "", scale, stored)


def rulings(c: Claim) -> list[Ruling]:
    """One ruling a scale of the claim, the smallest scale first."""
    scales = c.scales or tuple(c.not_run) or tuple(c.not_comparable)
    return [judge(c, scale, result(c.id, scale)) for scale in scales]


def ruling(c: Claim) -> Ruling:
    """The ruling that counts: that of the largest scale that was run; else one that says why there is none."""
    judged = rulings(c)
    run = [r for r in judged if r.verdict not in (NOT_RUN, NOT_COMPARABLE)]
    rest = [r for r in judged if r.verdict == NOT_COMPARABLE] or judged
    return (run or rest)[-1]


def same_recipe(r: Row, stored: Result) -> bool:
    """Whether a result was made by the recipe, the arguments and the seeds that the row has now."""
    return (stored.recipe, dict(stored.args), len(stored.seeds)) == (r.recipe, dict(r.args), r.seeds)
