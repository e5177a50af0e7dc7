"""The runs that come with the package: whole, of the experiments that the arms name, later than what they decide."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from importlib import import_module

import pytest

from fqlab.errors import DataError
from fqlab.federation import Experiment
from fqlab.papers.claims import Claim, result
from fqlab.papers.from_runs import _news, from_runs, pending
from fqlab.studies.scale.__main__ import SOURCES
from fqlab.studies.scale.store import committed, listening, read

FILES = sorted(committed().rglob("*.json"))
ARMS = {
    (arm.source, arm.name): arm
    for source in SOURCES
    for arm in import_module(f"fqlab.studies.scale.{source}").ARMS.values()
}
ROWS = list(pending())


def test_there_are_runs_and_rows():
    assert FILES
    assert ROWS


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_run_is_of_the_experiment_that_its_arm_names(path, monkeypatch):
    monkeypatch.setenv("FQLAB_RUNS", str(committed()))
    done = read(path)
    arm = ARMS[done.source, done.arm]
    assert arm.file(committed(), done.seed) == path
    assert Experiment.from_toml(done.experiment) == arm.at(done.seed)
    assert done.curve["round"][-1] == arm.experiment.rounds
    assert {len(values) for values in done.curve.values()} == {len(done.curve["round"])}
    assert path.read_bytes() == done.to_json()
    assert path.stat().st_size < 20_000


@pytest.mark.parametrize(("row", "scale"), ROWS, ids=lambda part: getattr(part, "id", part))
def test_a_result_is_what_its_runs_say_and_they_are_later_than_the_criterion(row, scale):
    again = from_runs(row, scale) if "eden" not in row.id else None
    stored = result(row.id, scale)
    assert stored is not None
    if again is not None:
        assert (stored.values, stored.time) == (pytest.approx(again.values, rel=1e-9), again.time)
    if isinstance(row, Claim) and row.fixed:
        assert datetime.fromisoformat(stored.time.replace("Z", "+00:00")) > row.fixed


def test_a_result_is_as_old_as_the_first_of_its_runs():
    """Of a difference of two arms that is the first run of either: no part of it may be known when a criterion is written."""
    row, scale = next((row, scale) for row, scale in ROWS if row.recipe == "scale.bsq:over_scratch")
    with listening() as runs:
        found = from_runs(row, scale)
    assert len(runs) == 6
    assert found.time == min(r.time for r in runs)


def test_a_result_is_stored_anew_only_where_it_says_something_new():
    row, scale = next((row, scale) for row, scale in ROWS if row.recipe == "scale.lottery:best")
    kept = result(row.id, scale)
    assert not _news(row, kept, replace(kept, seconds=0.0), of_runs=True)
    assert not _news(row, kept, replace(kept, time="2030-01-01T00:00:00Z"), of_runs=False)
    assert _news(row, kept, replace(kept, time="2030-01-01T00:00:00Z"), of_runs=True)
    assert _news(row, kept, replace(kept, values=(0.0, *kept.values[1:])), of_runs=True)
    assert _news(row, None, kept, of_runs=True)
    assert _news(replace(row, args={"arm": "alone"}), kept, kept, of_runs=True)


def test_a_run_that_is_not_there_is_named_and_not_started(tmp_path):
    row, scale = next((row, scale) for row, scale in ROWS if row.recipe == "scale.lottery:best")
    with listening() as heard, pytest.raises(DataError, match=rf"{scale}-{row.args['arm']}\.0\.json"):
        from_runs(row, scale, tmp_path)
    assert not heard
