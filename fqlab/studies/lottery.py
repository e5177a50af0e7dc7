"""Numbers of LotteryFL: costs counted exactly, and the shape of its tables on digits (10 clients, 40 rounds)."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from fqlab import models
from fqlab.federation import Experiment, Federation, fit
from fqlab.methods.lottery import kept_after, published_mib

__all__ = ["CLIENTS", "ROUNDS", "digits", "experiment", "fedavg_mib", "kept"]

ROUNDS = 40
CLIENTS = 10


def experiment(
    method: str = "lottery", *, seed: int = 0, classes: int = 2, images: int = 20, balance: float = 1.0, **options: Any
) -> Experiment:
    """The lesson's federation: ``classes`` digits a client, ``images`` of each; ``options`` of LotteryFL."""
    split = {"classes_per_client": classes, "samples_per_class": images, "balance": balance, "distinct": True}
    return Experiment(
        method=method, options=options if method == "lottery" else {}, partition="n_class", split=split,
        clients=CLIENTS, rounds=ROUNDS, epochs=5, batch_size=32, lr=0.3, validation=0.1, seed=seed, engine="vectorized",
    )  # fmt: skip


@lru_cache(maxsize=64)
def digits(seed: int, method: str = "lottery", target: float = 0.1, images: int = 20, balance: float = 1.0) -> Any:
    """A finished run, evaluated once at its end."""
    wanted = experiment(method, seed=seed, images=images, balance=balance, target=target)
    return fit(replace(wanted, evaluate_every=ROUNDS))


def _own(run: Any) -> float:
    return 100 * run.rounds[-1].personal


def fedavg_mib(seed: int, scale: str) -> float:
    """FedAvg on MNIST as the paper counts it: 400 rounds, 20 clients, one direction, weights without biases."""
    model = models.LotteryMNIST(10)
    weights = sum(dict(model.named_parameters())[name].numel() for name in models.quantizable(model))
    return published_mib(weights, clients=20, rounds=400)


def kept_05(seed: int, scale: str) -> float:
    """Where pruning to 0.5 ends."""
    return kept_after(0.5)


def kept_03(seed: int, scale: str) -> float:
    """Where pruning to 0.3 ends."""
    return kept_after(0.3)


def kept_01(seed: int, scale: str) -> float:
    """Where pruning to 0.1 ends."""
    return kept_after(0.1)


def kept(seed: int, scale: str) -> float:
    """Share of the weights that is left in a real run with target 0.1."""
    return digits(seed).rounds[-1].extras["kept"]


def tickets(seed: int, scale: str) -> float:
    """Accuracy on own digits, target 0.1."""
    return _own(digits(seed))


def half(seed: int, scale: str) -> float:
    """Accuracy on own digits, target 0.5."""
    return _own(digits(seed, target=0.5))


def alone(seed: int, scale: str) -> float:
    """Accuracy on own digits of clients that never talk."""
    return _own(digits(seed, "standalone"))


def gain(seed: int, scale: str) -> float:
    """Points of the tickets over training alone."""
    return tickets(seed, scale) - alone(seed, scale)


def one_way(seed: int, scale: str) -> float:
    """Cost of target 0.1 over FedAvg's as the paper counts: the mean share of weights kept over all rounds."""
    rounds = digits(seed).rounds
    return sum(r.extras["kept"] for r in rounds) / len(rounds)


def broadcast(seed: int, scale: str) -> float:
    """Cost of target 0.5 over FedAvg's, both ways on the wire, where one broadcast reaches all clients."""
    run = digits(seed, target=0.5)
    plain = digits(seed, "fedavg")
    clients = len(plain.rounds[0].participants)
    return (run.bytes_up + run.bytes_down) / (plain.bytes_up + plain.bytes_down / clients)


def few_images(seed: int, scale: str) -> float:
    """Points lost with 5 instead of 20 images a class."""
    return tickets(seed, scale) - _own(digits(seed, images=5))


def unbalanced(seed: int, scale: str) -> float:
    """Points lost where the second class has a quarter of the images of the first."""
    return tickets(seed, scale) - _own(digits(seed, balance=0.25))


def half_one_way(seed: int, scale: str) -> float:
    """Cost of target 0.5 over FedAvg's as the paper counts."""
    rounds = digits(seed, target=0.5).rounds
    return sum(r.extras["kept"] for r in rounds) / len(rounds)


def fedavg(seed: int, scale: str) -> float:
    """Accuracy of FedAvg's one model on each client's own digits."""
    federation = Federation(experiment("fedavg", seed=seed))
    for _ in federation:
        pass
    return 100 * float(np.mean(federation.personal(ROUNDS)))
