"""Arithmetic on tensors: grids, clips, rounding, gradients and bit planes."""

from fqlab.quant.budgets import CUTTINGS, compression, mean_bits, moves, parse_budgets, pruning_growing
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
from fqlab.quant.codes import Codes, error_parts, quantize, stack_alike, stochastic_round
from fqlab.quant.gradients import GRADIENTS, fake_quantize, slope, straight_through
from fqlab.quant.grids import KINDS, ROUNDINGS, Grid
from fqlab.quant.planes import (
    from_planes,
    group_lasso,
    msb_density,
    narrow_bits,
    plane_density,
    prune_msb,
    to_planes,
    zero_bits,
)
from fqlab.quant.precision import (
    MAX_BITS,
    bit_variables,
    requantize,
    requantize_net,
    requantize_to_step,
    signed_sum,
)
from fqlab.quant.pruning import adjust

__all__ = [
    "CUTTINGS", "Codes", "GRADIENTS", "Grid", "KINDS", "MAX_BITS", "ROUNDINGS", "RULES", "aciq_gauss",
    "aciq_laplace", "adjust", "stack_alike", "bit_variables", "clip_for", "compression", "error_parts", "expected_error",
    "fake_quantize", "from_planes", "group_lasso", "max_abs", "mean_bits", "moves", "msb_density", "signed_sum",
    "octav", "octav_step", "octav_update", "parse_budgets", "percentile", "plane_density", "prune_msb",
    "pruning_growing", "quantize", "requantize_to_step", "requantize", "requantize_net", "slope", "stochastic_round", "straight_through",
    "sweep", "to_planes", "narrow_bits", "zero_bits",
]  # fmt: skip
