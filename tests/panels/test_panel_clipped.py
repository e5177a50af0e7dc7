"""Unequal devices: what the panel shows is what the rule and the library say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fqlab import data, partition
from fqlab.federation import Federation
from fqlab.panels import clipped
from fqlab.panels.views.clipped import State, experiment, shares
from fqlab.panels.views.tour import layers
from fqlab.plots.clipped import Digits, Rounds, VoteShares
from fqlab.quant import Grid, clip_for, quantize
from fqlab.training.sgd import accuracy


@pytest.fixture(scope="module")
def panel():
    panel = clipped()
    panel.wait()
    yield panel
    panel.close()


def measured(w: torch.Tensor, bits: int) -> float:
    """Squared error of one real stochastic upload."""
    clip = clip_for("octav", w, Grid(bits), "stochastic", level_aware=False)
    codes = quantize(w, clip, Grid(bits), "stochastic", torch.Generator().manual_seed(0))
    return float((codes.dequantize() - w).square().mean())


def test_shares_are_inverse_to_the_errors_of_real_uploads():
    for layer, row in enumerate(shares(State(fine=2, fine_bits=6, hidden=3, output=3)).values()):
        w = layers()[layer][1]
        inverse = np.array([1 / measured(w, 6)] * 2 + [1 / measured(w, 3)] * 8)
        assert row == pytest.approx(inverse / inverse.sum(), rel=0.15)


def test_a_limit_bounds_the_share_and_samples_ignore_the_bits():
    for limit in (1, 3, 10):
        row = shares(State(limit=limit))["hidden"]
        assert row[0] == pytest.approx(limit / (limit + 9), rel=1e-4)
    digits = data.load("digits").train_y.numpy()
    row = shares(State(averaging="size"))["output"]
    held = (digits != 7).sum() // 10
    assert row[0] == pytest.approx(held / len(digits), abs=0.004)


def test_who_has_seen_a_seven():
    labels = data.load("digits").train_y.numpy()
    for seven, fine, coarse in (("all", True, True), ("coarse", False, True), ("fine", True, False)):
        e = experiment(State(fine=3, seven=seven))
        parts = partition.split(e.partition, data.load("digits"), 10, 0, **e.split)
        assert [bool((labels[part] == 7).any()) for part in parts] == [fine] * 3 + [coarse] * 7


def test_the_digits_are_those_of_the_final_model(panel):
    panel.preset("At most 10")
    panel.wait()
    federation = Federation(experiment(State(limit=10)))
    curve = [record.accuracy for record in federation]
    shown = panel.frame.pictures
    assert shown[Rounds].accuracy == curve
    simulation = federation.simulation
    sevens = federation.simulation.dataset.test_y == 7
    x, y = simulation.dataset.test_x[sevens], simulation.dataset.test_y[sevens]
    assert shown[Digits].digits[7] == pytest.approx(accuracy(simulation.model, federation.server.weights, x, y))
    counts = np.bincount(simulation.dataset.test_y.numpy(), minlength=10)
    assert np.dot(counts, shown[Digits].digits) / counts.sum() == pytest.approx(curve[-1])
    sent = federation.ledger.total(round_index=30, direction="up")
    assert shown[Rounds].fine_up + 9 * shown[Rounds].coarse_up == sent
    assert shown[VoteShares].shares["hidden"][0] == pytest.approx(10 / 19)


def test_the_seven_is_forgotten_only_where_its_owners_have_no_say(panel):
    reached = {}
    for name in ("... without a 7", "Average by samples"):
        panel.preset(name)
        panel.wait()
        reached[name] = panel.frame.pictures[Rounds].sevens[-1]
    assert reached["... without a 7"] < 0.05
    assert reached["Average by samples"] > 0.8
