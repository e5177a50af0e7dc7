"""Steps of SGD on bit planes, written out: a plane's gradient is ±2^b times that of the net value, and never stored.

A layer of n planes has 2n numbers a weight. By autograd they are read and written some twenty times a step, through tensors
that are made and dropped; here they are passed over five times, where they lie.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from fqlab.tensors import Weights
from fqlab.training.sgd import Training

__all__ = ["HIGHEST", "PlaneSteps", "PlaneWalk", "from_planes", "planes_pulled_back"]

HIGHEST = 2.0
"""Bit variables live in [0, 2]; above 1 a value overflows into the next bit (BSQ §3.1)."""
GUARD = 1e-8
"""Under the root of the group norms; it bounds the penalty's slope at 0."""


@dataclass(frozen=True)
class _Layer:
    """A layer's tensors with the client dimension in front, and what :class:`FromPlanes` makes of them.

    Attributes:
        planes: ``[clients, 2n, weights]``.
        net: real weights in units of the step, ``[clients, weights]``.
        codes: the same, clipped and rounded.
        step: ``[clients, 1]``.
        signed: ±2^b in the unit of the planes, ``[clients, 2n]``.
    """

    planes: torch.Tensor
    net: torch.Tensor
    codes: torch.Tensor
    step: torch.Tensor
    signed: torch.Tensor


def _layer(name: str, params: Weights, context: Weights) -> _Layer:
    planes = params[f"{name}/planes"]
    signed = context[f"{name}/signed"]
    rows = signed.reshape(-1, signed.shape[-1])
    flat = planes.reshape(len(rows), rows.shape[1], -1)
    signed = rows * context[f"{name}/unit"].reshape(-1, 1)
    top = context[f"{name}/top"].reshape(-1, 1)
    net = torch.bmm(signed.unsqueeze(1), flat).squeeze(1)
    codes = torch.minimum(torch.maximum(net, -top), top).round_()
    step = params[f"{name}/scale"].reshape(-1, 1) * context[f"{name}/gain"].reshape(-1, 1) / top
    return _Layer(flat, net, codes, step, signed)


def from_planes(layers: tuple[str, ...], params: Weights, context: Weights) -> Weights:
    """What the model sees of :class:`~fqlab.training.bitplanes.FromPlanes`, without a graph."""
    weights = {name: value for name, value in params.items() if not name.endswith(("/planes", "/scale"))}
    for name in layers:
        planes, layer = params[f"{name}/planes"], _layer(name, params, context)
        lead = context[f"{name}/top"].dim()
        weights[name] = (layer.codes * layer.step).reshape(planes.shape[:lead] + planes.shape[lead + 2 :])
    return weights


def planes_pulled_back(layers: tuple[str, ...], params: Weights, context: Weights, slopes: Weights) -> Weights:
    """Gradients of scales, and for ``name/planes`` that of the net value, which :class:`PlaneWalk` spreads.

    Args:
        layers: names of the layers with planes.
        params, context: as for the transform.
        slopes: gradients in the weights that the model sees.
    """
    gradients = {name: slope for name, slope in slopes.items() if name not in layers}
    for name in layers:
        layer = _layer(name, params, context)
        slope = slopes[name].reshape(layer.net.shape)
        top, gain = context[f"{name}/top"], context[f"{name}/gain"]
        gradients[f"{name}/planes"] = slope * layer.step
        gradients[f"{name}/scale"] = (slope * layer.codes).sum(1).reshape(top.shape) * gain / top
    return gradients


@dataclass(frozen=True)
class PlaneSteps:
    """How planes move: SGD on loss and group lasso, then the box [0, 2] (and, if ``proximal``, the shrinking)."""

    layers: tuple[str, ...]
    proximal: bool = False

    def walk(self, context: Weights, training: Training) -> PlaneWalk | None:
        """One round's steps; None with momentum, whose buffers would be as large as the planes."""
        return None if training.momentum else PlaneWalk(self.layers, self.proximal, context, training)


@dataclass(frozen=True)
class PlaneWalk:
    """Moves planes in place: B ← clip(B − lr(±2^b ∂/∂net + λ c B/√(‖B‖² + 1e−8) + decay·B), 0, 2)."""

    layers: tuple[str, ...]
    proximal: bool
    context: Weights
    training: Training

    def step(self, params: Weights, gradients: Weights, noise: Weights, active: int | None) -> Weights:
        """The planes after a step, in their own memory; ``gradients`` are from :func:`planes_pulled_back`."""
        for name in self.layers:
            own = {key: value if active is None else value[:active] for key, value in self._context(name).items()}
            self._move(params[f"{name}/planes"], gradients[f"{name}/planes"], own)
        return {f"{name}/planes": params[f"{name}/planes"] for name in self.layers}

    def _context(self, name: str) -> Weights:
        kinds = ("signed", "unit", "strength", "threshold")
        return {kind: self.context[f"{name}/{kind}"] for kind in kinds if f"{name}/{kind}" in self.context}

    def _move(self, planes: torch.Tensor, slope: torch.Tensor, context: Weights) -> None:
        lr, signed, unit = self.training.lr, context["signed"], context["unit"].reshape(-1, 1)
        rows = signed.reshape(-1, signed.shape[-1])
        flat = planes.view(len(rows), rows.shape[1], -1)
        if "strength" in context or self.training.weight_decay:
            flat.mul_((1 - lr * self._pull(flat, unit, context)).unsqueeze(2))
        flat.addcmul_((rows * unit).unsqueeze(2), slope.unsqueeze(1), value=-lr)
        for own, limit in zip(flat, (HIGHEST / unit).flatten().tolist(), strict=True):
            own.clamp_(0, limit)
        if self.proximal:
            norms = _group_norms(flat)
            threshold = context["threshold"].reshape(-1, 1) * unit
            flat.mul_(_both((1 - threshold / norms.clamp(min=1e-30)).clamp(min=0)))

    def _pull(self, flat: torch.Tensor, unit: torch.Tensor, context: Weights) -> torch.Tensor:
        """The factor of B in its gradient: ``[clients, 2n]``."""
        pull = torch.full(flat.shape[:2], self.training.weight_decay)
        if "strength" in context:
            norms = _group_norms(flat) * unit
            slope = context["strength"].reshape(-1, 1) * unit.square() / (norms.square() + GUARD).sqrt()
            pull += _both(slope).squeeze(2)
        return pull


def _group_norms(flat: torch.Tensor) -> torch.Tensor:
    """Norm of every bit's group, positive and negative part together: ``[clients, 2n, weights]`` → ``[clients, n]``."""
    return torch.linalg.vector_norm(torch.linalg.vector_norm(flat, dim=2).unflatten(1, (2, -1)), dim=1)


def _both(each: torch.Tensor) -> torch.Tensor:
    """A number for every bit, for its positive and its negative part: ``[clients, n]`` → ``[clients, 2n, 1]``."""
    return torch.cat([each, each], 1).unsqueeze(2)
