"""The panel of mixed precision: what it shows of a run is the run, its moves end where the server does, stored is said."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from fqlab import panels
from fqlab.federation import Federation
from fqlab.methods.aqfl import AQFL
from fqlab.methods.fedmpq_plus import FedMPQPlus
from fqlab.plots.precision import Average, Matrix, Weakest
from fqlab.plots.style import figure
from fqlab.studies import weak_clients
from fqlab.studies.dealing import SIZES, Step, watch


@pytest.fixture(scope="module")
def module():
    made = panels.precision()
    made.stop()
    made.wait()
    yield sys.modules["fqlab.panels.views.precision"]
    made.close()


def run(module, rounds: int = 2, **settings) -> tuple[object, list[Step]]:
    state = module.State(**settings)
    return state, list(watch(replace(module.described(state), rounds=rounds)))


@pytest.fixture(scope="module")
def dealt(module):
    return run(module, scheme="full", epsilon=0.1)


def test_what_is_watched_is_what_a_plain_federation_does(module, dealt):
    state, steps = dealt
    plain = Federation(replace(module.described(state), rounds=2))
    for step in steps:
        given = plain.server.state.bits.tolist()
        record = plain.step()
        assert record.accuracy == step.record.accuracy
        assert [list(row) for row in step.given] == given
        assert [list(row) for row in step.dealt] == plain.server.state.bits.tolist()
        for k, shares in enumerate(record.moved.values()):
            assert [row[k] for row in step.moved] == list(shares)
        sent = np.array(step.sent) @ np.array(SIZES) / sum(SIZES)
        assert sent.mean() == pytest.approx(record.extras["sent_bits"])


def test_the_sizes_are_those_of_the_network(module):
    simulation = Federation(replace(module.described(module.State()), rounds=1)).simulation
    assert tuple(simulation.spec.numel[name] for name in simulation.spec.quantizable) == SIZES


@pytest.mark.parametrize("cutting", ["drain", "round_robin"])
def test_the_moves_lead_from_what_was_sent_to_what_the_server_deals(module, dealt, cutting):
    state, steps = dealt
    step = steps[-1]
    stages = module.walk(replace(state, cutting=cutting), step)
    assert stages[:2] == [step.given, step.sent]
    assert len(set(stages[2])) == 1, "the base is common"
    for before, after in zip(stages[2:], stages[3:], strict=False):
        assert max(sum(a != b for a, b in zip(*rows, strict=True)) for rows in zip(before, after, strict=True)) == 1
    if cutting == "drain":
        assert stages[-1] == step.dealt
    budgets = (2, 2, 4, 4, 4, 6, 6, 6, 8, 8)
    assert all(np.dot(row, SIZES) <= v * sum(SIZES) + 1e-6 for row, v in zip(stages[-1], budgets, strict=True))
    assert len(stages) <= module.LAST


def test_fixed_widths_are_aqfl_and_move_nothing_at_few_bits(module):
    state, steps = run(module, rounds=1)
    same = replace(module.described(state), method="aqfl", options={"budgets": state.budgets}, rounds=1)
    assert [r.accuracy for r in Federation(same)] == [steps[0].record.accuracy]
    assert isinstance(FedMPQPlus(**module.options(state)), AQFL)
    shown = module.frame(state, steps).pictures[Matrix]
    assert shown.widths == shown.before == steps[0].sent
    assert max(max(row) for row in shown.moved[:5]) < 0.02
    assert max(shown.moved[9]) > 0.5


def test_frozen_digits_do_not_move(module):
    _, steps = run(module, rounds=1, scheme="full", update="frozen")
    assert not np.array(steps[0].moved).any()


def test_a_frame_shows_the_last_round_and_all_curves(module, dealt):
    state, steps = dealt
    shown = module.frame(state, steps)
    matrix = shown.pictures[Matrix]
    assert (matrix.widths, matrix.moved, matrix.own) == (steps[-1].given, steps[-1].moved, steps[-1].own)
    assert shown.pictures[Average].seeds == [[s.record.accuracy for s in steps]]
    assert shown.pictures[Weakest].seeds == [[s.own[0] for s in steps]]
    later = module.frame(replace(state, move=1), steps).pictures[Matrix]
    assert (later.widths, later.moved) == (steps[-1].sent, ())
    assert [row["round"] for row in shown.rows] == [1, 2]


def test_own_models_are_tested_at_their_own_widths(module, dealt):
    """Devices that were dealt the same widths have the same model; the average at eight bits reads what the float one does."""
    _, steps = dealt
    for step in steps:
        by_widths = {
            widths: {own for w, own in zip(step.dealt, step.own, strict=True) if w == widths} for widths in step.dealt
        }
        assert all(len(found) == 1 for found in by_widths.values())
    assert len(set(steps[-1].own)) > 1


def test_every_scheme_is_a_method_that_can_run(module):
    for scheme in module.SCHEMES:
        for eta in module.ETAS:
            FedMPQPlus(**module.options(module.State(scheme=scheme, eta=eta)))


def test_moves_of_the_same_experiment_train_nothing_again(module, monkeypatch):
    whole = module.described
    monkeypatch.setattr(module, "described", lambda state: replace(whole(state), rounds=1))
    made = module.Precision(penalty=0.004, scheme="full")
    assert made.wait(120)
    curve = made.frame.pictures[Average]
    monkeypatch.setattr(module, "watch", None)  # whoever trains now breaks
    for change in ({"move": 3}, {"move": 0}, {"move": module.LAST}):
        made.set(**change)
        assert made.wait(60)
        assert made.error is None
        assert made.frame.pictures[Average] == curve
    assert made.seconds(made.state) < 1
    made.set(penalty=0.005)
    assert made.wait(60)
    assert isinstance(made.error, TypeError), "another experiment does train"
    made.close()


@pytest.mark.parametrize(("scheme", "method"), [("fixed", "aqfl"), ("full", "fedmpq")])
def test_what_is_stored_is_the_study_and_is_said_to_be_stored(module, scheme, method):
    shown = module.stored(module.State(world="stored", scheme=scheme))
    curves = weak_clients.curves("unequal", method, "integer")
    assert shown.message.startswith("Stored, not trained here")
    assert shown.pictures[Matrix].stage.startswith("Stored")
    assert shown.pictures[Matrix].moved == curves[0].moved
    assert shown.pictures[Matrix].own == curves[0].own
    assert [list(seed) for seed in shown.pictures[Weakest].seeds] == [list(c.weakest) for c in curves]
    against = shown.pictures[Weakest].against
    assert against == (() if scheme == "fixed" else pytest.approx(
        np.mean([c.weakest for c in weak_clients.curves("unequal", "aqfl", "integer")], axis=0).tolist()
    ))  # fmt: skip
    assert module.Precision.experiment(module.State(world="stored")) is None


def test_a_curve_says_what_it_gained_on_the_last_setting_of_the_same_world():
    view = Weakest()
    view.build(figure(Weakest.width, Weakest.height))
    now = Weakest.Data([[0.2, 0.5]], 6)
    view.update(now, Weakest.Data([[0.3, 0.4]], 6))
    assert view.title.get_text() == "Weakest device's own: 50.0%, +10.0 points"
    view.update(now, Weakest.Data([[0.3, 0.4]], 8))
    assert view.title.get_text() == "Weakest device's own: 50.0%"
    view.update(now, now)
    assert view.title.get_text() == "Weakest device's own: 50.0%"
