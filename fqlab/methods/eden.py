"""EDEN (Vargaftik et al., ICML 2022, arXiv 2108.08842); at one bit DRIVE (NeurIPS 2021, arXiv 2105.08339)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from fqlab.aggregate import Form
from fqlab.errors import in_range
from fqlab.methods.base import ReceivedUpdate
from fqlab.methods.differences import Differences
from fqlab.quant import Grid, eden_decode, eden_encode, pieces, random_signs, rotate, rotate_back
from fqlab.wire import Payload

__all__ = ["EDEN"]


@dataclass(frozen=True)
class EDEN(Differences):
    """Rotate each layer's change at random, send the nearest levels of a normal law and one scale, rotate back.

    The packet carries the seed of the rotation, and for each of the powers of two that a layer is cut into
    (:func:`~fqlab.quant.rotation.pieces`) its codes, padding included.

    Args:
        bits: 1-8.

    >>> from fqlab.federation import Experiment, fit
    >>> fit(Experiment(method="eden", rounds=8, options={"bits": 1}, engine="vectorized")).accuracy > 0.7
    True
    """

    shared_seed: ClassVar[bool] = True

    bits: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range("bits", self.bits, 1, 8, integer=True)

    def encode(
        self, name: str, x: torch.Tensor, generators: Sequence[torch.Generator]
    ) -> tuple[list[Payload], torch.Tensor]:
        flat = x.flatten(1)
        signs = random_signs(sum(pieces(flat.shape[1])), generators)
        codes = [eden_encode(part, self.bits) for part in rotate(flat, signs)]
        arrived = rotate_back([eden_decode(part) for part in codes], signs, flat.shape[1]).reshape(x.shape)
        return [Payload({f"{name}/{k}": part[i] for k, part in enumerate(codes)}) for i in range(len(x))], arrived

    def decode(self, name: str, shape: torch.Size, updates: Sequence[ReceivedUpdate]) -> torch.Tensor:
        keys = self.layer_shapes(name, shape)
        parts = [eden_decode(self.stacked(key, Grid(self.bits), updates)) for key in keys]
        signs = random_signs(sum(pieces(shape.numel())), self.drawn(name, updates))
        return rotate_back(parts, signs, shape.numel()).reshape(len(updates), *shape)

    def layer_shapes(self, name: str, shape: torch.Size) -> dict[str, Form]:
        lengths = enumerate(pieces(shape.numel()))
        return {f"{name}/{k}": Form(torch.Size([n]), "codes", "midrise", self.bits) for k, n in lengths}
