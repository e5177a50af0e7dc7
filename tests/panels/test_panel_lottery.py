"""The lottery panel: accuracies, bills and overlaps against the library's own run and counting by hand."""

from __future__ import annotations

import numpy as np
import pytest

from fqlab.federation import Federation
from fqlab.methods.lottery import kept_after
from fqlab.panels.views.lottery import CLIENTS, ROUNDS, LotteryPanel, State, experiment
from fqlab.plots.lottery import Costs, Masks, PersonalAccuracy


@pytest.fixture(scope="module")
def panel():
    panel = LotteryPanel()
    assert panel.wait(200)
    yield panel
    panel.close()


@pytest.fixture(scope="module")
def alone():
    federation = Federation(experiment(State()))
    for _ in federation:
        pass
    return federation


def test_accuracy_and_share_are_those_of_the_librarys_own_run(panel, alone):
    shown = panel.frame.pictures[PersonalAccuracy]
    assert shown.curves["now"] == [r.personal for r in alone.rounds]
    assert shown.kept == alone.rounds[-1].extras["kept"]
    assert shown.kept == pytest.approx(kept_after(0.1), abs=0.003)


def test_bills_by_hand(panel, alone):
    costs = panel.frame.pictures[Costs]
    weights = 64 * 64 + 64 * 10
    assert costs.fedavg["one way"] == pytest.approx(4 * weights * CLIENTS * ROUNDS / 1e6)
    survivors = sum(r.extras["kept"] * weights * CLIENTS for r in alone.rounds)
    assert costs.lottery["one way"] == pytest.approx(4 * survivors / 1e6)
    total = sum(r.bytes_up + r.bytes_down for r in alone.rounds) / 1e6
    assert costs.lottery["both ways"] == costs.lottery["broadcast"] == pytest.approx(total)
    once = costs.fedavg["both ways"] * (1 + 1 / CLIENTS) / 2
    assert costs.fedavg["broadcast"] == pytest.approx(once, rel=0.01)


def test_overlap_by_counting(panel, alone):
    masks = np.stack([alone.server.state.masks["fc1.weight"][c].numpy() for c in range(CLIENTS)])
    assert np.array_equal(panel.frame.pictures[Masks].masks, masks)
    common = sum(bool(all(m[i, j] for m in masks)) for i in range(64) for j in range(64)) / masks[0].sum()
    assert f"{common:.0%} of it is kept by all ten" in panel.gallery.picture(Masks).title.get_text()
    assert common > 100 * 0.09**9  # far more than masks drawn by chance would share


def test_another_client_shows_at_once_and_trains_nothing(panel):
    panel.set(client=4)
    assert panel.frame.pictures[Masks].client == 3
    assert "Client 4" in panel.gallery.picture(Masks).title.get_text()
    assert panel.wait(60)
    panel.reset()
    assert panel.wait(60)
