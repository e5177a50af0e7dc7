"""Local training on whole magnitudes with the sign kept apart, as in FedMPQ's public code; and not on them at all.

A layer ``name`` becomes two parameters: ``name/magnitude``, whole numbers r in [0, 2^b − 1] (float32), and
``name/scale``. The context holds what is particular to a client:

==================  ==================================================================================
``name/sign``       ±1 in the shape of the layer; a code of 0 counts as negative, as in the public code
``name/top``        2^b − 1
``name/strength``   λ b_l M_l/M of the group lasso
==================  ==================================================================================

All functions of the objective take one client's tensors or, with a leading dimension everywhere, many clients'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from fqlab.quant import Codes, Grid
from fqlab.tensors import Weights, expand_like
from fqlab.training.integer_steps import IntegerSteps
from fqlab.training.objectives import Objective, Stacked

__all__ = [
    "FromDigits",
    "FromMovingDigits",
    "IntegerSteps",
    "digit_codes",
    "digit_params",
    "frozen_objective",
    "integer_objective",
]


@dataclass(frozen=True)
class FromDigits(Stacked):
    """Transform: W = s·sign·r/(2^b − 1). Magnitudes come from the parameters or, frozen, from the context."""

    layers: tuple[str, ...]

    def __call__(self, params: Weights, context: Weights, noise: Weights) -> Weights:
        """What the model sees."""
        weights = {name: value for name, value in params.items() if not name.endswith(("/magnitude", "/scale"))}
        for name in self.layers:
            key = f"{name}/magnitude"
            net = (params[key] if key in params else context[key]) * context[f"{name}/sign"]
            weights[name] = expand_like(params[f"{name}/scale"] / context[f"{name}/top"], net) * net
        return weights


@dataclass(frozen=True)
class FromMovingDigits(FromDigits):
    """The same, and for every layer the seed of its step's Bernoulli draws."""

    def draw(self, params: Weights, generator: torch.Generator) -> Weights:
        """``name/seed``: int64 scalars; the draws themselves are made only where something can move."""
        seeds = torch.randint(2**62, (len(self.layers),), generator=generator)
        return {f"{name}/seed": seeds[k] for k, name in enumerate(self.layers)}


def digit_params(codes: Mapping[str, Codes]) -> Weights:
    """Magnitudes and scales that stand for ``codes`` (sign-magnitude, scalar clip)."""
    params = {f"{name}/magnitude": layer.values.abs().float() for name, layer in codes.items()}
    return params | {f"{name}/scale": layer.clip.clone() for name, layer in codes.items()}


def integer_objective(codes: Mapping[str, Codes], strengths: Sequence[float]) -> Objective:
    """The objective to train ``codes`` by :class:`IntegerSteps`; its loss is shown without the penalty.

    Args:
        codes: of every layer, on the sign-magnitude grid.
        strengths: penalty of every layer, λ b_l M_l/M.
    """
    layers = tuple(codes)
    context = _context(codes)
    context |= {
        f"{name}/strength": torch.tensor(strength, dtype=torch.float32)
        for name, strength in zip(layers, strengths, strict=True)
    }
    return Objective(FromMovingDigits(layers), steps=IntegerSteps(layers), context=context)


def frozen_objective(codes: Mapping[str, Codes]) -> Objective:
    """Only scales, biases and norms are trained: what is left where weights of few bits cannot move."""
    still = {key: value for key, value in digit_params(codes).items() if key.endswith("/magnitude")}
    return Objective(FromDigits(tuple(codes)), context=_context(codes) | still)


def digit_codes(params: Weights, name: str, context: Weights) -> Codes:
    """A trained layer as codes; a scale that training has driven below zero turns all signs around."""
    key = f"{name}/magnitude"
    magnitude = params[key] if key in params else context[key]
    scale = params[f"{name}/scale"]
    values = magnitude * context[f"{name}/sign"] * torch.where(scale < 0, -1, 1)
    grid = Grid(int(context[f"{name}/top"]).bit_length(), "sign_magnitude")
    return Codes(values.to(torch.int16), grid, scale.abs())


def _context(codes: Mapping[str, Codes]) -> Weights:
    context: Weights = {}
    for name, layer in codes.items():
        context[f"{name}/sign"] = torch.where(layer.values > 0, 1, -1).float()
        context[f"{name}/top"] = torch.tensor(float(layer.grid.high), dtype=torch.float32)
    return context
