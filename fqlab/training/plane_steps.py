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

from fqlab.models.backprop import Buffers
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
    """A layer in one step.

    Attributes:
        planes: ``[clients, 2n, weights]``, the memory of the parameter itself.
        scale: of the parameter as well, ``[clients]``.
        top: 2^n − 1, ``[clients]``.
        codes: real weights in units of the step, clipped and rounded, ``[clients, weights]``.
    """

    planes: Tensor
    scale: Tensor
    top: Tensor
    codes: Tensor


@dataclass(frozen=True)
class _Rates:
    """How fast a step moves planes, for all layers at once.

    Attributes:
        pace: κ, ``[layers, clients]``.
        pull: of penalty and decay, what a plane is multiplied with in its gradient, ``[layers, clients, 1, n]``.
        push: ±2^b, the factor of ∂/∂net in it, ``[layers, clients, 2, n]``.
    """

    pace: Tensor
    pull: Tensor
    push: Tensor


class PlaneWalk:
    """Moves planes in place: B ← clip(B − lr κ(±2^b ∂/∂net + λ c B/√(‖B‖² + 1e−8) + decay·B), 0, 2).

    A step is :meth:`weights`, :meth:`pull_back`, :meth:`step`, in this order.
    """

    def __init__(self, rule: PlaneSteps, context: Weights, training: Training) -> None:
        self.rule = rule
        self.training = training
        of_all = lambda kind: torch.stack([context[f"{name}/{kind}"].reshape(-1) for name in rule.layers])
        self._stacked = context[f"{rule.layers[0]}/top"].dim() > 0
        self._top = of_all("top")
        self._price = of_all("threshold" if rule.proximal else "strength")
        signed = [context[f"{name}/signed"].view(self._top.shape[1], 2, -1) for name in rule.layers]
        self._widths = [each.shape[2] for each in signed]
        self._used = [int(top.max()).bit_length() for top in self._top]
        missing = [max(self._widths) - width for width in self._widths]
        self._signed = torch.stack([pad(each, (0, more)) for each, more in zip(signed, missing, strict=True)])
        self._sides = torch.zeros_like(self._signed)
        self._now: dict[str, _Layer] = {}
        self._norms: Tensor | None = None
        self._velocity: Weights = {}
        self._memory = Buffers()

    def weights(self, params: Weights, active: int | None) -> Weights:
        """What the model sees: s·Round[clip(net, ±(2^n − 1))]/(2^n − 1) in place of planes and scales."""
        seen = {name: value for name, value in params.items() if not name.endswith(("/planes", "/scale"))}
        for k, name in enumerate(self.rule.layers):
            planes = params[f"{name}/planes"]
            lead = params[f"{name}/scale"].dim()
            layer = self._now[name] = self._layer(k, planes, params[f"{name}/scale"].view(-1))
            step = (layer.scale / layer.top).unsqueeze(1)
            out = torch.mul(layer.codes, step, out=self._memory((k, "seen"), *layer.codes.shape))
            seen[name] = out.view(planes.shape[:lead] + planes.shape[lead + 2 :])
        self._norms = None if self.rule.proximal else self._group_norms()
        return seen

    def pull_back(self, params: Weights, slopes: Weights) -> Weights:
        """Gradients of scales, and for ``name/planes`` that of the net value, from those in what the model sees."""
        gradients = {name: slope for name, slope in slopes.items() if name not in self._now}
        for k, (name, layer) in enumerate(self._now.items()):
            shape = layer.codes.shape
            slope = slopes[name].reshape(shape)
            by_scale = torch.mul(slope, layer.codes, out=self._memory("product", *shape)).sum(1) / layer.top
            step = (layer.scale / layer.top).unsqueeze(1)
            gradients[f"{name}/planes"] = torch.mul(slope, step, out=self._memory((k, "slope"), *shape))
            gradients[f"{name}/scale"] = by_scale.view(params[f"{name}/scale"].shape)
        return gradients

    def cost(self) -> Tensor | float:
        """The penalty of every client, Σ_l λ c_l Σ_b √(‖B_l^(b)‖² + 1e−8)."""
        if self._norms is None:
            return 0.0
        norms = zip(self._norms, self._widths, strict=True)
        roots = torch.stack([(each[:, :width].square() + GUARD).sqrt().sum(1) for each, width in norms])
        each = (self._price[:, : roots.shape[1]] * roots).sum(0)
        return each if self._stacked else each[0]

    def step(self, params: Weights, gradients: Weights, noise: Weights, active: int | None) -> Weights:
        """Planes and scales after a step, in their own memory; ``gradients`` are from :meth:`pull_back`."""
        rates = self._rates()
        for k, (name, layer) in enumerate(self._now.items()):
            self._move(k, layer, gradients[f"{name}/planes"], rates)
        self._rescale(torch.stack([gradients[f"{name}/scale"].reshape(-1) for name in self._now]))
        if self.rule.proximal:
            self._shrink()
        return {key: params[key] for name in self._now for key in (f"{name}/planes", f"{name}/scale")}

    def _layer(self, k: int, planes: Tensor, scale: Tensor) -> _Layer:
        clients = len(scale)
        top = self._top[k, :clients]
        flat = planes.view(clients, 2 * self._widths[k], -1)
        signed = self._signed[k, :clients, :, : self._widths[k]].reshape(clients, 1, -1)
        net = torch.bmm(signed, flat, out=self._memory((k, "net"), clients, 1, flat.shape[2])).squeeze(1)
        most = top.unsqueeze(1)
        torch.minimum(torch.maximum(net, -most, out=net), most, out=net).round_()  # a clamp takes ten times as long
        return _Layer(flat, scale, top, net)

    def _group_norms(self) -> Tensor:
        """Norm of every bit's group, positive and negative part together: ``[layers, clients, n]``."""
        clients = 0
        for k, layer in enumerate(self._now.values()):
            clients = len(layer.scale)
            used = self._used[k]
            planes = layer.planes.unflatten(1, (2, -1))[:, :, :used]
            torch.linalg.vector_norm(planes, dim=3, out=self._sides[k, :clients, :, :used])
        return torch.linalg.vector_norm(self._sides[:, :clients], dim=2)

    def _pace(self) -> Tensor:
        """κ of every layer: ``[layers, clients]``; 1 without preconditioning."""
        scales = torch.stack([layer.scale for layer in self._now.values()])
        if not self.rule.precondition:
            return torch.ones_like(scales)
        clients = scales.shape[1]
        return plane_pace(scales, self._signed[:, :clients].flatten(2), self._top[:, :clients])

    def _rates(self) -> _Rates:
        pace = self._pace()
        clients = pace.shape[1]
        pull = torch.full((), self.training.weight_decay, dtype=torch.float32).expand(
            *pace.shape, self._signed.shape[3]
        )
        if self._norms is not None:
            pull = pull + self._price[:, :clients].unsqueeze(2) / (self._norms.square() + GUARD).sqrt()
        return _Rates(pace, pull.unsqueeze(2), self._signed[:, :clients])

    def _move(self, k: int, layer: _Layer, slope: Tensor, rates: _Rates) -> None:
        """One layer's planes; its factors are brought to the shape of planes."""
        planes = layer.planes
        slope = slope.unsqueeze(1)
        pace = rates.pace[k].view(-1, 1, 1)
        both = (len(planes), 2, self._widths[k])
        pull, push = (
            factor[k, ..., : self._widths[k]].expand(both).reshape(len(planes), -1, 1)
            for factor in (rates.pull, rates.push)
        )
        for rows in self._rows(k):
            self._push(f"{k}/{rows.start}", planes[:, rows], slope, pace, pull[:, rows], push[:, rows])

    def _rows(self, k: int) -> list[slice]:
        """Where planes lie that any client uses; the others are zero and stay zero."""
        used = self._used[k]
        width = self._widths[k]
        return [slice(0, 2 * width)] if used == width else [slice(0, used), slice(width, width + used)]

    def _push(self, key: str, planes: Tensor, slope: Tensor, pace: Tensor, pull: Tensor, push: Tensor) -> None:
        """Planes ``[clients, some, weights]`` after a step; ``key`` finds their momentum."""
        if self.training.momentum:
            velocity = self._momentum(key, planes)
            velocity.addcmul_(planes, pace * pull).addcmul_(pace * push, slope)
            planes.sub_(velocity, alpha=self.training.lr)
        else:
            rate = self.training.lr * pace
            planes.mul_(1 - rate * pull).addcmul_(rate * push, slope, value=-1)
        planes.clamp_(0, HIGHEST)

    def _momentum(self, key: str, like: Tensor) -> Tensor:
        """What is left of the steps before: zeros at first."""
        if key not in self._velocity:
            self._velocity[key] = torch.zeros_like(like)
        return self._velocity[key][: len(like)].mul_(self.training.momentum)

    def _rescale(self, slopes: Tensor) -> None:
        """The scales' step, from slopes ``[layers, clients]``; preconditioned, they move by half of themselves at most."""
        layers = list(self._now.values())
        scales = torch.stack([layer.scale for layer in layers])
        slopes = slopes + self.training.weight_decay * scales
        if self.rule.precondition:
            energy = torch.stack([self._energy(layer) for layer in layers])
            most = scales.abs() / (2 * self.training.lr)
            slopes = (slopes / energy.clamp(min=1)).clamp(-most, most)
        if self.training.momentum:
            slopes = self._momentum("scales", slopes.T).add_(slopes.T).T
        for layer, slope in zip(layers, slopes, strict=True):
            layer.scale.sub_(slope, alpha=self.training.lr)

    def _energy(self, layer: _Layer) -> Tensor:
        """Σ (codes/(2^n − 1))²: ``[clients]``."""
        shares = torch.div(layer.codes, layer.top.unsqueeze(1), out=self._memory("product", *layer.codes.shape))
        return shares.square_().sum(1)

    def _shrink(self) -> None:
        """Group soft-threshold of all planes, at the pace of the scales as they are now."""
        norms = self._group_norms()
        threshold = (self._price[:, : norms.shape[1]] * self._pace()).unsqueeze(2)
        factor = (1 - threshold / norms.clamp(min=1e-30)).clamp(min=0)
        for each, width, layer in zip(factor, self._widths, self._now.values(), strict=True):
            layer.planes.mul_(each[:, :width].repeat(1, 2).unsqueeze(2))
