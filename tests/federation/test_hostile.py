"""Hostile clients, refused uploads, absent clients, cancelled rounds: a client affects at most its own share.

The oracle of most tests is the same run without the hostile client: what is refused must leave no trace.
"""

from __future__ import annotations

import dataclasses
import math
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fqlab import methods, wire
from fqlab.aggregate import average
from fqlab.errors import ConfigError
from fqlab.federation import Experiment, Federation, engines, fit
from fqlab.federation.engines import ClientResult
from fqlab.methods import Method, clipped
from fqlab.quant import Codes, Grid
from fqlab.wire import Payload

SMALL = dict(clients=5, rounds=4, epochs=1, batch_size=50, lr=0.3, engine="vectorized", partition="n_class")
OPTIONS = {
    "lottery": {"gate": 0.0, "target": 0.3},
    "aqfl": {"update": "latent", "budgets": "2-4-8"},
    "fedmpq": {"update": "latent", "budgets": "2-4-8"},
    "fedmpq_plus": {"update": "latent", "downlink": "changes", "budgets": "2-4-8"},
    "bsq": {"interval": 2, "penalty": 0.3},
    "fedpaq": {"feedback": True},
    "clipped": {"bits": 3, "rounding": "stochastic"},
}
EVERY = list(methods.METHODS.names)


def experiment(method: str, **changes) -> Experiment:
    options = {**OPTIONS.get(method, {}), **changes.pop("options", {})}
    held = {"validation": 0.1} if method == "lottery" else {}
    return Experiment(method=method, options=options, **{**SMALL, **held, **changes})


@pytest.fixture
def tampered(monkeypatch):
    """Let ``change(result)`` have its way with what clients answer: a result, a list of results, or the same."""

    def install(change) -> None:
        def get(name: str):
            def run(*arguments):
                for result in real(name)(*arguments):
                    changed = change(result)
                    yield from changed if isinstance(changed, list) else [changed]

            return run

        monkeypatch.setattr(engines, "get", get)

    real = engines.get
    return install


def state_of(federation: Federation) -> dict[str, torch.Tensor]:
    """Everything that a run has come to, flat."""
    flat = {f"weights/{k}": v for k, v in federation.server.weights.items()}
    flat |= {f"server/{k}": v for k, v in federation.server.state.flatten().items()}
    for client, state in federation.client_states.items():
        flat |= {f"client/{client}/{k}": v for k, v in state.flatten().items()}
    return flat


def same(one: Federation, other: Federation) -> bool:
    a, b = state_of(one), state_of(other)
    return a.keys() == b.keys() and all(torch.equal(value, b[name]) for name, value in a.items())


def without(monkeypatch, client: int, round_index: int) -> None:
    """``client`` does not take part in that round."""
    real = Federation._participants

    def fewer(federation: Federation, index: int) -> list[int]:
        return [c for c in real(federation, index) if c != client or index != round_index]

    monkeypatch.setattr(Federation, "_participants", fewer)


# ---------------------------------------------------------------------------------------------------------- refusal


@pytest.mark.parametrize("round_index", [1, 2])
@pytest.mark.parametrize("method", EVERY)
def test_a_refused_upload_leaves_no_trace(method, round_index, tampered, monkeypatch):
    """The run in which client 2's upload is damaged is, to the bit, the run in which client 2 was absent."""
    seen = []

    def damage(result: ClientResult) -> ClientResult:
        seen.append(result.client)
        now = (len(seen) - 1) // SMALL["clients"] + 1
        broken = result.client == 2 and now == round_index
        return dataclasses.replace(result, packet=result.packet[:-1] + b"\xff\xff") if broken else result

    tampered(damage)
    refused = Federation(experiment(method))
    records = list(refused)
    assert [len(r.left_out) for r in records] == [int(i == round_index) for i in (1, 2, 3, 4)]
    monkeypatch.undo()
    without(monkeypatch, 2, round_index)
    absent = Federation(experiment(method))
    for _ in absent:
        pass
    assert same(refused, absent)


@pytest.mark.parametrize("method", EVERY)
def test_with_partial_participation_a_cancelled_and_a_resumed_run_are_the_whole_one(method, tmp_path):
    settings = experiment(method, clients=6, participants=3, rounds=5)
    whole = Federation(settings)
    for _ in whole:
        pass
    asked = 0

    def stop() -> bool:
        """Every third question is answered with yes."""
        nonlocal asked
        asked += 1
        return asked % 3 == 0

    half = Federation(dataclasses.replace(settings, engine="serial"), checkpoint=tmp_path / "run", cancelled=stop)
    for _ in range(2):
        before = state_of(half), len(half.ledger.entries), len(half.rounds)
        if half.step() is None:
            assert before[1:] == (len(half.ledger.entries), len(half.rounds))
            assert all(torch.equal(v, state_of(half)[k]) for k, v in before[0].items())
    half.cancelled = lambda: False
    while len(half.rounds) < 3:
        half.step()
    rest = Federation(dataclasses.replace(settings, engine="serial"), checkpoint=tmp_path / "run")
    assert len(list(rest)) == 2
    serial = Federation(dataclasses.replace(settings, engine="serial"))
    for _ in serial:
        pass
    assert same(rest, serial)
    for federation in (whole, half, rest, serial):
        assert federation.ledger.total() == sum(r.bytes_up + r.bytes_down for r in federation.rounds)
    assert [repr(e) for e in rest.ledger.entries] == [repr(e) for e in serial.ledger.entries]  # NaN is not NaN


def test_ctrl_c_in_the_middle_of_a_round_changes_nothing(tampered):
    federation = Federation(experiment("lottery"))
    federation.step()
    before = state_of(federation), list(federation.ledger.entries), list(federation.rounds)

    def stop(result: ClientResult) -> ClientResult:
        raise KeyboardInterrupt

    tampered(stop)
    with pytest.raises(KeyboardInterrupt):
        federation.step()
    assert all(torch.equal(v, state_of(federation)[k]) for k, v in before[0].items())
    assert (list(federation.ledger.entries), list(federation.rounds)) == before[1:]


# ------------------------------------------------------------------------------------------------- hostile payloads


def as_if(result: ClientResult, change) -> ClientResult:
    """``result`` with another payload in its packet."""
    payload = wire.unpack(result.packet, client=result.client)
    packet, size = wire.pack_measured(change(payload))
    return dataclasses.replace(result, packet=packet, size=size)


def first(payload: Payload, kind: str) -> str:
    return next(iter(getattr(payload, kind)))


def with_tensor(payload: Payload, value) -> Payload:
    """One float tensor of the payload, changed."""
    name = next(
        n for n, v in payload.tensors.items() if v.dtype == torch.float32 and v.numel() and not n.endswith("/mse")
    )
    return Payload(payload.codes, {**payload.tensors, name: value(payload.tensors[name])})


def with_codes(payload: Payload, value) -> Payload:
    """All codes of the payload, changed; where there are none, all tensors of more than one dimension."""
    codes = {name: value(layer) for name, layer in payload.codes.items()}
    return Payload({n: v for n, v in codes.items() if isinstance(v, Codes)}, {
        **payload.tensors, **{n: v for n, v in codes.items() if not isinstance(v, Codes)},
    })  # fmt: skip


FLOATS = {
    "NaN": lambda v: v * math.nan,
    "infinity": lambda v: v + math.inf,
    "1e30": lambda v: torch.full_like(v, 1e30),
    "wrong shape": lambda v: v[..., None],
    "too few": lambda v: v.flatten()[:-1],
    "integers": lambda v: torch.full(v.shape, 2**60),
    "truths": lambda v: v > 0,
}
CODED = {
    "numbers in place of codes": lambda c: c.dequantize(),
    "another grid": lambda c: Codes(
        c.values.clamp(0, 1), Grid(8, "narrow" if c.grid.kind != "narrow" else "midrise"), c.clip
    ),
    "a clip of 1e30": lambda c: Codes(c.values, c.grid, torch.tensor(1e30)),
    "a clip of NaN": lambda c: Codes(c.values, c.grid, torch.tensor(math.nan)),
    "codes of another shape": lambda c: Codes(c.values.flatten()[:-1], c.grid, c.clip),
}


@pytest.mark.parametrize("lie", [*FLOATS, *CODED])
@pytest.mark.parametrize("method", EVERY)
def test_what_is_no_answer_is_left_out_and_the_run_goes_on(method, lie, tampered, monkeypatch):
    """Client 1 lies in every round: it is named, and the run is the one without it."""
    if method == "standalone":
        pytest.skip("nothing is sent")

    def change(payload: Payload) -> Payload:
        return with_tensor(payload, FLOATS[lie]) if lie in FLOATS else with_codes(payload, CODED[lie])

    def tamper(result: ClientResult) -> ClientResult:
        return as_if(result, change) if result.client == 1 else result

    usual = wire.unpack(some_packet(method))
    if not (usual.codes if lie in CODED else [v for v in usual.tensors.values() if v.dtype == torch.float32]):
        pytest.skip("it sends nothing of that kind")
    tampered(tamper)
    hostile = Federation(experiment(method, rounds=2))
    assert [[text.partition(":")[0] for text in r.left_out] for r in hostile] == [["client 1"]] * 2
    monkeypatch.undo()
    real = Federation._participants
    monkeypatch.setattr(Federation, "_participants", lambda f, i: [c for c in real(f, i) if c != 1])
    honest = Federation(experiment(method, rounds=2))
    for _ in honest:
        pass
    assert same(hostile, honest)


def some_packet(method: str) -> bytes:
    """What a client of the method sends in its first round."""
    federation = Federation(experiment(method, rounds=1))
    tasks, _ = federation._download(1, [0])
    return next(iter(engines.get("serial")(federation.simulation, tasks, lambda: False, 1))).packet


# ------------------------------------------------------------------------------- ids, repeats, sizes


def test_answers_in_anothers_name_or_twice_are_not_heard(tampered):
    """Client 1 answers for client 2 as well, first, and again; and for a client that was not asked."""

    def tamper(result: ClientResult) -> ClientResult | list[ClientResult]:
        if result.client != 1:
            return result
        forged = as_if(result, lambda p: Payload(p.codes, {n: v * 0 + 9 for n, v in p.tensors.items()}))
        return [result, forged, dataclasses.replace(forged, client=77), dataclasses.replace(result, client=-1)]

    plain = Federation(experiment("fedavg", engine="serial"))
    for _ in plain:
        pass
    tampered(tamper)
    forged = Federation(experiment("fedavg", engine="serial"))
    for record in forged:
        assert record.participants == (0, 1, 2, 3, 4)
        assert record.left_out == ()
    assert same(plain, forged)


@pytest.mark.parametrize("method", [name for name in EVERY if name != "standalone"])
def test_a_replayed_round_is_at_most_one_vote(method, tampered):
    """Client 1 sends its first packet again and again: the run goes on, and nobody else is touched."""
    kept: dict[int, ClientResult] = {}

    def tamper(result: ClientResult) -> ClientResult:
        old = kept.setdefault(result.client, result)
        return dataclasses.replace(result, packet=old.packet, size=old.size) if result.client == 1 else result

    tampered(tamper)
    federation = Federation(experiment(method))
    for record in federation:
        assert all(text.startswith("client 1:") for text in record.left_out)
    assert all(bool(v.isfinite().all()) for v in federation.server.weights.values())


@pytest.mark.parametrize("method", EVERY)
def test_what_nobody_asked_for_kills_no_round(method, tampered):
    """Client 3 adds entries that look like what methods send, in shapes that they never have."""
    odd = [torch.zeros(0), torch.zeros(3, 0), torch.full((3,), -1.0), torch.ones(2, dtype=torch.bool), torch.arange(3)]
    odd.append(Codes(torch.zeros(0, dtype=torch.int16), Grid(2, "sign_magnitude"), torch.tensor(1.0)))
    names = (
        "extra",
        "extra/mse",
        "mask/extra",
        "fc1.weight/0",
        "fc1.weight/mse/x",
        "seed/x",
        "penalty",
        "versions",
        "phase",
    )

    def tamper(result: ClientResult) -> ClientResult:
        def more(payload: Payload) -> Payload:
            codes, tensors = dict(payload.codes), dict(payload.tensors)
            for name in names:
                for k, value in enumerate(odd):
                    (codes if isinstance(value, Codes) else tensors).setdefault(f"{k}{name}", value)
            return Payload(codes, tensors)

        return as_if(result, more) if result.client == 3 else result

    tampered(tamper)
    federation = Federation(experiment(method, rounds=2))
    for record in federation:
        assert all(text.startswith("client 3:") for text in record.left_out)
    assert len(federation.rounds) == 2


@pytest.mark.parametrize("big", ["tensor", "absent planes", "noise"])
def test_too_many_bytes_or_entries_are_refused_before_they_are_unpacked(big, tampered):
    def more(payload: Payload) -> Payload:
        if big == "tensor":
            return Payload(payload.codes, {**payload.tensors, "extra": torch.zeros(10**6, dtype=torch.float32)})
        empty = Codes(torch.zeros(2**25, dtype=torch.int16), Grid(8, "sign_magnitude"), torch.tensor(1.0))
        return Payload({**payload.codes, "extra": empty}, payload.tensors)

    def tamper(result: ClientResult) -> ClientResult:
        if result.client != 3:
            return result
        return dataclasses.replace(result, packet=b"\xff" * 10**7) if big == "noise" else as_if(result, more)

    tampered(tamper)
    record = Federation(experiment("fedavg", rounds=1)).step()
    assert len(record.left_out) == 1
    assert ("announces more than" if big == "absent planes" else "bytes, but at most") in record.left_out[0]


# ---------------------------------------------------------------------------------------------- weights by error


def fine(codes: Codes) -> Codes:
    """The same values, said to be on a grid of eight bits, whose noise is hundreds of times smaller."""
    return Codes(codes.values * 17, Grid(8, codes.grid.kind), codes.clip)


@pytest.mark.parametrize("lie", [lambda c: Codes(c.values, c.grid, c.clip * 1e-6), fine, lambda c: c])
def test_a_claim_of_no_error_does_not_take_the_round(lie, tampered):
    """Client 0 says that its layers have no error, and zeros, and a tiny clip or a fine grid. Its share of ten could be 1."""

    def tamper(result: ClientResult) -> ClientResult:
        if result.client != 0:
            return result
        free = lambda p: Payload(p.codes, {n: v * 0 if n.endswith("/mse") else v for n, v in p.tensors.items()})
        small = lambda c: lie(Codes(c.values, c.grid, c.clip * 1e-3))
        return as_if(result, lambda p: free(with_codes(p, small)))

    settings = dict(rounds=1, options={"bits": 4}, partition="iid", clients=10)
    honest = Federation(experiment("clipped", **settings))
    honest.step()
    tampered(tamper)
    for limit, most in ((0.0, 4 / 13), (1.0, 0.1)):
        hostile = Federation(experiment("clipped", **{**settings, "options": {"bits": 4, "limit": limit}}))
        hostile.step()
        for name in hostile.server.spec.quantizable:
            share = 1 - float(hostile.server.weights[name].norm() / honest.server.weights[name].norm())
            assert share < most + 0.05, (name, limit)


@pytest.mark.parametrize("partition", ["iid", "dirichlet"])
@pytest.mark.parametrize("bits", [2, 4, 8, "8-8, 2-2, 4-4"])
def test_what_honest_clients_say_is_believed(bits, partition, monkeypatch):
    """The bound is for liars: with the method's defaults, label skew included, it changes no honest run."""
    options = {"client_bits": bits} if isinstance(bits, str) else {"bits": bits}
    split = {"split": {"alpha": 0.3}} if partition == "dirichlet" else {}
    run = Experiment(
        method="clipped",
        options=options,
        partition=partition,
        lr=0.3,
        batch_size=32,
        rounds=5,
        engine="vectorized",
        **split,
    )
    bound = fit(run).weights
    monkeypatch.setattr(clipped, "TRUST", math.inf)
    free = fit(run).weights
    assert all(torch.equal(bound[name], free[name]) for name in free)


@given(
    errors=st.lists(st.floats(0, 1e3), min_size=1, max_size=9),
    bits=st.integers(1, 8),
    rounding=st.sampled_from(["nearest", "stochastic"]),
)
def test_nobodys_weight_is_more_than_trust_times_the_typical(errors, bits, rounding):
    counted = clipped.plausible_mse(errors, [Grid(bits)] * len(errors), rounding)
    assert all(after >= before for before, after in zip(errors, counted, strict=True))
    typical = sorted(errors)[len(errors) // 2]
    assert min(counted) >= typical / clipped.TRUST * (1 - 1e-12)


@pytest.mark.parametrize("mse", [-1.0, math.nan, -math.inf, 1e30])
@pytest.mark.parametrize("method", ["clipped", "fedmpq_plus"])
def test_errors_that_are_none_are_refused(method, mse, tampered):
    def tamper(result: ClientResult) -> ClientResult:
        lie = lambda p: Payload(p.codes, {n: v * 0 + mse if n.endswith("/mse") else v for n, v in p.tensors.items()})
        return as_if(result, lie) if result.client == 4 else result

    tampered(tamper)
    options = {"averaging": "inverse_error"}
    record = Federation(experiment(method, rounds=1, options=options)).step()
    assert [text.partition(":")[0] for text in record.left_out] == ["client 4"]


# ------------------------------------------------------------------------------------------------- robust averages


AVERAGING = [name for name in EVERY if {"median", "trimmed_mean"} <= set(methods.METHODS[name].averages)]


def test_every_method_that_averages_offers_robust_averages():
    assert set(EVERY) - set(AVERAGING) == {"standalone"}
    for name in methods.METHODS.names:
        for rule in methods.METHODS[name].averages:
            assert experiment(name, options={"averaging": rule}).options["averaging"] == rule


@pytest.mark.parametrize("method", [name for name in AVERAGING if name != "sign"])
def test_robust_averages_survive_what_the_mean_does_not(method, tampered):
    """One client of five sends numbers as large as the guard lets through: the mean is carried away, the others not."""

    def tamper(result: ClientResult) -> ClientResult:
        def far(payload: Payload) -> Payload:
            tensors = {
                n: v + 9e5 if v.dtype == torch.float32 and "/" not in n else v for n, v in payload.tensors.items()
            }
            return with_codes(Payload(payload.codes, tensors), lambda c: Codes(c.values, c.grid, c.clip * 0 + 9e5))

        return as_if(result, far) if result.client == 3 else result

    tampered(tamper)
    largest = {}
    for rule in ("plain", "median", "trimmed_mean"):
        options = {"plain": {}, "median": {"averaging": rule}, "trimmed_mean": {"averaging": rule, "cut": 0.2}}[rule]
        federation = Federation(experiment(method, rounds=1, options=options, partition="iid"))
        assert federation.step().left_out == ()
        names = [n for n in federation.server.weights if method != "lg_fedavg" or n.startswith("fc2")]
        largest[rule] = max(float(federation.server.weights[n].abs().max()) for n in names)
    assert largest["plain"] > 1e4
    assert max(largest["median"], largest["trimmed_mean"]) < 10


def test_a_median_of_honest_clients_learns():
    for rule in ("median", "trimmed_mean"):
        history = fit(Experiment(method="fedavg", options={"averaging": rule}, rounds=10, engine="vectorized"))
        assert history.accuracy > 0.85


def test_the_loop_uses_the_rule_that_is_named():
    """FedAvg's next model against the aggregate of what the clients sent, for every rule."""
    for rule in ("size", "equal", "median", "trimmed_mean"):
        options = {"averaging": rule} | ({"cut": 0.2} if rule == "trimmed_mean" else {})
        federation = Federation(experiment("fedavg", engine="serial", options=options))
        tasks, _ = federation._download(1, range(5))
        packets = [r.packet for r in engines.get("serial")(federation.simulation, tasks, lambda: False, 1)]
        sent = [wire.unpack(packet) for packet in packets]
        federation.step()
        for name, value in federation.server.weights.items():
            expected = average(rule, [p.tensors[name] for p in sent], federation.server.samples, 0.2)
            assert torch.allclose(value, expected, atol=1e-6)


# ----------------------------------------------------------------------------------------------------- lone samples


@pytest.mark.parametrize("engine", ["serial", "threads", "vectorized"])
@pytest.mark.parametrize("method", ["fedavg", "clipped"])
def test_a_lone_sample_that_cannot_be_normalised_is_left_out(engine, method):
    """13 clients of digits have 110 or 111 samples; 111 leave one over in batches of 10."""
    federation = Federation(Experiment(method=method, model="clipped_cnn", clients=13, rounds=1, engine=engine))
    assert {len(part) % 10 for part in federation.simulation.train} == {0, 1}
    record = federation.step()
    assert record.left_out == ()
    assert math.isfinite(record.loss)
    plans = [federation.simulation.plan(federation.simulation.client(task, federation.simulation.model))
             for task in federation._download(1, range(13))[0]]  # fmt: skip
    assert {sum(map(len, plan)) for plan in plans} == {110}


@pytest.mark.parametrize("engine", ["serial", "vectorized"])
def test_a_client_with_one_sample_sends_what_it_received(engine):
    settings = dict(
        model="clipped_cnn", clients=4, rounds=1, engine=engine, partition="by_label", split={"holds": "0-123456789"}
    )
    federation = Federation(Experiment(**settings))
    federation.simulation.train[0] = federation.simulation.train[0][:1]
    record = federation.step()
    assert record.left_out == ()
    assert math.isfinite(record.loss)


def test_other_models_train_on_lone_samples():
    federation = Federation(Experiment(model="mlp", clients=13, rounds=1))
    task = federation._download(1, [0])[0][0]
    plan = federation.simulation.plan(federation.simulation.client(task, federation.simulation.model))
    assert sum(map(len, plan)) == len(federation.simulation.train[0]) == 111


def test_batches_of_one_sample_are_refused_where_they_cannot_train():
    with pytest.raises(ConfigError, match="batch_size is 1, but the model has BatchNorm"):
        Federation(Experiment(model="clipped_cnn", batch_size=1))
    assert Federation(Experiment(model="mlp", batch_size=1, rounds=1, clients=2)).step().accuracy > 0.1


# ----------------------------------------------------------------------------------------------- determinism of Method


def test_every_method_is_a_value():
    for name in methods.METHODS.names:
        one, other = (methods.make(name, OPTIONS.get(name)) for _ in range(2))
        assert isinstance(one, Method)
        assert one == other
        assert zlib.crc32(repr(one).encode()) == zlib.crc32(repr(other).encode())
        assert np.isfinite(one.cut)
