"""SGD on bit planes, written out: a plane's gradient is ±2^b times that of the net value, and never stored.

A layer of n planes has 2n numbers a weight. By autograd they are read and written some twenty times a step, through tensors
that are made and dropped; here they are passed over five times, where they lie. What is one number for a bit or a layer is
worked out for all layers at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from fqlab.tensors import Weights
from fqlab.training.sgd import Training

__all__ = ["HIGHEST", "PlaneSteps", "PlaneWalk", "plane_pace", "plane_shares"]

HIGHEST = 2.0
"""Bit variables live in [0, 2]; above 1 a value overflows into the next bit (BSQ §3.1)."""
GUARD = 1e-8
"""Under the root of the group norms; it bounds the penalty's slope at 0."""


def plane_shares(signed: Tensor, top: Tensor) -> Tensor:
    """Σ_b (2^b/(2^n − 1))², how far all planes together move a weight, in units of s²: shape ``[*batch]``.

    Args:
        signed: ±2^b of the planes in use, ``[*batch, 2·planes]``.
        top: 2^n − 1, ``[*batch]``.
    """
    return signed.square().sum(-1) / (2 * top.square())


def plane_pace(scale: Tensor, shares: Tensor) -> Tensor:
    """κ = 1/(s² Σ_b (2^b/(2^n − 1))²): with κ times the learning rate, planes move weights as plain SGD does.

    Args:
        scale: s, of any shape.
        shares: from :func:`plane_shares`, of the same shape.
    """
    return (scale.square() * shares).clamp(min=1e-12).reciprocal()


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
        net: the same memory, ``[clients, 1, weights]``.
        seen: what the model sees, in the shape of the layer.
        flat: the same memory, ``[clients, weights]``.
        norms: of the planes in use, ``[clients, 2, used]``.
    """

    all_planes: Tensor
    planes: Tensor
    signed: Tensor
    scale: Tensor
    codes: Tensor
    net: Tensor
    seen: Tensor
    flat: Tensor
    norms: Tensor


@dataclass(frozen=True)
class _Stack:
    """The clients that still train, and all that does not change from step to step.

    Attributes:
        layers: by name.
        top: 2^n − 1, ``[layers, clients]``.
        price: λ·c of the group lasso, or its proximal threshold, ``[layers, clients, 1]``.
        counted: the price of every bit that there is, else 0: ``[layers, clients, n]``.
        signed: ±2^b of planes in use, ``[layers, clients, 2, n]``.
        shares: see :func:`plane_shares`, ``[layers, clients]``.
        norms: of all layers' planes, ``[layers, clients, 2, n]``.
        codes: of all layers, in one piece.
        least, most: what each of them is clipped to.
    """

    layers: dict[str, _Layer]
    top: Tensor
    price: Tensor
    counted: Tensor
    signed: Tensor
    shares: Tensor
    norms: Tensor
    codes: Tensor
    least: Tensor
    most: Tensor

    def scales_now(self) -> Tensor:
        """A copy of all scales as they are now, ``[layers, clients]``."""
        return torch.stack([layer.scale for layer in self.layers.values()])


class PlaneWalk:
    """Moves planes in place: B ← clip(B − lr κ(±2^b ∂/∂net + λ c B/√(‖B‖² + 1e−8) + decay·B), 0, 2).

    A step is :meth:`weights`, :meth:`pull_back`, :meth:`step`, in this order, and always of the same parameters. Views and
    constants are made once: a small operation costs as much as a plane of 30 000 weights, and twice that where two threads
    wait for the interpreter.
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
        has = (torch.arange(most, dtype=torch.int64) < widths.unsqueeze(1)).unsqueeze(1).float()
        self._has = has.to(self._top.device)
        self._stacks: dict[int, _Stack] = {}
        self._velocity: Weights = {}

    def weights(self, params: Weights, active: int | None) -> Weights:
        """What the model sees: s·Round[clip(net, ±(2^n − 1))]/(2^n − 1) in place of planes and scales."""
        now = self._now = self._stack(params)
        self._scales = now.scales_now()
        self._units = self._scales / now.top
        for layer in now.layers.values():
            torch.bmm(layer.signed, layer.all_planes, out=layer.net)
        torch.minimum(now.codes, now.most, out=now.codes)  # a clamp between tensors takes ten times as long
        torch.maximum(now.codes, now.least, out=now.codes).round_()
        self._roots = None if self.rule.proximal else torch.sqrt_(self._group_norms().square_().add_(GUARD))
        seen = {name: value for name, value in params.items() if not name.endswith(("/planes", "/scale"))}
        for (name, layer), unit in zip(now.layers.items(), self._units.unsqueeze(2).unbind(), strict=True):
            torch.mul(layer.codes, unit, out=layer.flat)
            seen[name] = layer.seen
        return seen

    def pull_back(self, params: Weights, slopes: Weights) -> Weights:
        """Gradients of scales, and for ``name/planes`` those in the weights that the model sees, as they come."""
        now = self._now
        gradients = {name: slope for name, slope in slopes.items() if name not in now.layers}
        along = [torch.linalg.vecdot(slopes[n].reshape(each.codes.shape), each.codes) for n, each in now.layers.items()]
        by_scale = torch.stack(along) / now.top
        for name, slope in zip(now.layers, (by_scale if self._many else by_scale.squeeze(1)).unbind(), strict=True):
            gradients[f"{name}/planes"] = slopes[name]
            gradients[f"{name}/scale"] = slope
        return gradients

    def cost(self) -> Tensor | float:
        """The penalty of every client, Σ_l λ c_l Σ_b √(‖B_l^(b)‖² + 1e−8)."""
        if self._roots is None:
            return 0.0
        each = (self._now.counted * self._roots).sum((0, 2))
        return each if self._many else each[0]

    def step(self, params: Weights, gradients: Weights, noise: Weights, active: int | None) -> Weights:
        """Planes and scales after a step, in their own memory; ``gradients`` are from :meth:`pull_back`."""
        now = self._now.layers
        for (name, layer), pull, push in zip(now.items(), *self._rates(), strict=True):
            slope = gradients[f"{name}/planes"].reshape(len(layer.codes), 1, 1, -1)
            used = layer.planes.shape[2]
            if used < push.shape[2]:
                pull, push = pull[:, :, :used], push[:, :, :used]
            self._move(name, layer.planes, slope, pull, push)
        slopes = torch.stack([gradients[f"{name}/scale"] for name in now])
        self._rescale(slopes if self._many else slopes.unsqueeze(1))
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
        price = self._price[:, :clients].unsqueeze(2)
        signed = self._signed[:, :clients]
        shares = plane_shares(signed.flatten(2), top)
        norms = torch.zeros_like(signed)
        sizes = [
            params[f"{name}/planes"].numel() // (2 * width)
            for name, width in zip(self.rule.layers, self._widths, strict=True)
        ]
        codes = torch.empty(sum(sizes), dtype=torch.float32, device=top.device)
        most = torch.cat([row.repeat_interleave(size // clients) for row, size in zip(top, sizes, strict=True)])
        layers = {
            name: self._layer(k, params[f"{name}/planes"], params[f"{name}/scale"], part, norms[k])
            for k, (name, part) in enumerate(zip(self.rule.layers, codes.split(sizes), strict=True))
        }
        return _Stack(layers, top, price, price * self._has, signed, shares, norms, codes, -most, most)

    def _layer(self, k: int, planes: Tensor, scale: Tensor, codes: Tensor, norms: Tensor) -> _Layer:
        clients = scale.numel()
        width = self._widths[k]
        used = self._used[k]
        by_bit = planes.view(clients, 2, width, -1)
        lead = scale.dim()
        seen = torch.empty(planes.shape[:lead] + planes.shape[lead + 2 :], dtype=torch.float32, device=planes.device)
        codes = codes.view(clients, -1)
        return _Layer(
            all_planes=by_bit.flatten(1, 2),
            planes=by_bit[:, :, :used],
            signed=self._signed[k, :clients, :, :width].reshape(clients, 1, -1),
            scale=scale.view(clients),
            codes=codes,
            net=codes.unsqueeze(1),
            seen=seen,
            flat=seen.view(codes.shape),
            norms=norms[:, :, :used],
        )

    def _group_norms(self) -> Tensor:
        """Norm of every bit's group, positive and negative part together: ``[layers, clients, n]``."""
        for layer in self._now.layers.values():
            torch.linalg.vector_norm(layer.planes, dim=3, out=layer.norms)
        return torch.linalg.vector_norm(self._now.norms, dim=2)

    def _pace(self, scales: Tensor) -> Tensor:
        """κ of every layer at ``scales``: ``[layers, clients]``; 1 without preconditioning."""
        now = self._now
        if not self.rule.precondition:
            return torch.ones_like(now.top)
        return plane_pace(scales, now.shares)

    def _rates(self) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """For every layer what its planes, and ∂/∂(what the model sees), are multiplied with: see :meth:`_move`.

        Shapes ``[clients, 1, n, 1]`` and ``[clients, 2, n, 1]``.
        """
        now = self._now
        pace = self._pace(self._scales)
        push = now.signed.unsqueeze(4) * (pace * self._units).view(*pace.shape, 1, 1, 1)
        pull = (pace * self.training.weight_decay).unsqueeze(2)
        if self._roots is not None:
            pull = pull + pace.unsqueeze(2) * (now.price / self._roots)
        if not self.training.momentum:
            pull = 1 - self.training.lr * pull
        pull = pull.expand(*pace.shape, now.signed.shape[3])
        return pull[:, :, None, :, None].unbind(), push.unbind()

    def _move(self, name: str, planes: Tensor, slope: Tensor, pull: Tensor, push: Tensor) -> None:
        """Planes ``[clients, 2, used, weights]`` of a layer after a step along pull·B + push·slope.

        Without momentum ``pull`` is 1 − lr·pull already, worked out for all layers at once.
        """
        lr = self.training.lr
        if self.training.momentum:
            velocity = self._momentum(name, planes).addcmul_(planes, pull).addcmul_(push, slope)
            planes.sub_(velocity, alpha=lr)
        else:
            planes.mul_(pull).addcmul_(push, slope, value=-lr)
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
        threshold = self._now.price * self._pace(self._now.scales_now()).unsqueeze(2)
        factor = (1 - threshold / norms.clamp(min=1e-30)).clamp(min=0)[:, :, None, :, None]
        for each, layer in zip(factor, self._now.layers.values(), strict=True):
            layer.planes.mul_(each[:, :, : layer.planes.shape[2]])
