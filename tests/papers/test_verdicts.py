"""Criteria and verdicts against cases counted by hand."""

from __future__ import annotations

import math
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fqlab.errors import ConfigError
from fqlab.papers.claims import results
from fqlab.papers.claims.criteria import VERDICTS, Direction, Estimate, Exact, Near, criterion
from fqlab.papers.claims.results import judge
from fqlab.papers.claims.rows import parse

CLAIM = """
title = "A paper"
authors = "A. Author"
year = 2020
[[claim]]
id = "one"
says = "x is large"
where = "Table 1"
provenance = "printed"
published = 3.0
criterion = { above = 0, size = 3.0 }
fixed = 2026-01-02T03:04:05Z
recipe = "grids:step_4"
seeds = 3
"""


def estimate(*values: float) -> Estimate:
    """Mean and standard deviation by the textbook's two passes."""
    mean = sum(values) / len(values)
    spread = math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1)) if len(values) > 1 else 0.0
    return Estimate(mean, spread, len(values))


def test_a_standard_error_is_the_spread_over_the_root_of_n():
    assert estimate(1, 2, 3).error == pytest.approx(1 / math.sqrt(3))  # spread 1, three seeds
    assert estimate(2, 2, 4, 4).error == pytest.approx(math.sqrt(4 / 3) / 2)
    assert estimate(5).error == 0


@pytest.mark.parametrize(
    ("row", "values", "verdict"),
    [
        # 1, 2, 3: mean 2, spread 1, two standard errors 1.1547
        ({"above": 0.8}, (1, 2, 3), "holds"),  # 1.2 above
        ({"above": 0.9}, (1, 2, 3), "not seen"),  # 1.1 above
        ({"above": 2.5}, (1, 2, 3), "not seen"),
        ({"above": 3.2}, (1, 2, 3), "opposite"),  # 1.2 below
        ({"above": 0, "size": 4.1}, (1, 2, 3), "weaker"),  # half of it is 2.05
        ({"above": 0, "size": 4.0}, (1, 2, 3), "holds"),  # exactly half
        ({"above": 0, "size": 9.24}, (-3.06, -8.04, -5.41), "opposite"),
        ({"below": 3.2}, (1, 2, 3), "holds"),
        ({"below": 3.1}, (1, 2, 3), "not seen"),
        ({"below": 0.8}, (1, 2, 3), "opposite"),
        ({"below": 1, "size": 0.75}, (0.5, 0.5, 0.5), "holds"),  # 0.5 of 0.75, no spread
        ({"below": 1, "size": 0.75}, (0.7, 0.7, 0.7), "weaker"),  # 0.3 is less than 0.375
        ({"above": 1}, (1, 1, 1), "not seen"),  # nothing, exactly
        ({"within": 2, "of": 2.5, "because": "x"}, (1, 2, 3), "holds"),  # 0.5 + 1.1547
        ({"within": 1.6, "of": 2.5, "because": "x"}, (1, 2, 3), "not seen"),
        ({"within": 0.5, "of": 4, "because": "x"}, (1, 2, 3), "opposite"),  # 2 − 1.1547 is beyond 0.5
        ({"equals": 13.11, "tolerance": 0.005, "because": "x"}, (13.107,), "holds"),
        ({"equals": 13.11, "tolerance": 0.005, "because": "x"}, (13.116,), "opposite"),
        ({"equals": 8, "tolerance": 0, "because": "x"}, (8,), "holds"),
    ],
)
def test_a_verdict_is_what_one_counts_by_hand(row, values, verdict):
    assert criterion(row).verdict(estimate(*values)) == verdict
    assert verdict in VERDICTS


NUMBERS = st.floats(-100, 100)


@given(NUMBERS, st.floats(0, 10), st.integers(2, 30), NUMBERS)
def test_above_and_below_are_mirror_images(mean, spread, count, than):
    up = Direction(than, 1).verdict(Estimate(mean, spread, count))
    down = Direction(-than, -1).verdict(Estimate(-mean, spread, count))
    assert up == down
    turned = {"holds": "opposite", "opposite": "holds", "not seen": "not seen"}
    assert Direction(than, -1).verdict(Estimate(mean, spread, count)) == turned[up]


@given(NUMBERS, st.floats(0, 10), st.integers(1, 30), NUMBERS, st.floats(0, 50))
def test_more_room_never_hurts_and_more_spread_never_helps(mean, spread, count, of, within):
    order = ["opposite", "not seen", "holds"]
    rank = lambda near, s: order.index(near.verdict(Estimate(mean, s, count)))
    narrow, wide = Near(within, of, ""), Near(within + 1, of, "")
    assert rank(wide, spread) >= rank(narrow, spread)
    if narrow.verdict(Estimate(mean, spread, count)) == "holds":
        assert narrow.verdict(Estimate(mean, spread / 2, count)) == "holds"


@given(NUMBERS, NUMBERS, st.floats(0, 10))
def test_exact_asks_for_the_distance_alone(mean, equals, tolerance):
    holds = Exact(equals, tolerance, "").verdict(Estimate(mean)) == "holds"
    assert holds == (abs(mean - equals) <= tolerance)


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"equals": 1},
        {"above": 1, "below": 2},
        {"above": "x"},
        {"above": 0, "size": -1},
        {"within": 1, "of": 2},
        {"within": float("nan"), "of": 2, "because": "x"},
        {"above": 0, "colour": 1},
    ],
)
def test_anything_else_is_no_criterion(row):
    with pytest.raises(ConfigError, match="criterion is"):
        criterion(row)


def result(claim, time, values=(3.0, 3.1, 3.2)):
    from fqlab.papers import Result

    m = estimate(*values)
    return Result(
        claim.id, "demo", m.mean, m.spread, tuple(range(len(values))), tuple(values), claim.recipe, {}, time,
        "abc", {}, "x", 1.0,
    )  # fmt: skip


def test_a_result_that_is_older_than_its_criterion_says_nothing():
    (c,) = parse("x", CLAIM).rows
    assert c.fixed == datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    assert judge(c, "demo", result(c, "2026-01-02T03:04:06Z")).verdict == "holds"
    for time in ("2026-01-02T03:04:05Z", "2025-12-31T00:00:00Z"):
        told = judge(c, "demo", result(c, time))
        assert told.verdict == "not run"
        assert "older" in told.why
    assert judge(c, "demo", None).verdict == "not run"


def test_the_largest_scale_that_was_run_decides(monkeypatch):
    (c,) = parse("x", CLAIM + 'scales = ["demo", "small", "paper"]\n').rows
    found = {
        "demo": result(c, "2026-02-02T00:00:00Z"),
        "small": result(c, "2026-02-02T00:00:00Z", (-3.0, -3.1, -3.2)),
    }
    monkeypatch.setattr(results, "result", lambda identity, scale: found.get(scale))
    assert [told.verdict for told in results.rulings(c)] == ["holds", "opposite", "not run"]
    assert (results.ruling(c).verdict, results.ruling(c).scale) == ("opposite", "small")
    found.clear()
    assert results.ruling(c).verdict == "not run"


def test_what_cannot_be_compared_or_run_says_why():
    text = (
        CLAIM + 'scales = ["demo", "paper"]\nnot_comparable = { demo = "digits" }\nnot_run = { paper = "too large" }\n'
    )
    (c,) = parse("x", text).rows
    assert judge(c, "demo", result(c, "2026-02-02T00:00:00Z"))[:2] == ("not comparable", "digits")
    assert judge(c, "paper", None)[:2] == ("not run", "too large")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("seeds = 3", "seeds = 1", "seeds of claim 'one' is 1"),
        ("seeds = 3", "seedz = 3", "key of 'one' in x.toml is 'seedz'"),
        ("05Z", "05", "fixed of claim 'one'"),
        ('"printed"', '"seen"', "provenance of claim 'one' is 'seen'"),
        ('"printed"', '"second-hand"', "whose of claim 'one'"),
        ("criterion = { above = 0, size = 3.0 }", "", "claim 'one' lacks"),
        ('where = "Table 1"', "", "claim 'one' lacks"),
        ("grids:step_4", "grids.step_4", "recipe of 'one'"),
        ("seeds = 3", 'seeds = 3\nscales = ["huge"]', "scale of 'one' is 'huge'"),
    ],
)
def test_a_row_that_is_not_whole_is_named(old, new, problem):
    parse("x", CLAIM)
    with pytest.raises(ConfigError, match=problem):
        parse("x", CLAIM.replace(old, new))


def test_an_observation_has_a_range_and_no_verdict():
    text = 'title = "x"\n[[observation]]\nid = "one"\nsays = "y"\nrecipe = "grids:step_4"\nrange = [0, 1]\n'
    (o,) = parse("x", text).rows
    assert o.range == (0, 1)
    with pytest.raises(ConfigError, match="range of observation 'one'"):
        parse("x", text.replace("[0, 1]", "[1, 0]"))
    with pytest.raises(ConfigError, match="key of 'one'"):
        parse("x", text + "criterion = { above = 0 }\n")
