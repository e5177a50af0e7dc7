"""Local training: minibatch SGD on a local objective, for one client or for many stacked clients."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.func import functional_call

from fqlab.tensors import Weights, leading
from fqlab.training.objectives import Walk, stackable

__all__ = ["Batch", "GradFn", "Step", "Training", "accuracy", "batches", "infer", "sgd"]


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
        active: stacked clients only: the first ``active`` of them still have a batch left, and ``x``, ``y``, ``weight``
            and ``noise`` are theirs alone; None if all have.
        noise: random numbers the objective's transform asked for.
    """

    x: torch.Tensor
    y: torch.Tensor
    weight: torch.Tensor | None = None
    active: int | None = None
    noise: Weights = field(default_factory=dict)


GradFn = Callable[[Weights, Batch], tuple[list[torch.Tensor], torch.Tensor]]
"""(params, batch) → gradients in the order of params, and the loss (one a client if stacked)."""
Step = Callable[[Batch], torch.Tensor]
"""An optimiser step on a batch: the loss before it (one a client if stacked)."""


def batches(samples: np.ndarray, training: Training, rng: np.random.Generator, *, least: int = 1) -> list[np.ndarray]:
    """Sample numbers of every minibatch: a fresh permutation each epoch, the last batch may be smaller.

    Args:
        samples: a client's samples.
        training: epochs and batch size.
        rng: shuffles.
        least: a last batch of fewer samples is left out of its epoch. 2 for a network with BatchNorm, which can't
            normalise a lone sample; the public codes of clipped quantization and BSQ leave it out, too.
    """
    size = training.batch_size
    plan: list[np.ndarray] = []
    for _ in range(training.epochs):
        order = samples.copy()
        rng.shuffle(order)  # what `permutation` does, in half the time
        parts = (order[i : i + size] for i in range(0, len(order), size))
        plan += [part for part in parts if len(part) >= least]
    return plan


def sgd(
    grad: GradFn,
    params: Weights,
    steps: Iterable[Batch],
    training: Training,
    project: Callable[[Weights], Weights] | None = None,
    precondition: Callable[[Weights, Weights], Weights] | None = None,
    walk: Walk | None = None,
    descend: Callable[[Weights, Batch], torch.Tensor] | None = None,
    recorded: Callable[[Step], Step] | None = None,
) -> tuple[Weights, list[torch.Tensor]]:
    """SGD with momentum and weight decay from ``params`` along the batches of ``steps``.

    Stacked clients have a leading dimension everywhere; one that is no longer ``active`` stands still. The parameters
    move in place, in a copy of ``params``: a step makes no tensor of their size.

    Args:
        grad: may reuse the memory of its gradients in the next call; they are overwritten here.
        params: where to start.
        steps: the batches.
        training: learning rate, momentum and weight decay.
        project: what follows a step, parameters to parameters; it may overwrite what it is given.
        precondition: ``(gradients, params)`` to gradients, weight decay included, before momentum.
        walk: moves some of the parameters in its own way, and stands in for both.
        descend: a step that moves the parameters itself and gives the loss, in place of gradient and update; ``project``
            follows.
        recorded: what takes the steps in place of the step itself, see :class:`fqlab.training.recorded.Recorded`.

    Returns:
        The new parameters and the losses seen, one a step.
    """
    values = {name: value.clone() for name, value in params.items()}
    velocity: Weights = {}

    def step(batch: Batch) -> torch.Tensor:
        moving = leading(values, batch.active)
        if descend is not None:
            loss = descend(moving, batch)
            if project is not None:
                _overwrite(moving, project(moving))
            return loss
        gradients, loss = grad(moving, batch)
        with torch.no_grad():
            slopes = dict(zip(moving, gradients, strict=True))
            walked = walk.step(moving, slopes, batch.noise, batch.active) if walk is not None else {}
            slopes = {name: slope for name, slope in slopes.items() if name not in walked}
            if training.weight_decay:
                for name, slope in slopes.items():
                    slope.add_(moving[name], alpha=training.weight_decay)
            if precondition is not None and walk is None:
                slopes = precondition(slopes, moving)
            for name, slope in slopes.items():
                if name in walked:
                    continue
                moving[name].add_(_direction(name, slope, training.momentum, velocity), alpha=-training.lr)
            _overwrite(moving, walked if project is None or walk is not None else project(moving))
        return loss

    take = recorded(step) if recorded else step
    return values, [take(batch) for batch in steps]


def _overwrite(values: Weights, new: Weights) -> None:
    for name, value in new.items():
        if value is not values[name]:
            values[name].copy_(value)


def _direction(name: str, gradient: torch.Tensor, momentum: float, velocity: Weights) -> torch.Tensor:
    """The gradient with momentum; ``velocity`` is updated in place."""
    if not momentum:
        return gradient
    if name not in velocity:
        velocity[name] = gradient.clone()
        return gradient
    moving = velocity[name] if gradient.shape == velocity[name].shape else velocity[name][: len(gradient)]
    return torch.add(gradient, moving, alpha=momentum, out=moving)


def infer(model: torch.nn.Module, weights: Weights, x: torch.Tensor, *, batch: int = 0) -> torch.Tensor:
    """Logits ``[n, classes]`` in evaluation mode.

    Args:
        batch: samples at a time; by default 500 of a network of small layers, which can be stacked, and 250 of others: more
            do not fit into the caches. Activations that are quantized within the range of their batch depend on it.
    """
    model.eval()
    with torch.no_grad():
        return torch.cat([_logits(model, weights, part) for part in x.split(batch or _at_once(model))])


def _at_once(model: torch.nn.Module) -> int:
    return 500 if stackable(model) else 250


def _logits(model: torch.nn.Module, weights: Weights, x: torch.Tensor) -> torch.Tensor:
    """Logits of one network; as a stack of one if it can be stacked, because a module's call takes longer than a small layer."""
    if stackable(model):
        return model.stacked({name: value.unsqueeze(0) for name, value in weights.items()}, x.unsqueeze(0))[0]
    return functional_call(model, weights, (x,))


def accuracy(model: torch.nn.Module, weights: Weights, x: torch.Tensor, y: torch.Tensor) -> float:
    """Share of samples classified right, 0 to 1."""
    return float((infer(model, weights, x).argmax(1) == y).float().mean())
