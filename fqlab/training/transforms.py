"""Transforms of local training: what stands between the trained parameters and the weights that the model sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from fqlab.quant import Grid, clips_for, fake_quantize, straight_through
from fqlab.quant.recursion import octav_update
from fqlab.tensors import Weights, expand_like
from fqlab.training.objectives import Stacked

__all__ = [
    "RANGE_RULES",
    "FakeQuantize",
    "HoldMasked",
    "MultiBit",
    "PseudoNoise",
    "masked",
    "signed_round",
    "signed_step",
]


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

    @property
    def straight_through(self) -> bool:
        """Whether gradients pass unchanged."""
        return self.gradient == "ste"

    def __call__(self, params: Weights, context: Weights, noise: Weights) -> Weights:
        return self._apply(params, noise, 0)

    def stacked(self, params: Weights, context: Weights, noise: Weights) -> Weights:
        """The same for stacked clients, quicker than under ``vmap``."""
        return self._apply(params, noise, 1)

    def _apply(self, params: Weights, noise: Weights, batch_dims: int) -> Weights:
        grids = dict(self.grids)
        layers = {name: params[name] for name in grids}
        how: dict[str, Any] = dict(batch_dims=batch_dims, level_aware=self.level_aware, check=False)
        quantized = {}
        for name, clip in clips_for(self.clip, layers, grids, self.rounding, **how).items():
            value = fake_quantize(layers[name], self.factor * clip, grids[name], noise.get(name), self.gradient)
            quantized[name] = value
        return {**params, **quantized}

    def draw(self, params: Weights, generator: torch.Generator) -> Weights:
        """Uniform draws for stochastic rounding, one tensor a quantized layer."""
        if self.rounding == "nearest":
            return {}
        draw = lambda w: torch.rand(w.shape, dtype=torch.float32, generator=generator)
        return {name: draw(params[name]) for name, _ in self.grids}


RANGE_RULES = ("max_abs", "mse")
"""How the signed quantizer finds its step, in training and at deployment."""


FAR = 16.0
"""A layer with a weight beyond so many times (E√|w|)² has outliers: normal layers reach 7, Laplacian ones 13."""
STARTS = 24
"""Steps tried for a layer with outliers."""


def signed_step(w: torch.Tensor, bits: torch.Tensor, range_rule: str = "max_abs") -> torch.Tensor:
    """Step Δ of the signed quantizer Q(w) = Δ·clip(round(w/Δ), −2^(b−1), 2^(b−1)−1), as a constant.

    Args:
        w: a layer, or with ``bits`` of shape [clients] the stacked layers ``[clients, ...]`` of many.
        bits: b, 1-8, a tensor: it may differ by client.
        range_rule: ``"max_abs"`` for Δ = max|w|/(2^(b−1)−1), which clips nothing and leaves the lowest level empty (at one
            bit Δ = max|w|); ``"mse"`` for the least squared error: OCTAV's recursion for the start, then three times
            the best Δ for the codes of the last one, Δ ← ⟨w, q⟩/⟨q, q⟩. Where weights lie far out, the best of
            :data:`STARTS` starts between the bulk and the farthest comes before that. Quick enough for every step of
            training, but a local optimum. Over the least error, at 1-8 bits: of bell-shaped, flat and trained layers of
            thousands of weights 1 % in the median and up to 11 %, of hundreds up to 35 %, with outliers up to a hundred
            times farther out than the bulk no more; of tens of weights, or outliers beyond that, many times. Within
            2 % everywhere takes steps 0.4 % apart, six times the time: :func:`fqlab.federation.deployment.deploy` sweeps.

    Returns:
        Of the shape of ``bits``.
    """
    w = w.detach().flatten(bits.dim())
    top = (2.0 ** (bits - 1) - 1).clamp(min=1)
    if range_rule == "max_abs":
        return (torch.maximum(w.amax(-1), -w.amin(-1)) / top).clamp(min=1e-30)
    size = w.abs()
    step = _start(w, size, bits, _octav_clip(size, 1 / (12 * top.square())) / top)
    for _ in (1, 2, 3):
        q = _signed_codes(w, bits, step)
        best = (w * q).sum(-1) / q.square().sum(-1).clamp(min=1)
        step = torch.where(best > 0, best, step)
    return step


def _start(w: torch.Tensor, size: torch.Tensor, bits: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
    """``step``, or a better one for the layers in which a weight lies beyond :data:`FAR` times the bulk."""
    bulk = size.sqrt().mean(-1).square()
    peak = size.amax(-1)
    far = peak > FAR * bulk
    if not bool(far.any()):
        return step
    top = (2.0 ** (bits - 1) - 1).clamp(min=1)
    most = _explained(w, bits, step)
    best = step
    for k in range(STARTS):
        other = (bulk * (peak / bulk) ** (k / (STARTS - 1)) / top).clamp(min=1e-30)
        explained = _explained(w, bits, other)
        best = torch.where(far & (explained > most), other, best)
        most = torch.maximum(most, explained)
    return best


def _explained(w: torch.Tensor, bits: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
    """⟨w, q⟩²/⟨q, q⟩: how much of Σw² the codes at ``step`` leave no error of, with the Δ that is best for them."""
    q = _signed_codes(w, bits, step)
    return (w * q).sum(-1).square() / q.square().sum(-1).clamp(min=1)


def _octav_clip(size: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """OCTAV's clip for magnitudes ``size`` [..., n] and granular noise variance ``noise``·clip², from their mean."""
    clip = size.mean(-1)
    nonzero = size.sign().sum(-1).clamp(min=1)  # of zeros alone the clip is zero, not 0 / 0
    for _ in range(12):
        excess = (size - clip.unsqueeze(-1)).relu()
        outside = excess.sign().sum(-1)
        clip = octav_update(excess.sum(-1) + clip * outside, outside, noise * (nonzero - outside), 1.0)
    return clip.clamp(min=1e-30)


def _signed_codes(w: torch.Tensor, bits: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
    half = expand_like(2.0 ** (bits - 1), w)
    codes = (w / expand_like(step, w)).round_()
    return torch.minimum(torch.maximum(codes, -half, out=codes), half - 1, out=codes)


def signed_round(w: torch.Tensor, bits: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
    """The signed quantizer of :func:`signed_step`, with the straight-through gradient."""
    value = _signed_codes(w.detach(), bits, step).mul_(expand_like(step, w))
    return straight_through(w, value) if torch.is_grad_enabled() else value


def masked(params: Weights, masks: Weights) -> Weights:
    """``params`` with zeros where a layer's mask is False."""
    return {name: value * masks[name] if name in masks else value for name, value in params.items()}


@dataclass(frozen=True)
class HoldMasked(Stacked):
    """Projection: what is masked stays zero, in place; masks are float32. Of weights that start so no more is needed."""

    def __call__(self, params: Weights, masks: Weights) -> Weights:
        for name, mask in masks.items():
            params[name].mul_(mask)
        return params


@dataclass(frozen=True)
class MultiBit(Stacked):
    """Transform: layers rounded to a width drawn from ``widths`` for this step (QAT with one width, MQAT with several)."""

    straight_through: ClassVar[bool] = True

    layers: tuple[str, ...]
    widths: tuple[int, ...]
    range_rule: str = "max_abs"

    def __call__(self, params: Weights, context: Weights, noise: Weights) -> Weights:
        bits = noise["bits"]
        rounded = {n: signed_round(params[n], bits, signed_step(params[n], bits, self.range_rule)) for n in self.layers}
        return {**params, **rounded}

    def draw(self, params: Weights, generator: torch.Generator) -> Weights:
        """The width of this step."""
        pick = torch.randint(len(self.widths), (), generator=generator)
        return {"bits": torch.tensor(self.widths, dtype=torch.float32)[pick]}


@dataclass(frozen=True)
class PseudoNoise(Stacked):
    """Transform: additive noise in place of rounding, w + Δ_b·u (DiffQ; Défossez et al. 2021). No gradient through Δ."""

    straight_through: ClassVar[bool] = True

    layers: tuple[str, ...]
    widths: tuple[int, ...]
    range_rule: str = "max_abs"
    kind: str = "uniform"

    def __call__(self, params: Weights, context: Weights, noise: Weights) -> Weights:
        steps = {n: signed_step(params[n], noise["bits"], self.range_rule) for n in self.layers}
        return {**params, **{n: params[n] + expand_like(s, params[n]) * noise[n] for n, s in steps.items()}}

    def draw(self, params: Weights, generator: torch.Generator) -> Weights:
        """The width, and u for every weight: uniform on [−½, ½], or normal with standard deviation ½."""
        bits = MultiBit(self.layers, self.widths).draw(params, generator)
        if self.kind == "gauss":
            return bits | {
                n: 0.5 * torch.randn(params[n].shape, generator=generator, dtype=torch.float32) for n in self.layers
            }
        return bits | {
            n: torch.rand(params[n].shape, generator=generator, dtype=torch.float32) - 0.5 for n in self.layers
        }
