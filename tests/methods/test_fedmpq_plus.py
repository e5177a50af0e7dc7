"""What is ours around FedMPQ: averages, orders, a price for bits, the downlink of changes."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fqlab import wire
from fqlab.errors import ConfigError
from fqlab.federation import Experiment, Federation, fit
from fqlab.methods import make
from fqlab.methods.base import ReceivedUpdate, Server, Spec
from fqlab.methods.changes import Known, receive
from fqlab.methods.fedmpq_plus import FedMPQPlus
from fqlab.quant import Codes, Grid
from fqlab.wire.delta import apply_changes, changes

FAST = {"clients": 5, "batch_size": 64, "rounds": 3, "engine": "vectorized", "method": "fedmpq_plus"}


def experiment(**changes) -> Experiment:
    options = {"budgets": "2-4-8", "update": "latent"} | changes.pop("options", {})
    return Experiment(**(FAST | {"options": options} | changes))


@pytest.mark.parametrize("update", ["integer", "latent"])
def test_at_its_defaults_it_is_fedmpq(update):
    options = {"update": update, "epsilon": 0.1}
    plus = fit(experiment(options=options))
    plain = fit(experiment(options=options, method="fedmpq"))
    assert all(torch.equal(w, plain.weights[n]) for n, w in plus.weights.items())
    assert [(r.bytes_up, r.bytes_down) for r in plus.rounds] == [(r.bytes_up, r.bytes_down) for r in plain.rounds]


# ------------------------------------------------------------------------------------------------ averaging


def uploads() -> tuple[Server, list[ReceivedUpdate]]:
    spec = Spec(("a.weight",), ("a.weight",), {"a.weight": 2})
    server = FedMPQPlus(budgets="2-6").start(Server(spec, {"a.weight": torch.ones(2)}, {}, 2, (10, 30)))
    sent = []
    for client, value in ((0, 3), (1, 1)):
        codes = Codes(torch.tensor([value, -value], dtype=torch.int16), Grid(2, "sign_magnitude"), torch.tensor(3.0))
        payload = wire.Payload({"a.weight": codes}, {"a.weight/mse": torch.tensor([4.0, 1.0][client])})
        sent.append(ReceivedUpdate(client, server.samples[client], payload))
    return server, sent


@pytest.mark.parametrize(
    ("averaging", "first"),
    [
        ("equal", (3 + 1) / 2),
        ("budget", (2 * 10 * 3 + 6 * 30 * 1) / 200),
        ("size", (10 * 3 + 30 * 1) / 40),
        ("inverse_error", (0.25 * 3 + 1) / 1.25),
    ],
)
def test_weights_are_averaged_as_written(averaging, first):
    server, sent = uploads()
    average = FedMPQPlus(budgets="2-6", averaging=averaging).aggregate(server, sent).weights["a.weight"]
    assert average.tolist() == pytest.approx([first, -first])


def test_inverse_error_weights_travel():
    federation = Federation(experiment(options={"averaging": "inverse_error"}))
    federation.step()
    assert "fc1.weight/mse" in federation.method.expected_shapes(federation.server)
    assert federation.rounds[0].left_out == ()


# ----------------------------------------------------------------------------------------- prices, switches


def test_price_of_bits_starts_at_eight_and_falls_towards_the_budget():
    options = {"budgets": 3, "growing": False, "dual_step": 0.02, "penalty": 0.0}
    history = fit(experiment(rounds=8, options=options))
    sent = [r.extras["sent_bits"] for r in history.rounds]
    assert sent[0] > 7
    assert sent[-1] < sent[0]
    assert history.rounds[0].extras["penalty"] > 0


def test_a_price_travels_and_acts_on_integer_digits_too():
    options = {"update": "integer", "growing": False, "dual_step": 0.02}
    record = fit(experiment(options=options)).rounds[-1]
    assert record.left_out == ()
    assert record.extras["penalty"] > 0.001


def test_every_switch_changes_the_run():
    plain = fit(experiment(rounds=2, options={"epsilon": 0.6}))
    for options in (
        {"clip": "octav"}, {"bit_factor": False, "penalty": 0.5}, {"precondition": False}, {"step": "proximal"},
        {"cutting": "round_robin"}, {"strip": "msb"},
    ):  # fmt: skip
        other = fit(experiment(rounds=2, options={"epsilon": 0.6} | options))
        assert not torch.equal(plain.weights["fc1.weight"], other.weights["fc1.weight"]), options


@pytest.mark.parametrize("cutting", ["drain", "round_robin"])
def test_no_budget_is_ever_exceeded(cutting):
    for record in Federation(experiment(options={"budgets": "1.5-3-6.2", "epsilon": 0.1, "cutting": cutting})):
        assert record.extras["excess"] <= 1e-6


# ----------------------------------------------------------------------------------------- engines, resuming


def test_engines_agree():
    options = {"downlink": "changes", "step": "proximal"}
    case = experiment(rounds=2, partition="dirichlet", participants=4, options=options, engine="serial")
    serial = Federation(case)
    stacked = Federation(dataclasses.replace(case, engine="vectorized"))
    for a, b in zip(serial, stacked, strict=True):
        assert a.loss == pytest.approx(b.loss, rel=1e-2)
    for name, value in serial.server.weights.items():
        assert float((value - stacked.server.weights[name]).abs().mean()) < 2e-3, name


@pytest.mark.parametrize("options", [{"downlink": "changes"}, {"growing": False, "dual_step": 0.01}])
def test_a_resumed_run_is_the_uninterrupted_run(tmp_path, options):
    case = experiment(rounds=5, participants=3, options=options | {"epsilon": 0.1})
    whole = fit(case)
    path = tmp_path / "run.safetensors"
    fit(dataclasses.replace(case, rounds=3), checkpoint=path)
    resumed = fit(case, checkpoint=path)
    assert all(torch.equal(w, resumed.weights[n]) for n, w in whole.weights.items())
    assert [(r.bytes_up, r.bytes_down) for r in whole.rounds] == [(r.bytes_up, r.bytes_down) for r in resumed.rounds]


# -------------------------------------------------------------------------------------------------- changes


@st.composite
def generations(draw):
    def one() -> Codes:
        bits = draw(st.integers(1, 8))
        top = 2**bits - 1
        values = draw(st.lists(st.integers(-top, top), min_size=5, max_size=5))
        return Codes(torch.tensor(values, dtype=torch.int16), Grid(bits, "sign_magnitude"), torch.tensor(0.5))

    return one(), one()


@given(generations())
def test_changes_are_exact(pair):
    old, new = pair
    planes, flips = changes(old.values, old.grid.bits, new)
    through = wire.unpack(wire.pack({"p": planes, "f": flips}))
    assert apply_changes(old.values, old.grid.bits, through["p"], through["f"]) == new


def test_what_did_not_change_takes_no_bytes():
    codes = Codes(torch.arange(-100, 100, dtype=torch.int16), Grid(7, "sign_magnitude"), torch.tensor(1.0))
    planes, flips = changes(codes.values, 7, codes)
    assert wire.measure(wire.pack({"p": planes, "f": flips})).code_bytes == 0
    nudged = Codes(codes.values.clone(), codes.grid, codes.clip)
    nudged.values[150] ^= 2
    planes, flips = changes(codes.values, 7, nudged)
    assert wire.measure(wire.pack({"p": planes, "f": flips})).code_bytes == 200 // 8


def test_changes_need_equal_shapes():
    codes = Codes(torch.zeros(2, dtype=torch.int16), Grid(1, "sign_magnitude"), torch.tensor(1.0))
    with pytest.raises(ConfigError, match="codes are"):
        changes(torch.zeros(3, dtype=torch.int16), 1, codes)


@pytest.mark.parametrize("coding", ["fixed", "zstd"])
def test_a_downlink_of_changes_gives_the_same_run(coding):
    case = experiment(rounds=5, participants=3, coding=coding, options={"epsilon": 0.1})
    full = fit(case)
    options = dict(case.options) | {"downlink": "changes"}
    delta = fit(dataclasses.replace(case, options=options))
    assert all(torch.equal(w, delta.weights[n]) for n, w in full.weights.items())
    assert delta.bytes_down < 1.1 * full.bytes_down if coding == "fixed" else delta.bytes_down < full.bytes_down


def test_a_refused_upload_does_not_put_server_and_client_at_odds():
    """The server goes on from the last version it knows the client holds, however often uploads fail."""
    generator = torch.Generator().manual_seed(0)
    mirror = Known.nothing({"w": torch.Size([6])}, 1)
    held = None
    accept = [True, False, False, True, True, False, True]
    for good in accept:
        values = torch.randint(-7, 8, (6,), generator=generator).to(torch.int16)
        codes = {"w": Codes(values, Grid(3, "sign_magnitude"), torch.tensor(1.0))}
        received, held = receive(wire.unpack(wire.pack(mirror.send(0, codes))), ["w"], held)
        assert received == codes
        mirror = mirror.accepted({0: codes} if good else {})
        assert len(held.flatten()) <= 4


# ------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("cutting", "even"), ("strip", "lsb"), ("averaging", "mean"), ("clip", "best"), ("step", "newton"), ("dual_step", -1),
        ("downlink", "half"), ("budgets", 9), ("epsilon", 2),
    ],
)  # fmt: skip
def test_bad_settings_in_one_sentence(option, value):
    with pytest.raises(ConfigError, match=f"^{option} is .*\\.$"):
        FedMPQPlus(**{option: value})


def test_a_price_and_an_enforced_budget_exclude_each_other():
    with pytest.raises(ConfigError, match="dual_step is 0.1"):
        FedMPQPlus(dual_step=0.1)


@pytest.mark.parametrize("setting", [{"step": "proximal"}, {"precondition": False}])
def test_what_belongs_to_latent_planes_needs_them(setting):
    with pytest.raises(ConfigError, match="changes nothing without update 'latent'"):
        make("fedmpq_plus", setting)
