"""A downlink that sends each client only what changed since the model it holds, bit plane by bit plane.

The server remembers the codes of the last model that a client trained and answered with an accepted upload;
it names their version, and the client, who keeps that version and the newest, rebuilds the new codes bit by
bit. An upload that is refused, or a client that is absent, therefore never leaves the two at odds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch

from fqlab.methods.state import State
from fqlab.quant import Codes
from fqlab.tensors import Weights, with_prefix
from fqlab.wire import Payload
from fqlab.wire.delta import apply_changes, changes

__all__ = ["Held", "Known", "receive"]


@dataclass(frozen=True)
class Known(State):
    """What the server knows of its clients: codes, widths and version (0 for none) of the model that each holds.

    Attributes:
        values: layer -> int16 ``[clients, ...]``.
        bits: ``[clients, layers]``.
        versions: ``[clients]``.
        now: the version of the model that is sent next.
    """

    values: Weights
    bits: torch.Tensor
    versions: torch.Tensor
    now: torch.Tensor

    @classmethod
    def nothing(cls, shapes: Mapping[str, torch.Size], clients: int) -> Known:
        """Before the first round."""
        values = {name: torch.zeros(clients, *shape, dtype=torch.int16) for name, shape in shapes.items()}
        none = torch.zeros(clients, dtype=torch.int64)
        return cls(
            values, torch.zeros(clients, len(shapes), dtype=torch.int64), none, torch.tensor(1, dtype=torch.int64)
        )

    def send(self, client: int, codes: Mapping[str, Codes]) -> Payload:
        """Changes against what the client holds, or the codes themselves the first time."""
        base = int(self.versions[client])
        versions = {"versions": torch.tensor([base, int(self.now)], dtype=torch.int32)}
        if base == 0:
            return Payload(codes, versions)
        turned: dict[str, Codes] = {}
        flips: Weights = {}
        for (name, layer), bits in zip(codes.items(), self.bits[client].tolist(), strict=True):
            turned[name], flips[f"{name}/flips"] = changes(self.values[name][client], bits, layer)
        return Payload(turned, versions | flips)

    def accepted(self, sent: Mapping[int, Mapping[str, Codes]]) -> Known:
        """Once clients have answered; ``sent`` holds the codes that each had received."""
        values = {name: value.clone() for name, value in self.values.items()}
        bits = self.bits.clone()
        versions = self.versions.clone()
        for client, codes in sent.items():
            versions[client] = self.now
            bits[client] = torch.tensor([layer.grid.bits for layer in codes.values()], dtype=torch.int64)
            for name, layer in codes.items():
                values[name][client] = layer.values
        return replace(self, values=values, bits=bits, versions=versions, now=self.now + 1)


@dataclass(frozen=True)
class Held(State):
    """What a client holds: codes and widths of the two newest models, as ``VERSION/LAYER``."""

    values: Weights = field(default_factory=dict)
    bits: Weights = field(default_factory=dict)


def receive(payload: Payload, layers: Sequence[str], held: Held | None) -> tuple[dict[str, Codes], Held]:
    """The codes that were sent, and what to remember: them, and the version they build upon."""
    held = held or Held()
    base, now = payload.tensors["versions"].tolist()
    codes = {name: payload.codes[name] for name in layers}
    values = with_prefix(held.values, f"{base}/")
    bits = with_prefix(held.bits, f"{base}/")
    if base:
        for name, layer in codes.items():
            flips = payload.tensors[f"{name}/flips"]
            codes[name] = apply_changes(values[name], int(bits[name]), layer, flips)
    old = Held({f"{base}/{k}": v for k, v in values.items()}, {f"{base}/{k}": v for k, v in bits.items()})
    return codes, Held(
        old.values | {f"{now}/{name}": layer.values for name, layer in codes.items()},
        old.bits | {f"{now}/{name}": torch.tensor(layer.grid.bits, dtype=torch.int64) for name, layer in codes.items()},
    )
