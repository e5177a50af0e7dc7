"""Many claims, one after the other: chosen, timed beforehand, resumed after an interruption."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fqlab.errors import ConfigError, one_of, shown
from fqlab.files import atomic_write
from fqlab.papers.claims import SCALES, Claim, Observation, Result, Row, judge, list_rows, read_result, result, sources
from fqlab.papers.claims.criteria import NOT_RUN
from fqlab.papers.claims.results import same_recipe
from fqlab.papers.reproduce import forget, has_set_up, refuse, run_row, this_commit, versions

__all__ = ["Job", "Outcome", "Unfinished", "jobs", "run_jobs"]


@dataclass(frozen=True)
class Job:
    """One row at one scale, and its stored result, if there is one."""

    row: Row
    scale: str
    stored: Result | None

    @property
    def seconds(self) -> float:
        """Processor time that the stored run took; NaN where there is none."""
        return self.stored.seconds if self.stored else math.nan


@dataclass(frozen=True)
class Outcome:
    """A job's new result; ``kept`` where an interrupted run had it already."""

    job: Job
    result: Result
    kept: bool

    def verdicts(self) -> tuple[str, str]:
        """Stored and new: a claim's verdicts, whether an observation's value lies in its range."""
        row = self.job.row
        if isinstance(row, Claim):
            told = [judge(row, self.job.scale, r).verdict for r in (self.job.stored, self.result)]
            return told[0], told[1]
        assert isinstance(row, Observation)
        seen = [r and row.range[0] <= r.value <= row.range[1] for r in (self.job.stored, self.result)]
        words = [NOT_RUN if s is None else "as observed" if s else "elsewhere" for s in seen]
        return words[0], words[1]

    @property
    def same(self) -> bool:
        """Whether the new verdict is the stored one; nothing stored contradicts nothing."""
        stored, new = self.verdicts()
        return stored in (NOT_RUN, new)


def jobs(names: Sequence[str], scale: str | None = None, everything: bool = False) -> list[Job]:
    """What to run: rows by id or by source, or ``everything``.

    Args:
        scale: without it a row named by its id runs at its smallest scale, anything else at ``demo``.

    Raises:
        ConfigError: for an unknown name or scale, a row or a source that has no such scale, or nothing to do.
    """
    if scale is not None:
        one_of("scale", scale, SCALES)
    rows = {r.id: r for r in list_rows()}
    chosen: dict[str, str] = {}
    for name in names:
        if name in rows:
            runs_at = scale or next(iter(rows[name].scales), "demo")
            refuse(rows[name], runs_at)
            chosen[name] = runs_at
        elif name in sources():
            chosen.update(_at(list_rows(name), scale or "demo", f"source {name!r}"))
        else:
            hint = f"the id of a claim, or a source: {', '.join(sources())}"
            raise ConfigError(f"claim is {shown(name)}, but must be {hint}.")
    if everything:
        chosen.update(_at(list_rows(), scale or "demo", "the library"))
    return [Job(rows[name], at, result(name, at)) for name, at in chosen.items()]


def _at(rows: Sequence[Row], scale: str, whose: str) -> dict[str, str]:
    scales = {r.id: scale for r in rows if scale in r.scales and has_set_up(r, scale)}
    if not scales:
        has = sorted({s for r in rows for s in r.scales if has_set_up(r, s)}, key=list(SCALES).index)
        raise ConfigError(f"scale is {scale!r}, but {whose} has no row of that scale (it has {', '.join(has)}).")
    return scales


class Unfinished:
    """A folder that remembers what an interrupted run had finished: results, valid for this code and these versions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, job: Job) -> Result | None:
        """The result of a job, if the interrupted run had it and neither the row nor the code is another now."""
        file = self._file(job)
        if not file.is_file():
            return None
        try:
            result = read_result(file.read_text(encoding="utf-8"))
        except (ValueError, KeyError, TypeError):
            return None
        fresh = result.commit == this_commit() and dict(result.versions) == dict(versions())
        return result if fresh and result == result.signed() and same_recipe(job.row, result) else None

    def keep(self, result: Result) -> None:
        """Remember a result."""
        self.folder.mkdir(parents=True, exist_ok=True)
        atomic_write(self.folder / f"{result.id}.{result.scale}.json", result.to_json())

    def drop(self, chosen: Sequence[Job]) -> None:
        """Forget the results of jobs that are all done."""
        for job in chosen:
            self._file(job).unlink(missing_ok=True)

    def _file(self, job: Job) -> Path:
        return self.folder / f"{job.row.id}.{job.scale}.json"


def run_jobs(
    chosen: Sequence[Job],
    unfinished: Unfinished,
    store: Path | None = None,
    starting: Callable[[Job], object] = lambda job: None,
) -> Iterator[Outcome]:
    """Run jobs in order and give each as soon as it is there; a run that is stopped goes on where it was.

    Args:
        store: a folder for the results. What is stored is timed on its own; else rows share what they compute.
    """
    for job in chosen:
        starting(job)
        result = unfinished.find(job)
        kept = result is not None
        if result is None:
            if store is not None:
                forget()
            result = run_row(job.row, job.scale)
            unfinished.keep(result)
        if store is not None:
            atomic_write(store / f"{result.id}.{result.scale}.json", result.to_json())
        yield Outcome(job, result, kept)
    unfinished.drop(chosen)
