"""What all clip rules share: rows of values go in, one usable clip a row comes out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from fqlab.errors import ConfigError
from fqlab.tensors import dense_real

__all__ = ["Rule", "detached", "rows_of", "usable"]

Rule = Callable[[torch.Tensor], torch.Tensor]
"""Clips ``[members]`` of contiguous rows ``[members, n]``, which it must leave as they are."""


def rows_of(x: torch.Tensor, batch_dims: int) -> torch.Tensor:
    """``x`` as float32 of shape ``[*batch, n]``.

    Raises:
        ConfigError: if there is no value, or not one of its own for each entry.
    """
    dense_real("x", x)
    if x.numel() == 0:
        raise ConfigError(f"x has shape {tuple(x.shape)}, but a clip needs at least one value.")
    return x.detach().to(torch.float32).reshape(x.shape[:batch_dims] + (-1,))


def usable(clip: torch.Tensor, peak: torch.Tensor) -> torch.Tensor:
    """``clip`` where positive and finite, else max|x|; 1 if all values are zero, NaN if one is not finite."""
    finite = peak < math.inf
    fallback = torch.where(peak == 0, 1.0, torch.where(finite, peak, math.nan))
    return torch.where((clip > 0) & (clip < math.inf) & finite, clip, fallback)


def detached(rule: Rule, rows: torch.Tensor) -> torch.Tensor:
    """``rule`` on ``rows`` ``[*batch, n]``, from :func:`rows_of`: clips ``[*batch]``.

    Neither autograd nor a transform of ``torch.func`` looks inside: no gradient flows, a dimension that ``vmap`` maps is
    one more of the batch, and ``rule`` may look at the data.
    """
    # What ``apply`` takes by itself is a tenth of the time of a small layer's clip.
    inside = torch._C._are_functorch_transforms_active()
    return _Detached.apply(rows, rule) if inside else _Detached.forward(rows, rule)


class _Detached(torch.autograd.Function):
    @staticmethod
    def forward(rows: torch.Tensor, rule: Rule) -> torch.Tensor:
        return rule(rows.reshape(-1, rows.shape[-1]).contiguous()).reshape(rows.shape[:-1])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int, None], rows: torch.Tensor, rule: Rule) -> tuple[torch.Tensor, int]:
        return _Detached.apply(rows.movedim(in_dims[0], 0), rule), 0
