"""FedMPQ: pruning on the client, one shared history, widths cut and grown to budgets."""

from __future__ import annotations

import dataclasses
import doctest

import pytest
import torch

import fqlab.methods.fedmpq
from fqlab import wire
from fqlab.errors import ConfigError
from fqlab.federation import Experiment, Federation, fit
from fqlab.methods import acting
from fqlab.methods.aqfl import layer_sizes
from fqlab.methods.base import ReceivedUpdate, Server, Spec
from fqlab.methods.fedmpq import ABLATION, FedMPQ, common_base, history
from fqlab.quant import Codes, Grid, mean_bits

FAST = {"clients": 5, "batch_size": 64, "rounds": 3, "engine": "vectorized", "method": "fedmpq"}


def experiment(**changes) -> Experiment:
    options = {"budgets": "2-4-8", "update": "latent"} | changes.pop("options", {})
    return Experiment(**(FAST | {"options": options} | changes))


# -------------------------------------------------------------------------------------------------- budgets


@pytest.mark.parametrize("update", ["integer", "latent"])
def test_no_budget_is_ever_exceeded_and_none_is_wasted(update):
    federation = Federation(experiment(options={"budgets": "1.5-3-6.2", "epsilon": 0.1, "update": update}))
    sizes = layer_sizes(federation.server)
    for _ in range(3):
        record = federation.step()
        assert record.extras["excess"] <= 1e-6
        for n, widths in enumerate(federation.server.state.bits.tolist()):
            spare = federation.method.budget(n) - mean_bits(sizes, widths)
            assert spare >= -1e-6
            assert all(spare < m / sum(sizes) + 1e-6 for m, b in zip(sizes, widths, strict=True) if b < 8)


def test_pruning_everything_leaves_one_bit_and_the_server_restores_the_budget():
    record = fit(experiment(options={"epsilon": 1.0})).rounds[-1]
    assert record.extras["sent_bits"] == 1
    assert record.extras["bits"] == pytest.approx((2 + 4 + 8 + 2 + 4) / 5, abs=0.3)
    collapsed = fit(experiment(options={"epsilon": 1.0, "growing": False})).rounds[-1]
    assert collapsed.extras["bits"] == 1


@pytest.mark.parametrize("update", ["integer", "latent", "frozen"])
def test_without_pruning_and_growing_it_is_aqfl(update):
    arm = fit(experiment(rounds=2, options={"pruning": False, "growing": False, "update": update}))
    aqfl = fit(experiment(rounds=2, method="aqfl", options={"update": update}))
    assert all(torch.equal(w, aqfl.weights[n]) for n, w in arm.weights.items())


def test_an_absent_client_keeps_its_widths():
    federation = Federation(experiment(participants=2, options={"epsilon": 0.6}))
    before = federation.server.state.bits
    record = federation.step()
    after = federation.server.state.bits
    absent = [n for n in range(5) if n not in record.participants]
    assert torch.equal(after[absent], before[absent])
    assert not torch.equal(after, before)


# ---------------------------------------------------------------------------------- one round's widths by hand


def received(client: int, samples: int, widths: list[int]) -> ReceivedUpdate:
    codes = {
        f"{k}.weight": Codes(torch.zeros(1, dtype=torch.int16), Grid(b, "sign_magnitude"), torch.tensor(1.0))
        for k, b in enumerate(widths)
    }
    return ReceivedUpdate(client, samples, wire.Payload(codes, {}))


def test_widths_of_the_next_round_by_hand():
    """Layers of 10, 20 and 70 weights; budgets 2 and 6, 30 and 10 samples: p = (.5, .5).

    Sent (2 2 1) and (6 5 3) of (2 2 2) and (6 6 6): b̄ = round(4, 3.5, 2) = (4 4 2), Δ̄ = round(1, 1.5, 3) = (1 2 3),
    ρ = (10 40 210). Client 0 may spend 200: the base costs 260, one bit of the last layer less is 190, then one more
    in the first: (5 4 1). Client 1 may spend 600: 8 bits for the first two are 240 + 140, three more of the last
    590, and nothing costs 10: (8 8 5).
    """
    names = tuple(f"{k}.weight" for k in range(3))
    sizes = dict(zip(names, (10, 20, 70), strict=True))
    weights = {name: torch.ones(n) for name, n in sizes.items()}
    method = FedMPQ(budgets="2-6")
    server = method.start(Server(Spec(names, names, sizes), weights, None, 2, (30, 10)))
    updates = [received(0, 30, [2, 2, 1]), received(1, 10, [6, 5, 3])]
    assert method.next_widths(server, updates).bits.tolist() == [[5, 4, 1], [8, 8, 5]]


def test_the_common_base_weighs_clients_and_rounds_halves_to_even():
    table = lambda *rows: torch.tensor(rows)
    assert common_base(table([2, 8], [4, 8]), [1, 1]) == [3, 8]
    assert common_base(table([2], [3]), [1, 1]) == [2]
    assert common_base(table([3], [4]), [1, 1]) == [4]
    assert common_base(table([2, 8], [6, 4]), [3, 1]) == [3, 7]


def test_the_history_is_one_more_than_the_mean_reduction():
    table = lambda *rows: torch.tensor(rows)
    assert history(table([0, 1, 4], [0, 0, 2]), [1, 1]) == [1, 2, 4]  # 1, 1.5, 4
    assert history(table([1], [2]), [1, 1]) == [2]  # 2.5 to even


# ----------------------------------------------------------------------------------------------- arms, signs


@pytest.mark.parametrize("arm", ABLATION)
def test_every_arm_of_the_ablation_runs(arm):
    record = fit(experiment(rounds=2, options=acting("fedmpq", ABLATION[arm] | {"epsilon": 0.1}))).rounds[-1]
    assert record.extras["excess"] <= 1e-6
    if arm == "fixed width":
        assert record.extras["bits"] == pytest.approx((2 + 4 + 8 + 2 + 4) / 5)


def test_no_weight_changes_its_sign_inside_a_round():
    """A small ResNet at 8 bits, where most weights move; a scale that passes zero turns a whole layer."""
    e = experiment(model="resnet8", clients=2, rounds=2, lr=0.1, momentum=0.9, batch_size=32, engine="serial")
    e = dataclasses.replace(e, options={"budgets": 8, "update": "integer"})
    federation = Federation(e)
    sent = []
    average = federation.method.averaged
    spy = lambda server, updates: sent.append((server, updates)) or average(server, updates)
    object.__setattr__(federation.method, "averaged", spy)
    records = list(federation)
    assert max(records[-1].moved["stage1.0.conv1.weight"]) > 0.2
    for server, updates in sent:
        for update in updates:
            start = federation.method.codes(server, update.client)
            for name, codes in update.payload.codes.items():
                turns = set((codes.values.sign() * start[name].values.sign()).unique().tolist()) - {0}
                assert len(turns) == 1, name


def test_the_integer_update_needs_bits_to_move():
    """What the paper's effect is made of: at 2 bits nothing moves, at 8 most weights do."""
    e = experiment(method="aqfl", model="resnet8", clients=2, rounds=1, lr=0.1, momentum=0.9, batch_size=32)
    federation = Federation(dataclasses.replace(e, engine="serial", options={"budgets": "2-8", "update": "integer"}))
    moved = federation.step().moved
    assert all(shares[0] < 1e-3 for name, shares in moved.items() if name.startswith("stage"))
    assert all(shares[1] > 0.1 for name, shares in moved.items() if name.startswith("stage"))


# ----------------------------------------------------------------------------------------- engines, resuming


@pytest.mark.parametrize("options", [{"update": "integer"}, {"update": "latent"}, {"activation_bits": 4}])
def test_engines_agree(options):
    case = experiment(rounds=2, partition="dirichlet", participants=4, options=options, engine="serial", lr=0.03)
    case = dataclasses.replace(case, momentum=0.5)
    serial = Federation(case)
    threads = Federation(dataclasses.replace(case, engine="threads", workers=3))
    stacked = Federation(dataclasses.replace(case, engine="vectorized"))
    for a, b, c in zip(serial, threads, stacked, strict=True):
        for field in ("loss", "bytes_up", "bytes_down", "accuracy", "personal", "moved"):
            assert getattr(a, field) == getattr(b, field), field
        assert a.loss == pytest.approx(c.loss, rel=1e-2)
    for name, value in serial.server.weights.items():
        assert torch.equal(value, threads.server.weights[name]), name
        assert float((value - stacked.server.weights[name]).abs().mean()) < 2e-3, name


@pytest.mark.parametrize("update", ["integer", "latent"])
def test_a_resumed_run_is_the_uninterrupted_run(tmp_path, update):
    case = experiment(rounds=5, participants=3, momentum=0.9, lr=0.03, options={"epsilon": 0.1, "update": update})
    whole = fit(case)
    path = tmp_path / "run.safetensors"
    fit(dataclasses.replace(case, rounds=3), checkpoint=path)
    resumed = fit(case, checkpoint=path)
    assert all(torch.equal(w, resumed.weights[n]) for n, w in whole.weights.items())
    assert [r.moved for r in whole.rounds] == [r.moved for r in resumed.rounds]
    assert [(r.bytes_up, r.bytes_down) for r in whole.rounds] == [(r.bytes_up, r.bytes_down) for r in resumed.rounds]


# ------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(("option", "value"), [("epsilon", -0.1), ("epsilon", 1.1), ("budgets", 9), ("penalty", -1)])
def test_bad_settings_in_one_sentence(option, value):
    with pytest.raises(ConfigError, match=f"^{option} is .*\\.$"):
        FedMPQ(**{option: value})


def test_example_in_the_docstring():
    assert doctest.testmod(fqlab.methods.fedmpq).failed == 0
