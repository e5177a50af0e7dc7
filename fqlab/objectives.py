"""What a client minimises: loss(model(transform(params))) + penalty(params).

A transform is a pure function from the trained parameters to the weights that the model sees; a penalty is a scalar of
the parameters. Models know nothing of either. Per-client tensors (masks, bit-widths) go through ``context`` and random
numbers through ``noise``, so that the same functions run for one client or, under ``vmap``, for many at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from fqlab.quant import Grid, clip_for, fake_quantize

__all__ = ["Weights", "Objective", "FakeQuantize"]

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
