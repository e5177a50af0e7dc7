"""The signed quantizer of training and deployment, and how it finds its step."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from fqlab.quant import straight_through
from fqlab.quant.ranked import Ranked
from fqlab.quant.recursion import octav_update
from fqlab.tensors import expand_like

__all__ = ["RANGE_RULES", "signed_round", "signed_step"]

RANGE_RULES = ("max_abs", "mse")
"""How the signed quantizer finds its step, in training and at deployment."""

FAR = 14.0
"""A layer with a weight beyond so many times (E√|w|)² has outliers: normal layers reach 7, Laplacian ones 13."""
STARTS = 64
"""Steps between the bulk and the farthest weight that are tried for a layer with outliers."""
SPACING = 0.3
"""Steps tried are so many levels of the outermost code apart ..."""
WIDEST = 4.0
"""... and reach over so many powers of e at most."""
WORK = 2**16
"""Small layers, whose error is the more rugged, try so many steps that this many weights are rounded ..."""
FEWEST, MOST = 16, 256
"""... within these bounds."""
FINER = 3
"""For a layer with outliers they are so many times closer, because a few weights decide ..."""
MORE = 16
"""... and so many times as many."""
AT_ONCE = 2**17
"""Weights rounded in one go: more would leave the cache."""
LOOK_UP = 32
"""So many weights are rounded in the time of one look-up."""
TINY = 1e-36
"""The step of zeros."""


def signed_step(w: torch.Tensor, bits: torch.Tensor, range_rule: str = "max_abs") -> torch.Tensor:
    """Step Δ of the signed quantizer Q(w) = Δ·clip(round(w/Δ), −2^(b−1), 2^(b−1)−1), as a constant.

    Args:
        w: a layer, or with ``bits`` of shape [clients] the stacked layers ``[clients, ...]`` of many.
        bits: b, 1-8, a tensor: it may differ by client.
        range_rule: ``"max_abs"`` for Δ = max|w|/(2^(b−1)−1), which clips nothing and leaves the lowest level empty (at one
            bit Δ = max|w|); ``"mse"`` for the least squared error, up to 2 % at 1-8 bits for layers of a hundred weights
            and more, bell-shaped, flat, heavy-tailed, trained, or with outliers a thousand times farther out than the bulk.

    Returns:
        Of the shape of ``bits``.
    """
    w = w.detach().flatten(bits.dim())
    if not w.numel():
        return torch.full(bits.shape, TINY, dtype=w.dtype, device=w.device)
    if range_rule == "max_abs":
        return (torch.maximum(w.amax(-1), -w.amin(-1)) / _top(bits)).clamp(min=TINY)
    return _least_squares(w.reshape(-1, w.shape[-1]), bits.reshape(-1)).reshape(bits.shape)


def signed_round(w: torch.Tensor, bits: torch.Tensor, step: torch.Tensor, *, inside: bool = False) -> torch.Tensor:
    """The signed quantizer of :func:`signed_step`, with the straight-through gradient.

    Args:
        w, bits, step: as there.
        inside: no weight lies beyond the outermost levels, so there is nothing to clip: so it is with ``"max_abs"`` at two
            bits and more.
    """
    step = expand_like(step, w)
    codes = (w.detach() / step).round_()
    if not inside:
        codes = _clipped(codes, expand_like(bits, w))
    return straight_through(w, codes.mul_(step))


def _top(bits: torch.Tensor) -> torch.Tensor:
    return (2.0 ** (bits - 1) - 1).clamp(min=1)


def _clipped(codes: torch.Tensor, bits: torch.Tensor) -> torch.Tensor:
    """To [−2^(b−1), 2^(b−1) − 1], in place."""
    half = 2.0 ** (bits - 1)
    return torch.minimum(torch.maximum(codes, -half, out=codes), half - 1, out=codes)


def _least_squares(w: torch.Tensor, bits: torch.Tensor) -> torch.Tensor:
    """Steps of rows ``w`` [rows, n] at ``bits`` [rows]: the best of many around OCTAV's, moved to what suits its codes best."""
    top = _top(bits)
    size = w.abs()
    step = _octav_clip(size, 1 / (12 * top.square())) / top
    bulk = size.sqrt().mean(-1).square()
    peak = size.amax(-1)
    tried = max(FEWEST, min(MOST, WORK // w.shape[1]))
    best = _best_around(_fits(w, bits), bits, step, tried, SPACING)
    far = peak > FAR * bulk
    if bool(far.any()):
        share = torch.linspace(0, 1, STARTS, dtype=w.dtype, device=w.device)
        starts = (bulk[far] / top[far]).unsqueeze(1) * (peak[far] / bulk[far]).unsqueeze(1) ** share
        fit = _fits(w[far], bits[far])
        start = _best(*fit(torch.cat([best[far].unsqueeze(1), starts], 1)))
        best[far] = _best_around(fit, bits[far], start, MORE * tried, SPACING / FINER)
    return best.clamp(min=TINY)


Fit = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""From steps [rows, k] the squared errors (float64) once each is moved to Δ = ⟨w, q⟩/⟨q, q⟩ of its codes q, and those Δ."""


def _best_around(fit: Fit, bits: torch.Tensor, step: torch.Tensor, count: int, spacing: float) -> torch.Tensor:
    """The best of ``count`` steps around ``step`` [rows], refined twice: a step, its codes, the best step for them."""
    apart = (spacing / _top(bits)).clamp(max=WIDEST / count)
    offsets = torch.arange(count, dtype=step.dtype, device=step.device) - count // 2
    step = _best(*fit(step.unsqueeze(1) * torch.exp(apart.unsqueeze(1) * offsets)))
    for _ in (1, 2):
        step = _best(*fit(step.unsqueeze(1)))
    return step


def _best(error: torch.Tensor, moved: torch.Tensor) -> torch.Tensor:
    return moved.gather(1, error.argmin(1, keepdim=True)).squeeze(1)


def _fits(w: torch.Tensor, bits: torch.Tensor) -> Fit:
    """What answers for rows ``w`` at ``bits``: look-ups among sorted weights where levels are few, else rounding."""
    look_ups = 2 ** int(bits.max())
    if LOOK_UP * look_ups > w.shape[1]:
        fit = partial(_fit_rounded, w, bits)
        some = AT_ONCE // w.numel()
    else:
        fit = partial(_fit_ranked, Ranked(w.clone(memory_format=torch.contiguous_format)), bits)
        some = AT_ONCE // (LOOK_UP * look_ups * len(w))

    def in_parts(steps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        parts = [fit(part) for part in steps.split(max(1, some), 1)]
        return torch.cat([error for error, _ in parts], 1), torch.cat([moved for _, moved in parts], 1)

    return in_parts


def _fit_ranked(ranked: Ranked, bits: torch.Tensor, steps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A code is −2^(b−1) and one more for every edge (k − ½)Δ₀ that its weight lies beyond: sums over edges give ⟨w, q⟩, ⟨q, q⟩."""
    half = 2.0 ** (bits.double() - 1).reshape(-1, 1, 1)
    most = int(half.max())
    k = torch.arange(1 - most, most, dtype=torch.float64, device=steps.device)
    edges = (steps.unsqueeze(-1) * (k - 0.5)).to(steps.dtype)
    count, total = (beyond.reshape(edges.shape) * (k.abs() < half) for beyond in ranked.above(edges.flatten(1)))
    along = total.sum(-1) - half.squeeze(-1) * ranked.sum
    size = (((2 * k - 1) * count).sum(-1) + half.squeeze(-1).square() * ranked.size).clamp(min=1)
    error = ranked.total(ranked.whole, power=2) - along.square() / size
    moved = (along / size).to(steps.dtype)
    return error, torch.where(moved > 0, moved, steps)


def _fit_rounded(w: torch.Tensor, bits: torch.Tensor, steps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """With remainders r = w/Δ₀ − q: Δ₀²(⟨r, r⟩ − ⟨r, q⟩²/⟨q, q⟩) and Δ₀(1 + ⟨r, q⟩/⟨q, q⟩), where nothing cancels."""
    x = w.unsqueeze(1) / steps.unsqueeze(-1)
    q = _clipped(x.round(), bits.reshape(-1, 1, 1))
    rest = x.sub_(q)
    size = q.square().sum(-1).clamp(min=1)
    along = (rest * q).sum(-1)
    error = steps.double().square() * (rest.square_().sum(-1) - along.square() / size).double()
    moved = steps * (1 + along / size)
    return error, torch.where(moved > 0, moved, steps)


def _octav_clip(size: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """OCTAV's clip for magnitudes ``size`` [..., n] and granular noise variance ``noise``·clip², from their mean."""
    clip = size.mean(-1)
    nonzero = size.sign().sum(-1).clamp(min=1)  # of zeros alone the clip is zero, not 0 / 0
    for _ in range(12):
        excess = (size - clip.unsqueeze(-1)).relu()
        outside = excess.sign().sum(-1)
        clip = octav_update(excess.sum(-1) + clip * outside, outside, noise * (nonzero - outside), 1.0)
    return clip.clamp(min=TINY)
