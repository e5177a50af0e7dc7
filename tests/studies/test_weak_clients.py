"""The stored curves of FedMPQ beside AQFL: whole, within budgets, run after the criteria, and what the ledger says they are."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fqlab import papers
from fqlab.papers.claims import list_claims
from fqlab.quant import mean_bits, parse_budgets, pruning_growing
from fqlab.studies import weak_gains
from fqlab.studies.dealing import SIZES
from fqlab.studies.over_budget import past_the_budget
from fqlab.studies.weak_clients import METHODS, OVER, SEEDS, SETTINGS, Curve, curves, stored, wanted
from fqlab.studies.weak_gains import gain, moved, own_gain

CURVES = stored()


def test_the_comparison_of_the_public_code_is_there():
    assert {key for key in wanted() if key[0] == "unequal" and key[2] == "integer"} <= set(CURVES) <= set(wanted())


@pytest.mark.parametrize("curve", CURVES.values(), ids=lambda c: f"{c.setting}-{c.method}-{c.update}-{c.seed}")
def test_a_curve_is_whole_and_keeps_its_budgets(curve: Curve):
    rounds = SETTINGS[curve.setting]["rounds"]
    budgets = parse_budgets(SETTINGS[curve.setting]["budgets"]) * 10
    assert len(curve.accuracy) == len(curve.refreshed) == len(curve.weakest) == rounds
    assert curve.weakest[-1] == curve.own[0]
    for widths, shares, budget in zip(curve.widths, curve.moved, budgets[:10], strict=True):
        assert len(widths) == len(shares) == len(SIZES)
        assert curve.method == OVER or mean_bits(SIZES, widths) <= budget
        assert curve.method != "aqfl" or set(widths) == {int(budget)}
        assert all(0 <= share <= (curve.update != "frozen") for share in shares)


@given(data=st.data(), budget=st.integers(1, 8))
def test_the_public_codes_widths_are_ours_or_pass_the_budget_with_their_last_bit(data, budget):
    layers = data.draw(st.integers(1, 8))
    draw = lambda low, high: data.draw(st.lists(st.integers(low, high), min_size=layers, max_size=layers))
    base, reduced, sizes = draw(1, 8), draw(0, 7), draw(1, 5000)
    theirs = past_the_budget(base, reduced, sizes, budget)
    ours = pruning_growing(base, reduced, sizes, budget)
    over = mean_bits(sizes, theirs) - budget
    assert over < max(sizes) / sum(sizes) + 1e-9
    assert over > 1e-9 or theirs == ours


def test_the_widths_that_the_public_code_ends_with():
    """A 2- and a 4-bit device of its run of ResNet-8, as reported, with its large layers drained in turn."""
    base = (8, 8, 8, 8, 7, 6, 4, 8)
    reduced = (0,) * 8
    assert past_the_budget(base, reduced, SIZES, 2) == (8, 8, 8, 8, 2, 1, 1, 8)
    assert past_the_budget(base, reduced, SIZES, 4) == (8, 8, 8, 8, 8, 6, 1, 8)


def test_whole_digits_of_few_bits_stand_still():
    for curve in curves("unequal", "fedmpq", "integer"):
        for widths, shares in zip(curve.widths, curve.moved, strict=True):
            for bits, size, share in zip(widths, SIZES, shares, strict=True):
                assert (share * size < 5) if bits <= 4 else True


def test_every_criterion_is_older_than_every_run():
    began = min(datetime.fromisoformat(curve.began) for curve in CURVES.values())
    assert all(c.fixed is not None and c.fixed < began for c in list_claims("weak_clients"))


def test_the_numbers_are_differences_of_last_rounds(monkeypatch):
    """By hand: two curves that differ in one place each."""
    same = dict(
        update="integer", seed=SEEDS[0], widths=((2,) * 8,) * 10, moved=((0.0,) * 8,) * 4 + ((1.0,) + (0.0,) * 7,) * 6
    )
    low = Curve("unequal", "aqfl", accuracy=(0.9, 0.5), refreshed=(0.9, 0.6), weakest=(0.9, 0.4), own=(0.1,) * 10,
                began="", seconds=0.0, **same)  # fmt: skip
    high = Curve("unequal", "fedmpq", accuracy=(0.1, 0.7), refreshed=(0.1, 0.9), weakest=(0.1, 0.8),
                 own=(0.1,) * 8 + (0.3, 0.5), began="", seconds=0.0, **same)  # fmt: skip
    monkeypatch.setattr(
        weak_gains, "curve", lambda setting, method, update, seed: dict(zip(METHODS, (low, high), strict=True))[method]
    )
    assert [gain(0, kind=kind) for kind in ("accuracy", "refreshed", "weakest")] == pytest.approx([20, 30, 40])
    assert [own_gain(0, bits) for bits in (2, 8)] == pytest.approx([0, 30])
    assert moved(0, 8) == pytest.approx(100 * SIZES[0] / sum(SIZES))


def test_stored_results_are_what_the_curves_give():
    for claim in list_claims("weak_clients"):
        found = papers.result(claim.id, "small")
        if found is not None and claim.recipe == "weak_gains:gain":
            assert found.values == pytest.approx([gain(seed, **claim.args) for seed in range(claim.seeds)])
