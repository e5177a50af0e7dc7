"""The panel of bit planes: what it shows is BSQ's run, and its planes add up to the weights."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from fqlab.federation import Federation
from fqlab.panels import planes
from fqlab.panels.views.planes import EPOCHS, State, key, recording, start
from fqlab.plots.planes import Stack, Tradeoff, Widths
from fqlab.studies.bsq import PLANES, WARMUP, experiment


@pytest.fixture(scope="module")
def panel():
    panel = planes()
    panel.wait()
    yield panel
    panel.close()


@pytest.fixture(scope="module")
def alone():
    """The default run again, with nothing but the library."""
    federation = Federation(experiment(*key(State())))
    return list(federation), federation


def test_the_curves_are_the_run_of_the_state(panel, alone):
    rounds, _ = alone
    shown = panel.frame.pictures
    assert shown[Tradeoff].accuracy == [r.accuracy for r in rounds[WARMUP - 1 :]]
    assert shown[Tradeoff].mean[1:] == pytest.approx([r.extras["bits"] for r in rounds[WARMUP:]])
    assert shown[Widths].bits["layer 1"][1:] == [r.extras["bits/fc1.weight"] for r in rounds[WARMUP:]]


def test_planes_add_up_to_the_trained_weights(panel, alone):
    _, federation = alone
    for layer in ("fc1.weight", "fc2.weight"):
        panel.set(layer=layer)
        panel.wait()
        data = panel.frame.pictures[Stack]
        w = federation.server.weights[layer].numpy()
        net = sum(2.0**b * plane for b, plane in enumerate(data.planes))
        assert np.corrcoef(net.ravel(), w.ravel())[0, 1] == pytest.approx(1, abs=1e-6)
        assert np.linalg.norm(data.weights) / np.linalg.norm(w) == pytest.approx(1 / largest(layer), rel=1e-4)
        assert data.ones == pytest.approx([np.abs(p).mean() for p in data.planes], rel=1e-5)
        assert len(data.planes) == data.bits
    panel.reset()
    panel.wait()


def largest(layer: str) -> float:
    return float(start(0).codes[layer].dequantize().abs().max())


def test_widths_fall_when_due_by_planes_that_were_empty():
    """Every fourth epoch, and only planes at the top that no weight used any more."""
    snapshots = recording(*key(State())).snapshots
    assert len(snapshots) == EPOCHS + 1
    widths = [s.widths["fc1.weight"] for s in snapshots]
    changes = [k for k in range(1, EPOCHS + 1) if widths[k] != widths[k - 1]]
    assert changes
    assert all(k % 4 == 0 and k <= PLANES for k in changes)
    for before, now in itertools.pairwise(snapshots):
        step = [float(s.codes["fc1.weight"].grid.step(s.codes["fc1.weight"].clip)) for s in (before, now)]
        assert 0.5 < step[1] / step[0] < 2, "cutting at the top leaves the step to training"


def test_walking_through_epochs_trains_nothing_again(panel):
    run = recording(*key(State()))
    panel.set(epoch=3)
    panel.wait()
    assert panel.frame.pictures[Stack].epoch == 3
    assert recording(*key(State(epoch=3))) is run
    assert panel.frame.pictures[Stack].ones[0] == pytest.approx(
        np.abs(run.snapshots[3].codes["fc1.weight"].values.numpy() % 2).mean(), rel=1e-5
    )
    panel.reset()
    panel.wait()
