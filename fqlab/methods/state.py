"""What a method keeps between rounds: frozen dataclasses of tensors, which flatten for checkpoints and the wire."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch

from fqlab.tensors import Weights, with_prefix

__all__ = ["State"]

Own = TypeVar("Own", bound="State")


@dataclass(frozen=True)
class State:
    """Base of what a server or a client keeps; a method that keeps nothing uses it as it is.

    Every field is a tensor, or tensors by name (``Weights``). A state is a value: a round makes a new one.

    >>> @dataclass(frozen=True)
    ... class Widths(State):
    ...     bits: torch.Tensor
    ...     masks: Weights
    >>> state = Widths(torch.tensor([4, 2]), {"fc.weight": torch.ones(3)})
    >>> sorted(state.flatten())
    ['bits', 'masks/fc.weight']
    >>> Widths.unflatten(state.flatten()).bits.tolist()
    [4, 2]
    """

    def flatten(self) -> Weights:
        """All tensors by name: ``field``, or ``field/key``."""
        flat: Weights = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, torch.Tensor):
                flat[field.name] = value
            else:
                flat |= {f"{field.name}/{key}": tensor for key, tensor in value.items()}
        return flat

    @classmethod
    def unflatten(cls: type[Own], tensors: Mapping[str, torch.Tensor]) -> Own:
        """Inverse of :meth:`flatten`; a field of which nothing is there holds no tensors."""
        fields = [field.name for field in dataclasses.fields(cls)]
        return cls(**{f: tensors[f] if f in tensors else with_prefix(tensors, f"{f}/") for f in fields})
