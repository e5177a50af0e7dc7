"""``fqlab reproduce``: lists, chooses, says the time, goes on after an interruption, and never runs another set-up."""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
import re

import pytest

from fqlab import papers
from fqlab.cli import main
from fqlab.errors import ConfigError
from fqlab.papers import batch, report
from fqlab.papers.batch import Job, Unfinished, jobs, run_jobs
from fqlab.papers.reproduce import has_set_up, recipe_of, run_row
from fqlab.studies.scale.store import committed, read

QUICK = ["bsq-hawq", "grids-levels-octav", "clipped-ratio-4224"]


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    """The cache of a machine that has run nothing."""
    monkeypatch.setattr("fqlab.data.sources.cache_folder", lambda: tmp_path / "cache")


def test_without_a_name_it_lists_every_row(capsys):
    assert main(["reproduce"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(papers.list_rows())
    line = next(line for line in lines if line.startswith("lottery-gain "))
    assert "lottery" in line
    assert "demo (" in line
    assert papers.ruling(papers.claim("lottery-gain")).verdict in line


def test_it_prints_published_stored_and_new_and_the_verdict(capsys, tmp_path):
    assert main(["reproduce", "bsq-hawq", "octav-gain-4", "--store", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "2 rows: at most about" in out
    assert "published 13.11×; stored 13.1074×; new 13.1074×; holds" in out
    stored = papers.result("octav-gain-4")
    assert f"stored {stored.value:.2f}× ± {stored.spread:.2f}; new" in out
    assert "every verdict is the stored one" in out
    new = json.loads((tmp_path / "octav-gain-4.demo.json").read_text())
    assert new["values"] == pytest.approx(stored.values, rel=1e-4)
    assert new["seeds"] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["no-such-claim"], "claim is 'no-such-claim', but must be the id of a claim, or a source"),
        (["bsq-hawq", "--scale", "huge"], "scale is 'huge', but must be one of demo, small, paper"),
        (["bsq-hawq", "--scale", "paper"], "scale is 'paper', but 'bsq-hawq' has no set-up of that scale"),
        (["wire", "--scale", "small"], "scale is 'small', but source 'wire' has no row of that scale"),
        (["bsq-hawq", "--store", "/no/such/folder"], "store is '/no/such/folder', but must be a folder that exists"),
    ],
)
def test_bad_input_is_one_sentence_and_runs_nothing(arguments, problem, capsys, monkeypatch):
    monkeypatch.setattr(batch, "run_row", lambda *_: pytest.fail("it ran"))
    assert main(["reproduce", *arguments]) == 2
    assert problem in capsys.readouterr().err


def test_a_scale_that_a_row_does_not_list_is_refused_at_once(monkeypatch, tmp_path):
    """It would run the demo and store it as the paper's set-up."""
    monkeypatch.setattr(importlib, "import_module", lambda name: pytest.fail(f"{name} was loaded"))
    with pytest.raises(ConfigError, match="scale is 'paper', but 'octav-gain-4' has no set-up"):
        papers.reproduce("octav-gain-4", "paper", tmp_path)
    assert not list(tmp_path.iterdir())


BARE = [(r, s) for r in papers.list_rows() for s in r.scales if not has_set_up(r, s)]


def test_some_rows_have_no_set_up_and_no_batch_takes_them(capsys):
    assert BARE
    for scale in ("small", "paper"):
        assert not {(job.row.id, job.scale) for job in jobs([], scale, True)} & {(r.id, s) for r, s in BARE}
    assert main(["reproduce", "fedavg", "--scale", "paper"]) == 2
    assert "source 'fedavg' has no row of that scale (it has demo, small)" in capsys.readouterr().err


@pytest.mark.parametrize(("r", "scale"), BARE, ids=lambda part: getattr(part, "id", part))
def test_a_row_without_a_set_up_says_why_it_was_not_run(r, scale, capsys):
    assert main(["reproduce", r.id, "--scale", scale]) == 2
    said = capsys.readouterr().err
    assert f"has no set-up of scale '{scale}': {r.not_run[scale]}." in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("r", [r for r in papers.list_rows() if r.recipe.startswith("scale.")], ids=lambda r: r.id)
def test_every_arm_that_a_row_names_is_there(r):
    """At every scale that it is run at; where a study has no arm of that scale, it says so."""
    arms = importlib.import_module(f"fqlab.studies.{r.recipe.partition(':')[0]}").ARMS
    for scale in r.scales:
        missing = {(scale, r.args[key]) for key in ("arm", "over") if key in r.args} - set(arms)
        assert not missing or scale in r.not_run
    assert any(has_set_up(r, scale) for scale in r.scales)


def test_sources_and_all_are_the_rows_that_have_the_scale():
    assert [job.row.id for job in jobs(["wire"])] == [r.id for r in papers.list_rows("wire")]
    every = jobs([], everything=True)
    assert {job.row.id for job in every} == {r.id for r in papers.list_rows() if "demo" in r.scales and r.recipe}
    assert {job.scale for job in jobs(["robust"], "small")} == {"small"}
    small = next(r for r in papers.list_rows("robust") if r.scales == ("small",))
    assert jobs([small.id])[0].scale == "small", "an id runs at the smallest scale that it has"


def interrupted(after):
    """A run that somebody stops."""
    done = []

    def run(row, scale):
        if len(done) == after:
            raise KeyboardInterrupt
        done.append(row.id)
        return run_row(row, scale)

    return run, done


def test_an_interrupted_run_goes_on_and_a_finished_one_starts_anew(monkeypatch, tmp_path, capsys):
    run, done = interrupted(2)
    monkeypatch.setattr(batch, "run_row", run)
    assert main(["reproduce", *QUICK]) == 130
    assert done == QUICK[:2]
    assert len(list((tmp_path / "cache" / "reproduce").iterdir())) == 2
    run, done = interrupted(99)
    monkeypatch.setattr(batch, "run_row", run)
    assert main(["reproduce", *QUICK]) == 0
    assert done == QUICK[2:]
    assert capsys.readouterr().out.count("(finished before)") == 2
    assert main(["reproduce", *QUICK]) == 0
    assert done == [*QUICK[2:], *QUICK]
    assert not list((tmp_path / "cache" / "reproduce").iterdir())


def test_what_was_finished_counts_only_for_the_same_row_and_code(tmp_path, monkeypatch):
    (job,) = jobs(["clipped-ratio-4224"])
    kept = Unfinished(tmp_path)
    result = run_row(job.row, "demo")
    kept.keep(result)
    assert kept.find(job) == result
    other = dataclasses.replace(job.row, args={"bits": [2, 2, 2, 2]})
    assert kept.find(Job(other, "demo", None)) is None
    (tmp_path / "clipped-ratio-4224.demo.json").write_bytes(result.to_json().replace(b"15.77", b"15.78"))
    assert kept.find(job) is None, "somebody changed it"
    (tmp_path / "clipped-ratio-4224.demo.json").write_text("{")
    assert kept.find(job) is None, "half a file"
    kept.keep(result)
    monkeypatch.setattr(batch, "this_commit", lambda: "another")
    assert kept.find(job) is None


def test_a_verdict_that_changed_is_told_and_fails(monkeypatch, tmp_path):
    (job,) = jobs(["bsq-hawq"])
    wrong = lambda row, scale: dataclasses.replace(run_row(row, scale), value=12.0, values=(12.0,))
    monkeypatch.setattr(batch, "run_row", wrong)
    (done,) = run_jobs([job], Unfinished(tmp_path))
    assert done.verdicts() == ("holds", "opposite")
    assert not done.same
    assert "holds -> opposite" in report.outcome_lines(done)[1]
    assert "another verdict: bsq-hawq" in report.summary([done])
    assert main(["reproduce", "bsq-hawq"]) == 1


def test_the_time_is_that_of_the_stored_runs():
    chosen = jobs(["bsq-hawq", "octav-gain-4"])
    seconds = sum(papers.result(job.row.id).seconds for job in chosen)
    assert f"about {max(1, round(seconds + 0.5))} s" in report.time_beforehand(chosen) or seconds < 0.01
    small = [job for job in jobs(["robust"], "small") if job.row.recipe.startswith("robust:")]
    whole = sum(job.seconds for job in small)
    (one,) = (job for job in small if job.row.id == "robust-limited-drop")
    assert one.seconds < 1 < whole, "it was run after the others, from what they had computed"
    assert re.search(r"about (\d+) min", report.time_beforehand([one]))[1] == str(math.ceil(whole / 60))
    long = [read(path).seconds for path in (committed() / "robust").glob("small-*.json")]
    drawn = [job for job in jobs(["robust"], "small") if job.row.recipe.startswith("scale.")]
    assert sum(job.seconds for job in drawn) > sum(long), "rows share their runs"
    assert re.search(r"about (\d+) min", report.time_beforehand(drawn))[1] == str(math.ceil(sum(long) / 60))
    unknown = [dataclasses.replace(job, stored=None) for job in chosen]
    assert "and 2 that nobody has timed yet" in report.time_beforehand(unknown)


def test_a_recipe_gets_what_it_takes():
    row = papers.row("clipped-ratio-4224")
    assert recipe_of(row, "demo")(0) == pytest.approx(15.779, abs=0.0005)  # neither seed nor scale; a list as a tuple
    seeded = papers.row("octav-gain-4")
    assert recipe_of(seeded, "demo")(0) != recipe_of(seeded, "demo")(1)


def test_all_demos_fit_into_five_minutes():
    """By the processor time of the stored runs, each timed on its own: an upper bound for rows that share."""
    assert sum(job.seconds for job in jobs([], "demo", everything=True)) < 300
