"""Bit planes as real variables, and what makes a layer's precision grow and shrink (BSQ, Yang et al. 2021,
§3.1-3.3).

While it trains, a layer of n bits is a stack of real planes ``[2, n, ...]`` in [0, 2]: positive and
negative part, plane 0 the LSB. Re-quantization turns them back into digits; precision adjustment then cuts
the planes that are empty at either end. Neither moves a weight.
"""

from __future__ import annotations

import torch

from fqlab.errors import ConfigError
from fqlab.quant.codes import Codes
from fqlab.quant.grids import Grid
from fqlab.tensors import dense_real, expand_like

__all__ = [
    "MAX_BITS", "bit_variables", "requantize", "requantize_net", "requantize_sum", "requantize_to_step", "signed_sum",
]  # fmt: skip

MAX_BITS = 8
"""No layer gets wider than this (the cap in BSQ's code)."""


def bit_variables(codes: Codes, width: int = 0) -> torch.Tensor:
    """Exact binary digits as trainable planes: float32 ``[2, n, *shape]``, the second half those of −v.

    Args:
        codes: n-bit codes on the ``sign_magnitude`` grid.
        width: number of planes, the upper ones empty; 0 for n.
    """
    halves = torch.stack([codes.values, -codes.values]).clamp_(min=0).to(torch.uint8)  # no code has more than 8 bits
    shift = torch.arange(width or codes.grid.bits, dtype=torch.uint8)
    return (halves.unsqueeze(1) >> expand_like(shift, halves)).bitwise_and_(1).to(torch.float32)


def signed_sum(planes: torch.Tensor) -> torch.Tensor:
    """Σ_b 2^b (W_p^(b) − W_n^(b)), real weights in units of the step: ``[2, n, *shape]`` → ``[*shape]``."""
    power = 2.0 ** torch.arange(planes.shape[1], dtype=planes.dtype)
    rows = planes.flatten(2) if planes.dim() > 2 else planes.unsqueeze(2)
    net = torch.mv(rows[0].T, power).sub_(torch.mv(rows[1].T, power))  # no tensor of the planes' size on the way
    return net.view(planes.shape[2:])


def requantize(planes: torch.Tensor, scale: torch.Tensor, *, cap: int = MAX_BITS, growth: bool = True) -> Codes:
    """Round the net value to integers, halves to even; add a bit where they outgrow n bits (§3.3).

    Real planes go up to 2, so that the integers reach 2(2^n − 1): one more bit always holds them. The step
    stays, so s' = s(2^(n+1) − 1)/(2^n − 1). At ``cap`` bits, or without ``growth``, they are clipped
    instead. A scale that training has driven below zero turns all signs around.

    Args:
        planes: ``[2, n, *shape]``.
        scale: s, a scalar; the step is s/(2^n − 1).

    Raises:
        ConfigError: for NaN in the planes, or a scale that is not finite.
    """
    return requantize_sum(signed_sum(planes), planes.shape[1], scale, cap=cap, growth=growth)


def requantize_sum(
    net: torch.Tensor, bits: int, scale: torch.Tensor, *, cap: int = MAX_BITS, growth: bool = True
) -> Codes:
    """:func:`requantize` of planes whose :func:`signed_sum` is known.

    Args:
        net: their sum, in units of the step, ``[*shape]``.
        bits: how many planes there are, 1-8.
        scale, cap, growth: as for ``requantize``, which says what is raised, too.
    """
    grid = Grid(bits, "sign_magnitude")
    values = _rounded("planes", net)
    step = grid.step(_finite("scale", scale))
    if growth and bits < cap and values.numel() and float(values.abs().max()) > grid.high:
        grid = Grid(bits + 1, "sign_magnitude")
    values = values.clamp(grid.low, grid.high) * torch.where(step < 0, -1, 1)
    return Codes(values.to(torch.int16), grid, step.abs() * grid.high)


def requantize_net(net: torch.Tensor, scale: torch.Tensor, bits: int) -> Codes:
    """Fine-tuning's float tensor as codes: s·Q_n(clip(w, ±1)), rounded as in the forward pass.

    Raises:
        ConfigError: for NaN in ``net``, or a scale that is not finite.
    """
    grid = Grid(bits, "sign_magnitude")
    scale = _finite("scale", scale)
    values = _rounded("net", dense_real("net", net).detach().clamp(-1, 1) * grid.high) * torch.where(scale < 0, -1, 1)
    return Codes(values.to(torch.int16), grid, scale.abs())


def _rounded(name: str, values: torch.Tensor) -> torch.Tensor:
    """``values`` rounded, halves to even: NaN would become the code 0, and a client that diverged a sound one."""
    if values.numel() and bool(values.amax().isnan()):
        raise ConfigError(f"{name} holds NaN, but no code stands for that.")
    return torch.round(values)


def _finite(name: str, value: torch.Tensor | float) -> torch.Tensor:
    number = torch.as_tensor(value, dtype=torch.float32).detach()
    if not bool(number.isfinite().all()):
        raise ConfigError(f"{name} is {number.tolist()}, but must be finite.")
    return number


def requantize_to_step(
    weights: torch.Tensor, step: torch.Tensor | float, bits: int = 0, *, cap: int = MAX_BITS
) -> Codes:
    """Weights on the sign-magnitude grid of a given step, with as many bits as the largest needs, or with
    ``bits``.

    What a width (at most ``cap``) cannot hold is clipped. This is how a server re-quantizes an average of
    clients.

    Raises:
        ConfigError: for NaN in the weights, or a step that is negative or not finite.
    """
    step = _finite("step", step)
    if bool((step < 0).any()):
        raise ConfigError(f"step is {step.tolist()}, but must be 0 or more.")
    values = _rounded("weights", dense_real("weights", weights).detach() / torch.where(step > 0, step, 1.0)) * (
        step > 0
    )
    largest = float(values.abs().max()) if values.numel() else 0.0
    bits = bits or min(cap, max(1, int(min(largest, 2.0**cap)).bit_length()))
    grid = Grid(bits, "sign_magnitude")
    return Codes(values.clamp(grid.low, grid.high).to(torch.int16), grid, step * grid.high)
