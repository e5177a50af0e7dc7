"""The integer step without momentum: a digit's gradient follows from the weight's, and no buffer is kept."""

from __future__ import annotations

import torch

from fqlab.models.backprop import Buffers
from fqlab.training.integer import digit_moves, first_of, pieces, powers, pull_digits

__all__ = ["plain_step"]


def plain_step(
    magnitude: torch.Tensor,
    slope: torch.Tensor,
    steepest: float,
    pull: torch.Tensor,
    lr: float,
    uniform: torch.Tensor,
    memory: Buffers | None = None,
) -> torch.Tensor:
    """:func:`~fqlab.training.integer.integer_step` of the gradient alone, magnitudes in place, to the same bits.

    Args:
        magnitude: r, ``[n]``.
        slope: ∂loss/∂r, ``[n]``.
        steepest: max|slope|.
        pull: of the penalty, ``[b]``.
        lr, uniform: as for :func:`~fqlab.training.integer.quantize_step`.
    """
    memory = memory or Buffers()
    top = 2 ** len(pull) - 1
    limits = [2**i * steepest + each for i, each in enumerate(pull.tolist())]
    c = _largest(magnitude, slope, pull, limits, memory) / top
    unit = lr / c if c else 0.0
    heights = [2**i * unit * limit for i, limit in enumerate(limits)]
    for r, part, draws in pieces(len(pull), magnitude, slope, uniform):
        g = _gradient(r, part, pull, memory("g", len(pull), len(r)))
        net = digit_moves(g, unit, heights, draws, memory)
        r.add_(net, alpha=-lr * c).round_().clamp_(0, top)
    return magnitude


def _gradient(
    r: torch.Tensor, slope: torch.Tensor, pull: torch.Tensor, out: torch.Tensor, first: int = 0
) -> torch.Tensor:
    """2^i·slope + pull_i·B_i of the digits from ``first`` on."""
    return pull_digits(r, pull, out, first).addcmul_(powers(len(pull))[first:], slope)


def _largest(
    magnitude: torch.Tensor, slope: torch.Tensor, pull: torch.Tensor, limits: list[float], memory: Buffers
) -> float:
    """max|g| over all digits; looked for where it can be, which is mostly the MSB."""
    sure = (limits[-1] - 2 * float(pull[-1])) * (1 - 1e-6)
    first = first_of(limits, sure)
    rows = len(pull) - first
    found = [
        _gradient(r, part, pull, memory("g", rows, len(r)), first).abs_().max()
        for r, part in pieces(rows, magnitude, slope)
    ]
    return float(torch.stack(found).max())
