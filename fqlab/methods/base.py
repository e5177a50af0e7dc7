"""What a method is: a handful of pure hooks around the round, each with FedAvg's behaviour as its default."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import nn

from fqlab.aggregate import AVERAGES, Form, average, decode_all
from fqlab.errors import in_range, one_of
from fqlab.methods.state import State
from fqlab.tensors import Weights, unstack
from fqlab.training.objectives import PLAIN, Objective
from fqlab.training.sgd import Training
from fqlab.wire import Payload
from fqlab.wire.stacked import PayloadStack

__all__ = [
    "Client", "ClientUpdate", "LocalProblem", "Method", "ReceivedUpdate", "Server", "Spec", "State", "split", "unless",
]  # fmt: skip


@dataclass(frozen=True)
class Spec:
    """Names of a model's tensors.

    Attributes:
        trainable: parameters, in order.
        quantizable: the Conv and Linear weights among them.
        numel: number of entries of each tensor, buffers included.
    """

    trainable: tuple[str, ...]
    quantizable: tuple[str, ...]
    numel: dict[str, int]


@dataclass(frozen=True)
class Server:
    """What the server knows between two rounds.

    Attributes:
        spec: names and sizes of the model's tensors.
        weights: the global model, parameters and buffers.
        state: whatever else the method keeps (bit tables, masks, ...), a :attr:`Method.ServerState`.
        clients: the number of clients.
        samples: each client's number of training samples.
    """

    spec: Spec
    weights: Weights
    state: Any = field(default_factory=State)
    clients: int = 0
    samples: tuple[int, ...] = ()

    def next(self, weights: Weights, state: State | None = None) -> Server:
        """The server with new weights, and a new state if given."""
        return replace(self, weights=weights, state=self.state if state is None else state)


@dataclass(frozen=True)
class Client:
    """What a client knows in one round.

    Attributes:
        id: 0, 1, ... among all clients.
        round_index: 1, 2, ...
        samples: its number of training samples.
        spec: names and sizes of the model's tensors.
        training: local optimiser settings.
        state: what it kept from its last accepted participation, a :attr:`Method.ClientState`; None before the first.
        generator: ``generator(purpose)`` gives this client's random source for this round.
        accuracy: ``accuracy(weights, on)`` measures weights on its own data: ``"train"``, ``"validation"`` or ``"test"``
            (all test samples of the labels it holds); optionally on at most ``limit`` samples drawn for this round.
    """

    id: int
    round_index: int
    samples: int
    spec: Spec
    training: Training
    state: Any
    generator: Callable[[str], torch.Generator]
    accuracy: Callable[..., float]


@dataclass(frozen=True)
class LocalProblem:
    """What a client is about to train: initial parameters, buffers, objective, and its state so far."""

    params: Weights
    buffers: Weights
    objective: Objective
    state: Any = None


@dataclass(frozen=True)
class ClientUpdate:
    """What a client hands over after training.

    Attributes:
        payload: goes through the wire to the server.
        state: stays with the client, once the server has accepted the payload.
        mse: mean squared quantization error of each layer it quantized.
        moved: share of each layer's weights whose code training changed, where the method looks.
    """

    payload: Payload
    state: Any = None
    mse: dict[str, float] = field(default_factory=dict)
    moved: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ReceivedUpdate:
    """A client's payload as the server sees it, after the wire and the guard."""

    client: int
    samples: int
    payload: Payload


@dataclass(frozen=True)
class Method:
    """A federated learning method. State goes in and comes out; a method itself is its settings and nothing else.

    Args:
        averaging: how the server averages: ``"size"`` (FedAvg's n_k), ``"equal"``, or robustly, so that a few clients
            that send anything at all change little: ``"median"`` or ``"trimmed_mean"`` of each coordinate.
        cut: share of the clients that ``"trimmed_mean"`` leaves out at either end, 0 to .499.

    Attributes:
        broadcast: all clients receive the same payload, so it is packed once.
        personal: clients have models of their own, which the loop evaluates on each client's test data.
        fresh_statistics: such a model's BatchNorm statistics are taken anew from the client's training samples first.
        ServerState, ClientState: types of what server and client keep between rounds.
    """

    broadcast: ClassVar[bool] = True
    personal: ClassVar[bool] = False
    fresh_statistics: ClassVar[bool] = False
    ServerState: ClassVar[type[State]] = State
    ClientState: ClassVar[type[State]] = State
    averages: ClassVar[tuple[str, ...]] = AVERAGES

    averaging: str = "size"
    cut: float = 0.1

    def __post_init__(self) -> None:
        one_of("averaging", self.averaging, self.averages)
        in_range("cut", self.cut, 0, 0.499)

    def idle(self) -> dict[str, str]:
        """Settings that change nothing under the others -> what they need to act, in words; see :func:`unless`."""
        return unless(self.averaging == "trimmed_mean", "averaging 'trimmed_mean'", "cut")

    def check(self, experiment: Any) -> None:
        """Refuse an experiment whose settings contradict the method's.

        Raises:
            ConfigError: with both settings in one sentence.
        """

    def advice(self, model: nn.Module) -> str:
        """A sentence for who trains ``model`` with these settings and would be disappointed; empty if there is none."""
        return ""

    def network(self, model: nn.Module) -> nn.Module:
        """The network to train and to evaluate: ``model``, or one with quantized activations."""
        return model

    def start(self, server: Server) -> Server:
        """The server's state before the first round; ``server.weights`` is the freshly initialised model."""
        return server

    def download(self, server: Server, client: int, generator: torch.Generator) -> Payload:
        """What ``client`` receives."""
        return Payload(tensors=server.weights)

    def prepare(self, payload: Payload, client: Client) -> LocalProblem:
        """What the client trains, given what it received."""
        params, buffers = split(payload.decode(), client.spec)
        return LocalProblem(params, buffers, PLAIN, client.state)

    def upload(self, params: Weights, buffers: Weights, problem: LocalProblem, client: Client) -> ClientUpdate:
        """What the client sends once trained."""
        return ClientUpdate(Payload(tensors=params | buffers), problem.state)

    def uploads(
        self, params: Weights, buffers: Weights, problems: Sequence[LocalProblem], clients: Sequence[Client]
    ) -> list[ClientUpdate]:
        """:meth:`upload` for stacked clients, whose tensors have a leading client dimension; one by one by default."""
        if type(self).upload is Method.upload:
            payloads = PayloadStack(params | buffers, len(clients)).members()
            return [ClientUpdate(sent, problem.state) for sent, problem in zip(payloads, problems, strict=True)]
        members = unstack(params | buffers, len(clients))
        updates = []
        for member, problem, client in zip(members, problems, clients, strict=True):
            weights = {name: member[name] for name in params}
            rest = {name: member[name] for name in buffers}
            updates.append(self.upload(weights, rest, problem, client))
        return updates

    def expected_shapes(self, server: Server) -> dict[str, torch.Size | Form]:
        """Names and shapes without which an upload is refused by the guard; a :class:`Form` where numbers won't do."""
        return {name: value.shape for name, value in server.weights.items()}

    def objection(self, server: Server, payload: Payload) -> str | None:
        """A further reason why an upload must not count, once it has all that is expected; None if there is none."""
        return None

    def average(self, values: torch.Tensor | Sequence[torch.Tensor], samples: Sequence[float]) -> torch.Tensor:
        """One tensor of many clients', by the rule ``averaging``."""
        return average(self.averaging, values, samples, self.cut)

    def aggregate(self, server: Server, updates: Sequence[ReceivedUpdate]) -> Server:
        """The server's next state. FedAvg: every tensor averaged with weights n_k / Σ n_k."""
        samples = [update.samples for update in updates]
        payloads = [update.payload for update in updates]
        decoded = {name: decode_all(payloads, name) for name in server.weights}
        return server.next({name: self.average(values, samples) for name, values in decoded.items()})

    def evaluation_weights(self, server: Server) -> Weights:
        """The weights whose accuracy a round reports; the full-precision global model by default."""
        return server.weights

    def personalized(self, server: Server, client: int, state: Any) -> Weights:
        """The client's own model, given what it keeps (None before its first round); for ``personal`` methods."""
        return server.weights

    def alike(self, server: Server, client: int, state: Any) -> Hashable | None:
        """What :meth:`personalized` depends on: clients for whom it is equal have the same model; None for a model that no
        other has."""
        return () if type(self).personalized is Method.personalized else None

    def report(self, server: Server, updates: Sequence[ReceivedUpdate]) -> dict[str, float]:
        """Further numbers for the round's record, such as the mean bit-width."""
        return {}


def unless(acts: bool, need: str, *settings: str) -> dict[str, str]:
    """Entries of :meth:`Method.idle`: ``settings`` need ``need``, which holds if they act."""
    return {} if acts else dict.fromkeys(settings, need)


def split(weights: Weights, spec: Spec) -> tuple[Weights, Weights]:
    """The model's tensors among ``weights``, trainable parameters and buffers apart; others are left out."""
    params = {name: weights[name] for name in spec.trainable if name in weights}
    return params, {name: weights[name] for name in spec.numel if name in weights and name not in params}
