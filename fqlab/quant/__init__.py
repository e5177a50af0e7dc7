"""Arithmetic on tensors: grids, clips, rounding, gradients and bit planes."""

from fqlab.quant.budgets import CUTTINGS, compression, mean_bits, moves, parse_budgets, pruning_growing
from fqlab.quant.clipping import RULES, aciq_gauss, aciq_laplace, clip_for, clips_for, max_abs, percentile
from fqlab.quant.codes import Codes, mse_parts, quantize, stack_alike, stochastic_round
from fqlab.quant.eden import eden_decode, eden_encode, eden_nmse, lloyd_max
from fqlab.quant.gradients import GRADIENTS, fake_quantize, slope, straight_through
from fqlab.quant.grids import KINDS, ROUNDINGS, Grid
from fqlab.quant.lattice import LATTICES, code_shape, dithered, lattice_mse, lattice_step, undithered
from fqlab.quant.norm import norm
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
    requantize_sum,
    requantize_to_step,
    signed_sum,
)
from fqlab.quant.pruning import adjust
from fqlab.quant.recursion import octav, octav_layers, octav_step, octav_update
from fqlab.quant.rotation import hadamard, pieces, random_signs, rotate, rotate_back
from fqlab.quant.searching import expected_mse, sweep
from fqlab.quant.sign import majority

__all__ = [
    "CUTTINGS", "Codes", "GRADIENTS", "Grid", "KINDS", "LATTICES", "MAX_BITS", "ROUNDINGS", "RULES", "aciq_gauss",
    "aciq_laplace", "adjust", "bit_variables", "clip_for", "clips_for", "code_shape", "compression", "dithered",
    "eden_decode", "eden_encode", "eden_nmse", "mse_parts", "expected_mse", "fake_quantize", "from_planes",
    "group_lasso", "hadamard", "lattice_mse", "lattice_step", "lloyd_max", "majority", "max_abs", "mean_bits",
    "moves", "msb_density", "narrow_bits", "norm", "octav", "octav_layers", "octav_step", "octav_update",
    "parse_budgets", "percentile", "pieces", "plane_density", "prune_msb", "pruning_growing",
    "quantize", "random_signs", "requantize", "requantize_net", "requantize_sum", "requantize_to_step", "rotate",
    "rotate_back", "signed_sum", "slope", "stack_alike", "stochastic_round", "straight_through", "sweep", "to_planes",
    "undithered", "zero_bits",
]  # fmt: skip
