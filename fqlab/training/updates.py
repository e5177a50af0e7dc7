"""The ways in which a client may train layers that it received as codes of few bits.

==============  ===========================================================================================
``"integer"``   whole magnitudes, digits formed anew after every step: FedMPQ's public code
``"latent"``    real bit planes in [0, 2] that keep fractions, positive and negative part, as in BSQ
``"frozen"``    no code moves; scales, biases and norms alone are trained: a control
``"fake"``      float weights, quantized in the forward pass with max|W| anew at every step, gradient straight
                through: what "fixed precision" means elsewhere; no group lasso
==============  ===========================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from fqlab.errors import ConfigError, shown
from fqlab.quant import MAX_BITS, Codes, max_abs, quantize
from fqlab.tensors import Weights
from fqlab.training import bitplanes
from fqlab.training.digits import FromDigits, digit_codes, digit_params, frozen_objective, integer_objective
from fqlab.training.objectives import Objective
from fqlab.training.transforms import FakeQuantize

__all__ = ["PLANES", "UPDATES", "LocalForm", "local_form", "trained_codes"]

UPDATES = ("integer", "latent", "frozen", "fake")
PLANES = ("integer", "latent")
"""Those that train planes, on which the group lasso acts."""


@dataclass(frozen=True)
class LocalForm:
    """Codes as a client trains them: parameters in place of the layers, and the objective that knows them."""

    params: Weights
    objective: Objective


def local_form(update: str, codes: Mapping[str, Codes], strengths: Sequence[float], lr: float) -> LocalForm:
    """What to train for ``codes`` (sign-magnitude, scalar clips).

    Args:
        update: one of :data:`UPDATES`.
        codes: of every layer.
        strengths: of every layer's group lasso, λ·c_l.
        lr: learning rate of the local steps.
    """
    if update == "integer":
        return LocalForm(digit_params(codes), integer_objective(codes, strengths))
    if update == "latent":
        return latent_form(codes, strengths, lr)
    if update == "frozen":
        scales = {key: value for key, value in digit_params(codes).items() if key.endswith("/scale")}
        return LocalForm(scales, frozen_objective(codes))
    grids = tuple((name, layer.grid) for name, layer in codes.items())
    weights = {name: layer.dequantize() for name, layer in codes.items()}
    return LocalForm(weights, Objective(FakeQuantize(grids, clip="max_abs")))


def latent_form(
    codes: Mapping[str, Codes],
    strengths: Sequence[float],
    lr: float,
    *,
    proximal: bool = False,
    precondition: bool = True,
) -> LocalForm:
    """Bit planes for all clients alike: eight, those above a layer's width empty and without effect.

    Args:
        codes, strengths, lr: as for :func:`local_form`.
        proximal, precondition: see :func:`fqlab.training.bitplanes.plane_objective`.
    """
    how = {"lr": lr, "proximal": proximal, "precondition": precondition}
    objective = bitplanes.plane_objective(codes, strengths, width=MAX_BITS, **how)
    return LocalForm(bitplanes.plane_params(codes, MAX_BITS), objective)


def trained_codes(
    params: Weights, objective: Objective, *, growth: bool = False
) -> dict[str, tuple[Codes, torch.Tensor]]:
    """For each layer its codes after training, and the real weights that these round.

    Args:
        params: as trained.
        objective: what they were trained with, from :func:`local_form`.
        growth: let latent planes that outgrow their width grow by a bit.
    """
    transform = objective.transform
    context = objective.context
    if isinstance(transform, bitplanes.FromPlanes):
        return {name: bitplanes.to_codes(params, name, context, growth=growth) for name in transform.layers}
    if isinstance(transform, FromDigits):
        exact = {name: digit_codes(params, name, context) for name in transform.layers}
        return {name: (codes, codes.dequantize()) for name, codes in exact.items()}
    if isinstance(transform, FakeQuantize):
        rounded = {name: quantize(params[name], max_abs(params[name], grid), grid) for name, grid in transform.grids}
        return {name: (codes, params[name]) for name, codes in rounded.items()}
    raise ConfigError(f"objective has the transform {shown(transform)}, but must be one that local_form makes.")
