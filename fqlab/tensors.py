"""Small tools for tensors by name, of one client or of many stacked along a leading dimension."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import torch

from fqlab.errors import ConfigError

__all__ = ["Weights", "dense_real", "expand_like", "leading", "stack", "unstack", "with_prefix"]

Weights = dict[str, torch.Tensor]
"""Name -> float32 tensor."""
Entry = TypeVar("Entry")


def dense_real(name: str, x: torch.Tensor) -> torch.Tensor:
    """``x``, if it has real numbers and memory for each of them.

    Raises:
        ConfigError: for a sparse, complex or quantized tensor, and for one without data.
    """
    if x.layout is not torch.strided or x.is_complex() or x.is_quantized or x.is_meta:
        kind = "without data" if x.is_meta else f"of layout {x.layout} and type {x.dtype}"
        raise ConfigError(f"{name} is a tensor {kind}, but must be a dense one of real numbers.")
    return x


def expand_like(value: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """``value`` with dimensions of size 1 appended, so that it broadcasts over ``like``."""
    return value.reshape(value.shape + (1,) * (like.dim() - value.dim()))


def leading(stacked: Mapping[str, torch.Tensor], count: int | None) -> Weights:
    """The first ``count`` members of stacked tensors, as views; all of them if None."""
    return {name: value[:count] for name, value in stacked.items()} if count is not None else dict(stacked)


def stack(members: Sequence[Mapping[str, torch.Tensor]]) -> Weights:
    """Tensors of the same names and shapes as one, ``[members, ...]``."""
    return {name: torch.stack([member[name] for member in members]) for name in members[0]}


def unstack(stacked: Mapping[str, Iterable[Entry]], count: int) -> Iterator[dict[str, Entry]]:
    """The ``count`` members of :func:`stack`, or of sequences by name, one after the other; those of tensors as views."""
    if not stacked:
        return iter([{} for _ in range(count)])
    return (dict(zip(stacked, member, strict=True)) for member in zip(*stacked.values(), strict=True))


def with_prefix(tensors: Mapping[str, torch.Tensor], prefix: str) -> Weights:
    """The tensors whose names begin with ``prefix``, without it."""
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
