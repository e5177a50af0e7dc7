"""One step of the optimiser in FedMPQ's public code (Chen & Vikalo 2024, "binary representation update").

A layer of b bits is a sign, which no step changes, and whole magnitudes r = Σ_i 2^i B_i, so that its weights
are s·sign·r/(2^b − 1). A step moves the digits B_i by powers of two, rounds the sum and forms digits anew: no
fraction outlives it. All functions take one layer of one client, flattened to ``[n]``; planes are ``[b, n]``,
plane 0 the LSB. What a step needs on its way lies in ``memory``, which the next step uses again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, reduce

import torch

from fqlab.models.backprop import Buffers

__all__ = [
    "accumulate", "binary_digits", "digit_moves", "first_of", "integer_step", "penalty_pull", "pieces", "power_of_two",
    "powers", "pull_digits", "quantize_step", "reach",
]  # fmt: skip

GUARD = 1e-8
"""Under the root of the group norms (BSQ's code)."""
CHUNK = 1 << 17
"""Digits that are worked on at a time: half a megabyte, which stays in the cache from one line to the next."""
_CARRY = 0x00800000 - 0x003504F4
"""Added to the bits of a float it carries into the exponent from a mantissa of √2 on."""
_SIGN_AND_EXPONENT = -0x00800000
_SIGN = -0x80000000
_ONE = 0x3F800000
"""The bits of 1.0."""
_LEAST = 0.7
"""Below this, and so below 1/√2, a power of two is less than 1; twice as high is still below √2."""


def power_of_two(x: torch.Tensor) -> torch.Tensor:
    """sign(x)·2^round(log₂|x|), and 0 for 0; float32, any shape, exact above 2^−126. ``x`` is overwritten."""
    bits = x.view(torch.int32)
    bits += _CARRY
    bits &= _SIGN_AND_EXPONENT
    return x


@cache
def powers(bits: int) -> torch.Tensor:
    """1, 2, 4, ...: float32 ``[bits, 1]``."""
    return 2.0 ** torch.arange(bits, dtype=torch.float32).unsqueeze(1)


@cache
def _all_digits(bits: int) -> torch.Tensor:
    """The digits of 0, 1, ..., 2^bits − 1: int64 ``[2^bits, bits]``."""
    return binary_digits(torch.arange(2**bits), bits).T.long()


def binary_digits(magnitude: torch.Tensor, bits: int) -> torch.Tensor:
    """Digits B_i of whole magnitudes: ``[n]`` → float32 ``[bits, n]``."""
    shift = torch.arange(bits, dtype=torch.int32).unsqueeze(1)
    return (magnitude.to(torch.int32) >> shift).bitwise_and_(1).float()


def penalty_pull(magnitude: torch.Tensor, bits: int, strength: float) -> torch.Tensor:
    """strength/√(‖B_i‖² + 1e−8), the penalty's gradient for every one of plane i: float32 ``[bits]``; 0 where none is.

    ‖B_i‖² is a number of ones: magnitudes are counted, and every count is added to the digits of its magnitude.
    """
    codes = magnitude.to(torch.int32).to(torch.uint8)  # quicker than in one go
    count = torch.bincount(codes, minlength=2**bits)[: 2**bits]
    ones = (count.unsqueeze(1) * _all_digits(bits)).sum(0).float()
    return torch.where(ones > 0, strength / (ones + GUARD).sqrt(), 0)


def accumulate(
    buffer: torch.Tensor,
    magnitude: torch.Tensor,
    slope: torch.Tensor,
    pull: torch.Tensor | None = None,
    momentum: float = 0.0,
    memory: Buffers | None = None,
) -> None:
    """Momentum: buffer ← momentum·buffer + ∂/∂B_i of loss + strength·Σ_i √(‖B_i‖² + 1e−8), in place.

    The gradient is 2^i·slope + pull_i·B_i.

    Args:
        buffer: ``[b, n]``, zeros at the start of a round.
        magnitude: r, whole numbers in ``[0, 2^b − 1]``, float32 ``[n]``.
        slope: ∂loss/∂r, ``[n]``.
        pull: of the penalty, from :func:`penalty_pull`; None without one.
        momentum: 0 to 1.
    """
    memory = memory or Buffers()
    power = powers(len(buffer))
    for g, part, r in pieces(len(buffer), buffer, slope, magnitude):
        if momentum:
            g.mul_(momentum).addcmul_(power, part)
        else:
            torch.mul(power, part, out=g)
        if pull is not None:
            g.add_(pull_digits(r, pull, memory("g", *g.shape)))


def pieces(bits: int, *tensors: torch.Tensor) -> Iterator[tuple[torch.Tensor, ...]]:
    """Tensors ``[..., n]`` side by side, so many columns at a time that ``bits`` planes of them stay in the cache."""
    width = CHUNK // bits
    for first in range(0, tensors[0].shape[-1], width):
        yield tuple(tensor[..., first : first + width] for tensor in tensors)


def pull_digits(magnitude: torch.Tensor, pull: torch.Tensor, out: torch.Tensor, first: int = 0) -> torch.Tensor:
    """pull_i·B_i of the digits from ``first`` on: ``[n]`` → ``[b − first, n]``.

    A digit that is moved up to the sign bit, and down again, is a mask for the bits of a float.
    """
    up = torch.arange(31 - first, 31 - len(pull), -1, dtype=torch.int32).unsqueeze(1)
    masks = out.view(torch.int32)
    torch.bitwise_left_shift(magnitude.to(torch.int32), up, out=masks)
    masks.bitwise_right_shift_(31).bitwise_and_(pull[first:].view(torch.int32).unsqueeze(1))
    return out


def quantize_step(
    buffer: torch.Tensor, lr: float, uniform: torch.Tensor, memory: Buffers | None = None
) -> tuple[torch.Tensor, float]:
    """The buffer becomes the step of every digit, in units of lr, and momentum goes on from there; in place.

    With c = max|g|/(2^b − 1) and d_i = 2^i·2^round(log₂(lr|g_i|/c)): digits with 1 ≤ d_i ≤ 2^b move by
    sign(g_i)·c·d_i, larger ones not at all. Those with d_i < 1 are collected: with probability
    min(1, Σ d_i) the LSB moves by c more, in the direction of the MSB's g (which counts as negative where it is 0).

    Args:
        buffer: g, the gradient of the digits, momentum included, ``[b, n]``.
        lr: learning rate, above 0.
        uniform: draws from [0, 1), ``[n]``.

    Returns:
        Σ_i 2^i step_i/c, whole numbers ``[n]`` in ``memory``, and c.
    """
    memory = memory or Buffers()
    bits = len(buffer)
    steepest = _steepest(buffer, memory)
    c = float(steepest.max()) / (2**bits - 1)
    unit = lr / c if c else 0.0
    heights = (steepest * unit * powers(bits)[:, 0]).tolist()
    total = memory("total", buffer.shape[1])
    for g, draws, net in pieces(bits, buffer, uniform, total):
        net.copy_(digit_moves(g, unit, heights, draws, memory))
        g.mul_(c)
    return total, c


def digit_moves(
    g: torch.Tensor, unit: float, heights: Sequence[float], uniform: torch.Tensor, memory: Buffers
) -> torch.Tensor:
    """Steps of all digits in units of lr·c, written to ``g``, whole numbers; and Σ_i 2^i of them.

    Args:
        g: gradients ``[b, n]``.
        unit: lr/c.
        heights: an upper bound of 2^i·unit·|g_i| for every digit.
        uniform: draws ``[n]``.
    """
    bits = len(g)
    moving, wild = (first_of(heights, limit) for limit in (_LEAST, _LEAST * 2 ** (bits + 1)))
    up = torch.sign(g[-1], out=memory("up", *uniform.shape))
    d = power_of_two(torch.mul(g, unit * powers(bits), out=memory("d", *g.shape)))
    g[:moving] = 0
    d[moving:].sub_(torch.hardshrink(d[moving:], 0.75, out=g[moving:]))
    chance = torch.sum(d.abs_(), 0, out=memory("chance", *uniform.shape))
    g[wild:].sub_(torch.hardshrink(g[wild:], 1.5 * 2**bits, out=d[wild:]))
    g[0].add_(_hits(torch.sub(uniform, chance, out=chance), up))
    return torch.mm(powers(bits).T, g, out=memory("net", 1, *uniform.shape))[0]


def _steepest(buffer: torch.Tensor, memory: Buffers) -> torch.Tensor:
    """max|g_i| of every digit: ``[b]``."""
    parts = (torch.abs(g, out=memory("d", *g.shape)).amax(1) for (g,) in pieces(len(buffer), buffer))
    return reduce(torch.maximum, parts)


def first_of(heights: Sequence[float], limit: float) -> int:
    """The lowest digit with a height of ``limit`` or more, or none: those below need not be looked at."""
    return next((i for i, height in enumerate(heights) if not height < limit), len(heights))


def _hits(miss: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
    """±1 where ``miss`` is negative, 0 elsewhere: +1 where ``up`` is positive; both are overwritten.

    The sign bits do it: choosing by true and false takes thirty times as long.
    """
    direction = up.sub_(0.5).view(torch.int32)
    direction.bitwise_and_(_SIGN).bitwise_or_(_ONE).bitwise_and_(miss.view(torch.int32).bitwise_right_shift_(31))
    return up


def integer_step(
    magnitude: torch.Tensor, buffer: torch.Tensor, lr: float, uniform: torch.Tensor, memory: Buffers | None = None
) -> torch.Tensor:
    """Magnitudes after one step, in place: r ← round(r − lr Σ_i 2^i step_i), halves to even, kept in [0, 2^b − 1].

    What would leave the grid or change its sign stays at the edge. (In the code, the top digit takes the
    excess and the forward pass clips it.)

    Args:
        magnitude: r, ``[n]``.
        buffer, lr, uniform: as for :func:`quantize_step`, which is applied to the buffer.
    """
    total, c = quantize_step(buffer, lr, uniform, memory)
    return magnitude.add_(total, alpha=-lr * c).round_().clamp_(0, 2 ** len(buffer) - 1)


def reach(steepest: float, bits: int, pull: float, lr: float) -> float:
    """The furthest that a step without momentum can move a magnitude: below ½ no digit changes.

    No digit's gradient is above 2^(b−1) max|slope| + max pull, which bounds c; and no step is longer than
    lr·c·(Σ_i 2^i·2^b + 1).

    Args:
        steepest: max|slope|, as for :func:`accumulate`.
        bits: b.
        pull: the largest of :func:`penalty_pull`.
        lr: learning rate.
    """
    top = 2**bits - 1
    c = (2 ** (bits - 1) * steepest + pull) / top
    return lr * c * (top * (top + 1) + 1)
