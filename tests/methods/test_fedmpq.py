"""FedMPQ: budgets, pruning, averaging, the downlink of changes; digest §B.12."""

from __future__ import annotations

import dataclasses
import doctest

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import fqlab.methods.fedmpq
import fqlab.methods.fixed_width
from fqlab import wire
from fqlab.errors import ConfigError
from fqlab.federation import Experiment, Federation, fit
from fqlab.methods.base import ReceivedUpdate, Server, Spec
from fqlab.methods.changes import Known, receive
from fqlab.methods.fedmpq import ABLATION, FedMPQ, common_base, layer_sizes
from fqlab.quant import Codes, Grid, mean_bits
from fqlab.wire.delta import apply_changes, changes

FAST = {"clients": 5, "batch_size": 64, "rounds": 3, "engine": "vectorized", "method": "fedmpq"}


def experiment(**changes) -> Experiment:
    options = {"budgets": "2-4-8"} | changes.pop("options", {})
    return Experiment(**(FAST | {"options": options} | changes))


# -------------------------------------------------------------------------------------------------- budgets


@pytest.mark.parametrize("cutting", ["round_robin", "drain"])
def test_no_budget_is_ever_exceeded_and_none_is_wasted(cutting):
    federation = Federation(experiment(options={"budgets": "1.5-3-6.2", "epsilon": 0.1, "cutting": cutting}))
    sizes = layer_sizes(federation.server)
    for done in range(4):
        for n, widths in enumerate(federation.server.state.bits.tolist()):
            budget = federation.method.budget(n)
            spare = budget - mean_bits(sizes, widths)
            assert spare >= -1e-6
            assert all(spare < m / sum(sizes) + 1e-6 for m, b in zip(sizes, widths, strict=True) if b < 8)
        if done < 3:
            record = federation.step()
            assert record.extras["excess"] <= 1e-6


def test_every_client_receives_its_own_widths_and_bytes():
    federation = Federation(experiment())
    generator = torch.Generator()
    size = [len(wire.pack(federation.method.download(federation.server, n, generator))) for n in range(3)]
    weights = sum(layer_sizes(federation.server))
    assert size[1] - size[0] == pytest.approx(2 * weights / 8, abs=40)
    assert size[2] - size[1] == pytest.approx(4 * weights / 8, abs=40)


def test_pruning_everything_leaves_one_bit_and_the_server_restores_the_budget():
    """B.12: ε = 1."""
    record = fit(experiment(options={"epsilon": 1.0})).rounds[-1]
    assert record.extras["sent_bits"] == 1
    assert record.extras["bits"] == pytest.approx((2 + 4 + 8 + 2 + 4) / 5, abs=0.3)
    collapsed = fit(experiment(options={"epsilon": 1.0, "growing": False})).rounds[-1]
    assert collapsed.extras["bits"] == 1


def test_eight_bits_without_penalty_and_pruning_threshold_are_the_fixed_width():
    """B.12: uniform 8-bit budgets, λ = 0, ε = 0, as long as no MSB plane has emptied."""
    options = {"budgets": 8, "penalty": 0.0, "epsilon": 0.0}
    ours = fit(experiment(rounds=2, options=options))
    fixed = fit(experiment(rounds=2, method="fixed_width", options={"budgets": 8}))
    assert ours.rounds[-1].extras["sent_bits"] == 8
    assert all(torch.equal(w, fixed.weights[n]) for n, w in ours.weights.items())


def test_an_absent_client_keeps_its_reductions():
    federation = Federation(experiment(participants=2, options={"epsilon": 0.6}))
    record = federation.step()
    before = federation.server.state.reduced.clone()
    assert all(not before[n].any() for n in range(5) if n not in record.participants)
    assert any(before[n].any() for n in record.participants)
    second = federation.step()
    absent = [n for n in range(5) if n not in second.participants]
    assert torch.equal(federation.server.state.reduced[absent], before[absent])


def test_common_base_weighs_clients_and_rounds_halves_to_even():
    assert common_base([[2, 8], [4, 8]], [1, 1]) == [3, 8]
    assert common_base([[2], [3]], [1, 1]) == [2]
    assert common_base([[3], [4]], [1, 1]) == [4]
    assert common_base([[2, 8], [6, 4]], [3, 1]) == [3, 7]


# ------------------------------------------------------------------------------------------------ averaging


def uploads() -> tuple[Server, list[ReceivedUpdate]]:
    spec = Spec(("a.weight",), ("a.weight",), {"a.weight": 2})
    server = FedMPQ(budgets="2-6").start(Server(spec, {"a.weight": torch.ones(2)}, {}, 2, (10, 30)))
    sent = []
    for client, value in ((0, 3), (1, 1)):
        codes = Codes(torch.tensor([value, -value], dtype=torch.int16), Grid(2, "sign_magnitude"), torch.tensor(3.0))
        error = torch.tensor([4.0, 1.0][client])
        sent.append(
            ReceivedUpdate(client, server.samples[client], wire.Payload({"a.weight": codes}, {"a.weight/mse": error}))
        )
    return server, sent


@pytest.mark.parametrize(
    ("averaging", "first"),
    [
        ("budget", (2 * 10 * 3 + 6 * 30 * 1) / 200),
        ("size", (10 * 3 + 30 * 1) / 40),
        ("inverse_error", (0.25 * 3 + 1) / 1.25),
    ],
)
def test_weights_are_averaged_as_written(averaging, first):
    """B.6: p_n = v_n|D_n| / Σ v_j|D_j|, and its alternatives."""
    server, sent = uploads()
    method = FedMPQ(budgets="2-6", averaging=averaging)
    average = method.aggregate(server, sent).weights["a.weight"]
    assert average.tolist() == pytest.approx([first, -first])


def test_inverse_error_weights_travel():
    federation = Federation(experiment(options={"averaging": "inverse_error"}))
    federation.step()
    assert "fc1.weight/mse" in federation.method.expected_shapes(federation.server)
    assert federation.rounds[0].left_out == ()


# ----------------------------------------------------------------------------------- arms, prices, baselines


@pytest.mark.parametrize("arm", ABLATION)
def test_every_arm_of_the_ablation_runs(arm):
    record = fit(experiment(rounds=2, options=ABLATION[arm] | {"epsilon": 0.1})).rounds[-1]
    assert record.extras["excess"] <= 1e-6
    if arm == "fixed width":
        assert record.extras["bits"] == pytest.approx((2 + 4 + 8 + 2 + 4) / 5)


def test_the_fixed_width_arm_is_the_baseline():
    arm = fit(experiment(rounds=2, options=ABLATION["fixed width"]))
    baseline = fit(experiment(rounds=2, method="fixed_width"))
    assert all(torch.equal(w, baseline.weights[n]) for n, w in arm.weights.items())


def test_price_of_bits_starts_at_eight_and_falls_towards_the_budget():
    options = {"budgets": 3, "growing": False, "dual_step": 0.02, "penalty": 0.0, "epsilon": 0.02}
    history = fit(experiment(rounds=8, options=options))
    sent = [r.extras["sent_bits"] for r in history.rounds]
    assert sent[0] > 7
    assert sent[-1] < sent[0]
    assert history.rounds[0].extras["penalty"] > 0


def test_personal_accuracy_is_that_of_the_quantized_models():
    federation = Federation(experiment(rounds=1, partition="dirichlet", options={"budgets": "1-8"}))
    record = federation.step()
    weights = federation.method.personalized(federation.server, 0, {})
    assert len(weights["fc1.weight"].unique()) <= 3
    assert 0 <= record.personal <= 1


def test_level_aware_clips_and_the_bit_factor_are_switches():
    plain = fit(experiment(rounds=2, options={"epsilon": 0.6}))
    for options in ({"clip": "octav"}, {"bit_factor": True}, {"saturate": False}):
        other = fit(experiment(rounds=2, options={"epsilon": 0.6} | options))
        assert not torch.equal(plain.weights["fc1.weight"], other.weights["fc1.weight"])


# ----------------------------------------------------------------------------------------- engines, resuming

CASES = [{}, {"downlink": "changes", "step": "proximal"}, {"precondition": False, "activation_bits": 4}]


@pytest.mark.parametrize("options", CASES)
def test_engines_agree(options):
    case = experiment(rounds=2, partition="dirichlet", participants=4, options=options, engine="serial")
    serial = Federation(case)
    threads = Federation(dataclasses.replace(case, engine="threads", workers=3))
    stacked = Federation(dataclasses.replace(case, engine="vectorized"))
    for a, b, c in zip(serial, threads, stacked, strict=True):
        assert (a.loss, a.bytes_up, a.bytes_down, a.accuracy, a.personal) == (
            b.loss,
            b.bytes_up,
            b.bytes_down,
            b.accuracy,
            b.personal,
        )
        assert a.loss == pytest.approx(c.loss, rel=1e-2)
    for name, value in serial.server.weights.items():
        assert torch.equal(value, threads.server.weights[name]), name
        assert float((value - stacked.server.weights[name]).abs().mean()) < 2e-3, name


def test_clients_of_all_widths_train_in_one_stack(monkeypatch):
    from fqlab.federation.engines import vectorized

    sizes = []
    train = vectorized._train
    monkeypatch.setattr(
        vectorized, "_train", lambda simulation, members: sizes.append(len(members)) or train(simulation, members)
    )
    fit(experiment(rounds=1, options={"budgets": "2-4-8"}))
    assert sizes == [5]


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
    known = Known.nothing({"w": torch.Size([6])}, 1)
    held = None
    accept = [True, False, False, True, True, False, True]
    for good in accept:
        values = torch.randint(-7, 8, (6,), generator=generator).to(torch.int16)
        codes = {"w": Codes(values, Grid(3, "sign_magnitude"), torch.tensor(1.0))}
        received, held = receive(wire.unpack(wire.pack(known.send(0, codes))), ["w"], held)
        assert received == codes
        known = known.accepted({0: codes} if good else {})
        assert len(held.flatten()) <= 4


# ------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("budgets", "0.5-4"), ("budgets", 9), ("budgets", "two"), ("penalty", -1), ("penalty", 11),
        ("epsilon", -0.1), ("epsilon", 1.1), ("cutting", "even"), ("averaging", "mean"), ("clip", "best"),
        ("step", "newton"), ("dual_step", -1), ("downlink", "half"), ("activation_bits", 9),
    ],
)  # fmt: skip
def test_bad_settings_in_one_sentence(option, value):
    with pytest.raises(ConfigError, match=f"^{option} is .*\\.$"):
        FedMPQ(**{option: value})


def test_a_price_and_an_enforced_budget_exclude_each_other():
    with pytest.raises(ConfigError, match="dual_step is 0.1"):
        FedMPQ(dual_step=0.1)


def test_a_model_without_quantizable_layers():
    spec = Spec(("norm.weight",), (), {"norm.weight": 3})
    with pytest.raises(ConfigError, match="no Conv or Linear weights"):
        FedMPQ().start(Server(spec, {"norm.weight": torch.ones(3)}, {}, 2))


@pytest.mark.parametrize("module", [fqlab.methods.fedmpq, fqlab.methods.fixed_width])
def test_examples_in_the_docstrings(module):
    assert doctest.testmod(module).failed == 0
