"""The panel of mixed precision: widths, budgets and densities against the library and by hand, and the run."""

from __future__ import annotations

import sys

import pytest
import torch

from fqlab import panels
from fqlab.federation import fit
from fqlab.methods.fedmpq_plus import FedMPQPlus
from fqlab.plots.precision import Federated, Matrix, Prune
from fqlab.quant import msb_density, prune_msb, pruning_growing
from fqlab.studies.fedmpq import CLIENTS, SIZES, bell, experiment


@pytest.fixture(scope="module")
def panel():
    panel = panels.precision()
    panel.stop()
    panel.wait()
    yield panel
    panel.close()


@pytest.fixture(scope="module")
def module(panel):
    return sys.modules["fqlab.panels.views.precision"]


def seen(panel, module, **settings):
    state = module.State(**settings)
    return state, panel.instant(state).pictures


@pytest.mark.parametrize("epsilon", [0.0, 0.03, 0.05, 0.31, 0.6])
def test_what_a_device_sends_is_what_prune_msb_leaves(panel, module, epsilon):
    for seed in (0, 1):
        state, shown = seen(panel, module, epsilon=epsilon, move=0, seed=seed)
        for n, budget in enumerate((2, 2, 4, 4, 4, 6, 6, 6, 8, 8)):
            left = [int(prune_msb(bell(k, budget, seed), epsilon)[1]) for k in range(len(SIZES))]
            assert list(shown[Matrix].widths[n]) == left


def test_the_last_move_keeps_every_budget_to_the_last_bit_that_fits(panel, module):
    for cutting in ("round_robin", "drain"):
        state, shown = seen(panel, module, cutting=cutting, epsilon=0.05)
        table = shown[Matrix]
        sent = [module.local_widths(state, n) for n in range(CLIENTS)]
        shares = torch.tensor(table.budgets) / sum(table.budgets)
        base = (shares[:, None] * torch.tensor(sent)).sum(0).round().int().tolist()
        lost = torch.tensor(table.budgets)[:, None] - torch.tensor(sent)
        reduced = ((shares[:, None] * lost).sum(0) + 1).round().clamp(min=1).int() - 1
        for n, (widths, budget, mean) in enumerate(zip(table.widths, table.budgets, table.means, strict=True)):
            assert tuple(widths) == pruning_growing(base, reduced.tolist(), SIZES, budget, cutting), n
            assert mean <= budget + 1e-6
            assert all(b == 8 or (budget - mean) * sum(SIZES) < m for b, m in zip(widths, SIZES, strict=True))


def test_densities_are_shares_of_weights_beyond_half_the_scale(panel, module):
    _, shown = seen(panel, module, seed=3)
    for k, (_, now, then) in enumerate(shown[Prune].layers[: len(SIZES)]):
        values = bell(k, 8, 3).values.abs()
        assert now == pytest.approx(float((values >= 128).float().mean()), abs=1e-7)
        assert now == pytest.approx(float(msb_density(bell(k, 8, 3))), abs=1e-7)
        assert then == pytest.approx(float((values >= 64).float().mean()), abs=1e-7)


def test_the_curve_is_the_federation_of_the_state(module):
    state = module.State(scheme="dual", eta=0.2, budgets="2-4-8")
    panel = module.Precision()
    frames = panel.run(state)
    shown = [next(frames).pictures[Federated] for _ in range(2)][-1]
    frames.close()
    panel.close()
    options = dict(budgets="2-4-8", penalty=0.0, epsilon=0.05, growing=False, dual_step=0.2)
    alone = fit(experiment(options, rounds=2)).rounds
    assert shown.accuracy == [r.accuracy for r in alone]
    assert shown.sent == [r.extras["sent_bits"] for r in alone]
    assert shown.budget == pytest.approx(sum((2, 4, 8)[n % 3] for n in range(CLIENTS)) / CLIENTS)


def test_every_scheme_is_a_method_that_can_run(module):
    for scheme in module.SCHEMES:
        for eta in module.ETAS:
            FedMPQPlus(**module.options(module.State(scheme=scheme, eta=eta)))


def test_moves_and_presets_of_the_same_experiment_train_nothing_again(module, monkeypatch):
    monkeypatch.setattr(module, "described", lambda state: experiment(module.options(state), seed=state.seed, rounds=2))
    panel = module.Precision(penalty=0.004)
    assert panel.wait(120)
    curve = panel.frame.pictures[Federated]
    trained = list(module._RUNS)
    monkeypatch.setattr(module, "Federation", None)  # whoever trains now breaks
    for change in ({"move": 3}, {"move": 0}, {"move": module.LAST}):
        panel.set(**change)
        assert panel.wait(60)
        assert panel.error is None
        assert panel.frame.pictures[Federated] == curve
        assert len(panel.runner.steps) == 2, "and it can still be walked through"
    assert set(module._RUNS) == set(trained)
    assert panel.seconds(panel.state) < 1
    panel.set(penalty=0.005)
    assert panel.wait(60)
    assert isinstance(panel.error, TypeError), "another experiment does train"
    panel.close()
