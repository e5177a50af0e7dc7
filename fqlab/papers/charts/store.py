"""Stored points of the figures, one JSON file a figure: ``python -m fqlab.papers.charts.store [NAME ...]`` makes what lacks.

A point that the ledger holds already, computed by the same recipe at the same scale, is read there.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path

from fqlab.files import atomic_write
from fqlab.papers.charts.model import Chart, Point
from fqlab.papers.claims import Result, read_result, result
from fqlab.papers.claims.results import same_recipe
from fqlab.papers.from_runs import from_runs
from fqlab.papers.reproduce import run_row

__all__ = ["FOLDER", "fill", "stored"]

FOLDER = Path(__file__).parent / "points"


def stored(chart: Chart, point: Point) -> Result | None:
    """The stored result of a point, if there is one that its recipe made."""
    found = _ledger(chart, point) or _own(chart.name).get(chart.id(point))
    return found if found is not None and same_recipe(chart.row(point), found) else None


def _ledger(chart: Chart, point: Point) -> Result | None:
    if not point.claim:
        return None
    kept = result(point.claim, chart.scale)
    return kept if kept is not None and same_recipe(chart.row(point), kept) else None


@cache
def _own(name: str) -> dict[str, Result]:
    """Id -> result of a figure's own file."""
    return _read(FOLDER / f"{name}.json")


def _read(path: Path) -> dict[str, Result]:
    if not path.exists():
        return {}
    rows = json.loads(path.read_text(encoding="utf-8"))
    return {row["id"]: read_result(json.dumps(row)) for row in rows}


def fill(chart: Chart, folder: Path = FOLDER) -> None:
    """Run every point that is not stored; each is written as soon as it is there."""
    path = folder / f"{chart.name}.json"
    for point in chart.points:
        kept = _read(path)
        row = chart.row(point)
        if _ledger(chart, point) or (row.id in kept and same_recipe(row, kept[row.id])):
            continue
        long = row.recipe.startswith("scale.")
        kept[row.id] = from_runs(row, chart.scale) if long else run_row(row, chart.scale)
        order = [chart.id(p) for p in chart.points]
        lines = [json.dumps(asdict(kept[name]), ensure_ascii=False) for name in order if name in kept]
        folder.mkdir(exist_ok=True)
        atomic_write(path, ("[\n" + ",\n".join(lines) + "\n]\n").encode())
        print(f"{row.id}: {kept[row.id].value:.5g} ± {kept[row.id].spread:.2g}", file=sys.stderr, flush=True)


def main(names: Sequence[str]) -> None:
    """Make what lacks of the figures that are named, or of all."""
    from fqlab.papers.charts import CHARTS, chart

    for name in names or CHARTS:
        fill(chart(name))


if __name__ == "__main__":
    main(sys.argv[1:])
