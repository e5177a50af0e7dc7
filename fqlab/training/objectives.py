"""What a client minimises: loss(model(transform(params))) + penalty(params).

A transform is a pure function from the trained parameters to the weights that the model sees; a penalty is a scalar of
the parameters. Models know nothing of either. Per-client tensors (masks, bit-widths) go through ``context`` and random
numbers through ``noise``, so that the same functions run for one client or, under ``vmap``, for many at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from fqlab.quant import Grid, clip_for, fake_quantize, straight_through

__all__ = [
    "FakeQuantize", "KurtosisPenalty", "MultiBit", "Objective", "PseudoNoise", "Weights", "kurtosis", "signed_round",
    "signed_step",
]  # fmt: skip

Weights = dict[str, torch.Tensor]
"""Name → float32 tensor."""

Transform = Callable[[Weights, Weights, Weights], Weights]
"""(params, context, noise) → weights the model sees."""
Penalty = Callable[[Weights, Weights], torch.Tensor]
"""(params, context) → scalar."""
Projection = Callable[[Weights, Weights], Weights]
"""(params, context) → params, applied after every optimiser step."""
Draw = Callable[[Weights, torch.Generator], Weights]
"""(params, generator) → the noise tensors of one step."""


@dataclass(frozen=True)
class Objective:
    """A client's local objective; the default is plain empirical risk.

    Objectives with equal functions and context shapes can be trained stacked by the vectorized engine, so functions
    should be module-level functions or methods of frozen dataclasses, not lambdas.
    """

    transform: Transform | None = None
    penalty: Penalty | None = None
    project: Projection | None = None
    draw: Draw | None = None
    context: Weights = field(default_factory=dict)

    def weights(self, params: Weights, noise: Weights | None = None) -> Weights:
        """The weights the model sees for ``params``."""
        return self.transform(params, self.context, noise or {}) if self.transform else params


@dataclass(frozen=True)
class FakeQuantize:
    """Transform for quantization-aware training: listed layers are quantized in the forward pass.

    The clip is found anew from the current weights at every step; no gradient flows into it.

    Args:
        grids: ``(layer name, grid)`` pairs; other tensors pass unchanged.
        clip: a rule of :data:`fqlab.quant.RULES`.
        rounding: ``"nearest"``, or ``"stochastic"`` with fresh draws at every step.
        gradient: ``"ste"``, ``"pwl"`` or ``"mad"``.
        level_aware: for ``clip="octav"``, see :func:`fqlab.quant.octav`.
        factor: multiplies the clip that the rule finds.
    """

    grids: tuple[tuple[str, Grid], ...]
    clip: str = "octav"
    rounding: str = "nearest"
    gradient: str = "ste"
    level_aware: bool = False
    factor: float = 1.0

    def __call__(self, params: Weights, context: Weights, noise: Weights) -> Weights:
        return self._apply(params, noise, 0)

    def stacked(self, params: Weights, context: Weights, noise: Weights) -> Weights:
        """The same for stacked clients, quicker than under ``vmap``."""
        return self._apply(params, noise, 1)

    def _apply(self, params: Weights, noise: Weights, batch_dims: int) -> Weights:
        quantized = {}
        for name, grid in self.grids:
            w = params[name]
            how = dict(batch_dims=batch_dims, level_aware=self.level_aware, check=False)
            clip = self.factor * clip_for(self.clip, w.detach(), grid, self.rounding, **how)
            quantized[name] = fake_quantize(w, clip, grid, noise.get(name), self.gradient, batch_dims=batch_dims)
        return {**params, **quantized}

    def draw(self, params: Weights, generator: torch.Generator) -> Weights:
        """Uniform draws for stochastic rounding, one tensor a quantized layer."""
        if self.rounding == "nearest":
            return {}
        return {name: torch.rand(params[name].shape, generator=generator) for name, _ in self.grids}


def kurtosis(w: torch.Tensor, *, unbiased: bool = False) -> torch.Tensor:
    """Kurt[W] = E[((w − μ)/σ)⁴] over all entries: uniform 1.8, normal 3, Laplace 6 (KURE, Shkolnik et al. 2020).

    0 for a constant layer, with gradient 0.

    Args:
        unbiased: σ with n−1, as in KURE's code; the default is the population's n.
    """
    square = (w - w.mean()).square()
    variance = square.sum() / max(1, w.numel() - unbiased)
    return (square / variance.clamp(min=1e-30)).square().mean()


@dataclass(frozen=True)
class KurtosisPenalty:
    """Penalty λ/L · Σ_l (Kurt[W_l] − target)² over layers; needs no data, so it pulls every client alike (KURE)."""

    layers: tuple[str, ...]
    strength: float
    target: float = 1.8
    unbiased: bool = False

    def __call__(self, params: Weights, context: Weights) -> torch.Tensor:
        gaps = [kurtosis(params[name], unbiased=self.unbiased) - self.target for name in self.layers]
        return self.strength * torch.stack(gaps).square().mean()


def signed_step(w: torch.Tensor, bits: torch.Tensor, range: str = "max_abs") -> torch.Tensor:
    """Step Δ of the signed quantizer Q(w) = Δ·clip(round(w/Δ), −2^(b−1), 2^(b−1)−1), as a constant.

    Args:
        w: a layer, or with ``bits`` of shape [clients] the stacked layers ``[clients, ...]`` of many.
        bits: b, 1-8, a tensor: it may differ by client.
        range: ``"max_abs"`` for Δ = max|w|/(2^(b−1)−1), which clips nothing and leaves the lowest level empty (at one
            bit Δ = max|w|); ``"mse"`` for the least squared error: OCTAV's recursion for the start, then three times
            the best Δ for the codes of the last one, Δ ← ⟨w, q⟩/⟨q, q⟩. Seldom more than 2 % above the optimum.

    Returns:
        Of the shape of ``bits``.
    """
    w = w.detach().flatten(bits.dim())
    top = (2.0 ** (bits - 1) - 1).clamp(min=1)
    if range == "max_abs":
        return (w.abs().amax(-1) / top).clamp(min=1e-30)
    step = _octav_clip(w.abs(), 1 / (12 * top.square())) / top
    for _ in (1, 2, 3):
        q = _signed_codes(w, bits, step)
        best = (w * q).sum(-1) / q.square().sum(-1).clamp(min=1)
        step = torch.where(best > 0, best, step)
    return step


def _octav_clip(size: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """OCTAV's clip for magnitudes ``size`` [..., n] and granular noise variance ``noise``·clip², from their mean."""
    clip, nonzero = size.mean(-1), size.sign().sum(-1)
    for _ in range(12):
        excess = (size - clip.unsqueeze(-1)).relu()
        outside = excess.sign().sum(-1)
        clip = (excess.sum(-1) + clip * outside) / (noise * (nonzero - outside) + outside).clamp(min=1e-30)
    return clip.clamp(min=1e-30)


def _signed_codes(w: torch.Tensor, bits: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
    half = expand_like(2.0 ** (bits - 1), w)
    return torch.round(w / expand_like(step, w)).clamp(-half, half - 1)


def expand_like(each: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """One number per client, shaped to meet the stacked ``w``."""
    return each.reshape(each.shape + (1,) * (w.dim() - each.dim()))


def signed_round(w: torch.Tensor, bits: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
    """The signed quantizer of :func:`signed_step`, with the straight-through gradient."""
    return straight_through(w, _signed_codes(w.detach(), bits, step) * expand_like(step, w))


@dataclass(frozen=True)
class MultiBit:
    """Transform: layers rounded to a width drawn from ``widths`` for this step (QAT with one width, MQAT with several)."""

    layers: tuple[str, ...]
    widths: tuple[int, ...]
    range: str = "max_abs"

    def __call__(self, params: Weights, context: Weights, noise: Weights) -> Weights:
        bits = noise["bits"]
        rounded = {n: signed_round(params[n], bits, signed_step(params[n], bits, self.range)) for n in self.layers}
        return {**params, **rounded}

    stacked = __call__
    """The same for stacked clients, quicker than under ``vmap``."""

    def draw(self, params: Weights, generator: torch.Generator) -> Weights:
        """The width of this step."""
        pick = torch.randint(len(self.widths), (), generator=generator)
        return {"bits": torch.tensor(self.widths, dtype=torch.float32)[pick]}


@dataclass(frozen=True)
class PseudoNoise:
    """Transform: additive noise in place of rounding, w + Δ_b·u (DiffQ; Défossez et al. 2021). No gradient through Δ."""

    layers: tuple[str, ...]
    widths: tuple[int, ...]
    range: str = "max_abs"
    kind: str = "uniform"

    def __call__(self, params: Weights, context: Weights, noise: Weights) -> Weights:
        steps = {n: signed_step(params[n], noise["bits"], self.range) for n in self.layers}
        return {**params, **{n: params[n] + expand_like(s, params[n]) * noise[n] for n, s in steps.items()}}

    stacked = __call__
    """The same for stacked clients, quicker than under ``vmap``."""

    def draw(self, params: Weights, generator: torch.Generator) -> Weights:
        """The width, and u for every weight: uniform on [−½, ½], or normal with standard deviation ½."""
        bits = MultiBit(self.layers, self.widths).draw(params, generator)
        if self.kind == "gauss":
            return bits | {n: 0.5 * torch.randn(params[n].shape, generator=generator) for n in self.layers}
        return bits | {n: torch.rand(params[n].shape, generator=generator) - 0.5 for n in self.layers}
