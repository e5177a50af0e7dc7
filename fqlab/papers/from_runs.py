"""Results of the scales that take long, read off the runs that come with the package: ``python -m fqlab.papers.from_runs``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from fqlab.files import atomic_write
from fqlab.papers.claims import Result, Row, list_rows, result
from fqlab.papers.claims.results import same_recipe
from fqlab.papers.reproduce import run_row
from fqlab.studies.scale.store import committed, listening

__all__ = ["from_runs", "main", "pending"]


@contextmanager
def _reading(folder: Path) -> Iterator[None]:
    before = os.environ.get("FQLAB_RUNS")
    os.environ["FQLAB_RUNS"] = str(folder)
    try:
        yield
    finally:
        os.environ.pop("FQLAB_RUNS")
        if before is not None:
            os.environ["FQLAB_RUNS"] = before


def from_runs(row: Row, scale: str, folder: Path | None = None) -> Result:
    """A row's result; its time is that of the first of its runs, its seconds are theirs together.

    Raises:
        DataError: if one of the runs is not there.
    """
    with _reading(folder or committed()), listening() as runs:
        fresh = run_row(row, scale)
    seconds = {(r.source, r.arm, r.seed): r.seconds for r in runs}
    times = [r.time for r in runs] or [fresh.time]
    return replace(fresh, time=min(times), seconds=round(sum(seconds.values(), fresh.seconds), 1)).signed()


def pending(sources: Sequence[str] = ()) -> Iterator[tuple[Row, str]]:
    """The rows, each with a scale, whose recipe reads runs, of these sources or of all."""
    for row in list_rows():
        if row.recipe.startswith("scale.") and row.source in (sources or (row.source,)):
            yield from ((row, scale) for scale in row.scales if scale not in getattr(row, "not_run", {}))


def _news(row: Row, kept: Result | None, fresh: Result, *, of_runs: bool) -> bool:
    """Whether a result is another than the stored one, or rests on other runs; how long they took to read is no news."""
    if kept is None or not same_recipe(row, kept) or kept.values != fresh.values:
        return True
    return of_runs and kept.time != fresh.time


def main() -> None:
    """Store the results of the sources that are named, or of all, where they are news."""
    for row, scale in pending(sys.argv[1:]):
        with listening() as runs:
            fresh = from_runs(row, scale)
        if not _news(row, result(row.id, scale), fresh, of_runs=bool(runs)):
            continue
        atomic_write(Path(__file__).parent / "results" / f"{row.id}.{scale}.json", fresh.to_json())
        print(f"{row.id} at {scale}: {fresh.value:.6g} ± {fresh.spread:.2g}")


if __name__ == "__main__":
    main()
