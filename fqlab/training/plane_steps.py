"""SGD on bit planes, written out: a plane's gradient is ±2^b times that of the net value, and never stored.

A layer of n planes has 2n numbers a weight. By autograd they are read and written some twenty times a step, through tensors
that are made and dropped; here they are passed over five times, where they lie.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from fqlab.tensors import Weights
from fqlab.training.sgd import Training

__all__ = ["HIGHEST", "PlaneSteps", "PlaneWalk", "plane_pace"]

HIGHEST = 2.0
"""Bit variables live in [0, 2]; above 1 a value overflows into the next bit (BSQ §3.1)."""
GUARD = 1e-8
"""Under the root of the group norms; it bounds the penalty's slope at 0."""


def plane_pace(scale: torch.Tensor, signed: torch.Tensor, top: torch.Tensor) -> torch.Tensor:
    """κ = 1/(s² Σ_b (2^b/(2^n − 1))²): with κ times the learning rate, planes move weights as plain SGD does.

    Args:
        scale: s, of shape ``[*batch]``.
        signed: ±2^b of the planes in use, ``[*batch, 2·planes]``.
        top: 2^n − 1, ``[*batch]``.
    """
    shares = signed.square().sum(-1) / (2 * top.square())
    return 1 / (scale.square() * shares).clamp(min=1e-12)


@dataclass(frozen=True)
class _Layer:
    """A layer in one step, its clients' numbers as columns ``[clients, 1]``.

    Attributes:
        planes: ``[clients, 2n, weights]``, the memory of the parameter itself; so is ``scale``.
        signed: ±2^b, ``[clients, 2n]``.
        codes: real weights in units of the step, clipped and rounded, ``[clients, weights]``.
        top: 2^n − 1.
        norms: of every bit's group, ``[clients, n]``; None without a penalty.
    """

    planes: torch.Tensor
    scale: torch.Tensor
    signed: torch.Tensor
    codes: torch.Tensor
    top: torch.Tensor
    norms: torch.Tensor | None

    def pace(self) -> torch.Tensor:
        """:func:`plane_pace`, as a column."""
        return plane_pace(self.scale[:, 0], self.signed, self.top[:, 0]).unsqueeze(1)


@dataclass(frozen=True)
class PlaneSteps:
    """How planes and scales move: SGD on loss and group lasso, then the box [0, 2] (and, if ``proximal``, the shrinking).

    With ``precondition`` at the rates of :class:`~fqlab.training.bitplanes.LikePlainSGD`.
    """

    layers: tuple[str, ...]
    proximal: bool = False
    precondition: bool = False

    def walk(self, context: Weights, training: Training) -> PlaneWalk | None:
        """One round's steps; None with momentum, whose buffers would be as large as the planes."""
        return None if training.momentum else PlaneWalk(self, context, training)


@dataclass
class PlaneWalk:
    """Moves planes in place: B ← clip(B − lr κ(±2^b ∂/∂net + λ c B/√(‖B‖² + 1e−8) + decay·B), 0, 2).

    A step is :meth:`weights`, :meth:`pull_back`, :meth:`step`, in this order.
    """

    rule: PlaneSteps
    context: Weights
    training: Training
    now: dict[str, _Layer] = field(default_factory=dict)

    def weights(self, params: Weights, active: int | None) -> Weights:
        """What the model sees: s·Round[clip(net, ±(2^n − 1))]/(2^n − 1) in place of planes and scales."""
        seen = {name: value for name, value in params.items() if not name.endswith(("/planes", "/scale"))}
        for name in self.rule.layers:
            planes = params[f"{name}/planes"]
            layer = self.now[name] = self._layer(name, planes, params[f"{name}/scale"])
            lead = params[f"{name}/scale"].dim()
            seen[name] = (layer.codes * (layer.scale / layer.top)).view(planes.shape[:lead] + planes.shape[lead + 2 :])
        return seen

    def pull_back(self, params: Weights, slopes: Weights) -> Weights:
        """Gradients of scales, and for ``name/planes`` that of the net value, from those in what the model sees."""
        gradients = {name: slope for name, slope in slopes.items() if name not in self.now}
        for name, layer in self.now.items():
            slope = slopes[name].reshape(layer.codes.shape)
            by_scale = (slope * layer.codes).sum(1, keepdim=True) / layer.top
            gradients[f"{name}/planes"] = slope * (layer.scale / layer.top)
            gradients[f"{name}/scale"] = by_scale.view(params[f"{name}/scale"].shape)
        return gradients

    def cost(self) -> torch.Tensor | float:
        """The penalty of every client, Σ_l λ c_l Σ_b √(‖B_l^(b)‖² + 1e−8)."""
        total: torch.Tensor | float = 0.0
        for name, layer in self.now.items():
            if layer.norms is not None:
                each = (self._column(name, "strength", layer) * (layer.norms.square() + GUARD).sqrt()).sum(1)
                total = total + (each if self.context[f"{name}/top"].dim() else each[0])
        return total

    def step(self, params: Weights, gradients: Weights, noise: Weights, active: int | None) -> Weights:
        """Planes and scales after a step, in their own memory; ``gradients`` are from :meth:`pull_back`."""
        moved = {}
        for name, layer in self.now.items():
            self._move(name, layer, gradients[f"{name}/planes"], gradients[f"{name}/scale"].reshape(-1, 1))
            moved |= {key: params[key] for key in (f"{name}/planes", f"{name}/scale")}
        return moved

    def _column(self, name: str, kind: str, layer: _Layer) -> torch.Tensor:
        return self.context[f"{name}/{kind}"].reshape(-1, 1)[: len(layer.scale)]

    def _layer(self, name: str, planes: torch.Tensor, scale: torch.Tensor) -> _Layer:
        scale = scale.view(-1, 1)
        signed = self.context[f"{name}/signed"]
        signed = signed.reshape(-1, signed.shape[-1])[: len(scale)]
        top = self.context[f"{name}/top"].reshape(-1, 1)[: len(scale)]
        flat = planes.view(len(scale), signed.shape[1], -1)
        net = torch.bmm(signed.unsqueeze(1), flat).squeeze(1)
        codes = torch.minimum(torch.maximum(net, -top), top).round_()
        return _Layer(flat, scale, signed, codes, top, None if self.rule.proximal else _group_norms(flat))

    def _move(self, name: str, layer: _Layer, slope: torch.Tensor, by_scale: torch.Tensor) -> None:
        flat = layer.planes
        pull = torch.full(flat.shape[:2], self.training.weight_decay, dtype=torch.float32)
        if layer.norms is not None:
            pull += _both(self._column(name, "strength", layer) / (layer.norms.square() + GUARD).sqrt())
        rate = self.training.lr * (layer.pace() if self.rule.precondition else torch.ones_like(layer.scale))
        flat.mul_((1 - rate * pull).unsqueeze(2))
        flat.addcmul_((rate * layer.signed).unsqueeze(2), slope.unsqueeze(1), value=-1)
        flat.clamp_(0, HIGHEST)
        self._rescale(layer, by_scale)
        if self.rule.proximal:
            threshold = self._column(name, "threshold", layer) * (layer.pace() if self.rule.precondition else 1.0)
            factor = (1 - threshold / _group_norms(flat).clamp(min=1e-30)).clamp(min=0)
            flat.mul_(_both(factor).unsqueeze(2))

    def _rescale(self, layer: _Layer, slope: torch.Tensor) -> None:
        """The scale's step; preconditioned, it moves by half of itself at most."""
        slope = slope + self.training.weight_decay * layer.scale
        if self.rule.precondition:
            energy = (layer.codes / layer.top).square().sum(1, keepdim=True)
            most = layer.scale.abs() / (2 * self.training.lr)
            slope = (slope / energy.clamp(min=1)).clamp(-most, most)
        layer.scale.sub_(slope, alpha=self.training.lr)


def _group_norms(flat: torch.Tensor) -> torch.Tensor:
    """Norm of every bit's group, positive and negative part together: ``[clients, 2n, weights]`` → ``[clients, n]``."""
    return torch.linalg.vector_norm(torch.linalg.vector_norm(flat, dim=2).unflatten(1, (2, -1)), dim=1)


def _both(each: torch.Tensor) -> torch.Tensor:
    """A number for every bit, for its positive and its negative part: ``[clients, n]`` → ``[clients, 2n]``."""
    return torch.cat([each, each], 1)
