"""What ``fqlab reproduce`` prints: the list of rows, the time beforehand, and each outcome beside what was stored."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from fqlab.papers.batch import Job, Outcome
from fqlab.papers.claims import Claim, Row, list_rows, result, ruling
from fqlab.papers.claims.table import number, value_text
from fqlab.studies.scale.store import committed, read

__all__ = ["listing", "outcome_lines", "summary", "time_beforehand"]


def listing(name: str | None = None) -> Iterator[str]:
    """One line a row: id, source, scales, stored verdict, seconds of the stored runs."""
    rows = list_rows(name)
    width = max(len(r.id) for r in rows)
    yield f"{'id':<{width}}  {'source':<9} {'scales (seconds)':<28} {'verdict':<15} says"
    for r in rows:
        yield f"{r.id:<{width}}  {r.source:<9} {_scales(r):<28} {_verdict(r):<15} {r.says}".rstrip()


def _scales(r: Row) -> str:
    """``demo (0.6), paper (-)``."""
    stored = {scale: result(r.id, scale) for scale in r.scales}
    return ", ".join(f"{s} ({result.seconds:.3g})" if result else f"{s} (-)" for s, result in stored.items())


def _verdict(r: Row) -> str:
    return ruling(r).verdict if isinstance(r, Claim) else "observation"


def time_beforehand(chosen: Sequence[Job]) -> str:
    """What a batch will take, from the stored runs."""
    timed = [job for job in chosen if not math.isnan(job.seconds)]
    rest = len(chosen) - len(timed)
    unknown = f", and {rest} that nobody has timed yet" if rest else ""
    rows = f"{len(chosen)} row" + ("s" if len(chosen) > 1 else "")
    return f"{rows}: at most about {_time(_bound(timed))} of one processor{unknown}; Ctrl-C stops, the same command goes on."


def _bound(timed: Sequence[Job]) -> float:
    """Seconds of the stored runs; each demo is timed on its own, larger rows shared what a study had computed already."""
    alone = sum(job.seconds for job in timed if job.scale == "demo")
    shared = {(_study(job.row), job.scale) for job in timed if job.scale != "demo"}
    return alone + sum(_whole(study, scale) for study, scale in shared)


def _study(r: Row) -> str:
    return r.recipe.partition(":")[0]


def _whole(study: str, scale: str) -> float:
    """Seconds of all rows of a study at a scale; long runs, which its rows share, count once each."""
    rows = [r for r in list_rows() if scale in r.scales and _study(r) == study]
    runs = _runs(study.removeprefix("scale."), scale) if study.startswith("scale.") else 0.0
    results = (result(r.id, scale) for r in rows if not (runs and "arm" in r.args))
    return runs + sum(one.seconds for one in results if one)


def _runs(source: str, scale: str) -> float:
    return sum(read(path).seconds for path in (committed() / source).glob(f"{scale}-*.json"))


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{math.ceil(seconds)} s"
    return f"{math.ceil(seconds / 60)} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def outcome_lines(done: Outcome) -> list[str]:
    """Id and statement, then published, stored and new value, and the verdict."""
    row = done.job.row
    published = getattr(row, "published", None)
    said = "" if published is None else f"published {number(published)}{row.unit}; "
    stored = value_text(row, done.job.stored) if done.job.stored else "nothing"
    before, after = done.verdicts()
    changed = f"{before} -> {after}" if before != after and done.job.stored else after
    took = "finished before" if done.kept else f"{done.result.seconds:.1f} s"
    head = f"{row.id} ({done.job.scale}): {row.says}"
    return [head, f"    {said}stored {stored}; new {value_text(row, done.result)}; {changed} ({took})"]


def summary(outcomes: Sequence[Outcome]) -> str:
    """So many rows, so many whose verdict is no longer the stored one."""
    other = [done.job.row.id for done in outcomes if not done.same]
    told = f"another verdict: {', '.join(other)}" if other else "every verdict is the stored one"
    return f"{len(outcomes)} rows; {told}."
