"""Arithmetic on tensors: grids, clips, rounding, gradients and bit planes."""

from fqlab.quant.clipping import (
    RULES,
    aciq_gauss,
    aciq_laplace,
    clip_for,
    expected_error,
    max_abs,
    octav,
    octav_step,
    octav_update,
    percentile,
    sweep,
)
from fqlab.quant.codes import Codes, error_parts, quantize, stochastic_round
from fqlab.quant.gradients import GRADIENTS, fake_quantize, slope, straight_through
from fqlab.quant.grids import KINDS, ROUNDINGS, Grid
from fqlab.quant.planes import (
    from_planes,
    group_lasso,
    msb_density,
    plane_density,
    prune_msb,
    to_planes,
    trim,
    zero_bits,
)

__all__ = [
    "Codes", "GRADIENTS", "Grid", "KINDS", "ROUNDINGS", "RULES", "aciq_gauss", "aciq_laplace", "clip_for", "error_parts",
    "expected_error", "fake_quantize", "from_planes", "group_lasso", "max_abs", "msb_density", "octav", "octav_step",
    "octav_update", "percentile", "plane_density", "prune_msb", "quantize", "slope", "stochastic_round", "straight_through", "sweep",
    "to_planes", "trim", "zero_bits",
]  # fmt: skip
