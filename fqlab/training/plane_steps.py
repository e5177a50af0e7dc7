"""SGD on bit planes, written out: a plane's gradient is ±2^b times that of the net value, and never stored.

A layer of n planes has 2n numbers a weight. By autograd they are read and written some twenty times a step, through tensors
that are made and dropped; here they are passed over five times, where they lie.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from fqlab.tensors import Weights
from fqlab.training.sgd import Training

__all__ = ["HIGHEST", "PlaneSteps", "PlaneWalk"]

HIGHEST = 2.0
"""Bit variables live in [0, 2]; above 1 a value overflows into the next bit (BSQ §3.1)."""
GUARD = 1e-8
"""Under the root of the group norms; it bounds the penalty's slope at 0."""


@dataclass(frozen=True)
class _Layer:
    """A layer in one step, its clients' numbers as columns ``[clients, 1]``.

    Attributes:
        planes: ``[clients, 2n, weights]``, the memory of the parameter itself.
        signed: ±2^b in the unit of the planes, ``[clients, 2n]``.
        codes: real weights in units of the step, clipped and rounded, ``[clients, weights]``.
        gain: what turns the stored scale into the step.
        step: of the grid.
        unit: of the planes.
        norms: of every bit's group in plain units, ``[clients, n]``; None without a penalty.
    """

    planes: torch.Tensor
    signed: torch.Tensor
    codes: torch.Tensor
    gain: torch.Tensor
    step: torch.Tensor
    unit: torch.Tensor
    norms: torch.Tensor | None


@dataclass(frozen=True)
class PlaneSteps:
    """How planes move: SGD on loss and group lasso, then the box [0, 2] (and, if ``proximal``, the shrinking)."""

    layers: tuple[str, ...]
    proximal: bool = False

    def walk(self, context: Weights, training: Training) -> PlaneWalk | None:
        """One round's steps; None with momentum, whose buffers would be as large as the planes."""
        return None if training.momentum else PlaneWalk(self.layers, self.proximal, context, training)


@dataclass
class PlaneWalk:
    """Moves planes in place: B ← clip(B − lr(±2^b ∂/∂net + λ c B/√(‖B‖² + 1e−8) + decay·B), 0, 2).

    A step is :meth:`weights`, :meth:`pull_back`, :meth:`step`, in this order.
    """

    layers: tuple[str, ...]
    proximal: bool
    context: Weights
    training: Training
    now: dict[str, _Layer] = field(default_factory=dict)

    def weights(self, params: Weights, active: int | None) -> Weights:
        """What the model sees: s·Round[clip(net, ±(2^n − 1))]/(2^n − 1) in place of planes and scales."""
        seen = {name: value for name, value in params.items() if not name.endswith(("/planes", "/scale"))}
        for name in self.layers:
            planes = params[f"{name}/planes"]
            layer = self.now[name] = self._layer(name, planes, params[f"{name}/scale"], active)
            lead = self.context[f"{name}/top"].dim()
            seen[name] = (layer.codes * layer.step).view(planes.shape[:lead] + planes.shape[lead + 2 :])
        return seen

    def pull_back(self, params: Weights, slopes: Weights) -> Weights:
        """Gradients of scales, and for ``name/planes`` that of the net value, from those in what the model sees."""
        gradients = {name: slope for name, slope in slopes.items() if name not in self.layers}
        for name in self.layers:
            layer = self.now[name]
            slope = slopes[name].reshape(layer.codes.shape)
            by_step = (slope * layer.codes).sum(1, keepdim=True)
            gradients[f"{name}/planes"] = slope * layer.step
            gradients[f"{name}/scale"] = (by_step * layer.gain).view(params[f"{name}/scale"].shape)
        return gradients

    def cost(self) -> torch.Tensor | float:
        """The penalty of every client, Σ_l λ c_l Σ_b √(‖B_l^(b)‖² + 1e−8)."""
        total: torch.Tensor | float = 0.0
        for name, layer in self.now.items():
            if layer.norms is not None:
                strength = self._column(name, "strength", len(layer.planes))
                lead = self.context[f"{name}/top"].dim()
                each = (strength * (layer.norms.square() + GUARD).sqrt()).sum(1)
                total = total + (each if lead else each[0])
        return total

    def step(self, params: Weights, gradients: Weights, noise: Weights, active: int | None) -> Weights:
        """The planes after a step, in their own memory; ``gradients`` are from :meth:`pull_back`."""
        for name, layer in self.now.items():
            self._move(name, layer, gradients[f"{name}/planes"])
        return {f"{name}/planes": params[f"{name}/planes"] for name in self.layers}

    def _column(self, name: str, kind: str, clients: int) -> torch.Tensor:
        return self.context[f"{name}/{kind}"].reshape(-1, 1)[:clients]

    def _layer(self, name: str, planes: torch.Tensor, scale: torch.Tensor, active: int | None) -> _Layer:
        scale = scale.reshape(-1, 1)
        unit, top, gain = (self._column(name, kind, len(scale)) for kind in ("unit", "top", "gain"))
        signed = self.context[f"{name}/signed"]
        signed = signed.reshape(-1, signed.shape[-1])[: len(scale)] * unit
        flat = planes.view(len(scale), signed.shape[1], -1)
        net = torch.bmm(signed.unsqueeze(1), flat).squeeze(1)
        codes = torch.minimum(torch.maximum(net, -top), top).round_()
        norms = None if self.proximal else _group_norms(flat) * unit
        return _Layer(flat, signed, codes, gain / top, scale * (gain / top), unit, norms)

    def _move(self, name: str, layer: _Layer, slope: torch.Tensor) -> None:
        lr, flat = self.training.lr, layer.planes
        pull = torch.full(flat.shape[:2], self.training.weight_decay)
        if layer.norms is not None:
            strength = self._column(name, "strength", len(flat)) * layer.unit.square()
            pull += _both(strength / (layer.norms.square() + GUARD).sqrt())
        flat.mul_((1 - lr * pull).unsqueeze(2))
        flat.addcmul_(layer.signed.unsqueeze(2), slope.unsqueeze(1), value=-lr)
        for own, limit in zip(flat, (HIGHEST / layer.unit).flatten().tolist(), strict=True):
            own.clamp_(0, limit)
        if self.proximal:
            threshold = self._column(name, "threshold", len(flat)) * layer.unit
            factor = (1 - threshold / _group_norms(flat).clamp(min=1e-30)).clamp(min=0)
            flat.mul_(_both(factor).unsqueeze(2))


def _group_norms(flat: torch.Tensor) -> torch.Tensor:
    """Norm of every bit's group, positive and negative part together: ``[clients, 2n, weights]`` → ``[clients, n]``."""
    return torch.linalg.vector_norm(torch.linalg.vector_norm(flat, dim=2).unflatten(1, (2, -1)), dim=1)


def _both(each: torch.Tensor) -> torch.Tensor:
    """A number for every bit, for its positive and its negative part: ``[clients, n]`` → ``[clients, 2n]``."""
    return torch.cat([each, each], 1)
