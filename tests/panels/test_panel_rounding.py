"""What the rounding panel shows, against brute force and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fqlab.panels.views.rounding import Rounding, State, parts, picture
from fqlab.plots.rounding import Crossing, Redrawn, Shares
from fqlab.quant import Grid
from fqlab.studies.rounding import mse_parts_of_mean, uniform


@pytest.fixture(scope="module")
def panel():
    panel = Rounding()
    yield panel
    panel.close()


def test_evenly_spread_values_err_by_the_textbook():
    x = uniform()
    grid = Grid(3)
    step = 2 / 7
    nearest, stochastic = (mse_parts_of_mean(x, 1.0, grid, r) for r in ("nearest", "stochastic"))
    assert (nearest.bias, nearest.chance) == pytest.approx((step**2 / 12, 0), rel=1e-3)
    assert (stochastic.bias, stochastic.chance) == pytest.approx((0, step**2 / 6), rel=1e-3, abs=1e-9)
    assert stochastic.mse(2) == pytest.approx(nearest.mse(2), rel=1e-3)


@pytest.mark.parametrize(
    "settings",
    [
        {"clients": 8, "bits": 2},
        {"clients": 8, "bits": 3, "deviation": 0.5},
        {"clients": 8, "bits": 2, "clip": 0.5},
        {"clients": 8, "bits": 1, "draws": "same"},
        {"clients": 8, "bits": 3, "deviation": 1.5, "draws": "same"},
    ],
    ids=str,
)
def test_the_lines_are_the_mean_of_what_is_drawn(panel, settings):
    drawn = []
    for seed in range(20):
        frame = panel.instant(State(seed=seed, **settings))
        drawn.append(frame.pictures[Redrawn].mse[1:])
    crossing = frame.pictures[Crossing]
    expected = [np.interp(8, crossing.m, getattr(crossing, name)) for name in ("nearest", "stochastic")]
    assert np.mean(drawn, axis=0) == pytest.approx(expected, rel=0.06)
    bars = frame.pictures[Shares].parts
    assert [sum(bars[2]), sum(bars[3])] == pytest.approx(expected, rel=0.02)


def test_the_crossing_is_where_both_lines_meet(panel):
    crossing = panel.instant(State(bits=2, picture="digit")).pictures[Crossing]
    nearest, stochastic = (parts("digit", 0.0, 2, 1.0, r) for r in ("nearest", "stochastic"))
    assert stochastic.mse(crossing.cross) == pytest.approx(nearest.mse(crossing.cross))
    assert 1 < crossing.cross < 100


def test_one_bit_nearest_is_the_sign_and_one_client_is_its_own_mean(panel):
    shown = panel.instant(State()).pictures[Redrawn].images
    x = picture("ball")
    assert np.array_equal(shown[2] > 0, x > 0)
    assert np.array_equal(np.abs(shown[2]), np.ones_like(x))
    assert np.array_equal(shown[1], shown[3])


def test_pictures_keep_inside_the_grid_at_clip_1():
    for name in ("ball", "wave", "digit"):
        assert torch.from_numpy(picture(name)).abs().max() <= 0.9


def test_differing_clients_make_nearest_the_better_one(panel):
    _, nearest, stochastic = panel.instant(State(bits=4, deviation=1.0, clients=30)).pictures[Redrawn].mse
    assert nearest < 0.75 * stochastic
