"""What methods share whose clients send differences: the change that training made, not the weights it led to.

A difference is ten to a hundred times smaller than a weight and shrinks as training converges, so the same b bits leave
a far smaller error (Reisizadeh et al., FedPAQ, AISTATS 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from fqlab import seeds
from fqlab.aggregate import Form, decode_all
from fqlab.methods.base import Client, ClientUpdate, LocalProblem, Method, ReceivedUpdate, Server, State
from fqlab.quant import Codes, Grid
from fqlab.tensors import Weights, stack, unstack
from fqlab.wire import Payload

__all__ = ["Differences", "Residual", "differences"]


def differences(params: Weights, buffers: Weights, problems: Sequence[LocalProblem]) -> Weights:
    """What training changed, for stacked clients ``[clients, ...]``: every tensor minus the one that arrived."""
    received = stack([problem.params | problem.buffers for problem in problems])
    return {name: value - received[name] for name, value in (params | buffers).items()}


@dataclass(frozen=True)
class Residual(State):
    """What quantization has withheld of each layer so far."""

    weights: Weights


@dataclass(frozen=True)
class Differences(Method):
    """Clients send what training changed; the server adds the mean of what arrives, with FedAvg's weights n_k / Σ n_k.

    A method says how one layer travels (:meth:`encode`, :meth:`decode`). What is not quantized (biases, norms) is a
    difference in float32. Every layer's random draws start from one seed a client and round, which travels in the
    packet where the server has to draw alike (``shared_seed``). With ``feedback`` a client adds to its next difference
    what quantization has withheld from the server so far.
    """

    ClientState: ClassVar[type[State]] = Residual
    shared_seed: ClassVar[bool] = False
    feedback = False

    def encode(
        self, name: str, x: torch.Tensor, generators: Sequence[torch.Generator]
    ) -> tuple[list[Payload], torch.Tensor]:
        """One layer of stacked clients ``[clients, ...]`` as parts of their packets, and as the server will decode it."""
        raise NotImplementedError

    def decode(self, name: str, shape: torch.Size, updates: Sequence[ReceivedUpdate]) -> torch.Tensor:
        """One layer of all updates, ``[clients, *shape]``."""
        return decode_all([u.payload for u in updates], name)

    def layer_shapes(self, name: str, shape: torch.Size) -> dict[str, Form]:
        """Names and forms of a layer's entries in a packet."""
        return {name: Form(shape, "codes")}

    def combine(self, values: torch.Tensor, samples: Sequence[int]) -> torch.Tensor:
        """How the server moves a layer, given every client's difference ``[clients, ...]``."""
        return self.average(values, samples)

    def uploads(
        self, params: Weights, buffers: Weights, problems: Sequence[LocalProblem], clients: Sequence[Client]
    ) -> list[ClientUpdate]:
        keys = [_seed(client) for client in clients]
        rest = differences(params, buffers, problems)
        layers = {name: rest.pop(name) for name in clients[0].spec.quantizable}
        if self.feedback:
            layers = {name: change + _withheld(name, change, problems) for name, change in layers.items()}
        parts: list[list[Payload]] = []
        left: Weights = {}
        for name, change in layers.items():
            coded, decoded = self.encode(name, change, [seeds.torch_generator(key, name) for key in keys])
            parts.append(coded)
            left[name] = change - decoded
        if self.shared_seed:
            rest["seed"] = torch.tensor(keys, dtype=torch.int64)
        mse = {name: value.square().flatten(1).mean(1) for name, value in left.items()}
        members = zip(zip(*parts, strict=True), *(unstack(t, len(clients)) for t in (rest, left, mse)), strict=True)
        return [
            ClientUpdate(
                _joined([*coded, Payload(tensors=tensors)]),
                Residual(withheld) if self.feedback else None,
                {name: float(value) for name, value in misses.items()},
            )
            for coded, tensors, withheld, misses in members
        ]

    def upload(self, params: Weights, buffers: Weights, problem: LocalProblem, client: Client) -> ClientUpdate:
        return self.uploads(stack([params]), stack([buffers]), [problem], [client])[0]

    def expected_shapes(self, server: Server) -> dict[str, torch.Size | Form]:
        shapes: dict[str, torch.Size | Form] = {"seed": Form(torch.Size([]), "integer")} if self.shared_seed else {}
        for name, value in server.weights.items():
            shapes |= self.layer_shapes(name, value.shape) if name in server.spec.quantizable else {name: value.shape}
        return shapes

    def aggregate(self, server: Server, updates: Sequence[ReceivedUpdate]) -> Server:
        samples = [update.samples for update in updates]
        weights = {}
        for name, old in server.weights.items():
            if name in server.spec.quantizable:
                weights[name] = old + self.combine(self.decode(name, old.shape, updates), samples)
            else:
                weights[name] = old + self.average([u.payload.tensors[name] for u in updates], samples)
        return server.next(weights)

    def drawn(self, name: str, updates: Sequence[ReceivedUpdate]) -> list[torch.Generator]:
        """The generators that the clients took a layer's draws from."""
        return [seeds.torch_generator(int(u.payload.tensors["seed"]) & SEEDS, name) for u in updates]

    def stacked(self, name: str, grid: Grid, updates: Sequence[ReceivedUpdate]) -> Codes:
        """One entry's codes of all updates as a batch on the grid that was agreed, whatever grid a client names."""
        codes = [u.payload.codes[name] for u in updates]
        values = torch.stack([c.values for c in codes]).clamp(grid.low, grid.high)
        return Codes(values, grid, torch.stack([c.clip for c in codes]))


SEEDS = 2**63 - 1
"""The largest seed; as a mask it makes one of any number that a packet may hold."""


def _seed(client: Client) -> int:
    """Where a client's draws of this round start."""
    return int(torch.randint(SEEDS, (), generator=client.generator("upload")))


def _withheld(name: str, like: torch.Tensor, problems: Sequence[LocalProblem]) -> torch.Tensor:
    """The residuals of a layer, ``[clients, ...]``; nothing before a client's first round."""
    nothing = torch.zeros_like(like[0])
    return torch.stack([p.state.weights[name] if p.state else nothing for p in problems])


def _joined(parts: Sequence[Payload]) -> Payload:
    """Several payloads as one."""
    codes = {name: entry for part in parts for name, entry in part.codes.items()}
    return Payload(codes, {name: value for part in parts for name, value in part.tensors.items()})
