"""What the quantizer panel shows, against the levels written out by hand and a nearest-level search."""

from __future__ import annotations

import numpy as np
import pytest

from fqlab.panels.views.quantizer import GRIDS, Quantizer, State, ladder, mse_curve, weights
from fqlab.plots.quantizer import Fair, Ladders, Staircase, mse_ratio


@pytest.fixture(scope="module")
def panel():
    panel = Quantizer()
    panel.wait()
    yield panel
    panel.close()


LEVELS = {
    "narrow": [-2, 0, 2],
    "midrise": [-2, -2 / 3, 2 / 3, 2],
    "twos_complement": [-2, -1, 0, 1],
    "octav": [-2, -1, 0, 1, 2],
    "sign_magnitude": [-2, -4 / 3, -2 / 3, 0, 2 / 3, 4 / 3, 2],
}


@pytest.mark.parametrize("kind", LEVELS)
def test_levels_error_and_the_travelling_weight(kind):
    """2 bits, clip 2 σ: levels by hand; every weight goes to the nearest of them."""
    shown = ladder(kind, State(bits=2, clip=2.0, weight=1.25))
    x = weights("normal", 0).numpy()
    levels = np.array(LEVELS[kind])
    assert shown["levels"] == pytest.approx(levels)
    assert shown["lands"] == pytest.approx(levels[np.abs(levels - 1.25).argmin()])
    assert shown["mse"] == pytest.approx((np.abs(x[:, None] - levels).min(1) ** 2).mean(), rel=1e-4)
    assert shown["step"] == pytest.approx(levels[1] - levels[0])
    assert shown["code_bits"] == np.ceil(np.log2(len(levels)))


def test_a_twelfth_of_the_step_squared_is_exact_for_uniform_weights():
    shown = ladder("octav", State(law="uniform", bits=6, grid="octav", clip=1.75))
    assert shown["parts"][1] == 0
    assert shown["mse"] == pytest.approx(shown["twelfth"], rel=0.02)


def test_the_staircase_is_drawn_for_the_chosen_grid(panel):
    data = panel.instant(State(grid="narrow", weight=-0.9, clip=1.6)).pictures[Staircase]
    place, level = data.curve
    clear = np.abs(np.abs(place) - 0.8) > 0.01  # a threshold goes to either side
    assert level[clear] == pytest.approx(np.where(np.abs(place) > 0.8, 1.6 * np.sign(place), 0)[clear], abs=1e-5)
    assert (data.lands, data.code) == (pytest.approx(-1.6), (-1, -1, 1))


def test_the_fair_comparison_against_the_best_equally_spaced_levels():
    """Least errors of 3, 4, 5, 7 and 8 equally spaced levels, minimised here by a search over the step."""
    p = weights("normal", 0).numpy()[:, None]

    def least(count: int) -> float:
        steps = np.linspace(0.4, 1.5, 56)[:, None] * (np.arange(count) - (count - 1) / 2)
        return min((np.abs(p - levels).min(1) ** 2).mean() for levels in steps)

    for kind, bits, count in (
        ("narrow", 2, 3),
        ("midrise", 2, 4),
        ("octav", 2, 5),
        ("sign_magnitude", 2, 7),
        ("midrise", 3, 8),
    ):
        curve = mse_curve(kind, "normal", 0)
        assert curve["mse"][bits - 1] == pytest.approx(least(count), rel=0.02)
        assert curve["levels"][bits - 1] == pytest.approx(np.log2(count))
    curves = {kind: mse_curve(kind, "normal", 0) for kind in GRIDS}
    assert mse_ratio(curves, "said", 2) == (5, pytest.approx(least(3) / least(7), rel=0.05))
    assert mse_ratio(curves, "levels", 4)[1] < 1.05


def test_titles_count_levels(panel):
    panel.set(bits=2)
    ladders = panel.frame.pictures[Ladders]
    assert sorted(len(grid["levels"]) for grid in ladders.grids.values()) == [3, 4, 4, 5, 7]
    assert "2 bit: narrow 3 levels in 2 bit" in panel.description
    assert panel.frame.pictures[Fair].count == "said"
    rows = panel.frame.rows
    assert [row["levels"] for row in rows] == [3, 4, 4, 5, 7]
