"""One step of the optimiser in FedMPQ's public code (Chen & Vikalo 2024, "binary representation update").

A layer of b bits is a sign, which no step changes, and whole magnitudes r = Σ_i 2^i B_i, so that its weights
are s·sign·r/(2^b − 1). A step moves the digits B_i by powers of two, rounds the sum and forms digits anew: no
fraction outlives it. All functions take one layer of one client, flattened to ``[n]``; planes are ``[b, n]``,
plane 0 the LSB.
"""

from __future__ import annotations

import torch

__all__ = ["accumulate", "binary_digits", "integer_step", "penalty_pull", "power_of_two", "quantize_step", "reach"]

GUARD = 1e-8
"""Under the root of the group norms (BSQ's code)."""
CHUNK = 1 << 17
"""Digits that are worked on at a time: half a megabyte, which stays in the cache and costs no page faults."""
_CARRY = 0x00800000 - 0x003504F4
"""Added to the bits of a float it carries into the exponent from a mantissa of √2 on."""
_SIGN_AND_EXPONENT = -0x00800000


def power_of_two(x: torch.Tensor) -> torch.Tensor:
    """sign(x)·2^round(log₂|x|), and 0 for 0; float32, any shape, exact above 2^−126. ``x`` is overwritten."""
    bits = x.view(torch.int32)
    bits += _CARRY
    bits &= _SIGN_AND_EXPONENT
    return x


def _powers(bits: int) -> torch.Tensor:
    """1, 2, 4, ...: float32 ``[bits]``."""
    return 2.0 ** torch.arange(bits, dtype=torch.float32)


def binary_digits(magnitude: torch.Tensor, bits: int) -> torch.Tensor:
    """Digits B_i of whole magnitudes: float32 ``[n]`` → ``[bits, n]``."""
    shift = torch.arange(bits, dtype=torch.int32).unsqueeze(1)
    return (magnitude.to(torch.int32) >> shift).bitwise_and_(1).float()


def accumulate(
    buffer: torch.Tensor, magnitude: torch.Tensor, slope: torch.Tensor, strength: float, momentum: float = 0.0
) -> None:
    """Momentum: buffer ← momentum·buffer + ∂/∂B_i of loss + strength·Σ_i √(‖B_i‖² + 1e−8), in place.

    The gradient is 2^i·slope + strength·B_i/√(‖B_i‖² + 1e−8).

    Args:
        buffer: ``[b, n]``, zeros at the start of a round.
        magnitude: r, whole numbers in ``[0, 2^b − 1]``, float32 ``[n]``.
        slope: ∂loss/∂r, ``[n]``.
        strength: λ b_l M_l/M of the group lasso.
        momentum: 0 to 1.
    """
    columns = max(1, CHUNK // len(buffer))
    power = _powers(len(buffer)).unsqueeze(1)
    for g, part in zip(buffer.split(columns, 1), slope.split(columns), strict=True):
        g.mul_(momentum).addcmul_(power, part)
    if strength:
        pull = penalty_pull(magnitude, len(buffer), strength).unsqueeze(1)
        for g, part in zip(buffer.split(columns, 1), magnitude.split(columns), strict=True):
            g.addcmul_(binary_digits(part, len(buffer)), pull)


def penalty_pull(magnitude: torch.Tensor, bits: int, strength: float) -> torch.Tensor:
    """strength/√(‖B_i‖² + 1e−8), the penalty's gradient for every one of plane i: float32 ``[bits]``; 0 where none is."""
    count = torch.zeros(bits, dtype=torch.float32)
    for part in magnitude.split(max(1, CHUNK // bits)):
        count += binary_digits(part, bits).sum(1)
    return torch.where(count > 0, strength / (count + GUARD).sqrt(), 0)


def quantize_step(buffer: torch.Tensor, lr: float, uniform: torch.Tensor) -> None:
    """The buffer becomes the step of every digit, in units of lr, and momentum goes on from there; in place.

    With c = max|g|/(2^b − 1) and d_i = 2^i·2^round(log₂(lr|g_i|/c)): digits with 1 ≤ d_i ≤ 2^b move by
    sign(g_i)·c·d_i, larger ones not at all. Those with d_i < 1 are collected: with probability
    min(1, Σ d_i) the LSB moves by c more, in the direction of the MSB's g (which counts as negative where it is 0).

    Args:
        buffer: g, the gradient of the digits, momentum included, ``[b, n]``.
        lr: learning rate, above 0.
        uniform: draws from [0, 1), ``[n]``.
    """
    bits = len(buffer)
    columns = max(1, CHUNK // len(buffer))
    low, high = buffer.aminmax()
    c = max(-float(low), float(high)) / (2**bits - 1)
    unit = _powers(bits).unsqueeze(1) * (lr / c if c else 0.0)
    for g, draws in zip(buffer.split(columns, 1), uniform.split(columns), strict=True):
        d = power_of_two(g * unit)
        moves = torch.hardshrink(d, 0.75)
        chance = d.sub_(moves).abs_().sum(0)
        upwards = g[-1] > 0
        torch.sub(moves, torch.hardshrink(moves, 1.5 * 2**bits), out=g)
        g[0] += torch.where(upwards, 1, -1) * (draws < chance)
    buffer *= c


def integer_step(magnitude: torch.Tensor, buffer: torch.Tensor, lr: float, uniform: torch.Tensor) -> torch.Tensor:
    """Magnitudes after one step: r ← round(r − lr Σ_i 2^i step_i), halves to even, kept in [0, 2^b − 1].

    What would leave the grid or change its sign stays at the edge. (In the code, the top digit takes the
    excess and the forward pass clips it.)

    Args:
        magnitude: r, ``[n]``.
        buffer, lr, uniform: as for :func:`quantize_step`, which is applied to the buffer.
    """
    quantize_step(buffer, lr, uniform)
    power = _powers(len(buffer))
    return (magnitude - lr * (power @ buffer)).round_().clamp_(0, 2 ** len(buffer) - 1)


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
