"""AQFL: fixed widths, four ways of training codes, plain averages, models of one's own."""

from __future__ import annotations

import dataclasses
import doctest

import pytest
import torch
from torch.func import functional_call

import fqlab.methods.aqfl
from fqlab import data, methods, models, wire
from fqlab.errors import ConfigError
from fqlab.federation import Experiment, Federation, fit
from fqlab.methods.aqfl import AQFL, PRESETS, layer_sizes
from fqlab.methods.base import Server, Spec
from fqlab.models import QuantizedActivation
from fqlab.quant import Grid, max_abs, quantize
from fqlab.training.updates import UPDATES

FAST = {"clients": 5, "batch_size": 64, "rounds": 2, "engine": "vectorized", "method": "aqfl", "momentum": 0.9}


def experiment(**changes) -> Experiment:
    options = {"budgets": "2-4-8"} | changes.pop("options", {})
    return Experiment(**(FAST | {"options": options} | changes))


def test_the_defaults_are_those_of_the_public_code():
    method = AQFL()
    assert method.budgets == "2-2-4-4-4-6-6-6-8-8"
    assert (method.penalty, method.update) == (0.001, "integer")


def test_every_client_receives_and_sends_its_own_widths():
    federation = Federation(experiment())
    generator = torch.Generator()
    packets = [wire.pack(federation.method.download(federation.server, n, generator)) for n in range(3)]
    weights = sum(layer_sizes(federation.server))
    assert len(packets[1]) - len(packets[0]) == pytest.approx(2 * weights / 8, abs=40)
    assert len(packets[2]) - len(packets[1]) == pytest.approx(4 * weights / 8, abs=40)
    record = federation.step()
    assert record.extras == {"bits": 4, "sent_bits": 4, "excess": 0}


def test_fp8_is_a_preset():
    assert fit(experiment(options=PRESETS["FP8"])).rounds[-1].extras["sent_bits"] == 8


def test_a_budget_that_is_no_whole_number_gives_the_width_below():
    federation = Federation(experiment(options={"budgets": "2.7-5.5"}))
    assert federation.server.state.bits.unique(dim=0).tolist() == [[2, 2], [5, 5]]


def test_the_old_name_is_refused_in_a_sentence_that_names_aqfl():
    with pytest.raises(ConfigError, match="method is 'fixed_width', but that is AQFL now: write 'aqfl'"):
        Experiment(method="fixed_width")
    assert "fixed_width" not in methods.METHODS.names


@pytest.mark.parametrize("update", UPDATES)
def test_engines_agree(update):
    case = experiment(partition="dirichlet", participants=4, options={"update": update}, engine="serial", lr=0.03)
    serial = Federation(case)
    threads = Federation(dataclasses.replace(case, engine="threads", workers=3))
    stacked = Federation(dataclasses.replace(case, engine="vectorized"))
    for a, b, c in zip(serial, threads, stacked, strict=True):
        assert (a.loss, a.bytes_up, a.accuracy, a.moved) == (b.loss, b.bytes_up, b.accuracy, b.moved)
        assert a.loss == pytest.approx(c.loss, rel=1e-2)
    for name, value in serial.server.weights.items():
        assert torch.equal(value, threads.server.weights[name]), name
        assert float((value - stacked.server.weights[name]).abs().mean()) < 2e-3, name


@pytest.mark.parametrize("update", ["integer", "frozen"])
def test_clients_of_all_widths_train_in_one_stack(monkeypatch, update):
    from fqlab.federation.engines import vectorized

    sizes = []
    train = vectorized._train
    monkeypatch.setattr(
        vectorized, "_train", lambda s, members, model: sizes.append(len(members)) or train(s, members, model)
    )
    fit(experiment(rounds=1, options={"update": update}))
    assert sizes == [5]


# ------------------------------------------------------------------------------------- what a client trains


def test_frozen_codes_do_not_move_and_the_rest_does():
    federation = Federation(experiment(options={"update": "frozen"}, rounds=1, momentum=0, lr=0.01))
    start = federation.server.weights
    before = federation.method.codes(federation.server, 2)
    record = federation.step()
    assert set(record.moved) == set(before)
    assert all(share == 0 for shares in record.moved.values() for share in shares)
    assert not torch.equal(federation.server.weights["fc1.bias"], start["fc1.bias"])


def test_fake_quantization_is_one_step_of_sgd_through_a_rounded_forward_pass():
    """One client, one step on all data: start, slope and upload from PyTorch alone."""
    e = Experiment(
        method="aqfl", clients=1, rounds=1, batch_size=2000, lr=0.5, options={"budgets": 3, "update": "fake"}
    )
    federation = Federation(e)
    whole = federation.simulation.dataset
    model = federation.simulation.model
    rounded = lambda w: quantize(w, max_abs(w, grid), grid).dequantize()
    grid = Grid(3, "sign_magnitude")
    start = {n: rounded(w) if n.endswith("weight") else w for n, w in federation.server.weights.items()}
    leaves = {n: w.clone().requires_grad_() for n, w in start.items()}
    torch.nn.functional.cross_entropy(functional_call(model, leaves, (whole.train_x,)), whole.train_y).backward()
    federation.step()
    for name, leaf in leaves.items():
        moved = start[name] - 0.5 * leaf.grad
        expected = rounded(moved) if name.endswith("weight") else moved
        assert torch.allclose(federation.server.weights[name], expected, atol=1e-5), name


def test_the_average_is_plain_whatever_the_budgets_and_sizes():
    federation = Federation(experiment(partition="quantity_skew", rounds=1, options={"budgets": "1-8"}))
    sent = []
    average = federation.method.averaged
    spy = lambda server, updates: sent.extend(updates) or average(server, updates)
    object.__setattr__(federation.method, "averaged", spy)
    federation.step()
    for name, value in federation.server.weights.items():
        mean = sum(update.payload.decode()[name].double() for update in sent) / 5
        assert torch.allclose(value.double(), mean, atol=1e-6), name


# ------------------------------------------------------------------------------------------- models of one's own


def test_personal_accuracy_is_that_of_the_quantized_models():
    federation = Federation(experiment(rounds=1, partition="dirichlet", options={"budgets": "1-8"}))
    record = federation.step()
    assert len(federation.model_of(0)["fc1.weight"].unique()) <= 3
    assert 0 <= record.personal <= 1


def test_a_model_that_clients_share_is_judged_once_with_everybodys_accuracy(monkeypatch):
    """Five clients with the widths 1 and 8 in turn have two models; with BatchNorm statistics of their own they have five."""
    federation = Federation(experiment(rounds=1, partition="dirichlet", options={"budgets": "1-8"}))
    federation.step()
    simulation = federation.simulation
    models_of = [federation.model_of(client) for client in range(5)]
    expected = [simulation.accuracy(simulation.model, c, 1, weights) for c, weights in enumerate(models_of)]
    judged = []
    personalized = AQFL.personalized
    spy = lambda self, server, client, state: judged.append(client) or personalized(self, server, client, state)
    monkeypatch.setattr(AQFL, "personalized", spy)
    assert federation.personal(1) == pytest.approx(expected, abs=1e-6)
    assert len(set(expected)) > 2
    assert sorted(judged) == [0, 1]
    judged.clear()
    own = Federation(experiment(model="resnet8", rounds=1, options={"budgets": "1-8"}, lr=0.01))
    own.personal(1)
    assert sorted(judged) == [0, 1, 2, 3, 4]


def test_a_clients_own_model_has_statistics_from_its_own_samples():
    federation = Federation(experiment(model="resnet8", rounds=1, clients=2, epochs=1, engine="serial"))
    first = federation.model_of(0)
    second = federation.model_of(1)
    assert not torch.equal(first["norm.running_var"], federation.server.weights["norm.running_var"])
    assert not torch.equal(first["norm.running_var"], second["norm.running_var"])
    assert torch.equal(first["norm.weight"], federation.server.weights["norm.weight"])


def test_activations_are_quantized_where_the_network_says_so():
    digits = data.load("digits")
    count = lambda model: sum(isinstance(m, QuantizedActivation) for m in model.modules())
    assert count(AQFL().network(models.make("resnet8", digits, 0))) == 6
    assert count(AQFL().network(models.make("mlp", digits, 0))) == 0
    assert count(AQFL(activation_bits=4).network(models.make("mlp", digits, 0))) == 1
    assert count(AQFL(activation_bits=0).network(models.make("resnet8", digits, 0))) == 0


# ------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("budgets", "0.5-4"), ("budgets", 9), ("budgets", "two"), ("penalty", -1), ("penalty", 11),
        ("update", "real"), ("activation_bits", 9), ("activation_bits", "few"),
    ],
)  # fmt: skip
def test_bad_settings_in_one_sentence(option, value):
    with pytest.raises(ConfigError, match=f"^{option} is .*\\.$"):
        AQFL(**{option: value})


def test_a_model_without_quantizable_layers():
    spec = Spec(("norm.weight",), (), {"norm.weight": 3})
    with pytest.raises(ConfigError, match="no Conv or Linear weights"):
        AQFL().start(Server(spec, {"norm.weight": torch.ones(3)}, {}, 2))


def test_example_in_the_docstring():
    assert doctest.testmod(fqlab.methods.aqfl).failed == 0
