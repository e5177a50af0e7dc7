"""Engines differ in where clients run, and in nothing else."""

from __future__ import annotations

import dataclasses
import platform

import pytest
import torch

from fqlab import data, models
from fqlab.federation import Experiment, Federation, fit
from fqlab.federation.engines import auto, vectorized
from fqlab.federation.engines.memory import keep_memory
from fqlab.federation.engines.serial import ClientError
from fqlab.methods.lottery import Lottery

CASES = {
    "fedavg": dict(method="fedavg"),
    "skewed": dict(method="fedavg", partition="dirichlet", split={"alpha": 0.1}, momentum=0.5, weight_decay=1e-3),
    "upload": dict(method="clipped", options={"bits": 2, "rounding": "stochastic", "qat": False}),
    "aware": dict(method="clipped", options={"bits": "4-2", "rounding": "stochastic"}, partition="quantity_skew"),
    "widths": dict(method="clipped", options={"client_bits": "8-2-2", "averaging": "size"}, participants=5),
    "differences": dict(method="clipped", options={"client_bits": "8-2-2", "send": "differences"}, participants=5),
    "feedback": dict(method="fedpaq", options={"bits": 1, "clip": "octav", "rounding": "nearest", "feedback": True}),
    "qsgd": dict(method="fedpaq", options={"bits": 2, "clip": "norm", "grid": "sign_magnitude"}, participants=5),
    "dithered": dict(method="uveqfed", options={"bits": 2}),
    "hexagonal": dict(method="uveqfed", options={"lattice": "hexagonal"}),
    "rotated": dict(method="eden"),
    "votes": dict(method="sign", partition="quantity_skew"),
}


def experiment(case: str, **changes) -> Experiment:
    return Experiment(rounds=2, **CASES[case], **changes)


@pytest.mark.parametrize("engine", ["serial", "vectorized", "threads"])
@pytest.mark.parametrize("hook", ["download", "prepare", "upload", "aggregate", "personalized"])
def test_no_hook_of_a_method_runs_on_more_than_one_thread_of_its_own(hook, engine, monkeypatch):
    """Idle threads beside the workers spin: on a busy machine they took three quarters of a round of LotteryFL."""
    seen = []
    plain = getattr(Lottery, hook)
    spy = lambda self, *args: seen.append(torch.get_num_threads()) or plain(self, *args)
    monkeypatch.setattr(Lottery, hook, spy)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        federation = Federation(Experiment(method="lottery", clients=3, rounds=1, validation=0.2, engine=engine))
        federation.step()
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert set(seen) == {1}


@pytest.mark.parametrize("case", CASES)
def test_threads_give_the_bits_of_serial_for_any_worker_count(case):
    serial = fit(experiment(case))
    for workers in (1, 3):
        threads = fit(experiment(case, engine="threads", workers=workers))
        for name, value in serial.weights.items():
            assert torch.equal(value, threads.weights[name]), name
        assert [r.bytes_up for r in serial.rounds] == [r.bytes_up for r in threads.rounds]


@pytest.mark.parametrize("case", CASES)
def test_vectorized_is_serial_within_float_tolerance(case):
    """Before quantization; after it one rounded tie may move a whole step, so codes are compared as a share."""
    serial, stacked = Federation(experiment(case)), Federation(experiment(case, engine="vectorized"))
    first = serial.step()
    second = stacked.step()
    assert first.loss == pytest.approx(second.loss, rel=1e-4)
    assert first.participants == second.participants
    for name, value in serial.server.weights.items():
        other = stacked.server.weights[name]
        assert ((value - other).abs() > 1e-4).float().mean() < 0.01, name


def test_a_convolutional_model_goes_through_vmap_with_the_same_result():
    small = dict(model="digits_cnn", clients=3, rounds=1, batch_size=64)
    serial, stacked = fit(Experiment(**small)), fit(Experiment(**small, engine="vectorized"))
    for name, value in serial.weights.items():
        assert torch.allclose(value, stacked.weights[name], atol=1e-5), name


def test_a_stack_of_one_moves_its_statistics_and_gives_the_result_of_serial():
    alone = dict(model="resnet20_bn", clients=1, rounds=1, batch_size=720)
    serial, stacked = fit(Experiment(**alone)), fit(Experiment(**alone, engine="vectorized"))
    for name, value in serial.weights.items():
        assert torch.allclose(value, stacked.weights[name], atol=1e-5), name


def test_same_seed_same_bytes_and_another_seed_others():
    one, two = fit(experiment("upload")), fit(experiment("upload"))
    other = fit(dataclasses.replace(experiment("upload"), seed=1))
    assert all(torch.equal(one.weights[n], two.weights[n]) for n in one.weights)
    assert not all(torch.equal(one.weights[n], other.weights[n]) for n in one.weights)


def test_no_engine_touches_the_global_generator():
    before = torch.get_rng_state()
    for engine in ("serial", "threads", "vectorized"):
        fit(experiment("aware", engine=engine))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("engine", ["serial", "threads"])
def test_an_exception_names_round_client_and_layer(engine):
    digits = data.load("digits")
    narrow = dataclasses.replace(digits, train_x=digits.train_x[:, :, :4])
    model = models.make("mlp", digits, 0)
    federation = Federation(experiment("fedavg", engine=engine), dataset=narrow, model=model)
    with pytest.raises(ClientError, match="round 1, client 0, last layer fc1: RuntimeError"):
        federation.step()


def test_cancelled_between_clients_leaves_no_half_round():
    for engine in ("serial", "threads", "vectorized"):
        asked = iter([False])
        federation = Federation(experiment("fedavg", engine=engine), cancelled=lambda asked=asked: next(asked, True))
        before = {n: v.clone() for n, v in federation.server.weights.items()}
        rounds = list(federation)
        if not rounds:
            assert all(torch.equal(before[n], v) for n, v in federation.server.weights.items())
        assert len(rounds) < 2


@pytest.mark.parametrize(
    ("method", "options"),
    [("fedavg", {}), ("robust", {"variant": "mqat"}), ("robust", {"variant": "apqn"}),
     ("clipped", {"rounding": "stochastic"})],
)  # fmt: skip
def test_alike_clients_share_a_stack_even_if_their_objective_draws(method, options, monkeypatch):
    stacks = []
    train = vectorized._train
    monkeypatch.setattr(
        vectorized, "_train", lambda s, stack, model: stacks.append(len(stack)) or train(s, stack, model)
    )
    fit(Experiment(method=method, options=options, rounds=1, clients=4, engine="vectorized"))
    assert stacks == [4]


def test_auto_takes_the_engine_with_the_shortest_step_and_says_what_it_measured(monkeypatch):
    monkeypatch.setattr(auto, "measure", lambda simulation: {"serial": 3.0, "threads": 1.0, "vectorized": 2.0})
    federation = Federation(experiment("fedavg", engine="auto"))
    assert federation.engine == "threads"
    assert federation.step_seconds["vectorized"] == 2.0
    first = federation.step()
    serial = Federation(experiment("fedavg")).step()
    assert first.loss == serial.loss


@pytest.mark.parametrize(
    ("changes", "among"),
    [
        ({}, {"serial", "threads", "vectorized"}),
        ({"workers": 1}, {"serial", "vectorized"}),
        ({"model": "digits_cnn", "clients": 2}, {"serial", "threads", "vectorized"}),
        ({"clients": 1}, {"serial", "vectorized"}),
    ],
)
def test_what_auto_measures(changes, among):
    federation = Federation(Experiment(engine="auto", rounds=1, **changes))
    assert set(federation.step_seconds) == among
    assert all(seconds > 0 for seconds in federation.step_seconds.values())
    assert federation.step().participants


def test_freed_memory_is_kept_where_the_allocator_can():
    """Told once; a second telling is the same answer, and on other systems nothing is told."""
    assert keep_memory() is keep_memory()
    assert keep_memory() == (platform.libc_ver()[0] == "glibc")
