"""Federated averaging, watched: what each client had learnt before the average was taken; and the paper's numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, ClassVar

import torch
from torch.nn.functional import cross_entropy

from fqlab import data, models
from fqlab.aggregate import mean
from fqlab.federation import Experiment, Federation, Round, fit
from fqlab.methods import Client, LocalProblem, ReceivedUpdate, Server, State
from fqlab.methods.fedavg import FedAvg
from fqlab.tensors import Weights, stack
from fqlab.training.sgd import accuracy, infer
from fqlab.wire import Payload

__all__ = [
    "Plane", "Seen", "Watched", "average_less", "between", "distances", "fedsgd_distance", "flat", "halves",
    "member_accuracy", "plane", "rounds_saved_even", "skewed", "ten", "watch",
]  # fmt: skip

BIAS = "fc2.bias"
SHARED: dict[str, Any] = dict(model="mlp", lr=0.3, batch_size=32, clients=10, engine="vectorized")


@dataclass(frozen=True)
class Models(State):
    """The models that a round averaged, stacked ``[clients, ...]``."""

    stacked: Weights = field(default_factory=dict)


@dataclass(frozen=True)
class Watched(FedAvg):
    """FedAvg that remembers the models it averaged.

    Attributes:
        own_start: in round 1 every client starts from random weights of its own instead of the server's.
        equal: average with weights 1/K instead of n_k / Σ n_k.
    """

    ServerState: ClassVar[type[State]] = Models

    own_start: bool = False
    equal: bool = False

    def prepare(self, payload: Payload, client: Client) -> LocalProblem:
        problem = super().prepare(payload, client)
        if not self.own_start or client.round_index > 1:
            return problem
        seed = int(torch.randint(2**31, (), generator=client.generator("start")))
        return replace(problem, params=models.weights_of(models.make("mlp", data.load("digits"), seed)))

    def aggregate(self, server: Server, updates: Sequence[ReceivedUpdate]) -> Server:
        stacked = stack([u.payload.decode() for u in updates])
        if self.equal:
            return server.next({name: mean(values) for name, values in stacked.items()}, Models(stacked))
        return server.next(super().aggregate(server, updates).weights, Models(stacked))


@dataclass(frozen=True)
class Seen:
    """One round: its record, the global weights before and after, and the averaged models with a leading dimension."""

    record: Round
    before: Weights
    after: Weights
    clients: Weights


def watch(
    experiment: Experiment, method: Watched = Watched(), cancelled: Callable[[], bool] = lambda: False
) -> Iterator[Seen]:
    """Run a FedAvg experiment and show every round from inside."""
    federation = Federation(experiment, method=method, cancelled=cancelled)
    for _ in range(experiment.rounds):
        before = federation.server.weights
        record = federation.step()
        if record is None:
            return
        yield Seen(record, before, federation.server.weights, federation.server.state.stacked)


def member_accuracy(stacked: Weights) -> list[float]:
    """Test accuracy of every member of a stack of digit networks."""
    digits, model = _digits()
    count = len(next(iter(stacked.values())))
    return [accuracy(model, _member(stacked, i), digits.test_x, digits.test_y) for i in range(count)]


def flat(weights: Weights) -> torch.Tensor:
    """All weights of a model, or of each of a stack of models with the same tensors as ``BIAS``: [models, weights]."""
    lead = weights[BIAS].shape[:-1]
    return torch.cat([value.reshape(*lead, -1) for value in weights.values()], dim=-1).reshape(lead.numel(), -1)


def distances(seen: Seen) -> tuple[float, float]:
    """Mean distance of a client's model from their average, and the distance the server moved (Euclidean)."""
    after = flat(seen.after)
    return float((flat(seen.clients) - after).norm(dim=1).mean()), float((after - flat(seen.before)).norm())


@dataclass(frozen=True)
class Plane:
    """A plane through ``origin`` [weights], spanned by the orthonormal rows of ``basis`` [2, weights]."""

    origin: torch.Tensor
    basis: torch.Tensor

    def places(self, weights: Weights) -> torch.Tensor:
        """Coordinates [models, 2] of a model or of a stack of models."""
        return (flat(weights) - self.origin) @ self.basis.T


def plane(seen: Seen) -> Plane:
    """First axis: the server's step of this round. Second: where, at right angles to it, its clients differ most."""
    origin = flat(seen.before)
    step = flat(seen.after) - origin
    first = step / step.norm().clamp(min=1e-12)
    gaps = flat(seen.clients) - flat(seen.after)
    gaps = gaps - (gaps @ first.T) @ first
    second = torch.linalg.svd(gaps, full_matrices=False).Vh[:1] if len(gaps) > 1 else torch.zeros_like(first)
    return Plane(origin, torch.cat([first, second * second[0, second.abs().argmax()].sign()]))


@lru_cache(maxsize=1)
def _digits() -> tuple[data.Dataset, torch.nn.Module]:
    digits = data.load("digits")
    return digits, models.make("mlp", digits, 0)


def between(own_start: bool, seed: int, epochs: int = 50) -> tuple[list[float], list[float], list[float]]:
    """Two networks, each trained on its own half of the digits, and the line θ w + (1 − θ) w' through them.

    McMahan et al. 2017, Figure 1: θ from −0.2 to 1.2, loss on all training images; there MNIST, 600 images a network.

    Args:
        own_start: start each network from random weights of its own, instead of one start for both.

    Returns:
        θ, the mean cross-entropy on all training images, and the test accuracy, 29 of each.
    """
    digits, model = _digits()
    first, second = (_member(halves(own_start, seed, epochs), i) for i in range(2))
    thetas = torch.linspace(-0.2, 1.2, 29).tolist()
    losses = []
    accuracies = []
    for theta in thetas:
        mixed = {name: theta * w + (1 - theta) * second[name] for name, w in first.items()}
        losses.append(float(cross_entropy(infer(model, mixed, digits.train_x), digits.train_y)))
        accuracies.append(accuracy(model, mixed, digits.test_x, digits.test_y))
    return thetas, losses, accuracies


def halves(own_start: bool, seed: int, epochs: int, clients: int = 2) -> Weights:
    """Networks trained on equal shares of the digits for ``epochs``, without any averaging; stacked."""
    shared: dict[str, Any] = {**SHARED, "clients": clients}
    alone = Experiment(method="fedavg", partition="iid", rounds=1, epochs=epochs, seed=seed, **shared)
    return next(watch(alone, Watched(own_start=own_start))).clients


@lru_cache(maxsize=8)
def ten(own_start: bool, seed: int) -> tuple[list[float], float]:
    """Test accuracies of ten networks, 30 epochs on a tenth of the digits each, and of their average."""
    stacked = halves(own_start, seed, 30, clients=10)
    average = {name: mean(list(value)) for name, value in stacked.items()}
    return member_accuracy(stacked), member_accuracy({n: w[None] for n, w in average.items()})[0]


LESS: dict[str, Callable[[list[float]], float]] = {
    "worst": min,
    "mean": lambda members: sum(members) / len(members),
    "best": max,
    "nothing": lambda members: 0.0,
}


def average_less(seed: int, own_start: bool, than: str) -> float:
    """Accuracy of the average of ten networks, less that of the ``"worst"``, ``"mean"`` or ``"best"`` of them."""
    members, average = ten(own_start, seed)
    return average - LESS[than](members)


def skewed(seed: int, epochs: int, rounds: int = 20, participants: int = 10) -> float:
    """Accuracy under label skew α = 0.1."""
    split: dict[str, Any] = dict(partition="dirichlet", split={"alpha": 0.1})
    shared: dict[str, Any] = {**SHARED, **split}
    return fit(
        Experiment(method="fedavg", rounds=rounds, epochs=epochs, participants=participants, seed=seed, **shared)
    ).accuracy


def rounds_to(target: float, limit: int, **settings: Any) -> float:
    """Rounds until the test accuracy first reaches ``target``, ``inf`` beyond ``limit``."""
    shared: dict[str, Any] = {**SHARED, **settings}
    for record in Federation(Experiment(method="fedavg", rounds=limit, **shared)):
        if record.accuracy >= target:
            return record.index
    return float("inf")


def rounds_saved_even(seed: int) -> float:
    """FedSGD's rounds (one full-batch step each) over FedAvg's (5 epochs, batches of 10) to 95 %; best of three rates."""
    shared: dict[str, Any] = {"partition": "iid", "seed": seed}
    slow = min(rounds_to(0.95, 300, batch_size=1437, lr=lr, **shared) for lr in (0.3, 1.0, 2.0))
    return slow / min(rounds_to(0.95, 60, batch_size=10, epochs=5, lr=lr, **shared) for lr in (0.03, 0.1, 0.3))


def fedsgd_distance(seed: int) -> float:
    """Largest difference of a weight between a FedSGD round on skewed clients and a gradient step on all the data."""
    shared: dict[str, Any] = {**SHARED, "batch_size": 1437, "seed": seed, "rounds": 1}
    many = fit(Experiment(method="fedavg", partition="dirichlet", split={"alpha": 0.1}, **shared)).weights
    one = fit(Experiment(method="fedavg", partition="iid", **{**shared, "clients": 1})).weights
    return max(float((many[name] - one[name]).abs().max()) for name in one)


def _member(stacked: Weights, i: int) -> Weights:
    return {name: value[i] for name, value in stacked.items()}
