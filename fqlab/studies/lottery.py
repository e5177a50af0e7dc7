"""Numbers of LotteryFL: costs counted exactly, and the shape of its tables on digits (10 clients, 40 rounds)."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from fqlab import models
from fqlab.federation import Experiment, Federation, fit
from fqlab.methods import acting
from fqlab.methods.lottery import kept_after, published_mib

__all__ = [
    "CLIENTS", "ROUNDS", "broadcast", "digits", "experiment", "fedavg_mib", "gain", "kept_end", "lost",
    "one_way", "own", "uploaded",
]  # fmt: skip

ROUNDS = 40
CLIENTS = 10


def experiment(
    method: str = "lottery", *, seed: int = 0, classes: int = 2, images: int = 20, balance: float = 1.0, **options: Any
) -> Experiment:
    """The lesson's federation: ``classes`` digits a client, ``images`` of each; ``options`` of LotteryFL."""
    split = {"classes_per_client": classes, "samples_per_class": images, "balance": balance, "distinct": True}
    return Experiment(
        method=method, options=acting(method, options) if method == "lottery" else {}, partition="n_class", split=split,
        clients=CLIENTS, rounds=ROUNDS, epochs=5, batch_size=32, lr=0.3, validation=0.1, seed=seed, engine="vectorized",
    )  # fmt: skip


@lru_cache(maxsize=64)
def digits(seed: int, method: str = "lottery", target: float = 0.1, images: int = 20, balance: float = 1.0) -> Any:
    """A finished run, evaluated once at its end."""
    wanted = experiment(method, seed=seed, images=images, balance=balance, target=target)
    return fit(replace(wanted, evaluate_every=ROUNDS))


def own(seed: int, method: str = "lottery", target: float = 0.1, images: int = 20, balance: float = 1.0) -> float:
    """Accuracy in % on own digits after the last round; FedAvg's one model is read at the end."""
    if method == "fedavg":
        return _own_of_one_model(seed)
    return 100 * digits(seed, method, target, images, balance).rounds[-1].personal


@lru_cache(maxsize=16)
def _own_of_one_model(seed: int) -> float:
    federation = Federation(experiment("fedavg", seed=seed))
    for _ in federation:
        pass
    return 100 * float(np.mean(federation.personal(ROUNDS)))


def gain(seed: int, over: str) -> float:
    """Points of the tickets, target 0.1, over ``"standalone"`` or ``"fedavg"``."""
    return own(seed) - own(seed, over)


def lost(seed: int, images: int = 20, balance: float = 1.0) -> float:
    """Points that tickets lose with fewer ``images`` a class, or with a second class of ``balance`` times the first."""
    return own(seed) - own(seed, images=images, balance=balance)


def one_way(seed: int, target: float) -> float:
    """Cost over FedAvg's as the paper counts: the mean share of weights kept over all rounds."""
    rounds = digits(seed, target=target).rounds
    return sum(r.extras["kept"] for r in rounds) / len(rounds)


def uploaded(seed: int, method: str) -> float:
    """Bytes up of a baseline, whole packets, over FedAvg's."""
    return digits(seed, method).bytes_up / digits(seed, "fedavg").bytes_up


def broadcast(seed: int) -> float:
    """Cost of target 0.5 over FedAvg's, both ways on the wire, where one broadcast reaches all clients."""
    run = digits(seed, target=0.5)
    plain = digits(seed, "fedavg")
    clients = len(plain.rounds[0].participants)
    return (run.bytes_up + run.bytes_down) / (plain.bytes_up + plain.bytes_down / clients)


def fedavg_mib() -> float:
    """FedAvg on MNIST as the paper counts it: 400 rounds, 20 clients, one direction, weights without biases."""
    model = models.LotteryMNIST(10)
    weights = sum(dict(model.named_parameters())[name].numel() for name in models.quantizable(model))
    return published_mib(weights, clients=20, rounds=400)


def kept_end(target: float) -> float:
    """Share of the weights at which pruning to ``target`` ends."""
    return kept_after(target)
