"""Every setting of every method: where it acts, another value gives another run; where it does not, it is refused.

What a method calls idle is held against the run itself: with another value there, no bit of the result changes.
"""

from __future__ import annotations

import dataclasses

import pytest
import torch

from fqlab import methods
from fqlab.errors import ConfigError
from fqlab.federation import Experiment, Federation

ACTS = {
    "fedavg": {"averaging": ({}, "median"), "cut": ({"averaging": "trimmed_mean"}, 0.4)},
    "clipped": {
        "averaging": ({}, "size"),
        "cut": ({"averaging": "trimmed_mean"}, 0.4),
        "bits": ({}, 2),
        "client_bits": ({}, "2-8"),
        "clip": ({}, "max_abs"),
        "level_aware": ({"bits": 2}, True),
        "clip_factor": ({}, 0.5),
        "rounding": ({}, "stochastic"),
        "grid": ({}, "narrow"),
        "limit": ({"client_bits": "2-8"}, 1.0),
        "qat": ({}, False),
        "gradient": ({"clip_factor": 0.5}, "mad"),
        "downlink": ({}, True),
        "send": ({}, "differences"),
        "epsilon": ({"grid": "sign_magnitude"}, 0.9),
    },
    "robust": {
        "averaging": ({}, "median"),
        "cut": ({"averaging": "trimmed_mean"}, 0.4),
        "variant": ({}, "qat"),
        "penalty": ({}, 1.0),
        "target": ({}, 3.0),
        "unbiased": ({}, True),
        "bits": ({"variant": "qat"}, 2),
        "bit_set": ({"variant": "mqat"}, "2-8"),
        "per": ({"variant": "mqat"}, "client"),
        "noise": ({"variant": "apqn"}, "gauss"),
        "range_rule": ({"variant": "qat"}, "mse"),
    },
    "bsq": {
        "averaging": ({}, "median"),
        "cut": ({"averaging": "trimmed_mean"}, 0.4),
        "penalty": ({}, 0.5),
        "reweigh": ({"penalty": 0.5}, False),
        "interval": ({}, 2),
        "strip": ({"threshold": 0.2}, "msb"),
        "threshold": ({}, 0.2),
        "growth": ({"bits": 3}, False),
        "bits": ({}, 4),
        "clip": ({}, "octav"),
        "biases": ({}, False),
        "warmup": ({}, 1),
        "finetune_after": ({}, 1),
        "precondition": ({}, False),
        "activation_bits": ({}, 2),
        "step": ({"penalty": 0.5}, "proximal"),
        "budget": ({"dual_step": 0.5}, 2.0),
        "dual_step": ({}, 0.5),
    },
    "aqfl": {
        "averaging": ({}, "median"),
        "cut": ({"averaging": "trimmed_mean"}, 0.4),
        "budgets": ({}, 3),
        "penalty": ({}, 5.0),
        "update": ({}, "fake"),
        "activation_bits": ({}, 2),
    },
    "fedmpq": {
        "pruning": ({"update": "latent", "penalty": 3.0}, False),
        "epsilon": ({}, 0.5),
        "growing": ({"epsilon": 0.5}, False),
    },
    "fedmpq_plus": {
        "averaging": ({}, "inverse_error"),
        "bit_factor": ({"penalty": 5.0}, False),
        "strip": ({"epsilon": 0.5}, "msb"),
        "cutting": ({"epsilon": 0.3, "budgets": "2.5-5.3"}, "round_robin"),
        "clip": ({}, "octav"),
        "precondition": ({"update": "latent"}, False),
        "step": ({"update": "latent", "penalty": 1.0}, "proximal"),
        "dual_step": ({"growing": False}, 0.5),
        "downlink": ({}, "changes"),
    },
    "fedpaq": {
        "averaging": ({}, "median"),
        "cut": ({"averaging": "trimmed_mean"}, 0.4),
        "bits": ({}, 2),
        "clip": ({}, "norm"),
        "rounding": ({}, "nearest"),
        "grid": ({}, "narrow"),
        "feedback": ({}, True),
    },
    "uveqfed": {"bits": ({}, 2), "lattice": ({}, "hexagonal"), "zeta": ({}, 1.0)},
    "eden": {"bits": ({}, 2)},
    "sign": {"averaging": ({}, "median"), "cut": ({"averaging": "trimmed_mean"}, 0.4), "server_lr": ({}, 0.1)},
    "lottery": {
        "averaging": ({}, "median"),
        "cut": ({"averaging": "trimmed_mean"}, 0.4),
        "target": ({"gate": 0.0}, 0.9),
        "rate": ({"gate": 0.0}, 0.5),
        "gate": ({}, 0.05),
        "gate_on": ({"gate": 0.3}, "test"),
        "rewind": ({"gate": 0.0}, False),
    },
    "standalone": {},
    "lg_fedavg": {"averaging": ({}, "median"), "cut": ({"averaging": "trimmed_mean"}, 0.4), "shared": ({}, 2)},
}
"""Method -> setting -> (settings under which it acts, a value other than its default)."""
ALIKE = {"fedmpq": "aqfl", "fedmpq_plus": "fedmpq", "uveqfed": "fedpaq", "eden": "fedpaq", "standalone": "fedavg"}
"""Method -> the one whose settings it shares, tried there."""
NEVER = {("standalone", "averaging"), ("standalone", "cut")}
"""Nothing is averaged: another value is refused."""
IDLE = {
    "fedavg": [{}],
    "clipped": [{"client_bits": "4-8", "clip": "max_abs", "qat": False, "averaging": "size"}],
    "robust": [{"variant": v} for v in ("kure", "qat", "mqat", "apqn")] + [{"penalty": 0.0}],
    "bsq": [{"penalty": 0.0, "strip": "none"}, {}],
    "aqfl": [{"update": "frozen"}, {"update": "fake"}],
    "fedmpq": [{"pruning": False}],
    "fedmpq_plus": [{"update": "latent", "penalty": 0.0, "pruning": False, "growing": False}, {"update": "fake"}],
    "lottery": [{"target": 1.0}, {"gate": 1.0}],
}
"""Method -> settings under which others are idle."""


def case(method: str, options: dict) -> Experiment:
    """Small, uneven, and long enough that what one round decides shows in the next."""
    validation = 0.2 if method == "lottery" else 0.0
    rounds = 3 if method in ("bsq", "fedmpq", "fedmpq_plus") else 2
    return Experiment(
        method=method, clients=5, rounds=rounds, lr=0.3, partition="dirichlet", batch_size=40, validation=validation,
        options=options, reduce={"train": 300, "test": 100},
    )  # fmt: skip


def outcome(experiment: Experiment) -> tuple[list[torch.Tensor], list[tuple]]:
    """The global model, what clients have of their own, and the bytes that travelled."""
    federation = Federation(experiment)
    rounds = [(r.bytes_up, r.bytes_down, r.code_bits) for r in federation]
    personal = [value for client in range(experiment.clients) for value in federation.model_of(client).values()]
    return [*federation.server.weights.values(), *personal], rounds


def same(one: tuple, other: tuple) -> bool:
    return one[1] == other[1] and all(torch.equal(a, b) for a, b in zip(one[0], other[0], strict=True))


def tried(method: str) -> dict[str, tuple[dict, object]]:
    return {**(tried(ALIKE[method]) if method in ALIKE else {}), **ACTS[method]}


@pytest.mark.parametrize("method", ACTS)
def test_every_setting_is_tried(method):
    names = {name for name in methods.options(method) if (method, name) not in NEVER}
    assert names == {name for name in tried(method) if name in methods.options(method)} - {
        name for m, name in NEVER if m == method
    }


@pytest.mark.parametrize("method, name", [(method, name) for method, names in ACTS.items() for name in names])
def test_a_setting_that_is_taken_acts(method, name):
    under, value = ACTS[method][name]
    default = outcome(case(method, under))
    assert not same(default, outcome(case(method, {**under, name: value})))


@pytest.mark.parametrize("method, under", [(method, under) for method, sets in IDLE.items() for under in sets])
def test_what_is_idle_changes_no_bit_and_is_refused(method, under, monkeypatch):
    idle = methods.make(method, under).idle()
    assert idle
    for name in idle:
        other = {**under, name: tried(method)[name][1]}
        with pytest.raises(ConfigError, match=f"{name} is .*, but changes nothing without"):
            methods.make(method, other)
        assert methods.acting(method, other) == {key: value for key, value in under.items() if key not in idle}
        with monkeypatch.context() as patch:
            patch.setattr(methods, "make", methods._made)
            assert same(outcome(case(method, under)), outcome(case(method, other))), name


def test_a_default_and_zero_ask_for_nothing():
    assert methods.make("robust", {"variant": "qat", "penalty": 0.0, "target": 1.8}).penalty == 0
    assert methods.make("aqfl", {"update": "fake", "penalty": 0.0}).penalty == 0


def test_a_method_object_is_held_to_it_too():
    from fqlab.methods.clipped import Clipped

    with pytest.raises(ConfigError, match="level_aware is True, but changes nothing without clip 'octav'"):
        Federation(Experiment(), method=Clipped(clip="max_abs", level_aware=True))
    with pytest.raises(ConfigError, match="limit"):
        dataclasses.replace(Experiment(method="clipped"), options={"averaging": "size", "limit": 2})


def test_no_more_layers_are_shared_than_there_are():
    with pytest.raises(ConfigError, match="shared is 9, but the model has 2 Conv and Linear layers"):
        Federation(case("lg_fedavg", {"shared": 9}))
