"""One round on whole magnitudes, written out: no autograd, and a layer that cannot move costs next to nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from fqlab.tensors import Weights
from fqlab.training.integer import accumulate, integer_step, penalty_pull, reach
from fqlab.training.sgd import Training

__all__ = ["IntegerSteps", "IntegerWalk"]

NO_MOVE = 0.499
"""A magnitude that a step can reach no further than this rounds back to where it was."""


@dataclass(frozen=True)
class IntegerSteps:
    """Magnitudes move by :func:`~fqlab.training.integer.integer_step`; penalty and momentum act on their digits."""

    layers: tuple[str, ...]

    def walk(self, context: Weights, training: Training) -> IntegerWalk:
        """One round's steps; momentum starts at zero, and there is no weight decay, as in the public code."""
        return IntegerWalk(self.layers, context, training)


@dataclass
class IntegerWalk:
    """Moves magnitudes in place, with a momentum buffer ``[b, n]`` for every layer of every client.

    A step is :meth:`weights`, :meth:`pull_back`, :meth:`step`, in this order; parameters and context as in
    :mod:`fqlab.training.digits`.
    """

    layers: tuple[str, ...]
    context: Weights
    training: Training
    now: Weights = field(default_factory=dict)
    buffers: dict[tuple[str, int], torch.Tensor] = field(default_factory=dict)
    pulls: dict[tuple[str, int], float] = field(default_factory=dict)

    def weights(self, params: Weights, active: int | None) -> Weights:
        """What the model sees: s·sign·r/(2^b − 1) in place of magnitudes and scales."""
        seen = {name: value for name, value in params.items() if not name.endswith(("/magnitude", "/scale"))}
        for name in self.layers:
            scale = params[f"{name}/scale"].view(-1, 1)
            self.now[name] = self._rows(name, "sign", len(scale)) * params[f"{name}/magnitude"].reshape(len(scale), -1)
            weights = self.now[name] * (scale / self._rows(name, "top", len(scale)))
            seen[name] = weights.view(params[f"{name}/magnitude"].shape)
        return seen

    def pull_back(self, params: Weights, slopes: Weights) -> Weights:
        """Gradients of scales, and for ``name/magnitude`` those of the weights that the model sees, as they come."""
        gradients = {name: slope for name, slope in slopes.items() if name not in self.now}
        for name, net in self.now.items():
            by_scale = (
                torch.linalg.vecdot(slopes[name].reshape(net.shape), net) / self._rows(name, "top", len(net))[:, 0]
            )
            gradients[f"{name}/magnitude"] = slopes[name]
            gradients[f"{name}/scale"] = by_scale.view(params[f"{name}/scale"].shape)
        return gradients

    def cost(self) -> float:
        """Nothing: the loss is shown without the penalty."""
        return 0.0

    def step(self, params: Weights, gradients: Weights, noise: Weights, active: int | None) -> Weights:
        """Magnitudes after a step; ``gradients`` are from :meth:`pull_back`. Scales are left to SGD."""
        for name, net in self.now.items():
            seeds = noise[f"{name}/seed"].reshape(-1).tolist()
            layers = params[f"{name}/magnitude"].view(len(net), -1)
            slopes = gradients[f"{name}/magnitude"].reshape(net.shape)
            scales = params[f"{name}/scale"].reshape(-1).tolist()
            for client, (seed, scale) in enumerate(zip(seeds, scales, strict=True)):
                self._move(name, client, layers[client], slopes[client], scale, seed)
        return {f"{name}/magnitude": params[f"{name}/magnitude"] for name in self.now}

    def _rows(self, name: str, kind: str, clients: int) -> torch.Tensor:
        """What the context holds of the first clients, a row each."""
        value = self.context[f"{name}/{kind}"]
        return value.reshape(self.context[f"{name}/top"].numel(), -1)[:clients]

    def _move(self, name: str, client: int, r: torch.Tensor, slope: torch.Tensor, scale: float, seed: int) -> None:
        """One layer of one client, flat; it is not touched where nothing can move."""
        top, strength = (float(self._rows(name, kind, client + 1)[client]) for kind in ("top", "strength"))
        bits = int(top).bit_length()
        unit = scale / top
        key = (name, client)
        lr = self.training.lr
        momentum = self.training.momentum
        if not momentum:
            if key not in self.pulls:  # a penalty stays what it is while nothing moves
                self.pulls[key] = float(penalty_pull(r, bits, strength).max())
            if reach(abs(unit) * float(slope.abs().max()), bits, self.pulls[key], lr) < NO_MOVE:
                return
            del self.pulls[key]
        if key not in self.buffers:
            self.buffers[key] = torch.zeros(bits, r.numel(), dtype=torch.float32)
        buffer = self.buffers[key]
        accumulate(buffer, r, slope * self._rows(name, "sign", client + 1)[client] * unit, strength, momentum)
        draws = torch.rand(r.numel(), dtype=torch.float32, generator=torch.Generator().manual_seed(seed))
        r.copy_(integer_step(r, buffer, lr, draws))
