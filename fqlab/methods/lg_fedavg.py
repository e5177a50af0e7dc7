"""LG-FedAvg: share the head, keep the representation (Liang et al. 2020, arXiv 2001.01523)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from fqlab.aggregate import decode_all, mean
from fqlab.errors import in_range
from fqlab.methods.base import (
    Client,
    ClientUpdate,
    LocalProblem,
    Method,
    ReceivedUpdate,
    Server,
    Spec,
    next_state,
    split,
)
from fqlab.training.objectives import Objective, Weights
from fqlab.wire import Payload

__all__ = ["LGFedAvg"]


@dataclass(frozen=True)
class LGFedAvg(Method):
    """The last ``shared`` layers are averaged, those below stay with the client.

    This is LG-FedAvg as its own paper has it. LotteryFL's tables report it at 0.7612-0.7895 of FedAvg's traffic; no
    split of the layers gives these ratios, so the traffic here is this library's own.

    Args:
        shared: number of layers from the top that are global, 1 or more.

    >>> from fqlab.federation import Experiment, fit
    >>> history = fit(Experiment(method="lg_fedavg", partition="n_class", rounds=3, epochs=5))
    >>> history.rounds[-1].personal > 0.5
    True
    """

    broadcast = False
    personal = True

    shared: int = 1

    def __post_init__(self) -> None:
        in_range("shared", self.shared, 1, integer=True)

    def head(self, spec: Spec) -> tuple[str, ...]:
        """Names of the global parameters."""
        layers = spec.quantizable[-self.shared :]
        stems = tuple(name.rpartition(".")[0] + "." for name in layers)
        return tuple(name for name in spec.trainable if name.startswith(stems))

    def start(self, server: Server) -> Server:
        return next_state(server, server.weights, {"seen": torch.zeros(server.clients, dtype=torch.bool)})

    def download(self, server: Server, client: int, generator: torch.Generator) -> Payload:
        if not server.shared["seen"][client]:
            return dict(server.weights)
        return {name: server.weights[name] for name in self.head(server.spec)}

    def prepare(self, payload: Payload, client: Client) -> LocalProblem:
        params, buffers = split({**client.memory, **payload}, client.spec)
        return LocalProblem(params, buffers, Objective())

    def upload(self, params: Weights, buffers: Weights, problem: LocalProblem, client: Client) -> ClientUpdate:
        head = self.head(client.spec)
        own = {name: value for name, value in {**params, **buffers}.items() if name not in head}
        return ClientUpdate({name: params[name] for name in head}, own)

    def expected_shapes(self, server: Server) -> dict[str, torch.Size]:
        return {name: server.weights[name].shape for name in self.head(server.spec)}

    def aggregate(self, server: Server, uploads: Sequence[ReceivedUpdate]) -> Server:
        sizes = [upload.size for upload in uploads]
        head = {n: mean(decode_all([u.payload[n] for u in uploads]), sizes) for n in self.head(server.spec)}
        seen = server.shared["seen"].clone()
        seen[[upload.client for upload in uploads]] = True
        return next_state(server, {**server.weights, **head}, {"seen": seen})

    def personalized(self, server: Server, client: int, memory: Weights) -> Weights:
        """The client's representation under the global head."""
        return {**server.weights, **memory}
