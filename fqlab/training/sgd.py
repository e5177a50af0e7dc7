"""Local training: minibatch SGD on a local objective, for one client or for many stacked clients."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from fqlab.tensors import Weights, expand_like
from fqlab.training.objectives import Objective, Walk

__all__ = ["Training", "Batch", "batches", "autograd_grad", "client_loss", "sample_mean", "sgd", "infer", "accuracy"]


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
"""(params, batch) → gradients in the order of params, and the loss (one a client if stacked)."""


def batches(samples: np.ndarray, training: Training, rng: np.random.Generator) -> list[np.ndarray]:
    """Sample numbers of every minibatch: a fresh permutation each epoch, the last batch may be smaller."""
    size, plan = training.batch_size, []
    for _ in range(training.epochs):
        order = rng.permutation(samples)
        plan += [order[i : i + size] for i in range(0, len(order), size)]
    return plan


def client_loss(
    model: torch.nn.Module, objective: Objective, params: Weights, buffers: Weights, batch: Batch
) -> torch.Tensor:
    """One client's objective on one minibatch (a scalar). ``buffers`` (BatchNorm statistics) are updated in place."""
    seen = objective.weights(params, batch.noise)
    loss = sample_mean(functional_call(model, {**seen, **buffers}, (batch.x,)), batch)
    return loss + objective.penalty(params, objective.context) if objective.penalty else loss


def sample_mean(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Mean cross-entropy over the real samples of a batch, of shape ``batch.y.shape[:-1]``: one a stacked client.

    Args:
        logits: ``[*clients, batch, classes]``.
        batch: gives labels and weights.
    """
    each = cross_entropy(logits.flatten(0, -2), batch.y.flatten(), reduction="none").reshape(batch.y.shape)
    if batch.weight is None:
        return each.mean(-1)
    return (each * batch.weight).sum(-1) / batch.weight.sum(-1).clamp(min=1)


def autograd_grad(loss: Callable[[Weights, Batch], torch.Tensor]) -> GradFn:
    """The gradient of ``loss(params, batch)`` by ordinary autograd; a vector of losses, one a client, is summed."""

    def grad(params: Weights, batch: Batch) -> tuple[list[torch.Tensor], torch.Tensor]:
        leaves = {name: value.detach().requires_grad_() for name, value in params.items()}
        value = loss(leaves, batch)
        return list(torch.autograd.grad(value.sum(), list(leaves.values()))), value.detach()

    return grad


def sgd(
    grad: GradFn,
    params: Weights,
    steps: Iterable[Batch],
    training: Training,
    project: Callable[[Weights], Weights] | None = None,
    walk: Walk | None = None,
) -> tuple[Weights, list[torch.Tensor]]:
    """SGD with momentum and weight decay from ``params`` along the batches of ``steps``.

    Stacked clients have a leading dimension everywhere; one that is not ``active`` in a step stands still.
    What ``walk`` moves, it moves in its own way.

    Returns:
        The new parameters and the losses seen, one a step.
    """
    names = list(params)
    values = list(params.values())
    velocity: list[torch.Tensor] | None = None
    losses = []
    for batch in steps:
        gradients, loss = grad(dict(zip(names, values, strict=True)), batch)
        losses.append(loss)
        with torch.no_grad():
            own = _own_steps(walk, names, values, gradients, batch)
            if training.weight_decay:
                pull = training.weight_decay
                gradients = [torch.add(g, v, alpha=pull) for g, v in zip(gradients, values, strict=True)]
            if training.momentum:
                velocity = gradients = _momentum(velocity, gradients, training.momentum, batch.active)
            moved = [torch.add(v, g, alpha=-training.lr) for v, g in zip(values, gradients, strict=True)]
            if project is not None:
                inside = project(dict(zip(names, moved, strict=True)))
                moved = [inside[name] for name in names]
            moved = [own.get(name, value) for name, value in zip(names, moved, strict=True)]
            values = moved if batch.active is None else _where(batch.active, moved, values)
    return dict(zip(names, values, strict=True)), losses


def _own_steps(
    walk: Walk | None, names: list[str], values: list[torch.Tensor], gradients: list[torch.Tensor], batch: Batch
) -> Weights:
    if walk is None:
        return {}
    params = dict(zip(names, values, strict=True))
    return walk.step(params, dict(zip(names, gradients, strict=True)), batch.noise, batch.active)


def _momentum(
    velocity: list[torch.Tensor] | None, gradients: list[torch.Tensor], momentum: float, active: torch.Tensor | None
) -> list[torch.Tensor]:
    if velocity is None:
        return gradients
    new = [torch.add(g, v, alpha=momentum) for v, g in zip(velocity, gradients, strict=True)]
    return new if active is None else _where(active, new, velocity)


def _where(active: torch.Tensor, yes: list[torch.Tensor], no: list[torch.Tensor]) -> list[torch.Tensor]:
    """Per client: ``yes`` where active, else ``no``."""
    return [torch.where(expand_like(active, a), a, b) for a, b in zip(yes, no, strict=True)]


def infer(model: torch.nn.Module, weights: Weights, x: torch.Tensor, *, batch: int = 1000) -> torch.Tensor:
    """Logits ``[n, classes]`` in evaluation mode."""
    model.eval()
    with torch.no_grad():
        return torch.cat([functional_call(model, weights, (part,)) for part in x.split(batch)])


def accuracy(model: torch.nn.Module, weights: Weights, x: torch.Tensor, y: torch.Tensor) -> float:
    """Share of samples classified right, 0 to 1."""
    return float((infer(model, weights, x).argmax(1) == y).float().mean())
