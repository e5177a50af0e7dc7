"""The loop: what a round records, participation, the guard, checkpoints."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass

import pytest
import torch

from fqlab import data, wire
from fqlab.errors import ConfigError, DataError
from fqlab.federation import Experiment, Federation, fit, run
from fqlab.methods.base import ClientUpdate, Method


def test_digits_learn():
    history = fit(Experiment(rounds=10, engine="vectorized"))
    assert history.accuracy > 0.85
    assert [r.index for r in history.rounds] == list(range(1, 11))


def test_bytes_are_those_of_the_packets():
    federation = Federation(Experiment(rounds=2, method="clipped", options={"bits": 2}, participants=4))
    packet = len(wire.pack(federation.method.download(federation.server, 0, torch.Generator())))
    first, second = federation
    assert first.bytes_down == 4 * packet
    for record in (first, second):
        assert record.bytes_up == federation.ledger.total(round_index=record.index, direction="up")
        assert record.bytes_down == federation.ledger.total(round_index=record.index, direction="down")
    assert first.code_bits == 4 * 2 * (64 * 64 + 64 * 10)


def test_participants_are_drawn_by_logical_id_and_differ_between_rounds():
    rounds = list(run(Experiment(rounds=6, clients=20, participants=5, engine="vectorized")))
    assert all(len(set(r.participants)) == 5 and list(r.participants) == sorted(r.participants) for r in rounds)
    assert len({r.participants for r in rounds}) > 1


def test_evaluation_can_be_rarer_than_rounds():
    rounds = list(run(Experiment(rounds=5, evaluate_every=2, engine="vectorized")))
    assert [math.isnan(r.accuracy) for r in rounds] == [True, False, True, False, False]


@dataclass(frozen=True)
class Diverging(Method):
    """Client 2 sends NaN, client 3 the wrong shape, client 4 a giant, client 5 nothing."""

    def upload(self, params, buffers, task, client):
        payload = dict(super().upload(params, buffers, task, client).payload)
        if client.id == 2:
            payload["fc1.bias"] = payload["fc1.bias"] * math.nan
        if client.id == 3:
            payload["fc2.bias"] = torch.zeros(3)
        if client.id == 4:
            payload["fc2.weight"] = payload["fc2.weight"] + 1e9
        if client.id == 5:
            del payload["fc1.weight"]
        return ClientUpdate(wire.Payload(tensors=payload))


@pytest.mark.parametrize("engine", ["serial", "threads", "vectorized"])
def test_the_guard_leaves_bad_updates_out_and_names_client_and_layer(engine):
    federation = Federation(Experiment(engine=engine, rounds=1), method=Diverging())
    record = federation.step()
    assert [text.partition(":")[0] for text in record.left_out] == [f"client {i}" for i in (2, 3, 4, 5)]
    for layer, text in zip(("fc1.bias", "fc2.bias", "fc2.weight", "fc1.weight"), record.left_out, strict=True):
        assert layer in text
    assert all(bool(v.isfinite().all()) and v.abs().max() < 10 for v in federation.server.weights.values())


@pytest.mark.parametrize("engine", ["serial", "vectorized"])
def test_a_client_with_nan_data_is_left_out_and_the_round_goes_on(engine):
    for method, options in (("fedavg", {}), ("clipped", {"bits": 2}), ("clipped", {"qat": False})):
        experiment = Experiment(method=method, options=options, engine=engine, rounds=1)
        digits = data.load("digits")
        broken = digits.train_x.clone()
        broken[Federation(experiment).simulation.train[1]] = math.nan
        federation = Federation(experiment, dataset=dataclasses.replace(digits, train_x=broken))
        record = federation.step()
        assert [t.partition(":")[0] for t in record.left_out] == ["client 1"]
        assert record.accuracy > 0.1


@pytest.mark.parametrize("case", [dict(), dict(method="clipped", options={"bits": 2, "rounding": "stochastic"})])
def test_a_resumed_run_is_bitwise_the_one_that_never_stopped(tmp_path, case):
    whole = fit(Experiment(rounds=4, participants=6, **case))
    path = tmp_path / "run.safetensors"
    first = Federation(Experiment(rounds=4, participants=6, **case), checkpoint=path)
    first.step(), first.step()
    second = Federation(Experiment(rounds=4, participants=6, engine="threads", **case), checkpoint=path)
    assert len(list(second)) == 2
    assert all(torch.equal(v, second.server.weights[n]) for n, v in whole.weights.items())
    kept = [(r.index, r.accuracy, r.bytes_up, r.participants) for r in second.rounds]
    assert kept == [(r.index, r.accuracy, r.bytes_up, r.participants) for r in whole.rounds]


def test_a_checkpoint_of_another_experiment_or_a_damaged_one_is_refused(tmp_path):
    path = tmp_path / "run.safetensors"
    Federation(Experiment(rounds=1), checkpoint=path).step()
    with pytest.raises(ConfigError, match="belongs to another experiment"):
        Federation(Experiment(rounds=1, seed=1), checkpoint=path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="can't be read"):
        Federation(Experiment(rounds=1), checkpoint=path)
    assert [p.name for p in tmp_path.iterdir()] == ["run.safetensors"]


def test_history_as_json():
    history = fit(Experiment(rounds=2, evaluate_every=2, engine="vectorized"))
    stored = json.loads(history.to_json())
    assert Experiment.from_dict(stored["experiment"]) == history.experiment
    assert stored["rounds"][0]["accuracy"] is None
    assert stored["rounds"][1]["accuracy"] == history.accuracy


def test_validation_samples_are_held_back():
    simulation = Federation(Experiment(validation=0.2)).simulation
    for train, held in zip(simulation.train, simulation.validation, strict=True):
        assert len(held) == int(0.2 * (len(train) + len(held)))
        assert not set(train) & set(held)
