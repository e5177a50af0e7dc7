"""LotteryFL's tables on MNIST, fewer clients at scale small, and on CIFAR-10 for a twentieth of the rounds: its networks, images
and local training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

import numpy as np
import torch

from fqlab.federation import Experiment, Federation
from fqlab.methods import Client, ClientUpdate, LocalProblem, State
from fqlab.methods.lottery import Lottery, Ticket, new_ticket, received
from fqlab.studies.scale.store import Arm, Run, obtain
from fqlab.tensors import Weights, stack
from fqlab.wire import Payload

__all__ = [
    "ARMS",
    "BestOf",
    "BestTicket",
    "best",
    "cost",
    "everybody",
    "experiment",
    "gain",
    "last",
    "more_personal",
    "on_the_wire",
    "personal_share",
    "personalised",
    "uploaded",
]

FEDERATIONS = {
    "small": dict(clients=60, participants=6, rounds=200, evaluate_every=50),
    "paper": dict(clients=400, participants=20, rounds=400, evaluate_every=100),
}
"""Scale -> how many clients, a round, rounds. A client takes part 20 times on average at either."""
FEW: dict[str, Any] = dict(clients=20, participants=2)
"""Whoever trains alone does not notice how many others do: at scale small it is a third of the clients."""
FEW_KEEP = 0.1
"""Share of the clients below which the paper calls a weight personalised."""
SEEN = 80
"""Test images that the public code measures a client on."""


@dataclass(frozen=True)
class BestTicket(Ticket):
    """A ticket, and the best accuracy that its client has seen, float32 scalar."""

    best: torch.Tensor


@dataclass(frozen=True)
class BestOf(Lottery):
    """LotteryFL that also keeps what the public code reports: each client's best accuracy on 80 test images.

    The code measures the model that a client has trained and the masked average, in every round; here both are measured
    whenever the client takes part, before and after it trains. Nothing of this reaches the server.
    """

    ClientState: ClassVar[type[State]] = BestTicket

    def prepare(self, payload: Payload, client: Client) -> LocalProblem:
        problem = super().prepare(payload, client)
        average = received(payload, client.state or new_ticket(payload, client), client)
        before = torch.tensor(client.accuracy(average, "test", SEEN))
        best = torch.maximum(before, client.state.best) if client.state else before
        ticket = problem.state
        return replace(problem, state=BestTicket(ticket.first, ticket.masks, ticket.prunings, best))

    def upload(self, params: Weights, buffers: Weights, problem: LocalProblem, client: Client) -> ClientUpdate:
        update = super().upload(params, buffers, problem, client)
        after = torch.tensor(client.accuracy(params | buffers, "test", SEEN))
        return replace(update, state=replace(problem.state, best=torch.maximum(after, problem.state.best)))


def experiment(scale: str, method: str, images: int = 20, balance: float = 1.0, **options: Any) -> Experiment:
    """The set-up of Tables 2 to 4; learning rate and momentum are those of the public code.

    Args:
        images: of each of a client's two classes; the second has ``balance`` of them.
    """
    split = {"classes_per_client": 2, "samples_per_class": images, "balance": balance}
    federation: dict[str, Any] = FEDERATIONS[scale] | (FEW if (scale, method) == ("small", "standalone") else {})
    return Experiment(
        method=method, options=options, dataset="mnist", model="lottery_mnist", partition="n_class", split=split,
        epochs=10, batch_size=32, lr=0.01, momentum=0.5, validation=0.1, workers=1, **federation,
    )  # fmt: skip


def _own(federation: Federation) -> Mapping[str, float]:
    """Mean accuracy of each client's model on all test images of its own classes; kept weights and best where known."""
    rounds = federation.rounds
    measures = {"own": float(np.mean(federation.personal(rounds[-1].index)))}
    if isinstance(federation.method, BestOf):
        tickets = cast("dict[int, BestTicket]", federation.client_states).values()
        measures["best"] = float(np.mean([ticket.best.item() for ticket in tickets]))
        measures["kept"] = sum(r.extras["kept"] for r in rounds) / len(rounds)
        measures["kept_last"] = rounds[-1].extras["kept"]
        measures["published_mib"] = sum(r.extras["published_mib"] for r in rounds)
        measures |= personalised([ticket.masks for ticket in tickets])
    return measures


def personalised(masks: Sequence[Weights]) -> dict[str, float]:
    """Share of every layer's weights that fewer than :data:`FEW_KEEP` of the clients keep, as ``personalised/conv1.weight``.

    Source: the paper's Figure 2. Weights that nobody keeps count as well.
    """
    shares = {name: value.double().mean(0) for name, value in stack(masks).items()}
    return {f"personalised/{name}": float((kept < FEW_KEEP).double().mean()) for name, kept in shares.items()}


TICKETS = "fqlab.studies.scale.lottery:BestOf"


def _table(scale: str) -> dict[str, Experiment]:
    target = lambda rate, **data: experiment(scale, TICKETS, target=rate, **data)
    return {
        "target-1": target(0.1), "alone": experiment(scale, "standalone"), "fedavg": experiment(scale, "fedavg"),
        "target-5": target(0.5), "lg-fedavg": experiment(scale, "lg_fedavg"), "target-3": target(0.3),
        "target-1-unbalanced": target(0.1, balance=0.25), "alone-unbalanced": experiment(scale, "standalone", balance=0.25),
        "target-1-few": target(0.1, images=5),
    }  # fmt: skip


ARMS = {
    (scale, name): Arm("lottery", f"{scale}-{name}", settings, _own)
    for scale in FEDERATIONS
    for name, settings in _table(scale).items()
}
CIFAR_ROUNDS = 100
"""Of 2 000; a client takes part five times on average, where it does so a hundred times in the paper."""
ARMS |= {
    ("paper", f"cifar-{name}"): Arm(
        "lottery",
        f"paper-cifar-{name}",
        replace(
            _table("paper")[name],
            dataset="cifar10",
            model="lottery_cifar",
            rounds=CIFAR_ROUNDS,
            evaluate_every=CIFAR_ROUNDS,
        ),
        _own,
    )
    for name in ("target-1", "alone", "fedavg")
}
"""(scale, name) -> arm, in the order in which they are worth running."""


def _run(seed: int, scale: str, arm: str) -> Run:
    return obtain(ARMS[scale, arm], seed)


def last(seed: int, scale: str, arm: str) -> float:
    """Accuracy in % after the last round, each client's own model on all test images of its own classes."""
    return 100 * _run(seed, scale, arm).measures["own"]


def best(seed: int, scale: str, arm: str) -> float:
    """The same as the public code reports it: the best of the rounds, on 80 images."""
    return 100 * _run(seed, scale, arm).measures["best"]


def everybody(seed: int, scale: str, arm: str) -> float:
    """Accuracy in % of the one global model on the whole test set, as FedAvg is reported."""
    return 100 * _run(seed, scale, arm).curve["accuracy"][-1]


def gain(seed: int, scale: str, arm: str, over: str) -> float:
    """Points of one arm over another, last round."""
    return last(seed, scale, arm) - last(seed, scale, over)


def cost(seed: int, scale: str, arm: str) -> float:
    """Cost over FedAvg's as the tables count: mean share of the weights kept, over all rounds."""
    return _run(seed, scale, arm).measures["kept"]


def personal_share(seed: int, scale: str, arm: str, layer: str) -> float:
    """Weights of a layer in % that fewer than a tenth of the clients keep after the last round."""
    return 100 * _run(seed, scale, arm).measures[f"personalised/{layer}.weight"]


def more_personal(seed: int, scale: str, arm: str, layer: str, over: str = "", over_layer: str = "") -> float:
    """Points by which a layer is more personalised than in another arm, or than another layer of the same arm."""
    return personal_share(seed, scale, arm, layer) - personal_share(seed, scale, over or arm, over_layer or layer)


def uploaded(seed: int, scale: str, arm: str) -> float:
    """Bytes up over FedAvg's, a client and a round."""
    runs = [_run(seed, scale, name) for name in (arm, "fedavg")]
    ours, plain = (
        run.curve["bytes_up"][-1] / (run.curve["round"][-1] * Experiment.from_toml(run.experiment).participants)
        for run in runs
    )
    return ours / plain


def on_the_wire(seed: int, scale: str, arm: str) -> float:
    """Bytes up and down over FedAvg's: packets, with masks, biases and the first download."""
    ours, plain = _run(seed, scale, arm).curve, _run(seed, scale, "fedavg").curve
    return (ours["bytes_up"][-1] + ours["bytes_down"][-1]) / (plain["bytes_up"][-1] + plain["bytes_down"][-1])
