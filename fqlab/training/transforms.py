"""Transforms of local training: what stands between the trained parameters and the weights that the model sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from fqlab.quant import Grid, clips_for, fake_quantize
from fqlab.tensors import Weights, expand_like
from fqlab.training.objectives import Stacked
from fqlab.training.ranges import signed_round, signed_step

__all__ = [
    "FakeQuantize",
    "HoldMasked",
    "MultiBit",
    "PseudoNoise",
    "masked",
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
    recordable: ClassVar[bool] = False

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

    @property
    def recordable(self) -> bool:
        """The range of least error is searched for."""
        return self.range_rule == "max_abs"

    def __call__(self, params: Weights, context: Weights, noise: Weights) -> Weights:
        bits = noise["bits"]
        inside = self.range_rule == "max_abs" and min(self.widths) > 1
        steps = {n: signed_step(params[n], bits, self.range_rule) for n in self.layers}
        return {**params, **{n: signed_round(params[n], bits, s, inside=inside) for n, s in steps.items()}}

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

    @property
    def recordable(self) -> bool:
        """As of :class:`MultiBit`."""
        return self.range_rule == "max_abs"

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
