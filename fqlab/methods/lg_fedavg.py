"""LG-FedAvg: share the head, keep the representation (Liang et al. 2020, arXiv 2001.01523)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from fqlab.aggregate import decode_all
from fqlab.errors import ConfigError, in_range, shown
from fqlab.methods.base import Client, ClientUpdate, LocalProblem, Method, ReceivedUpdate, Server, Spec, State, split
from fqlab.methods.standalone import Kept, Seen
from fqlab.tensors import Weights
from fqlab.training.objectives import PLAIN
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

    broadcast: ClassVar[bool] = False
    personal: ClassVar[bool] = True
    ServerState: ClassVar[type[State]] = Seen
    ClientState: ClassVar[type[State]] = Kept

    shared: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range("shared", self.shared, 1, integer=True)

    def head(self, spec: Spec) -> tuple[str, ...]:
        """Names of the global parameters."""
        layers = spec.quantizable[-self.shared :]
        stems = tuple(name.rpartition(".")[0] + "." for name in layers)
        return tuple(name for name in spec.trainable if name.startswith(stems))

    def start(self, server: Server) -> Server:
        layers = len(server.spec.quantizable)
        if self.shared > layers:
            raise ConfigError(f"shared is {shown(self.shared)}, but the model has {layers} Conv and Linear layers.")
        return server.next(server.weights, Seen.nobody(server.clients))

    def download(self, server: Server, client: int, generator: torch.Generator) -> Payload:
        if not server.state.seen[client]:
            return Payload(tensors=server.weights)
        return Payload(tensors={name: server.weights[name] for name in self.head(server.spec)})

    def prepare(self, payload: Payload, client: Client) -> LocalProblem:
        kept = client.state.weights if client.state else {}
        params, buffers = split(kept | payload.decode(), client.spec)
        return LocalProblem(params, buffers, PLAIN)

    def upload(self, params: Weights, buffers: Weights, problem: LocalProblem, client: Client) -> ClientUpdate:
        head = self.head(client.spec)
        rest = {name: value for name, value in (params | buffers).items() if name not in head}
        return ClientUpdate(Payload(tensors={name: params[name] for name in head}), Kept(rest))

    def expected_shapes(self, server: Server) -> dict[str, torch.Size]:
        return {name: server.weights[name].shape for name in self.head(server.spec)}

    def aggregate(self, server: Server, updates: Sequence[ReceivedUpdate]) -> Server:
        samples = [update.samples for update in updates]
        heads = {name: decode_all([u.payload for u in updates], name) for name in self.head(server.spec)}
        head = {name: self.average(values, samples) for name, values in heads.items()}
        return server.next(server.weights | head, server.state.after(updates))

    def personalized(self, server: Server, client: int, state: Kept | None) -> Weights:
        """The client's representation under the global head."""
        return server.weights | (state.weights if state else {})
