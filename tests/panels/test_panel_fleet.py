"""The fleet panel: echoes, distances and accuracies are those of the scanner and of the federation."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from fqlab.data.lidar import CLASSES, scan, towns
from fqlab.panels import fleet
from fqlab.papers.figures.fleet import real_street
from fqlab.plots.fleet import Cars, Echoes, Street, _project
from fqlab.studies import lidar

HOME = [0.9, 0.8, 0.95, 0.9, 0.85, 0.9, 0.8, 0.7]
AWAY = [0.8, 0.7, 0.6, 0.9, 0.8, 0.7, 0.6, 0.5]
FULL = [0.98, 0.97, 0.96, 0.95, 0.94, 0.97, 0.96, 0.65]
FEW = [0.97, 0.95, 0.96, 0.95, 0.94, 0.97, 0.96, 0.45]


@pytest.fixture(scope="module")
def panel():
    with pytest.MonkeyPatch.context() as patch:  # the training has a test of its own below
        module = sys.modules[fleet.__module__]
        patch.setattr(module, "alone", lambda seed: (HOME, AWAY))
        patch.setattr(module, "together", lambda seed, bits=32, rounding="": FULL if bits == 32 else FEW)
        panel = fleet()
        panel.wait()
        yield panel
        panel.close()


def test_the_echoes_are_the_scanners(panel):
    panel.reset().set(town="canal", drive=1.0, seed=3)
    scene = scan("canal", seed=3, time=1.0)
    shown = panel.frame.pictures[Echoes]
    for thing in range(len(scene.standing)):
        assert shown.echoes[thing] == np.sum(scene.object == thing)
        centre = scene.solids.centre[scene.solids.owner == thing, :2].mean(0)
        assert shown.distance[thing] == pytest.approx(np.hypot(*(centre - scene.sensor[:2])))
    assert np.array_equal(shown.kind, scene.standing)
    drawn = panel.frame.pictures[Street]
    for k in range(len(CLASSES)):
        assert np.sum(drawn.label == k) == np.sum(scene.label == k)
    assert len(drawn.label) <= 16_000


def test_a_longer_arm_and_a_shorter_range_change_the_same_street(panel):
    panel.reset().set(town="downtown")
    before = panel.frame.pictures[Echoes]
    panel.set(reach=0.5)
    near = panel.frame.pictures[Echoes]
    assert np.array_equal(near.kind, before.kind)
    assert np.all(near.echoes <= before.echoes)
    assert np.all(near.echoes[before.distance > 0.5 * 40 + 12] == 0)
    panel.reset().set(town="downtown", lift=2.0)
    assert panel.frame.pictures[Street].height == pytest.approx(towns()[1].sensor_height + 2)


def test_the_view_is_a_turn_and_a_tilt():
    points = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    flat = _project(points, 90.0, 32.0)
    tilt = np.radians(32)
    assert flat == pytest.approx(np.array([[0, -np.sin(tilt)], [1, 0], [0, np.cos(tilt)]]), abs=1e-12)
    assert _project(points, 0.0, 90.0)[:, 0] == pytest.approx([1, 0, 0])


def test_titles_say_who_gains_and_who_pays(panel):
    panel.reset()
    panel.wait()
    title = panel.gallery.picture(Cars).title
    assert title.get_text() == "Together the canal car gains 46 points in other towns, −5 in its own"
    assert np.mean(FULL[:7]) - AWAY[7] == pytest.approx(0.461, abs=1e-3)
    panel.set(bits=3)
    panel.wait()
    assert title.get_text() == "3 bit, nearest: 20 points lost in the canal town, 0.4 in the mean of the others"
    assert panel.csv().count("\n") == 9
    assert Cars._finding(replace(panel.frame.pictures[Cars], few=[f - 0.02 for f in FULL])).endswith("than 3 points")
    assert "canal: alone at home 70%, alone elsewhere 50%, together in 32 bit at home 65%" in panel.description


def test_the_federation_is_read_town_by_town(monkeypatch):
    """Two rounds: each town's accuracy from the confusion of labels, and their mean the federation's own."""
    monkeypatch.setattr(lidar, "ROUNDS", 2)
    federation = lidar._trained(lidar.experiment(0))
    accuracies = lidar.by_town(federation, federation.server.weights)
    assert np.mean(accuracies) == pytest.approx(federation.rounds[-1].accuracy, abs=1e-6)
    data = federation.simulation.dataset
    for town in (0, 7):
        mine = data.test_groups == town
        assert len(federation.simulation.train[town]) == (28 if town == 7 else 139)
        model = federation.simulation.model
        model.load_state_dict(federation.server.weights)
        right = model(data.test_x[mine]).argmax(1) == data.test_y[mine]
        assert accuracies[town] == pytest.approx(float(right.float().mean()))
    assert lidar.elsewhere([1.0, 2.0, 6.0]) == [4.0, 3.5, 1.5]


def test_a_real_street_is_shown_or_its_absence_explained(monkeypatch):
    monkeypatch.setenv("FQLAB_DATA", "")
    assert real_street().startswith("No KITTI street to show, and none is needed: ")
