"""The robustness panel: what it shows is what rounding by hand, SciPy and the library's own run say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fqlab.federation import fit
from fqlab.federation.deployment import deploy, robustness
from fqlab.panels.views.robustness import Robustness, State, experiment
from fqlab.plots.robustness import CHIPS, Deployed, KurtosisPath, Shape


@pytest.fixture(scope="module")
def panel():
    panel = Robustness()
    assert panel.wait(120)
    yield panel
    panel.close()


@pytest.fixture(scope="module")
def alone():
    return fit(experiment(State()))


def test_accuracies_are_those_of_the_librarys_own_run(panel, alone):
    shown = panel.frame.pictures[Deployed]
    assert shown.accuracy == list(robustness(alone, CHIPS).values())
    assert shown.accuracy[0] > shown.fedavg[0]
    assert [row["deployed_bits"] for row in panel.frame.rows] == list(CHIPS)


def test_kurtosis_is_scipys_and_starts_uniform(panel, alone):
    for name, curve in panel.frame.pictures[KurtosisPath].curves.items():
        assert curve[-1] == pytest.approx(
            stats.kurtosis(alone.weights[name].numpy(), axis=None, fisher=False), rel=1e-4
        )
        assert curve[0] == pytest.approx(1.8, abs=0.15)
        assert len(curve) == 21


def test_levels_and_shares_by_hand(panel, alone):
    w = alone.weights["fc1.weight"].numpy()
    codes = np.round(w / np.abs(w).max())  # two bits with the range of the largest weight: -1, 0 and 1
    shown = panel.frame.pictures[Shape]
    assert shown.levels == pytest.approx([-1, 0, 1])
    assert shown.shares == pytest.approx([float((codes == v).mean()) for v in (-1, 0, 1)])
    assert shown.zeros == shown.shares[1]


def test_the_chip_trains_nothing_and_the_range_moves_the_levels(panel, alone):
    panel.set(chip=4, range_rule="mse")
    assert panel.frame.pictures[Deployed].chip == 4  # at once, without waiting
    rounded = deploy(alone.weights, ["fc1.weight"], 4, "mse")["fc1.weight"]
    assert panel.frame.pictures[Shape].zeros == pytest.approx(float((rounded == 0).float().mean()))
    assert panel.wait(60)
    panel.reset()
    assert panel.wait(60)


def test_a_model_trained_at_two_bits_is_worse_in_full_precision(panel):
    panel.preset("QAT at 2 bit")
    assert panel.wait(120)
    accuracy = panel.frame.pictures[Deployed].accuracy
    assert accuracy[0] > accuracy[-1] + 0.03
    assert "in full precision" in panel.gallery.picture(Deployed).title.get_text()
    panel.reset()
    assert panel.wait(60)
