"""Claims tell the truth: rows, stored results, tables and the prose that cites them agree."""

from __future__ import annotations

import dataclasses
import html
import importlib
import inspect
import json
import math
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from fqlab import papers
from fqlab.errors import ConfigError
from fqlab.papers.claims import Claim, Exact, rulings
from fqlab.papers.claims.criteria import NOT_COMPARABLE, NOT_RUN, VERDICTS
from fqlab.papers.claims.results import same_recipe
from fqlab.papers.claims.table import value_text
from fqlab.papers.reproduce import run_row

ROOT = Path(__file__).parents[2]
CLAIMS = papers.list_claims()
ROWS = papers.list_rows()
STORED = [(r, s, stored) for r in ROWS for s in r.scales if (stored := papers.result(r.id, s))]
DETERMINED = [c for c in CLAIMS if isinstance(c.criterion, Exact) and "demo" in c.scales]


def moment(time: str) -> datetime:
    return datetime.strptime(time, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)


def test_ids_are_unique_and_no_result_is_orphaned():
    ids = [r.id for r in ROWS]
    assert len(set(ids)) == len(ids)
    kept = {f"{r.id}.{scale}.json" for r in ROWS for scale in r.scales}
    folder = Path(papers.__file__).parent / "results"
    assert {f.name for f in folder.glob("*.json")} <= kept


@pytest.mark.parametrize("r", ROWS, ids=lambda r: r.id)
def test_every_row_has_a_result_at_every_scale_or_says_why_not(r):
    assert r.says
    missing = [scale for scale in r.scales if papers.result(r.id, scale) is None]
    assert [scale for scale in missing if scale not in r.not_run] == [], f"fqlab reproduce {r.id} --store ..."
    assert not [scale for scale in r.not_run if papers.result(r.id, scale)], "it was run"
    for why in {**r.not_run, **getattr(r, "not_comparable", {})}.values():
        assert len(why) > 10, "a reason is a sentence"
    if r.recipe:
        module, _, name = r.recipe.partition(":")
        takes = inspect.signature(getattr(importlib.import_module(f"fqlab.studies.{module}"), name))
        given = {**r.args, **({"seed": 0} if "seed" in takes.parameters else {})}
        takes.bind(**given, **({"scale": "demo"} if "scale" in takes.parameters else {}))
        assert ("seed" in takes.parameters) or not r.chance, "chance without a seed"


@pytest.mark.parametrize(("r", "scale", "stored"), STORED, ids=lambda x: getattr(x, "id", None))
def test_a_stored_result_is_a_run_and_not_a_number_somebody_typed(r, scale, stored):
    assert (stored.id, stored.scale) == (r.id, scale)
    assert same_recipe(r, stored), "the row has changed since: run it again"
    n = len(stored.values)
    mean = math.fsum(stored.values) / n
    spread = math.sqrt(math.fsum((v - mean) ** 2 for v in stored.values) / (n - 1)) if n > 1 else 0.0
    assert stored.value == pytest.approx(mean, rel=1e-9, abs=1e-12)
    assert stored.spread == pytest.approx(spread, rel=1e-6, abs=1e-9)
    assert n == r.seeds
    assert stored.commit not in ("", "unknown")
    assert set(stored.versions) >= {"fqlab", "torch", "numpy"}
    assert stored == stored.signed(), "the digest is not that of the content"
    assert moment(stored.time) < datetime.now(timezone.utc) + timedelta(days=1)


def changed(value):
    """Another value of the same kind."""
    if isinstance(value, dict):
        return {**value, "x": "1"}
    if isinstance(value, tuple):
        return (*value, 1)
    return f"{value}0" if isinstance(value, str) else value + 1


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(papers.Result) if f.name != "digest"])
def test_a_result_that_is_changed_by_hand_is_seen(field):
    stored = papers.result("octav-gain-4")
    other = changed(getattr(stored, field))
    assert dataclasses.replace(stored, **{field: other}).signed().digest != stored.digest


@pytest.mark.parametrize("c", [c for c in CLAIMS if c.fixed], ids=lambda c: c.id)
def test_what_decides_was_written_before_the_run(c):
    for told in rulings(c):
        if told.result and told.verdict != NOT_COMPARABLE:
            assert c.fixed < moment(told.result.time), f"{c.id}: run it again"
            assert told.verdict != NOT_RUN


@pytest.mark.parametrize("c", CLAIMS, ids=lambda c: c.id)
def test_a_claim_names_where_it_is_said_and_what_kind_of_number_it_has(c):
    assert c.where
    assert papers.sources()[c.source].papers, "whose claim?"
    if c.published is not None:
        assert c.provenance != "not public"
    if isinstance(c.criterion, Exact) and c.published is not None:
        assert c.criterion.equals == c.published
    size = getattr(c.criterion, "size", None)
    if size is not None:
        assert size == pytest.approx(abs(c.published - c.criterion.than), abs=1e-9), "the published effect"


def test_the_frontier_cites_the_text_that_was_read_and_its_numbers():
    """LotteryFL's preprint, as in its own source, and Table 2's values as their quotients and differences."""
    cited = papers.sources()["frontier"].papers
    assert [paper.arxiv for paper in cited] == ["2008.03371"]
    assert cited[0] == papers.sources()["lottery"].papers[0]
    quoted = [c for c in papers.sources()["frontier"].rows if isinstance(c, Claim)]
    assert len(quoted) == 3
    for c in quoted:
        assert c.where.startswith("Table 2, ")
        first, how, second = re.search(r"([\d.]+)(?: MB)? (over|less) ([\d.]+)", c.where).groups()
        value = float(first) / float(second) if how == "over" else float(first) - float(second)
        assert c.published == pytest.approx(value, abs=0.005 if how == "over" else 1e-9)


@pytest.mark.parametrize("c", [c for c in CLAIMS if c.provenance == "printed"], ids=lambda c: c.id)
def test_what_is_printed_stands_in_a_text_with_an_address(c):
    assert any(paper.arxiv for paper in papers.sources()[c.source].papers)


@pytest.mark.parametrize("o", papers.list_observations(), ids=lambda o: o.id)
def test_an_observation_is_where_it_was_seen(o):
    low, high = o.range
    for scale in o.scales:
        stored = papers.result(o.id, scale)
        if stored:
            assert low <= stored.value <= high
            width = high - low
            assert width <= 12 * stored.spread + 0.2 * abs(stored.value) + 0.1, "a range that anything would fit"


@pytest.mark.parametrize("c", DETERMINED, ids=lambda c: c.id)
def test_what_is_counted_or_closed_is_counted_again(c):
    again = run_row(c, "demo")
    assert c.criterion.verdict(again.estimate) == papers.ruling(c).verdict
    assert again.value == pytest.approx(papers.result(c.id).value, rel=1e-4, abs=1e-6)  # float32 on another processor


def test_a_claim_goes_by_the_largest_scale_that_was_run():
    for c in CLAIMS:
        run = [told for told in rulings(c) if told.verdict not in (NOT_RUN, NOT_COMPARABLE)]
        if run:
            assert papers.ruling(c) == run[-1]
            order = ["demo", "small", "paper"]
            assert [t.scale for t in run] == sorted((t.scale for t in run), key=order.index)


@pytest.mark.parametrize("name", papers.sources())
def test_tables_show_both_kinds_under_their_papers(name):
    source = papers.sources()[name]
    shown = papers.table(name)._repr_html_()
    text = repr(papers.table(name))
    for paper in source.papers:
        assert html.escape(paper.title) in shown
        assert f"({paper.year})" in text
        if paper.arxiv:
            assert f'href="https://arxiv.org/abs/{paper.arxiv}"' in shown
            assert f"arXiv {paper.arxiv}" in text
    for r in source.rows:
        opening, body = re.search(rf'<tr id="claim-{r.id}"([^>]*)>(.*?)</tr>', shown).groups()
        assert f'data-source="{name}"' in opening
        assert html.escape(r.why) in body
        stored = papers.result(r.id, r.scales[0])
        assert not stored or html.escape(value_text(r, stored)) in body
        if isinstance(r, Claim):
            assert f'data-verdict="{rulings(r)[0].verdict}"' in opening
            assert r.provenance in body
            assert html.escape(r.where) in body
        else:
            assert "data-verdict" not in opening
            assert not any(f"<b>{verdict}</b>" in body for verdict in VERDICTS)
        assert f"[{r.id}]" in text


def test_a_table_of_no_source_is_refused():
    with pytest.raises(ConfigError, match="source is 'x'"):
        papers.table("x")


def test_a_spread_limits_the_digits_shown():
    row = papers.row("octav-gauss-4")
    shown = lambda *values: value_text(row, result_of(values))
    assert shown(163696) == "163696"
    long = dataclasses.replace(result_of([2.23025]), scale="paper")
    assert value_text(papers.row("bsq-bits-005"), long) == "2.23 (one seed)"
    assert shown(0.9381, 0.9456) == "0.9419 ± 0.0053"
    assert shown(40.2778, 73.0).split(" ± ")[0] == "57"
    assert shown(2.5, 2.5) == "2.5"
    assert shown(1.4e-8, 2.2e-8) == "1.8e-08 ± 6e-09"


def result_of(values):
    """A stored result with these values."""
    n = len(values)
    mean = sum(values) / n
    spread = math.sqrt(sum((v - mean) ** 2 for v in values) / (n - 1)) if n > 1 else 0.0
    stored = papers.result("octav-gauss-4")
    return dataclasses.replace(stored, values=values, seeds=tuple(range(n)), value=mean, spread=spread)


@pytest.mark.parametrize("r", ROWS, ids=lambda r: r.id)
def test_a_unit_stands_apart_from_its_number(r):
    """Only ``×`` follows at once: ``3.4 points``, ``95 %``, ``2.7×``."""
    assert r.unit in ("", "×") or r.unit[0] == " " != r.unit[1]


def test_results_are_plain_json():
    for file in (Path(papers.__file__).parent / "results").glob("*.json"):
        assert json.loads(file.read_text(encoding="utf-8"))["id"] == file.name.split(".")[0]
