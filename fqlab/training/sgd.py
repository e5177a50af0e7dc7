"""Local training: minibatch SGD on a local objective, for one client or for many stacked clients."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from fqlab.training.objectives import Objective, Weights

__all__ = ["Training", "Batch", "batches", "autograd_grad", "client_loss", "sgd", "infer", "accuracy"]


@dataclass(frozen=True)
class Training:
    """How a client trains in one round: plain SGD; momentum starts at zero every round."""

    epochs: int = 1
    batch_size: int = 10
    lr: float = 0.1
    momentum: float = 0.0
    weight_decay: float = 0.0


@dataclass(frozen=True)
class Batch:
    """Inputs of one optimiser step.

    Attributes:
        x, y: minibatch ``[batch, ...]`` and labels ``[batch]``; stacked clients have a leading client dimension.
        weight: 1 for a real sample, 0 for padding, shape of ``y``; None if all are real.
        active: stacked clients only, bool ``[clients]``: who still has a batch left.
        noise: random numbers the objective's transform asked for.
    """

    x: torch.Tensor
    y: torch.Tensor
    weight: torch.Tensor | None = None
    active: torch.Tensor | None = None
    noise: Weights = field(default_factory=dict)


GradFn = Callable[[Weights, Batch], tuple[list[torch.Tensor], torch.Tensor]]
"""(params, step) → gradients in the order of params, and the loss (one a client if stacked)."""


def batches(samples: np.ndarray, training: Training, rng: np.random.Generator) -> list[np.ndarray]:
    """Sample numbers of every minibatch: a fresh permutation each epoch, the last batch may be smaller."""
    size, plan = training.batch_size, []
    for _ in range(training.epochs):
        order = rng.permutation(samples)
        plan += [order[i : i + size] for i in range(0, len(order), size)]
    return plan


def client_loss(
    model: torch.nn.Module,
    objective: Objective,
    params: Weights,
    buffers: Weights,
    context: Weights,
    noise: Weights,
    x: torch.Tensor,
    y: torch.Tensor,
    weight: torch.Tensor | None,
) -> torch.Tensor:
    """One client's objective on one minibatch (a scalar). ``buffers`` (BatchNorm statistics) are updated in place."""
    seen = objective.transform(params, context, noise) if objective.transform else params
    logits = functional_call(model, {**seen, **buffers}, (x,))
    if weight is None:
        loss = cross_entropy(logits, y)
    else:
        loss = (cross_entropy(logits, y, reduction="none") * weight).sum() / weight.sum().clamp(min=1)
    return loss + objective.penalty(params, context) if objective.penalty else loss


def autograd_grad(loss: Callable[[Weights, Batch], torch.Tensor]) -> GradFn:
    """The gradient of ``loss(params, step)`` by ordinary autograd; a vector of losses, one a client, is summed."""

    def slopes(params: Weights, step: Batch) -> tuple[list[torch.Tensor], torch.Tensor]:
        leaves = {name: value.detach().requires_grad_() for name, value in params.items()}
        value = loss(leaves, step)
        return list(torch.autograd.grad(value.sum(), list(leaves.values()))), value.detach()

    return slopes


def sgd(
    slopes: GradFn,
    params: Weights,
    steps: Iterable[Batch],
    training: Training,
    project: Callable[[Weights], Weights] | None = None,
) -> tuple[Weights, list[torch.Tensor]]:
    """SGD with momentum and weight decay from ``params`` along ``steps``.

    Stacked clients have a leading dimension everywhere; one that is not ``active`` in a step stands still.

    Returns:
        The new parameters and the losses seen, one a step.
    """
    names, values = list(params), list(params.values())
    velocity: list[torch.Tensor] | None = None
    losses = []
    for step in steps:
        gradients, loss = slopes(dict(zip(names, values, strict=True)), step)
        losses.append(loss)
        with torch.no_grad():
            if training.weight_decay:
                pull = training.weight_decay
                gradients = [torch.add(g, v, alpha=pull) for g, v in zip(gradients, values, strict=True)]
            if training.momentum:
                velocity = gradients = _momentum(velocity, gradients, training.momentum, step.active)
            moved = [torch.add(v, g, alpha=-training.lr) for v, g in zip(values, gradients, strict=True)]
            if project is not None:
                inside = project(dict(zip(names, moved, strict=True)))
                moved = [inside[name] for name in names]
            values = moved if step.active is None else _where(step.active, moved, values)
    return dict(zip(names, values, strict=True)), losses


def _momentum(
    velocity: list[torch.Tensor] | None, slopes: list[torch.Tensor], momentum: float, active: torch.Tensor | None
) -> list[torch.Tensor]:
    if velocity is None:
        return slopes
    new = [torch.add(g, v, alpha=momentum) for v, g in zip(velocity, slopes, strict=True)]
    return new if active is None else _where(active, new, velocity)


def _where(active: torch.Tensor, yes: list[torch.Tensor], no: list[torch.Tensor]) -> list[torch.Tensor]:
    """Per client: ``yes`` where active, else ``no``."""
    return [torch.where(active.reshape((-1,) + (1,) * (a.dim() - 1)), a, b) for a, b in zip(yes, no, strict=True)]


def infer(model: torch.nn.Module, weights: Weights, x: torch.Tensor, *, batch: int = 1000) -> torch.Tensor:
    """Logits ``[n, classes]`` in evaluation mode."""
    model.eval()
    with torch.no_grad():
        return torch.cat([functional_call(model, weights, (part,)) for part in x.split(batch)])


def accuracy(model: torch.nn.Module, weights: Weights, x: torch.Tensor, y: torch.Tensor) -> float:
    """Share of samples classified right, 0 to 1."""
    return float((infer(model, weights, x).argmax(1) == y).float().mean())
