"""Claims, stored results and the prose that cites them agree."""

from __future__ import annotations

import dataclasses
import html
import importlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

from fqlab import papers
from fqlab.cli import main
from fqlab.errors import ConfigError
from fqlab.papers import claims as claims_table
from fqlab.papers.claims import NOT_PUBLIC

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("[0-9][0-9]_*.py"))
CITED = re.compile(r"\[([^\]]+)\]\(#claim-([\w-]+)\)")


@pytest.mark.parametrize("c", papers.list_claims(), ids=lambda c: c.id)
def test_a_claim_is_whole_and_its_stored_result_bears_it_out(c):
    assert c.says
    assert c.where
    assert isinstance(c.published, (int, float)) or c.published == NOT_PUBLIC
    module, _, name = c.recipe.partition(":")
    assert callable(getattr(importlib.import_module(f"fqlab.studies.{module}"), name))
    stored = papers.result(c.id)
    assert stored is not None, (
        f"no stored result: fqlab reproduce {c.id} --scale {c.scale} --store fqlab/papers/results"
    )
    assert len(stored.values) == c.seeds
    assert stored.value == pytest.approx(sum(stored.values) / c.seeds)
    assert papers.verdict(c, stored.value), f"{c.id}: {stored.value} does not bear out {c.expect or c.published}"
    if c.expect is None or c.tolerance:
        assert c.why, "a tolerance needs a reason"


def test_ids_are_unique_and_no_result_is_orphaned():
    ids = [c.id for c in papers.list_claims()]
    assert len(set(ids)) == len(ids)
    folder = Path(papers.__file__).parent / "results"
    assert {f.name.split(".")[0] for f in folder.glob("*.json")} <= set(ids)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_numbers_in_prose_are_those_of_claims_or_results(path):
    for text, identity in CITED.findall(path.read_text(encoding="utf-8")):
        c = papers.claim(identity)
        stored = papers.result(identity)
        number = re.search(r"-?\d[\d,]*(?:\.(\d+))?", text)
        assert number, f"{text} cites {identity} without a number"
        value = float(number[0].replace(",", ""))
        digits = len(number[1] or "")
        known = [v for v in (c.published, stored.value if stored else None) if isinstance(v, (int, float))]
        assert any(abs(value - v) <= 0.5000001 * 10**-digits for v in known), f"{text} is neither of {known}"


def test_verdicts_can_fail():
    c = papers.claim("octav-gauss-4")
    assert papers.verdict(c, 2.56209)
    assert not papers.verdict(c, 2.6)
    order = papers.claim("octav-gain-4")
    assert papers.verdict(order, 3.0)
    assert not papers.verdict(order, 1.0)


def test_reproduce_stores_a_result(tmp_path, capsys):
    assert main(["reproduce", "octav-gain-4", "--scale", "demo", "--store", str(tmp_path)]) == 0
    stored = json.loads((tmp_path / "octav-gain-4.demo.json").read_text())
    assert stored["seeds"] == [0, 1, 2, 3, 4]
    assert stored["values"] == pytest.approx(papers.result("octav-gain-4").values, rel=1e-4)
    assert "octav-gain-4" in capsys.readouterr().out
    assert main(["reproduce", "no-such-claim"]) == 2
    with pytest.raises(ConfigError, match="scale is 'huge'"):
        papers.reproduce("octav-gain-4", "huge")


def test_tables_show_claims_beside_results():
    text = repr(papers.table("octav"))
    assert "octav-gauss-4" in text
    assert "not public" in text
    shown = papers.table("octav")._repr_html_()
    assert shown.count("<tr id=") == len(papers.list_claims("octav"))
    for c in papers.list_claims("octav"):
        row = re.search(rf'<tr id="claim-{c.id}">(.*?)</tr>', shown)[1]
        assert html.escape(c.where) in row
        assert (">yes<" in row) == papers.verdict(c, papers.result(c.id).value)
    with pytest.raises(ConfigError, match="source is 'x'"):
        papers.table("x")


def test_a_spread_limits_the_digits_shown():
    claim = papers.claim("octav-gauss-4")
    shown = lambda values: claims_table._measured(claim, result_of(values))
    assert shown((163696,)) == "163696"
    assert shown((0.9381, 0.9456)) == "0.9419 ± 0.0053"
    assert shown((40.2778, 73.0)).split(" ± ")[0] == "57"
    assert shown((2.5, 2.5)) == "2.5"


def result_of(values):
    """A stored result with these values."""
    stored = dataclasses.asdict(papers.result("octav-gauss-4"))
    stored |= {"values": values, "seeds": tuple(range(len(values))), "value": float(np.mean(values))}
    return papers.Result(**{**stored, "spread": float(np.std(values, ddof=1)) if len(values) > 1 else 0.0})


def test_a_scale_that_no_recipe_has_is_refused_at_once(monkeypatch, tmp_path):
    """It would run the demo and store it as the paper's set-up."""
    monkeypatch.setattr(importlib, "import_module", lambda name: pytest.fail(f"{name} was loaded"))
    identity = papers.list_claims()[0].id
    with pytest.raises(ConfigError, match=f"scale is 'paper', but the recipe of claim '{identity}' has no set-up but"):
        papers.reproduce(identity, "paper", tmp_path)
    assert not list(tmp_path.iterdir())
