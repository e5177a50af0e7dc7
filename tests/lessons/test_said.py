"""Numbers that a lesson says in words, against the library: whoever changes one changes the other."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from fqlab.lessons import lesson
from fqlab.panels.views.drift import State, experiment
from fqlab.panels.views.fleet import NAMES
from fqlab.panels.views.quantizer import GRIDS, mse_curve
from fqlab.plots.quantizer import mse_ratio
from fqlab.quant import Grid, clip_for, expected_mse, octav_step
from fqlab.studies.fedavg import distances, watch
from fqlab.studies.lidar import together


def test_lesson_01_the_fan_opens_with_skew_and_with_epochs():
    opened = [
        distances(next(watch(experiment(state))))[0]
        for state in (State(skew="even"), State(), State(epochs=5), State(epochs=10))
    ]
    assert opened[0] < 0.5
    assert opened[1:] == sorted(opened[1:])
    assert opened[1] > 3 * opened[0]
    assert opened[3] > 2 * opened[1]


@pytest.mark.parametrize("kind", GRIDS)
@pytest.mark.parametrize("bits", [2, 3, 4])
def test_lesson_02_octavs_clip_is_near_the_best(kind, bits):
    x = torch.from_numpy(np.random.default_rng(5).standard_normal(10**5)).float()
    grid = Grid(bits, kind)
    clip = float(clip_for("octav", x, grid))
    mse = [float(expected_mse(x, torch.tensor(clip * f), grid)) for f in np.linspace(0.8, 1.2, 41)]
    assert float(expected_mse(x, torch.tensor(clip), grid)) < 1.015 * min(mse)


def test_lesson_02_grids_of_as_many_levels_err_alike():
    curves = {kind: mse_curve(kind, "normal", 0) for kind in GRIDS}
    assert mse_ratio(curves, "levels", 2)[1] == pytest.approx(1.3, abs=0.08)
    assert mse_ratio(curves, "said", 2)[1] == pytest.approx(4, abs=0.2)
    assert mse_ratio(curves, "levels", 4)[1] < 1.05


@pytest.mark.parametrize(("count", "low", "high"), [(10**6, 0.85, 1.05), (4096, 0.35, 0.65)])
def test_lesson_03_a_clip_saves_most_of_a_bit(count, low, high):
    """Bits between 3 and 4 at which OCTAV errs like max-abs at 4, straight in log error."""
    saved = []
    for seed in range(3):
        x = torch.from_numpy(np.random.default_rng(seed).standard_normal(count)).float()
        wide = float(expected_mse(x, clip_for("max_abs", x, Grid(4)), Grid(4)))
        three, four = (float(expected_mse(x, clip_for("octav", x, Grid(b), level_aware=True), Grid(b))) for b in (3, 4))
        saved.append(1 - math.log(three / wide) / math.log(three / four))
    assert low < np.mean(saved) < high


def test_lesson_03_the_exercise_is_the_librarys_step():
    e = lesson("03").exercises[0]
    for x, s, c in e.cases:
        if np.any(x):
            step = octav_step(torch.from_numpy(np.array(x)).double(), torch.tensor(s, dtype=torch.float64), c)
            assert e.reference(x, s, c) == pytest.approx(float(step))


def test_lesson_11_every_town_loses_at_3_bits_and_the_canal_far_more():
    lost = 100 * (np.array(together(0)) - np.array(together(0, 3)))
    canal = NAMES.index("canal")
    others = np.delete(lost, canal)
    assert others.min() > 0
    assert lost[canal] > 1.5 * others.mean()
    assert lost[canal] == lost.max()
