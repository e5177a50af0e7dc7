"""Standalone: every client alone with its data. The baseline of personal federated learning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from fqlab.methods.base import Client, ClientUpdate, LocalProblem, Method, ReceivedUpdate, Server, next_state, split
from fqlab.training.objectives import Objective, Weights
from fqlab.wire import Payload

__all__ = ["Standalone"]


@dataclass(frozen=True)
class Standalone(Method):
    """No communication: after a first download of the initial model, clients keep their weights to themselves.

    >>> from fqlab.federation import Experiment, fit
    >>> history = fit(Experiment(method="standalone", partition="n_class", rounds=3, epochs=5))
    >>> history.rounds[-1].personal > 0.5
    True
    """

    broadcast = False
    personal = True

    def start(self, server: Server) -> Server:
        return next_state(server, server.weights, {"seen": torch.zeros(server.clients, dtype=torch.bool)})

    def download(self, server: Server, client: int, generator: torch.Generator) -> Payload:
        return {} if server.shared["seen"][client] else dict(server.weights)

    def prepare(self, payload: Payload, client: Client) -> LocalProblem:
        params, buffers = split(dict(client.memory or payload), client.spec)
        return LocalProblem(params, buffers, Objective())

    def upload(self, params: Weights, buffers: Weights, problem: LocalProblem, client: Client) -> ClientUpdate:
        return ClientUpdate({}, {**params, **buffers})

    def expected_shapes(self, server: Server) -> dict[str, torch.Size]:
        return {}

    def aggregate(self, server: Server, uploads: Sequence[ReceivedUpdate]) -> Server:
        seen = server.shared["seen"].clone()
        seen[[upload.client for upload in uploads]] = True
        return next_state(server, server.weights, {"seen": seen})

    def personalized(self, server: Server, client: int, memory: Weights) -> Weights:
        """The client's own weights; the initial model while it has not trained yet."""
        return memory or server.weights
