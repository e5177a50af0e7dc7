"""The tour: what it shows is what the library says."""

from __future__ import annotations

import pytest

from fqlab.errors import ConfigError
from fqlab.federation import fit
from fqlab.panels import ticket, tour
from fqlab.panels.state import controls
from fqlab.panels.views.tour import State, Tour, experiment, layers
from fqlab.plots.tour import Levels, PlaneDensity, TrainingCurve
from fqlab.quant import Grid, clip_for, expected_mse, msb_density, quantize


@pytest.fixture(scope="module")
def panel():
    panel = tour()
    panel.wait()
    yield panel
    panel.close()


def test_the_curve_is_the_federation_of_the_state(panel):
    panel.set(bits=3, grid="narrow", rounding="nearest")
    panel.wait()
    alone = fit(experiment(State(bits=3, grid="narrow", rounding="nearest")))
    assert panel.frame.pictures[TrainingCurve].accuracy == [r.accuracy for r in alone.rounds]
    assert panel.frame.pictures[TrainingCurve].up == alone.rounds[-1].bytes_up


def test_three_sliders_and_three_choices_come_first_and_the_rest_below():
    groups: dict[str, list[str]] = {}
    for c in controls(State):
        groups.setdefault(c.group or list(groups)[-1], []).append(c.name)
    assert list(groups) == ["Three numbers", "Three choices", "More"]
    assert groups["Three numbers"] == ["clip", "bits", "epsilon"]
    assert len(groups["Three choices"]) == 3
    assert Tour.rows[0] == (TrainingCurve,), "accuracy and bytes come first"


def test_mse_parts_and_optimum(panel):
    panel.set(bits=4, grid="midrise", rounding="nearest", clip=1.0)
    name, w = max(layers(), key=lambda pair: pair[1].numel())
    grid = Grid(4)
    sigma = float(w.std(correction=0))
    clip = clip_for("octav", w, grid)
    shown = panel.frame.pictures[Levels]
    assert shown.clip == pytest.approx(float(clip) / sigma, rel=1e-5)
    assert shown.mse == pytest.approx(float(expected_mse(w, clip, grid)) / sigma**2, rel=1e-4)
    assert sum(shown.parts) == pytest.approx(shown.mse)


def test_epsilon_cuts_planes_and_bytes(panel):
    panel.preset("ε = 0.1")
    panel.wait()
    for shown, (_, w) in zip(panel.frame.pictures[PlaneDensity].layers, layers(), strict=True):
        codes = quantize(
            w, 2 * clip_for("octav", w, Grid(4, "sign_magnitude"), "stochastic"), Grid(4, "sign_magnitude")
        )
        assert shown["delta"] == pytest.approx(float(msb_density(codes)), abs=0.02)
        assert (shown["left"] < 4) == (shown["delta"] <= 0.1)
    pruned = panel.frame.pictures[TrainingCurve].up
    panel.set(epsilon=0.0)
    panel.wait()
    assert pruned < panel.frame.pictures[TrainingCurve].up


def test_same_seed_same_picture_and_another_seed_another(panel):
    panel.reset()
    panel.wait()
    first = panel.svg()
    panel.set(seed=1)
    panel.wait()
    assert panel.svg() != first
    fresh = tour()
    fresh.wait()
    panel.reset()
    panel.wait()
    assert fresh.frame.pictures[TrainingCurve].accuracy == panel.frame.pictures[TrainingCurve].accuracy
    fresh.close()


def test_the_newest_setting_wins_and_the_ghost_is_the_run_before(panel):
    panel.reset()
    panel.wait()
    before = panel.frame.pictures[TrainingCurve].accuracy
    for bits in (3, 5, 8):
        panel.set(bits=bits)
    panel.wait()
    assert panel.frame.pictures[TrainingCurve].accuracy == [r.accuracy for r in fit(experiment(State(bits=8))).rounds]
    assert panel.gallery.views[TrainingCurve].ghost.accuracy == before


def test_in_full_precision_no_level_no_error_and_no_plane_is_drawn(panel):
    panel.preset("Float")
    panel.wait()
    shown = panel.frame.pictures[Levels]
    assert (shown.exact, len(shown.levels), shown.count, shown.mse) == (True, 0, 0, 0.0)
    assert panel.frame.pictures[PlaneDensity].layers == []
    assert "squared error" not in panel.description
    assert all(
        panel.controls.widgets[name].disabled for name in ("clip", "bits", "epsilon", "rounding", "send", "grid")
    )
    picture = panel.gallery.picture(Levels)
    seen = {artist for artist in picture.artists if artist.get_visible()}
    assert seen == {picture.title, picture.sent, picture.bars}
    panel.preset("Stochastic")
    assert all(artist.get_visible() for artist in picture.artists)


def test_what_a_client_changes_is_smaller_than_its_weights_and_is_what_is_shown(panel):
    changes = dict(layers("differences"))
    weights = dict(layers())
    assert {name: w.shape for name, w in changes.items()} == {name: w.shape for name, w in weights.items()}
    for name, change in changes.items():
        assert 0 < float(change.square().mean()) < 0.1 * float(weights[name].square().mean())
    panel.preset("Differences")
    change = max(changes.values(), key=lambda x: x.numel())
    shown = panel.frame.pictures[Levels]
    assert shown.clip == pytest.approx(float(change.abs().max() / change.std(correction=0)), rel=1e-5)
    assert shown.levels == pytest.approx([-shown.clip, shown.clip])
    assert "The differences of the largest layer on a grid of 2 levels" in panel.description


def test_a_ticket_of_the_tour_before_is_refused(panel):
    before = ticket.write("tour", 1, panel.state)
    with pytest.raises(ConfigError, match="mistyped, or from another version"):
        panel.restore(before)
