"""One round on whole magnitudes, written out: no autograd, and a layer that cannot move costs next to nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch

from fqlab.models.backprop import Buffers
from fqlab.tensors import Weights
from fqlab.training.integer import accumulate, integer_step, penalty_pull, reach
from fqlab.training.integer_plain import plain_step
from fqlab.training.sgd import Training

__all__ = ["IntegerSteps", "IntegerWalk"]

NO_MOVE = 0.499
"""A magnitude that a step can reach no further than this rounds back to where it was."""


@dataclass(frozen=True)
class IntegerSteps:
    """Magnitudes move by :func:`~fqlab.training.integer.integer_step`; penalty and momentum act on their digits."""

    portable: ClassVar[bool] = False
    """Each layer of each client asks for a number of its own at every step, and draws for itself."""

    layers: tuple[str, ...]

    def walk(self, context: Weights, training: Training) -> IntegerWalk:
        """One round's steps; momentum starts at zero, and there is no weight decay, as in the public code."""
        return IntegerWalk(self.layers, context, training)


@dataclass
class _Layer:
    """One layer of one client, flat.

    Attributes:
        bits: b.
        strength: λ b_l M_l/M of the group lasso.
        sign: ±1, ``[n]``.
        buffer: momentum, ``[b, n]``.
        pull: gradient of the penalty, ``[b]``; it stays what it is while nothing moves, and None says that something did.
    """

    bits: int
    strength: float
    sign: torch.Tensor
    buffer: torch.Tensor | None = None
    pull: torch.Tensor | None = None

    def step(self, r: torch.Tensor, slope: torch.Tensor, unit: float, steepest: float, seed: int, of: _Round) -> None:
        """Magnitudes ``r`` after a step, in place; they are not touched where nothing can move.

        Args:
            slope: of the loss in the weights, ``[n]``, none larger than ``steepest``.
            unit: s/(2^b − 1).
        """
        lr = of.training.lr
        momentum = of.training.momentum
        if self.pull is None:
            self.pull = penalty_pull(r, self.bits, self.strength)
        if not momentum and reach(abs(unit) * steepest, self.bits, float(self.pull.max()), lr) < NO_MOVE:
            return
        inwards = torch.mul(slope, self.sign, out=of.memory("inwards", len(r))).mul_(unit)
        drawn = torch.Generator().manual_seed(seed)
        draws = torch.rand(len(r), generator=drawn, dtype=torch.float32, out=of.memory("draws", len(r)))
        if momentum:
            if self.buffer is None:
                self.buffer = torch.zeros(self.bits, len(r), dtype=torch.float32)
            accumulate(self.buffer, r, inwards, self.pull, momentum, of.memory)
            integer_step(r, self.buffer, lr, draws, of.memory)
        else:
            plain_step(r, inwards, abs(unit) * steepest, self.pull, lr, draws, of.memory)
        self.pull = None


@dataclass(frozen=True)
class _Round:
    """What all layers of a round share."""

    training: Training
    memory: Buffers = field(default_factory=Buffers)


class IntegerWalk:
    """Moves magnitudes in place, with a momentum buffer ``[b, n]`` for every layer of every client.

    A step is :meth:`weights`, :meth:`pull_back`, :meth:`step`, in this order; parameters and context as in
    :mod:`fqlab.training.digits`.
    """

    def __init__(self, layers: tuple[str, ...], context: Weights, training: Training) -> None:
        self._round = _Round(training)
        self._signs: Weights = {}
        self._tops: Weights = {}
        self._now: Weights = {}
        self._layers: dict[str, list[_Layer]] = {}
        for name in layers:
            top = self._tops[name] = context[f"{name}/top"].reshape(-1, 1)
            sign = self._signs[name] = context[f"{name}/sign"].reshape(len(top), -1)
            strengths = context[f"{name}/strength"].reshape(-1).tolist()
            widths = [int(value).bit_length() for value in top[:, 0].tolist()]
            self._layers[name] = [_Layer(*member) for member in zip(widths, strengths, sign, strict=True)]

    def weights(self, params: Weights, active: int | None) -> Weights:
        """What the model sees: s·sign·r/(2^b − 1) in place of magnitudes and scales."""
        seen = {name: value for name, value in params.items() if not name.endswith(("/magnitude", "/scale"))}
        for name, sign in self._signs.items():
            magnitude = params[f"{name}/magnitude"]
            scale = params[f"{name}/scale"].view(-1, 1)
            rows = magnitude.view(len(scale), -1)
            net = torch.mul(sign[: len(rows)], rows, out=self._round.memory((name, "net"), *rows.shape))
            step = scale / self._tops[name][: len(rows)]
            seen[name] = torch.mul(net, step, out=self._round.memory((name, "seen"), *rows.shape)).view(magnitude.shape)
            self._now[name] = net
        return seen

    def pull_back(self, params: Weights, slopes: Weights) -> Weights:
        """Gradients of scales, and for ``name/magnitude`` those of the weights that the model sees, as they come."""
        gradients = {name: slope for name, slope in slopes.items() if name not in self._now}
        for name, net in self._now.items():
            along = torch.linalg.vecdot(slopes[name].reshape(net.shape), net)
            gradients[f"{name}/magnitude"] = slopes[name]
            gradients[f"{name}/scale"] = (along / self._tops[name][: len(net), 0]).view(params[f"{name}/scale"].shape)
        return gradients

    def cost(self) -> float:
        """Nothing: the loss is shown without the penalty."""
        return 0.0

    def step(self, params: Weights, gradients: Weights, noise: Weights, active: int | None) -> Weights:
        """Magnitudes after a step; ``gradients`` are from :meth:`pull_back`. Scales are left to SGD."""
        for name, net in self._now.items():
            seeds = noise[f"{name}/seed"].reshape(-1).tolist()
            magnitudes = params[f"{name}/magnitude"].view(net.shape)
            slopes = gradients[f"{name}/magnitude"].reshape(net.shape)
            steepest = torch.abs(slopes, out=self._round.memory("steepest", *net.shape)).amax(1).tolist()
            units = (params[f"{name}/scale"].view(-1, 1) / self._tops[name][: len(net)])[:, 0].tolist()
            members = zip(self._layers[name], magnitudes, slopes, units, steepest, seeds, strict=False)
            for layer, *member in members:
                layer.step(*member, self._round)
        return {f"{name}/magnitude": params[f"{name}/magnitude"] for name in self._now}
