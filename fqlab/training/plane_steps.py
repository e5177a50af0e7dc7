"""SGD on bit planes, written out: a plane's gradient is ±2^b times that of the net value, and never stored.

A layer of n planes has 2n numbers a weight. By autograd they are read and written some twenty times a step, through tensors
that are made and dropped; here they are passed over five times, where they lie. What is one number for a bit or a layer is
worked out for all layers at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from fqlab.tensors import Weights
from fqlab.training.sgd import Training

__all__ = ["HIGHEST", "PlaneSteps", "PlaneWalk", "plane_pace"]

HIGHEST = 2.0
"""Bit variables live in [0, 2]; above 1 a value overflows into the next bit (BSQ §3.1)."""
GUARD = 1e-8
"""Under the root of the group norms; it bounds the penalty's slope at 0."""


def plane_pace(scale: Tensor, signed: Tensor, top: Tensor) -> Tensor:
    """κ = 1/(s² Σ_b (2^b/(2^n − 1))²): with κ times the learning rate, planes move weights as plain SGD does.

    Args:
        scale: s, of shape ``[*batch]``.
        signed: ±2^b of the planes in use, ``[*batch, 2·planes]``.
        top: 2^n − 1, ``[*batch]``.
    """
    shares = signed.square().sum(-1) / (2 * top.square())
    return 1 / (scale.square() * shares).clamp(min=1e-12)


@dataclass(frozen=True)
class PlaneSteps:
    """How planes and scales move: SGD on loss and group lasso, then the box [0, 2] (and, if ``proximal``, the shrinking).

    With ``precondition`` at the rates of :class:`~fqlab.training.bitplanes.LikePlainSGD`.
    """

    layers: tuple[str, ...]
    proximal: bool = False
    precondition: bool = False

    def walk(self, context: Weights, training: Training) -> PlaneWalk:
        """One round's steps; momentum starts at zero."""
        return PlaneWalk(self, context, training)


@dataclass(frozen=True)
class _Layer:
    """Where a layer lies in memory: the parameters themselves, and what a step works out from them.

    Attributes:
        all_planes: ``[clients, 2n, weights]``.
        planes: those in use by any client, ``[clients, 2, used, weights]``; the others are zero and stay zero.
        signed: ±2^b of all, ``[clients, 1, 2n]``.
        scale: ``[clients]``.
        codes: real weights in units of the step, clipped and rounded, ``[clients, weights]``.
        seen: what the model sees, in the shape of the layer.
    """

    all_planes: Tensor
    planes: Tensor
    signed: Tensor
    scale: Tensor
    codes: Tensor
    seen: Tensor


@dataclass(frozen=True)
class _Stack:
    """The clients that still train.

    Attributes:
        layers: by name.
        top: 2^n − 1, ``[layers, clients]``.
        price: λ·c of the group lasso, or its proximal threshold, ``[layers, clients]``.
        signed: ±2^b of planes in use, ``[layers, clients, 2, n]``.
        codes: of all layers, in one piece.
        least, most: what each of them is clipped to.
    """

    layers: dict[str, _Layer]
    top: Tensor
    price: Tensor
    signed: Tensor
    codes: Tensor
    least: Tensor
    most: Tensor

    def scales(self) -> Tensor:
        """A copy of all scales as they are now, ``[layers, clients]``."""
        return torch.stack([layer.scale for layer in self.layers.values()])


class PlaneWalk:
    """Moves planes in place: B ← clip(B − lr κ(±2^b ∂/∂net + λ c B/√(‖B‖² + 1e−8) + decay·B), 0, 2).

    A step is :meth:`weights`, :meth:`pull_back`, :meth:`step`, in this order, and always of the same parameters.
    """

    def __init__(self, rule: PlaneSteps, context: Weights, training: Training) -> None:
        self.rule = rule
        self.training = training
        of_all = lambda kind: torch.stack([context[f"{name}/{kind}"].reshape(-1) for name in rule.layers])
        self._many = context[f"{rule.layers[0]}/top"].dim() > 0
        self._top = of_all("top")
        self._price = of_all("threshold" if rule.proximal else "strength")
        signed = [context[f"{name}/signed"].view(self._top.shape[1], 2, -1) for name in rule.layers]
        self._widths = [each.shape[2] for each in signed]
        most = max(self._widths)
        self._used = [int(top.max()).bit_length() for top in self._top]
        self._signed = torch.stack([pad(each, (0, most - each.shape[2])) for each in signed])
        widths = torch.tensor(self._widths, dtype=torch.int64)
        self._has = (torch.arange(most, dtype=torch.int64) < widths.unsqueeze(1)).unsqueeze(1).float()
        self._sides = torch.zeros_like(self._signed)
        self._stacks: dict[int, _Stack] = {}
        self._velocity: Weights = {}

    def weights(self, params: Weights, active: int | None) -> Weights:
        """What the model sees: s·Round[clip(net, ±(2^n − 1))]/(2^n − 1) in place of planes and scales."""
        now = self._now = self._stack(params)
        self._scales = now.scales()
        self._units = self._scales / now.top
        for layer in now.layers.values():
            torch.bmm(layer.signed, layer.all_planes, out=layer.codes.unsqueeze(1))
        torch.minimum(now.codes, now.most, out=now.codes)  # a clamp between tensors takes ten times as long
        torch.maximum(now.codes, now.least, out=now.codes).round_()
        self._norms = None if self.rule.proximal else self._group_norms()
        seen = {name: value for name, value in params.items() if not name.endswith(("/planes", "/scale"))}
        for (name, layer), unit in zip(now.layers.items(), self._units.unsqueeze(2), strict=True):
            torch.mul(layer.codes, unit, out=layer.seen.view(layer.codes.shape))
            seen[name] = layer.seen
        return seen

    def pull_back(self, params: Weights, slopes: Weights) -> Weights:
        """Gradients of scales, and for ``name/planes`` those in the weights that the model sees, as they come."""
        now = self._now
        gradients = {name: slope for name, slope in slopes.items() if name not in now.layers}
        for (name, layer), top in zip(now.layers.items(), now.top, strict=True):
            along = torch.linalg.vecdot(slopes[name].reshape(layer.codes.shape), layer.codes)
            gradients[f"{name}/planes"] = slopes[name]
            gradients[f"{name}/scale"] = (along / top).view(params[f"{name}/scale"].shape)
        return gradients

    def cost(self) -> Tensor | float:
        """The penalty of every client, Σ_l λ c_l Σ_b √(‖B_l^(b)‖² + 1e−8)."""
        if self._norms is None:
            return 0.0
        roots = (self._norms.square() + GUARD).sqrt_().mul_(self._has).sum(2)
        each = (self._now.price * roots).sum(0)
        return each if self._many else each[0]

    def step(self, params: Weights, gradients: Weights, noise: Weights, active: int | None) -> Weights:
        """Planes and scales after a step, in their own memory; ``gradients`` are from :meth:`pull_back`."""
        now = self._now.layers
        pull, push = self._rates()
        for k, (name, layer) in enumerate(now.items()):
            slope = gradients[f"{name}/planes"].reshape(len(layer.codes), 1, 1, -1)
            rows = slice(self._used[k])
            self._move(name, layer.planes, slope, pull[k, :, :, rows], push[k, :, :, rows])
        self._rescale(torch.stack([gradients[f"{name}/scale"].view(-1) for name in now]))
        if self.rule.proximal:
            self._shrink()
        return {key: params[key] for name in now for key in (f"{name}/planes", f"{name}/scale")}

    def _stack(self, params: Weights) -> _Stack:
        """Views of the parameters, which stay where they are; made once for each number of clients."""
        clients = params[f"{self.rule.layers[0]}/scale"].numel()
        if clients not in self._stacks:
            self._stacks[clients] = self._views(params, clients)
        return self._stacks[clients]

    def _views(self, params: Weights, clients: int) -> _Stack:
        top = self._top[:, :clients]
        signed = self._signed[:, :clients]
        sizes = [
            params[f"{name}/planes"].numel() // (2 * width)
            for name, width in zip(self.rule.layers, self._widths, strict=True)
        ]
        codes = torch.empty(sum(sizes), dtype=torch.float32)
        most = torch.cat([row.repeat_interleave(size // clients) for row, size in zip(top, sizes, strict=True)])
        layers = {
            name: self._layer(k, params[f"{name}/planes"], params[f"{name}/scale"], part)
            for k, (name, part) in enumerate(zip(self.rule.layers, codes.split(sizes), strict=True))
        }
        return _Stack(layers, top, self._price[:, :clients], signed, codes, -most, most)

    def _layer(self, k: int, planes: Tensor, scale: Tensor, codes: Tensor) -> _Layer:
        clients = scale.numel()
        width = self._widths[k]
        flat = planes.view(clients, 2, width, -1)
        lead = scale.dim()
        return _Layer(
            all_planes=flat.flatten(1, 2),
            planes=flat[:, :, : self._used[k]],
            signed=self._signed[k, :clients, :, :width].reshape(clients, 1, -1),
            scale=scale.view(clients),
            codes=codes.view(clients, -1),
            seen=torch.empty(planes.shape[:lead] + planes.shape[lead + 2 :], dtype=torch.float32),
        )

    def _group_norms(self) -> Tensor:
        """Norm of every bit's group, positive and negative part together: ``[layers, clients, n]``."""
        sides = self._sides[:, : self._now.top.shape[1]]
        for side, layer in zip(sides, self._now.layers.values(), strict=True):
            torch.linalg.vector_norm(layer.planes, dim=3, out=side[:, :, : layer.planes.shape[2]])
        return torch.linalg.vector_norm(sides, dim=2)

    def _pace(self, scales: Tensor) -> Tensor:
        """κ of every layer at ``scales``: ``[layers, clients]``; 1 without preconditioning."""
        now = self._now
        if not self.rule.precondition:
            return torch.ones_like(now.top)
        return plane_pace(scales, now.signed.flatten(2), now.top)

    def _rates(self) -> tuple[Tensor, Tensor]:
        """What a plane and what ∂/∂(what the model sees) are multiplied with in κ·gradient: ``[layers, clients, 2, n, 1]``."""
        now = self._now
        pace = self._pace(self._scales).view(*now.top.shape, 1, 1, 1)
        push = now.signed.unsqueeze(4) * (pace * self._units.view(pace.shape))
        pull = pace * self.training.weight_decay
        if self._norms is not None:
            roots = (self._norms.square() + GUARD).sqrt_()
            pull = pull + pace * (now.price.unsqueeze(2) / roots)[:, :, None, :, None]
        return pull.expand_as(push), push

    def _move(self, name: str, planes: Tensor, slope: Tensor, pull: Tensor, push: Tensor) -> None:
        """Planes ``[clients, 2, used, weights]`` of a layer after a step."""
        lr = self.training.lr
        if self.training.momentum:
            velocity = self._momentum(name, planes).addcmul_(planes, pull).addcmul_(push, slope)
            planes.sub_(velocity, alpha=lr)
        else:
            planes.mul_(1 - lr * pull).addcmul_(push, slope, value=-lr)
        planes.clamp_(0, HIGHEST)

    def _momentum(self, key: str, like: Tensor) -> Tensor:
        """What is left of the steps before: zeros at first."""
        if key not in self._velocity:
            self._velocity[key] = torch.zeros_like(like)
        return self._velocity[key][: len(like)].mul_(self.training.momentum)

    def _rescale(self, slopes: Tensor) -> None:
        """The scales' step, from slopes ``[layers, clients]``; preconditioned, they move by half of themselves at most."""
        slopes = slopes.add_(self._scales, alpha=self.training.weight_decay)
        if self.rule.precondition:
            most = self._scales.abs() / (2 * self.training.lr)
            slopes = (slopes / self._energy().clamp(min=1)).clamp(-most, most)
        if self.training.momentum:
            slopes = self._momentum("scales", slopes.T).add_(slopes.T).T
        for layer, slope in zip(self._now.layers.values(), slopes, strict=True):
            layer.scale.sub_(slope, alpha=self.training.lr)

    def _energy(self) -> Tensor:
        """Σ (codes/(2^n − 1))²: ``[layers, clients]``."""
        norms = [torch.linalg.vector_norm(layer.codes, dim=1) for layer in self._now.layers.values()]
        return (torch.stack(norms) / self._now.top).square_()

    def _shrink(self) -> None:
        """Group soft-threshold of all planes, at the pace of the scales as they are now."""
        norms = self._group_norms()
        threshold = (self._now.price * self._pace(self._now.scales())).unsqueeze(2)
        factor = (1 - threshold / norms.clamp(min=1e-30)).clamp(min=0)[:, :, None, :, None]
        for each, layer in zip(factor, self._now.layers.values(), strict=True):
            layer.planes.mul_(each[:, :, : layer.planes.shape[2]])
