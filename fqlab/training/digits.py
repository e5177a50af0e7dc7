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
from dataclasses import dataclass, field

import torch

from fqlab.quant import Codes, Grid
from fqlab.tensors import Weights, expand_like
from fqlab.training.integer import accumulate, integer_step, reach
from fqlab.training.objectives import Objective, Stacked
from fqlab.training.sgd import Training

__all__ = [
    "FromDigits",
    "FromMovingDigits",
    "IntegerSteps",
    "digit_codes",
    "digit_params",
    "frozen_objective",
    "integer_objective",
]

NO_MOVE = 0.499
"""A magnitude that a step can reach no further than this rounds back to where it was."""


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


@dataclass(frozen=True)
class IntegerSteps:
    """Magnitudes move by :func:`~fqlab.training.integer.integer_step`; penalty and momentum act on their digits."""

    layers: tuple[str, ...]

    def walk(self, context: Weights, training: Training) -> IntegerWalk:
        """One round's steps; momentum starts at zero, and there is no weight decay, as in the public code."""
        return IntegerWalk(self.layers, context, training.lr, training.momentum)


@dataclass
class IntegerWalk:
    """The steps of one round: a momentum buffer ``[b, n]`` for every layer of every client."""

    layers: tuple[str, ...]
    context: Weights
    lr: float
    momentum: float
    buffers: dict[tuple[str, int], torch.Tensor] = field(default_factory=dict)

    def step(self, params: Weights, gradients: Weights, noise: Weights, active: int | None) -> Weights:
        """Move the magnitudes in place; of stacked clients the leading ones that still train are there."""
        for name in self.layers:
            key = f"{name}/magnitude"
            seeds = noise[f"{name}/seed"].reshape(-1).tolist()
            layer, slope = (part if self._stacked else part[None] for part in (params[key], gradients[key]))
            for client, seed in enumerate(seeds):
                self._move(name, client, layer[client], slope[client].flatten(), seed)
        return {f"{name}/magnitude": params[f"{name}/magnitude"] for name in self.layers}

    @property
    def _stacked(self) -> bool:
        return self.context[f"{self.layers[0]}/top"].dim() > 0

    def _move(self, name: str, client: int, layer: torch.Tensor, slope: torch.Tensor, seed: int) -> None:
        """One layer of one client; it is not touched where nothing can move."""
        bits = int(self.context[f"{name}/top"].reshape(-1)[client]).bit_length()
        strength = float(self.context[f"{name}/strength"].reshape(-1)[client])
        if not self.momentum and reach(slope, bits, strength, self.lr) < NO_MOVE:
            return
        if (name, client) not in self.buffers:
            self.buffers[name, client] = torch.zeros(bits, slope.numel(), dtype=torch.float32)
        buffer = self.buffers[name, client]
        r = layer.flatten()
        accumulate(buffer, r, slope, strength, self.momentum)
        draws = torch.rand(r.numel(), dtype=torch.float32, generator=torch.Generator().manual_seed(seed))
        layer.copy_(integer_step(r, buffer, self.lr, draws).view(layer.shape))


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
