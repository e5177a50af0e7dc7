"""LotteryFL against the published costs, brute force and its own bookkeeping."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fqlab.errors import ConfigError
from fqlab.federation import Experiment, Federation, fit
from fqlab.methods.lottery import Lottery, kept_after, prune, published_mib

RUN = dict(method="lottery", partition="n_class", clients=6, participants=4, rounds=5, epochs=5, lr=0.3, validation=0.1)


@pytest.mark.parametrize(
    "weights, rounds, mib", [(21_750, 400, 663.757), (61_770, 2000, 9425.354), (538_754, 2000, 82207.336)]
)
def test_published_costs_of_fedavg_to_all_digits(weights, rounds, mib):
    assert round(published_mib(weights, 20, rounds), 3) == mib


@pytest.mark.parametrize("target, kept", [(0.5, 0.410), (0.3, 0.262), (0.1, 0.086)])
def test_pruning_ends_below_its_target(target, kept):
    assert round(kept_after(target), 3) == kept


def test_prune_drops_the_smallest_of_the_living():
    w = torch.randn(40, 25, generator=torch.Generator().manual_seed(0))
    mask = torch.rand(w.shape, generator=torch.Generator().manual_seed(1)) < 0.6
    new = prune(w, mask, 0.2)
    alive = np.sort(w[mask].abs().numpy())
    assert set(w[new].abs().numpy().tolist()) == set(alive[int(0.2 * len(alive)) :].tolist())
    assert not bool((new & ~mask).any())


@given(
    st.lists(st.sampled_from([0.0, 0.5, -0.5, 1.0, 2.0]), min_size=1, max_size=60),
    st.sampled_from([0.2, 0.29, 0.5, 0.99]),
)
def test_prune_drops_exactly_the_share_whatever_is_equal(values, rate):
    """Ten weights of .5 lose two of them at rate .2, not all ten; of equal ones the first go."""
    w = torch.tensor(values, dtype=torch.float32)
    new = prune(w, torch.ones(len(w), dtype=torch.bool), rate)
    order = sorted(range(len(values)), key=lambda i: (abs(values[i]), i))
    drop = round(100 * rate) * len(values) // 100
    assert new.tolist() == [i not in order[:drop] for i in range(len(values))]
    percentile = (w.abs().double().numpy() < np.percentile(w.abs().double().numpy(), 100 * rate)).sum()
    if len(set(np.abs(values))) == len(values):  # the authors' rule, at most one weight apart
        assert percentile == math.ceil(round(rate * (len(values) - 1), 9))
        assert abs(percentile - drop) <= 1


def test_prune_works_on_what_does_not_lie_in_one_piece():
    w = torch.arange(12, dtype=torch.float32).reshape(3, 4).t()
    assert not w.is_contiguous()
    assert prune(w, torch.ones(4, 3, dtype=torch.bool), 0.25).tolist() == (w >= 3).tolist()


def test_rounds_prune_rewind_and_keep_pruned_weights_at_zero():
    federation = Federation(Experiment(**RUN, options={"target": 0.5, "gate": 0.0}))
    first = federation.server.weights["fc1.weight"].clone()
    record = federation.step()
    client = record.participants[0]
    ticket = federation.client_states[client]
    assert torch.equal(ticket.first["fc1.weight"], first)
    for _ in range(4):
        record = federation.step()
    assert kept_after(0.5) - 0.001 <= record.extras["kept"] < 0.8
    for c, ticket in federation.client_states.items():
        mask = federation.server.state.masks["fc1.weight"][c]
        assert torch.equal(mask, ticket.masks["fc1.weight"])
        assert torch.equal(ticket.first["fc1.weight"], first)
        weights = federation.method.personalized(federation.server, c, ticket)["fc1.weight"]
        assert not bool(weights[~mask].any())


def test_a_closed_gate_never_prunes_and_then_it_is_fedavg_without_sizes():
    record = list(Federation(Experiment(**RUN, options={"gate": 1.0})))[-1]
    assert record.extras["kept"] == 1.0


def test_bytes_are_masks_and_survivors():
    federation = Federation(Experiment(**RUN, options={"gate": 0.0}))
    for _ in range(3):
        record = federation.step()
    kept = record.extras["kept"]
    weights = 64 * 64 + 64 * 10
    biases = 74
    expected = len(record.participants) * (4 * kept * weights + 4 * biases + weights / 8)
    assert expected < record.bytes_up < expected + len(record.participants) * 700
    sums = federation.ledger.total("total", direction="up")
    assert sums == sum(r.bytes_up for r in federation.rounds)
    assert federation.ledger.entries[-1].code_bits == weights


def test_traffic_is_never_below_the_bound_of_pruning_at_every_participation():
    """The bound of the digest, simulated with the run's own participants."""
    history = fit(Experiment(**{**RUN, "rounds": 8}, options={"target": 0.3}))
    kept = dict.fromkeys(range(6), 1.0)
    for r in history.rounds:
        for c in r.participants:
            kept[c] = kept[c] * 0.8 if kept[c] > 0.3 else kept[c]
        bound = sum(kept[c] for c in r.participants) / len(r.participants)
        assert r.extras["kept"] >= bound - 0.002


def test_clients_that_have_not_pruned_share_a_model():
    federation = Federation(Experiment(**{**RUN, "rounds": 2}, options={"gate": 0.3}))
    of = lambda: [federation.method.alike(federation.server, c, federation.client_states.get(c)) for c in range(6)]
    assert of() == [()] * 6
    list(federation)
    whole = [all(bool(m[c].all()) for m in federation.server.state.masks.values()) for c in range(6)]
    assert not all(whole)
    assert of() == [() if each else None for each in whole]


@pytest.mark.parametrize("method", ["lottery", "standalone", "lg_fedavg"])
def test_engines_agree_and_a_resumed_run_is_the_whole_one(method, tmp_path):
    options = {"gate": 0.3} if method == "lottery" else {}
    settings = {**RUN, "method": method, "rounds": 3, "options": options}
    whole = Federation(Experiment(**settings))
    first = [r.personal for r in whole]
    path = tmp_path / "half"
    half = Federation(Experiment(**settings), checkpoint=path)
    half.step()
    rest = Federation(Experiment(**settings, engine="threads"), checkpoint=path)
    assert first[1:] == [r.personal for r in rest]
    for c, state in whole.client_states.items():
        kept, resumed = state.flatten(), rest.client_states[c].flatten()
        assert kept.keys() == resumed.keys()
        assert all(torch.equal(v, resumed[k]) for k, v in kept.items())
    stacked = fit(Experiment(**settings, engine="vectorized"))
    assert [r.bytes_up for r in stacked.rounds] == pytest.approx([r.bytes_up for r in whole.rounds], rel=0.02)


def test_baselines():
    alone = fit(Experiment(**{**RUN, "method": "standalone"}))
    assert alone.rounds[-1].personal > 0.8
    assert all(r.bytes_up < 4 * 300 for r in alone.rounds)  # headers of empty packets
    shared = fit(Experiment(**{**RUN, "method": "lg_fedavg"}))
    assert shared.rounds[-1].bytes_up < 4 * (4 * 650 + 400)


@pytest.mark.parametrize("options, words", [
    ({"target": 0.0}, "target is 0.0"), ({"target": 1.1}, "target is 1.1"), ({"gate": 2.0}, "gate is 2.0"),
    ({"rate": 0.0}, "rate is 0.0"), ({"gate_on": "train"}, "gate_on is 'train'"),
])  # fmt: skip
def test_bad_settings(options, words):
    with pytest.raises(ConfigError, match=words):
        Lottery(**options)
