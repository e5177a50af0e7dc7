"""Standalone: every client alone with its data. The baseline of personal federated learning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from fqlab.methods.base import Client, ClientUpdate, LocalProblem, Method, ReceivedUpdate, Server, State, split
from fqlab.tensors import Weights
from fqlab.training.objectives import PLAIN
from fqlab.wire import Payload

__all__ = ["Kept", "Seen", "Standalone"]


@dataclass(frozen=True)
class Seen(State):
    """Which clients have answered at least once, bool ``[clients]``; the others need the whole model first."""

    seen: torch.Tensor

    @classmethod
    def nobody(cls, clients: int) -> Seen:
        """The state before the first round."""
        return cls(torch.zeros(clients, dtype=torch.bool))

    def after(self, updates: Sequence[ReceivedUpdate]) -> Seen:
        """The state once these have answered."""
        seen = self.seen.clone()
        seen[[update.client for update in updates]] = True
        return Seen(seen)


@dataclass(frozen=True)
class Kept(State):
    """The tensors of a model that stay with a client."""

    weights: Weights


@dataclass(frozen=True)
class Standalone(Method):
    """No communication: after a first download of the initial model, clients keep their weights to themselves.

    >>> from fqlab.federation import Experiment, fit
    >>> history = fit(Experiment(method="standalone", partition="n_class", rounds=3, epochs=5))
    >>> history.rounds[-1].personal > 0.5
    True
    """

    broadcast: ClassVar[bool] = False
    personal: ClassVar[bool] = True
    ServerState: ClassVar[type[State]] = Seen
    ClientState: ClassVar[type[State]] = Kept
    averages: ClassVar[tuple[str, ...]] = ("size",)  # nothing is averaged

    def start(self, server: Server) -> Server:
        return server.next(server.weights, Seen.nobody(server.clients))

    def download(self, server: Server, client: int, generator: torch.Generator) -> Payload:
        return Payload() if server.state.seen[client] else Payload(tensors=server.weights)

    def prepare(self, payload: Payload, client: Client) -> LocalProblem:
        params, buffers = split(client.state.weights if client.state else payload.decode(), client.spec)
        return LocalProblem(params, buffers, PLAIN)

    def upload(self, params: Weights, buffers: Weights, problem: LocalProblem, client: Client) -> ClientUpdate:
        return ClientUpdate(Payload(), Kept(params | buffers))

    def expected_shapes(self, server: Server) -> dict[str, torch.Size]:
        return {}

    def aggregate(self, server: Server, updates: Sequence[ReceivedUpdate]) -> Server:
        return server.next(server.weights, server.state.after(updates))

    def personalized(self, server: Server, client: int, state: Kept | None) -> Weights:
        """The client's own weights; the initial model while it has not trained yet."""
        return state.weights if state else server.weights
