"""A downlink that sends each client only what changed since the model it holds, bit plane by bit plane.

The server remembers the codes of the last model that a client trained and answered with an accepted upload;
it names their version, and the client, who keeps that version and the newest, rebuilds the new codes bit by
bit. An upload that is refused, or a client that is absent, therefore never leaves the two at odds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from fqlab.quant import Codes
from fqlab.training.objectives import Weights
from fqlab.wire import Payload
from fqlab.wire.delta import apply_changes, changes

__all__ = ["accepted", "nothing_held", "receive", "send"]


def nothing_held(shapes: Mapping[str, torch.Size], clients: int) -> Weights:
    """The server's memory at first: ``held.LAYER`` values, their widths and versions (0 for none)."""
    held = {f"held.{name}": torch.zeros(clients, *shape, dtype=torch.int16) for name, shape in shapes.items()}
    counts = {"version": torch.tensor(1), "held.version": torch.zeros(clients, dtype=torch.int64)}
    return held | counts | {"held.bits": torch.zeros(clients, len(shapes), dtype=torch.int64)}


def send(shared: Weights, client: int, codes: Mapping[str, Codes]) -> Payload:
    """Changes against what the client holds, or the codes themselves the first time."""
    base, now = int(shared["held.version"][client]), int(shared["version"])
    payload: Payload = {"versions": torch.tensor([base, now], dtype=torch.int32)}
    if base == 0:
        return payload | dict(codes)
    for (name, layer), bits in zip(codes.items(), shared["held.bits"][client].tolist(), strict=True):
        payload[name], payload[f"{name}.flips"] = changes(shared[f"held.{name}"][client], bits, layer)
    return payload


def receive(payload: Payload, layers: Sequence[str], memory: Weights) -> tuple[dict[str, Codes], Weights]:
    """The codes that were sent, and what to remember: them, and the version they build upon."""
    base, now = payload["versions"].tolist()
    codes, kept = {}, {key: value for key, value in memory.items() if key.startswith(f"{base}:")}
    for name in layers:
        codes[name] = payload[name]
        if base:
            old, bits = memory[f"{base}:{name}"], int(memory[f"{base}:bits:{name}"])
            codes[name] = apply_changes(old, bits, payload[name], payload[f"{name}.flips"])
        kept[f"{now}:{name}"] = codes[name].values
        kept[f"{now}:bits:{name}"] = torch.tensor(codes[name].grid.bits)
    return codes, kept


def accepted(shared: Weights, sent: Mapping[int, Mapping[str, Codes]]) -> Weights:
    """The server's memory once clients have answered; ``sent`` holds the codes that each had received."""
    new = {k: v.clone() if k.startswith("held.") else v for k, v in shared.items()}
    for client, codes in sent.items():
        new["held.version"][client] = shared["version"]
        new["held.bits"][client] = torch.tensor([layer.grid.bits for layer in codes.values()])
        for name, layer in codes.items():
            new[f"held.{name}"][client] = layer.values
    return new | {"version": shared["version"] + 1}
