"""What a method is: a handful of pure hooks around the round, each with FedAvg's behaviour as its default."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from fqlab.aggregate import decode, decode_all, mean
from fqlab.training.objectives import Objective, Weights
from fqlab.training.sgd import Training
from fqlab.wire import Payload

__all__ = ["Spec", "Server", "Client", "LocalProblem", "ClientUpdate", "ReceivedUpdate", "Method"]


@dataclass(frozen=True)
class Spec:
    """Names of a model's tensors.

    Attributes:
        trainable: parameters, in order.
        quantizable: the Conv and Linear weights among them.
        sizes: number of entries of each tensor, buffers included.
    """

    trainable: tuple[str, ...]
    quantizable: tuple[str, ...]
    sizes: dict[str, int]


@dataclass(frozen=True)
class Server:
    """What the server knows between two rounds.

    Attributes:
        spec: names and sizes of the model's tensors.
        weights: the global model, parameters and buffers.
        shared: whatever else the method keeps, as tensors (bit tables, initial weights, ...).
        clients: the number of clients.
        sizes: each client's number of training samples.
    """

    spec: Spec
    weights: Weights
    shared: Weights = field(default_factory=dict)
    clients: int = 0
    sizes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Client:
    """What a client knows in one round.

    Attributes:
        id: 0, 1, ... among all clients.
        round: 1, 2, ...
        size: its number of training samples.
        spec: names and sizes of the model's tensors.
        training: local optimiser settings.
        memory: the tensors it kept from its last participation; empty the first time.
        generator: ``generator(purpose)`` gives this client's random source for this round.
        accuracy: ``accuracy(weights, on)`` measures weights on its own data: ``"train"``, ``"validation"`` or ``"test"``
            (all test samples of the labels it holds); optionally on at most ``limit`` samples drawn for this round.
    """

    id: int
    round: int
    size: int
    spec: Spec
    training: Training
    memory: Weights
    generator: Callable[[str], torch.Generator]
    accuracy: Callable[..., float]


@dataclass(frozen=True)
class LocalProblem:
    """What a client is about to train: initial parameters, buffers, objective, and its memory so far."""

    params: Weights
    buffers: Weights
    objective: Objective
    memory: Weights = field(default_factory=dict)


@dataclass(frozen=True)
class ClientUpdate:
    """What a client hands over after training.

    Attributes:
        payload: goes through the wire to the server.
        memory: stays with the client.
        error: mean squared quantization error of each layer it quantized.
    """

    payload: Payload
    memory: Weights = field(default_factory=dict)
    error: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ReceivedUpdate:
    """A client's payload as the server sees it, after the wire and the guard."""

    client: int
    size: int
    payload: Payload


@dataclass(frozen=True)
class Method:
    """A federated learning method. State goes in and comes out; a method itself is its settings and nothing else.

    Attributes:
        broadcast: all clients receive the same payload, so it is packed once.
        personal: clients have models of their own, which the loop evaluates on each client's test data.
    """

    broadcast = True
    personal = False

    def network(self, model: nn.Module) -> nn.Module:
        """The network to train and to evaluate: ``model``, or one with quantized activations."""
        return model

    def start(self, server: Server) -> Server:
        """The server's state before the first round; ``server.weights`` is the freshly initialised model."""
        return server

    def download(self, server: Server, client: int, generator: torch.Generator) -> Payload:
        """What ``client`` receives."""
        return dict(server.weights)

    def prepare(self, payload: Payload, client: Client) -> LocalProblem:
        """What the client trains, given what it received."""
        weights = {name: decode(entry) for name, entry in payload.items()}
        params, buffers = split(weights, client.spec)
        return LocalProblem(params, buffers, Objective(), client.memory)

    def upload(self, params: Weights, buffers: Weights, problem: LocalProblem, client: Client) -> ClientUpdate:
        """What the client sends once trained."""
        return ClientUpdate({**params, **buffers}, problem.memory)

    def uploads(
        self, params: Weights, buffers: Weights, problems: Sequence[LocalProblem], clients: Sequence[Client]
    ) -> list[ClientUpdate]:
        """:meth:`upload` for stacked clients, whose tensors have a leading client dimension; one by one by default."""
        member = lambda tensors, i: {name: value[i] for name, value in tensors.items()}
        pairs = enumerate(zip(problems, clients, strict=True))
        return [self.upload(member(params, i), member(buffers, i), problem, client) for i, (problem, client) in pairs]

    def expected_shapes(self, server: Server) -> dict[str, torch.Size]:
        """Names and shapes without which an upload is refused by the guard."""
        return {name: value.shape for name, value in server.weights.items()}

    def aggregate(self, server: Server, uploads: Sequence[ReceivedUpdate]) -> Server:
        """The server's next state. FedAvg: every tensor averaged with weights n_k / Σ n_k."""
        sizes = [upload.size for upload in uploads]
        weights = {n: mean(decode_all([u.payload[n] for u in uploads]), sizes) for n in server.weights}
        return next_state(server, weights)

    def evaluation_weights(self, server: Server) -> Weights:
        """The weights whose accuracy a round reports; the full-precision global model by default."""
        return server.weights

    def personalized(self, server: Server, client: int, memory: Weights) -> Weights:
        """The client's own model, for methods with ``personal = True``."""
        return server.weights

    def report(self, server: Server, uploads: Sequence[ReceivedUpdate]) -> dict[str, float]:
        """Further numbers for the round's record, such as the mean bit-width."""
        return {}


def split(weights: Weights, spec: Spec) -> tuple[Weights, Weights]:
    """The model's tensors among ``weights``, trainable parameters and buffers apart; others are left out."""
    params = {name: weights[name] for name in spec.trainable if name in weights}
    return params, {name: weights[name] for name in spec.sizes if name in weights and name not in params}


def next_state(server: Server, weights: Weights, shared: Weights | None = None) -> Server:
    """``server`` with new weights, and new shared tensors if given."""
    return Server(server.spec, weights, server.shared if shared is None else shared, server.clients, server.sizes)
