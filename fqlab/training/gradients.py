"""The gradient of a local objective: that of the network in the weights it sees, pulled back to what is trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.func import functional_call, vmap
from torch.nn.functional import cross_entropy

from fqlab.models.backprop import MLPGradient
from fqlab.tensors import Weights, leading
from fqlab.training.objectives import Objective, Walk, WrittenWalk, stackable
from fqlab.training.sgd import Batch, GradFn, Training

__all__ = [
    "WrittenGrad",
    "channels_last",
    "descent",
    "network_grad",
    "objective_grad",
    "sample_mean",
    "stacked",
    "stacked_network_grad",
]


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


def channels_last(tensors: Weights) -> Weights:
    """Kernels of convolutions with their channels innermost in memory: on a CPU, where they train faster that way.

    The values are the same, and so is their order to whoever indexes them. Of a kernel with one input channel the strides
    say so as well (``contiguous`` leaves them): the layer's output takes its form from them.
    """
    inner = torch.channels_last
    return {n: v.to(memory_format=inner) if v.dim() == 4 and v.device.type == "cpu" else v for n, v in tensors.items()}


def network_grad(model: nn.Module, buffers: Weights) -> GradFn:
    """Gradient of the mean cross-entropy of one client in the weights that the network sees.

    Written out for a network that can (:class:`~fqlab.models.backprop.MLPGradient`), by autograd for the others.

    Args:
        model: in training mode; no other thread may use it meanwhile.
        buffers: of the model (BatchNorm statistics), which are updated in place.
    """

    @torch.enable_grad()
    def by_autograd(weights: Weights, batch: Batch) -> tuple[list[torch.Tensor], torch.Tensor]:
        leaves = {name: value.detach().requires_grad_() for name, value in channels_last(weights).items()}
        loss = sample_mean(functional_call(model, {**leaves, **buffers}, (batch.x,)), batch)
        return list(torch.autograd.grad(loss, list(leaves.values()))), loss.detach()

    written = _written(model)
    if written is None:
        return by_autograd
    return _Alone(WrittenGrad(written), by_autograd)


class WrittenGrad:
    """The gradient that a network has written out for stacked clients; it can also take the step that follows."""

    def __init__(self, written: MLPGradient) -> None:
        self.written = written

    def __call__(self, weights: Weights, batch: Batch) -> tuple[list[torch.Tensor], torch.Tensor]:
        gradients, losses = self.written(weights, batch.x, batch.y, batch.weight)
        return [gradients[name] for name in weights], losses

    def descend(self, weights: Weights, params: Weights, batch: Batch, lr: float) -> torch.Tensor:
        """Move ``params`` against the gradient in ``weights``; the losses."""
        return self.written.descend(weights, params, batch.x, batch.y, batch.weight, lr=lr)


class _Alone:
    """:class:`WrittenGrad` of one client, a stack of one. Where it fails, autograd says in which layer."""

    def __init__(self, many: WrittenGrad, by_autograd: GradFn) -> None:
        self.many = many
        self.by_autograd = by_autograd

    def __call__(self, weights: Weights, batch: Batch) -> tuple[list[torch.Tensor], torch.Tensor]:
        try:
            gradients, losses = self.many(_one(weights), _one_batch(batch))
        except RuntimeError:
            return self.by_autograd(weights, batch)
        return [gradient[0] for gradient in gradients], losses[0]

    def descend(self, weights: Weights, params: Weights, batch: Batch, lr: float) -> torch.Tensor:
        """As of :class:`WrittenGrad`."""
        try:
            return self.many.descend(_one(weights), _one(params), _one_batch(batch), lr)[0]
        except RuntimeError:
            self.by_autograd(weights, batch)
            raise


def _one(weights: Weights) -> Weights:
    return {name: value[None] for name, value in weights.items()}


def _one_batch(batch: Batch) -> Batch:
    return Batch(batch.x[None], batch.y[None], None if batch.weight is None else batch.weight[None])


def stacked_network_grad(model: nn.Module, buffers: Weights) -> GradFn:
    """:func:`network_grad` of stacked clients: every tensor has a leading client dimension, the loss is a vector.

    A stack of one is no stack: the rules of ``vmap`` take longer than the layers of a small network.
    """
    written = _written(model)
    if written is not None:
        return WrittenGrad(written)
    forward = _side_by_side(model)
    alone = None if stackable(model) else network_grad(model, {name: value[0] for name, value in buffers.items()})

    @torch.enable_grad()
    def by_autograd(weights: Weights, batch: Batch) -> tuple[list[torch.Tensor], torch.Tensor]:
        leaves = {name: value.detach().requires_grad_() for name, value in weights.items()}
        losses = sample_mean(forward(leaves, leading(buffers, batch.active), batch.x), batch)
        return list(torch.autograd.grad(losses.sum(), list(leaves.values()))), losses.detach()

    def grad(weights: Weights, batch: Batch) -> tuple[list[torch.Tensor], torch.Tensor]:
        if alone is None or len(batch.x) > 1:
            return by_autograd(weights, batch)
        weight = None if batch.weight is None else batch.weight[0]
        one = Batch(batch.x[0], batch.y[0], weight)
        gradients, loss = alone({name: value[0] for name, value in weights.items()}, one)
        return [gradient[None] for gradient in gradients], loss[None]

    return grad


def _side_by_side(model: nn.Module) -> Callable[[Weights, Weights, torch.Tensor], torch.Tensor]:
    """Logits of stacked clients from weights, buffers and inputs."""
    if stackable(model):
        return lambda weights, buffers, x: model.stacked(weights, x)
    return vmap(lambda weights, buffers, x: functional_call(model, {**weights, **buffers}, (x,)))


def _written(model: nn.Module) -> MLPGradient | None:
    """The gradient that the network has written out, if it has and may be stacked."""
    return getattr(model, "backprop", None) if stackable(model) else None


def objective_grad(
    objective: Objective, network: GradFn, *, of_stack: bool = False, walk: Walk | None = None
) -> GradFn:
    """Gradient of loss(model(transform(params))) + penalty(params) in ``params``, given the network's own.

    A transform that passes gradients on unchanged (``straight_through``) needs no graph; any other is pulled back by
    autograd, together with the penalty.

    Args:
        objective: of one client, or with a leading client dimension in its context.
        network: from :func:`network_grad` or :func:`stacked_network_grad`.
        of_stack: clients are stacked.
        walk: the objective's own steps; if they have the gradient written out, it is theirs.
    """
    if isinstance(walk, WrittenWalk):
        return _walk_grad(walk, network)
    see = _sight(objective, of_stack)
    penalty = _lifted(objective.penalty, of_stack)

    def passed_on(params: Weights, batch: Batch) -> tuple[list[torch.Tensor], torch.Tensor]:
        with torch.no_grad():
            return network(see(params, batch), batch)

    def pulled_back(params: Weights, batch: Batch) -> tuple[list[torch.Tensor], torch.Tensor]:
        leaves = {name: value.detach().requires_grad_() for name, value in params.items()}
        seen = see(leaves, batch)
        slopes, loss = network({name: value.detach() for name, value in seen.items()}, batch)
        ends = list(seen.values())
        if penalty:
            cost = penalty(leaves, leading(objective.context, batch.active))
            ends = [*ends, cost]
            slopes = [*slopes, torch.ones_like(cost)]
            loss = loss + cost.detach()
        return list(torch.autograd.grad(ends, list(leaves.values()), slopes)), loss

    return passed_on if _straight(objective) and penalty is None else pulled_back


def descent(
    objective: Objective, network: GradFn, training: Training, *, of_stack: bool = False
) -> Callable[[Weights, Batch], torch.Tensor] | None:
    """A step of plain SGD that the network takes itself, parameters in place, and its loss; None where it can't.

    It can if it has its gradient written out and nothing stands between gradient and step: no penalty, no transform with
    a gradient of its own, no momentum, weight decay, preconditioner or steps of the objective's own.

    Args:
        objective, network, of_stack: as for :func:`objective_grad`.
        training: settings of the step.
    """
    o = objective
    between = o.penalty or o.precondition or o.steps or training.momentum or training.weight_decay
    if between or not _straight(o) or not isinstance(network, (WrittenGrad, _Alone)):
        return None
    see = _sight(objective, of_stack)

    @torch.no_grad()
    def step(params: Weights, batch: Batch) -> torch.Tensor:
        return network.descend(see(params, batch), params, batch, training.lr)

    return step


def _straight(objective: Objective) -> bool:
    """Whether the gradient in the weights that the network sees is that in the parameters."""
    return objective.transform is None or getattr(objective.transform, "straight_through", False)


def _sight(objective: Objective, of_stack: bool) -> Callable[[Weights, Batch], Weights]:
    """What the network sees of the parameters."""
    transform = _lifted(objective.transform, of_stack)
    if transform is None:
        return lambda params, batch: params
    return lambda params, batch: transform(params, leading(objective.context, batch.active), batch.noise)


def _walk_grad(walk: WrittenWalk, network: GradFn) -> GradFn:
    """The gradient in the form that ``walk`` has written out, and the loss with its penalty."""

    def grad(params: Weights, batch: Batch) -> tuple[list[torch.Tensor], torch.Tensor]:
        with torch.no_grad():
            seen = walk.weights(params, batch.active)
            slopes, loss = network(seen, batch)
            gradients = walk.pull_back(params, dict(zip(seen, slopes, strict=True)))
            return [gradients[name] for name in params], loss + walk.cost()

    return grad


def _lifted(function: Callable[..., Any] | None, of_stack: bool) -> Callable[..., Any] | None:
    """``function``, where there is one, for one client or for many."""
    return stacked(function) if of_stack and function is not None else function


def stacked(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` for stacked clients: its own form for them, or else under ``vmap``."""
    return function.stacked if stackable(function) else vmap(function)
