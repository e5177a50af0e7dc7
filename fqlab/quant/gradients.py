"""Quantize in the forward pass, pretend in the backward pass.

The rounding has zero slope almost everywhere, so training needs a stand-in. Three are in use (Sakr et al.
2022, §4): ``ste`` passes the gradient on unchanged, ``pwl`` cuts it where the value was clipped, ``mad``
attenuates it there by s/|x|, the factor by which clipping shrank the value.
"""

from __future__ import annotations

import torch

from fqlab.errors import one_of
from fqlab.quant.codes import grid_index, stochastic_round
from fqlab.quant.grids import Grid
from fqlab.tensors import dense_real, expand_like

__all__ = ["GRADIENTS", "fake_quantize", "slope", "straight_through"]

GRADIENTS = ("ste", "pwl", "mad")


def slope(x: torch.Tensor, clip: torch.Tensor, gradient: str = "ste") -> torch.Tensor:
    """The surrogate ∂Q/∂x, elementwise (Prop. 4.3, eq. 9-10): 1; 1[|x|≤s]; 1[|x|≤s] + s/|x|·1[|x|>s]."""
    one_of("gradient", gradient, GRADIENTS)
    if gradient == "ste":
        return torch.ones_like(x)
    inside = x.abs() <= clip
    if gradient == "pwl":
        return inside.to(x.dtype)
    return torch.where(inside, torch.ones_like(x), clip / x.abs())


def straight_through(x: torch.Tensor, value: torch.Tensor, slope: torch.Tensor | float = 1.0) -> torch.Tensor:
    """``value`` forward, to the bit where ``x`` is finite; ``slope``·∂x backward. Where nobody will go backward, just that."""
    if not torch.is_grad_enabled():
        return value
    carrier = x if isinstance(slope, float) and slope == 1.0 else slope * x
    return value.detach() + (carrier - carrier.detach())


def fake_quantize(
    x: torch.Tensor,
    clip: torch.Tensor,
    grid: Grid,
    noise: torch.Tensor | None = None,
    gradient: str = "ste",
) -> torch.Tensor:
    """Dequantized value of ``x`` with a surrogate gradient; works under ``torch.func.vmap``.

    Args:
        x: float tensor.
        clip: thresholds, of the shape of the leading dimensions of ``x`` that have one of their own; no gradient flows into them.
        grid: levels.
        noise: uniform [0, 1) draws of the shape of ``x`` for stochastic rounding, None for nearest.
        gradient: one of :data:`GRADIENTS`.
    """
    one_of("gradient", gradient, GRADIENTS)
    dense_real("x", x)
    wide = expand_like(clip, x).detach()
    frozen = x.detach()
    place = grid_index(frozen, wide, grid)
    code = place.round_() if noise is None else stochastic_round(place, noise)
    along = 1.0 if gradient == "ste" else slope(frozen, wide, gradient)
    return straight_through(x, grid.decode(code, wide), along)
