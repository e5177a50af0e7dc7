"""Numbers that a lesson says in words, against the library: whoever changes one changes the other."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from scipy.stats import norm

from fqlab.lessons import lesson
from fqlab.lessons.content.lesson_07 import resnet20
from fqlab.panels.views.drift import State, experiment
from fqlab.panels.views.fleet import NAMES
from fqlab.panels.views.quantizer import GRIDS, mse_curve
from fqlab.plots.quantizer import mse_ratio
from fqlab.quant import Grid, clip_for, expected_mse, octav, octav_step
from fqlab.studies.fedavg import distances, watch
from fqlab.studies.lidar import together

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


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


def octavs_clip(noise: float) -> float:
    """Where OCTAV rests on a normal law, σ = 1: c·s·P(|x| ≤ s) = E[|x| − s; |x| > s], both in closed form."""
    return brentq(lambda s: noise * s * (1 - 2 * norm.sf(s)) - 2 * (norm.pdf(s) - s * norm.sf(s)), 0.1, 6)


@pytest.mark.parametrize("number", [1.74, 1.99])
def test_lesson_03_the_textbooks_constant_clips_sign_magnitude_too_tight(number):
    """On three levels a side the step is s/3, not the textbook's 2s/4."""
    textbook = octavs_clip(4.0**-2 / 3)
    own = octavs_clip((1 / 3) ** 2 / 12)
    assert {1.74: textbook, 1.99: own}[number] == pytest.approx(number, abs=0.005)
    x = torch.from_numpy(norm.ppf((np.arange(10**5) + 0.5) / 10**5)).float()
    grid = Grid(2, "sign_magnitude")
    for level_aware, want in ((False, textbook), (True, own)):
        assert float(octav(x, grid, level_aware=level_aware)) == pytest.approx(want, abs=0.01)
    told = lesson("03").questions[2].options[2].feedback
    assert f"{number}" in told
    assert ("too tight" in told) == (textbook < own)


def test_lesson_03_on_three_levels_it_clips_far_too_wide():
    assert octavs_clip(4.0**-2 / 3) > 1.4 * octavs_clip(1 / 6)
    assert "too wide" in lesson("03").exercises[1].then


def test_lesson_07_only_the_shortcuts_matter_to_hawqs_compression():
    """By hand: 432·8 + 4 layers of 2304 at 6 bits and 2 at 8 + ... = 655 104 bits for 268 336 weights, and ten biases at 3."""
    bits = 432 * 8 + 2304 * (4 * 6 + 2 * 8) + (4608 + 5 * 9216) * 3 + (18432 + 5 * 36864) * 2 + 640 * 3
    weights = 432 + 2304 * 6 + 4608 + 5 * 9216 + 18432 + 5 * 36864 + 640
    without, counted = 32 * weights / bits, 32 * (weights + 10) / (bits + 30)
    shortcuts = 32 * (weights + 10 + 2560) / (bits + 30 + 2560 * 32)
    assert f"{without:.3f}" == f"{counted:.3f}" == "13.107"
    exercise = lesson("07").exercises[0]
    assert exercise.reference(resnet20()) == pytest.approx(counted)
    assert f"{counted:.1f} or {shortcuts:.1f}" in exercise.then
    assert any(f"({counted:.4f} or {without:.4f})" in mistake.message for mistake in exercise.mistakes)
    text = " ".join((NOTEBOOKS / "07_bit_planes.py").read_text(encoding="utf-8").replace("\n#", "\n").split())
    assert f"[13.107](#claim-bsq-hawq) times smaller if the shortcuts stay out, and {shortcuts:.2f} times" in text
    assert "The ten biases of the last layer, counted or not, move the fourth decimal." in text


def test_lesson_11_every_town_loses_at_3_bits_and_the_canal_far_more():
    lost = 100 * (np.array(together(0)) - np.array(together(0, 3)))
    canal = NAMES.index("canal")
    others = np.delete(lost, canal)
    assert others.min() > 0
    assert lost[canal] > 1.5 * others.mean()
    assert lost[canal] == lost.max()
