"""BSQ as a method: central training against a loop of its own, phases, precision, engines, checkpoints."""

from __future__ import annotations

import dataclasses
import doctest

import pytest
import torch
from torch.nn.functional import cross_entropy

import fqlab.methods.bsq
from fqlab.errors import ConfigError
from fqlab.federation import Experiment, Federation, fit
from fqlab.federation.engines import ClientTask
from fqlab.methods.base import Server, Spec
from fqlab.methods.bsq import BSQ
from fqlab.quant import Grid
from fqlab.studies.bsq import outcome

FAST = {"clients": 4, "batch_size": 64, "rounds": 4, "engine": "vectorized"}


def experiment(**changes) -> Experiment:
    options = {"penalty": 0.02, "warmup": 1} | changes.pop("options", {})
    return Experiment(**(FAST | {"method": "bsq", "options": options} | changes))


def published_loop(federation: Federation, epochs: int, alpha: float) -> dict[str, torch.Tensor]:
    """§A.3-A.4 for the digits MLP with torch.optim.SGD: fqlab gives data, batches and first weights."""
    simulation = federation.simulation
    settings = federation.experiment
    layers = {}
    variables = []
    total = sum(v.numel() for v in federation.server.weights.values())
    for name, w in federation.server.weights.items():
        s = w.abs().max()
        r = torch.round(w.abs() / s * 255)
        digits = torch.stack([torch.floor(r / 2**b) % 2 for b in range(8)])
        p, n = (digits * (w > 0)).requires_grad_(), (digits * (w < 0)).requires_grad_()
        layers[name] = (p, n, s.clone().requires_grad_())
        variables += layers[name]

    def weights(name: str) -> torch.Tensor:
        p, n, s = layers[name]
        power = 2.0 ** torch.arange(8).reshape((8,) + (1,) * (p.dim() - 1))
        u = (power * (p - n)).sum(0) / 255
        q = (u.clamp(-1, 1) * 255).round() / 255
        return s * (u + (q - u).detach())

    optimizer = torch.optim.SGD(variables, lr=settings.lr, weight_decay=settings.weight_decay)
    for epoch in range(1, epochs + 1):
        task = ClientTask(0, epoch, b"")
        for batch in simulation.plan(simulation.client(task, simulation.model)):
            x = simulation.dataset.train_x[batch].flatten(1)
            y = simulation.dataset.train_y[batch]
            hidden = torch.relu(x @ weights("fc1.weight").T + weights("fc1.bias"))
            loss = cross_entropy(hidden @ weights("fc2.weight").T + weights("fc2.bias"), y)
            for p, n, _ in layers.values():
                norms = [(p[b].square().sum() + n[b].square().sum() + 1e-8).sqrt() for b in range(8)]
                loss = loss + alpha * p[0].numel() * 8 / total * torch.stack(norms).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                for p, n, _ in layers.values():
                    p.clamp_(0, 2), n.clamp_(0, 2)
    return {name: weights(name).detach() for name in layers}


def test_one_client_is_the_published_central_training():
    """Three rounds between adjustments, which must not be noticed, against three epochs without rounds."""
    options = {"penalty": 0.002, "warmup": 0, "interval": 99, "precondition": False}
    central = experiment(clients=1, rounds=3, lr=0.03, weight_decay=1e-3, engine="serial", options=options)
    federation = Federation(central)
    expected = published_loop(federation, 3, 0.002)
    list(federation)
    for name, w in federation.method.evaluation_weights(federation.server).items():
        step = float(expected[name].abs().max()) / 255
        assert float((w - expected[name]).abs().max()) < 2.5 * step, name  # a tie may round the other way
        assert float((w - expected[name]).abs().mean()) < 0.05 * step, name


def test_starts_at_eight_bits_and_compression_four():
    """A.13 (iv)."""
    federation = Federation(experiment(options={"warmup": 0}))
    numbers = federation.method.report(federation.server, [])
    assert (numbers["bits"], numbers["compression"]) == (8.0, 4.0)
    assert {k for k in numbers if k.startswith("bits/")} == {
        f"bits/fc{i}.{k}" for i in (1, 2) for k in ("weight", "bias")
    }


def test_only_weights_if_biases_stay():
    federation = Federation(experiment(options={"biases": False, "warmup": 0}))
    assert federation.method.layers(federation.simulation.spec) == ("fc1.weight", "fc2.weight")
    assert list(federation.method.codes(federation.server)) == ["fc1.weight", "fc2.weight"]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("penalty", [0.026, 0.028, 0.03, 0.032, 0.034, 0.036])
def test_neighbouring_penalties_all_learn(penalty, seed):
    """Rates frozen at the start of a round gave .95, .94, .93, .93, .10, .10 for seed 0, and others on another processor."""
    assert outcome(penalty, seed).accuracy >= 0.8


def test_warm_up_is_federated_averaging():
    bsq = fit(experiment(rounds=2, options={"warmup": 3}))
    plain = fit(Experiment(**{**FAST, "rounds": 2}))
    assert all(torch.equal(w, plain.weights[n]) for n, w in bsq.weights.items())
    assert bsq.rounds[-1].extras == {}


def test_penalty_buys_bits_and_no_penalty_buys_none():
    central = {"clients": 1, "rounds": 8, "lr": 0.05}
    bits = [fit(experiment(**central, options={"penalty": a})).rounds[-1].extras["bits"] for a in (0.0, 0.3)]
    assert bits[0] > 7.9
    assert bits[1] < 5


def test_widths_change_only_when_due():
    federation = Federation(experiment(rounds=7, options={"penalty": 0.3, "interval": 3, "warmup": 1}))
    table = []
    for _ in federation:
        table.append(federation.server.state.bits.tolist())
    assert table[0] == table[1] == table[2] == [8, 8, 8, 8]
    assert table[3] == table[4] == table[5]
    assert sum(table[3]) < 32
    assert federation.client_states == {}  # after an adjustment nothing is remembered


def test_clients_remember_planes_between_adjustments_only():
    federation = Federation(experiment(rounds=3, options={"interval": 2, "warmup": 0}))
    federation.step()
    assert federation.client_states[0].planes["fc1.weight/planes"].shape == (2, 8, 64, 64)
    federation.step()
    assert federation.client_states == {}


def test_fine_tuning_freezes_the_scheme_and_trains_on():
    options = {"penalty": 0.3, "warmup": 2, "finetune_after": 2}
    federation = Federation(experiment(clients=1, rounds=8, lr=0.05, options=options))
    rounds = list(federation)
    schemes = [{k: v for k, v in r.extras.items() if k.startswith("bits/")} for r in rounds]
    assert schemes[3] == schemes[7] != schemes[1]
    assert rounds[7].loss < rounds[3].loss
    assert rounds[7].accuracy >= rounds[3].accuracy
    assert "fc1.weight/net" in federation.client_states[0].planes


def test_a_layer_of_zeros_counts_no_bits_once_tuned():
    method = BSQ(finetune_after=1)
    spec = Spec(("a.weight", "b.weight"), ("a.weight", "b.weight"), {"a.weight": 3, "b.weight": 1})
    server = method.start(Server(spec, {"a.weight": torch.tensor([1.0, 0.5, 0.0]), "b.weight": torch.zeros(1)}, {}, 1))
    assert method.mean_bits(server) == (3 * 8 + 8) / 4
    tuned = dataclasses.replace(server, state=dataclasses.replace(server.state, done=torch.tensor(1)))
    tuned = method.with_codes(tuned, tuned.weights, method.codes(tuned))
    assert method.widths(tuned) == {"a.weight": 8, "b.weight": 0}


def test_clients_that_strip_lsbs_hand_on_their_step():
    """The step is the clients' mean: 4, −6 on step 0.1, stripped by the client, are 2, −3 on step 0.2."""
    federation = Federation(experiment(clients=1, options={"warmup": 0}))
    method = federation.method
    average = torch.tensor([0.4, -0.6])
    step = torch.tensor(0.2)
    codes = method.rounded(average, step, 8, free=True)
    assert (codes.grid.bits, codes.values.tolist()) == (2, [2, -3])
    assert method.rounded(average, step, 8, free=False).grid == Grid(8, "sign_magnitude")


@pytest.mark.parametrize(("strip", "expected"), [("both", 1), ("msb", 3), ("none", 8)])
def test_what_may_be_stripped(strip, expected):
    method = BSQ(strip=strip)
    assert method.rounded(torch.tensor([0.4, 0.0]), torch.tensor(0.1), 8, free=True).grid.bits == expected


def test_growth_adds_a_bit_where_planes_overflow():
    for growth, expected in ((True, 3), (False, 2)):
        method = BSQ(growth=growth)
        assert method.rounded(torch.tensor([0.5]), torch.tensor(0.1), 2, free=True).grid.bits == expected


def test_penalty_is_a_price_when_there_is_a_budget():
    options = {"penalty": 0.0, "budget": 5.0, "dual_step": 0.02}
    history = fit(experiment(clients=1, rounds=10, lr=0.05, options=options))
    penalties = [r.extras["penalty"] for r in history.rounds]
    bits = [r.extras["bits"] for r in history.rounds]
    for before, after, width in zip(penalties, penalties[1:], bits[1:], strict=False):
        assert after == pytest.approx(max(0.0, before + 0.02 * (width - 5.0)), abs=1e-6)
    assert max(penalties) > 0
    assert bits[-1] < 8


@pytest.mark.parametrize(
    "options", [{"interval": 2}, {"step": "proximal"}, {"finetune_after": 1, "precondition": False}]
)
def test_engines_agree(options):
    case = experiment(rounds=3, lr=0.05, partition="dirichlet", options=options, engine="serial")
    serial = Federation(case)
    threads = Federation(dataclasses.replace(case, engine="threads", workers=3))
    stacked = Federation(dataclasses.replace(case, engine="vectorized"))
    for a, b, c in zip(serial, threads, stacked, strict=True):
        assert (a.loss, a.bytes_up, a.bytes_down, a.accuracy) == (b.loss, b.bytes_up, b.bytes_down, b.accuracy)
        assert a.loss == pytest.approx(c.loss, rel=2e-3)
    for name, value in serial.server.weights.items():
        assert torch.equal(value, threads.server.weights[name]), name
        assert float((value - stacked.server.weights[name]).abs().mean()) < 1e-3, name


def test_a_resumed_run_is_the_uninterrupted_run(tmp_path):
    case = experiment(rounds=5, participants=2, options={"interval": 3, "dual_step": 0.01, "budget": 6})
    whole = fit(case)
    path = tmp_path / "run.safetensors"
    fit(dataclasses.replace(case, rounds=3), checkpoint=path)
    resumed = fit(case, checkpoint=path)
    assert all(torch.equal(w, resumed.weights[n]) for n, w in whole.weights.items())
    assert [r.bytes_up for r in whole.rounds] == [r.bytes_up for r in resumed.rounds]


def test_bytes_follow_the_bits():
    history = fit(experiment(clients=1, rounds=8, lr=0.05, options={"penalty": 0.3}))
    bits = history.rounds[-2].extras["bits"] + 1  # and the sign
    sizes = 4096 + 64 + 640 + 10
    assert history.rounds[-1].bytes_down == pytest.approx(bits * sizes / 8, abs=900)
    assert history.rounds[-1].bytes_down < history.rounds[0].bytes_down / 4


@pytest.mark.parametrize("activation_bits", [2, 4])
def test_quantized_activations_train_on_every_engine(activation_bits):
    case = experiment(rounds=2, options={"activation_bits": activation_bits}, engine="serial")
    losses = [fit(dataclasses.replace(case, engine=e)).rounds[-1].loss for e in ("serial", "threads", "vectorized")]
    assert losses[0] == losses[1] == pytest.approx(losses[2], rel=1e-2)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("penalty", -0.1), ("penalty", 11), ("threshold", 1.5), ("interval", 0), ("bits", 9), ("budget", 0.5),
        ("budget", 8.5), ("dual_step", -1), ("activation_bits", 9), ("step", "newton"), ("strip", "lsb"),
        ("clip", "best"), ("warmup", -1), ("finetune_after", 1.5),
    ],
)  # fmt: skip
def test_bad_settings_in_one_sentence(option, value):
    with pytest.raises(ConfigError, match=f"^{option} is .*\\.$"):
        BSQ(**{option: value})


def test_a_model_without_quantizable_layers():
    spec = Spec(("norm.weight",), (), {"norm.weight": 3})
    with pytest.raises(ConfigError, match="no Conv or Linear weights"):
        BSQ().start(Server(spec, {"norm.weight": torch.ones(3)}))


def test_example_in_the_docstring():
    assert doctest.testmod(fqlab.methods.bsq).failed == 0
