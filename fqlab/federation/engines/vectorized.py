"""Many small clients as one: their parameters stacked, their losses under ``torch.func.vmap``.

The gradient of the sum of all clients' losses is every client's own gradient, so plain autograd sits outside the vmap.
A model that can run stacked by itself (``MLP.stacked``) skips the vmap, whose overhead is most of the time on tiny
models. Clients with fewer batches stand still while the others finish. What cannot be stacked (objectives or shapes that
differ, dropout, BatchNorm on unequal batches) runs alone, as in the serial engine.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.func import vmap
from torch.nn.functional import cross_entropy

from fqlab.federation.engines.serial import one_thread
from fqlab.federation.engines.simulation import ClientResult, ClientTask, Simulation, local_round
from fqlab.methods import Client, LocalProblem
from fqlab.models import couples_samples, uses_noise
from fqlab.training.objectives import Objective, Weights
from fqlab.training.sgd import Batch, autograd_grad, client_loss, sgd

__all__ = ["run"]

LARGEST_STACK = 2_000_000
"""Parameters in one stack; beyond that they fall out of the cache and stacking stops paying."""

Member = tuple[Client, LocalProblem, list[np.ndarray]]


def run(
    simulation: Simulation, tasks: list[ClientTask], stop: Callable[[], bool], workers: int = 1
) -> Iterator[ClientResult]:
    """Replies in the order of ``tasks``; stops between two stacks once ``stop()`` is true."""
    with one_thread():
        results: dict[int, ClientResult] = {}
        if uses_noise(simulation.model):
            for task in tasks:
                if stop():
                    return
                results[task.client] = local_round(simulation, task, simulation.model)
        else:
            for stack in _stacks(simulation, tasks):
                if stop():
                    return
                results.update((result.client, result) for result in _train(simulation, stack))
    yield from (results[task.client] for task in tasks)


def _stacks(simulation: Simulation, tasks: list[ClientTask]) -> list[list[Member]]:
    """Clients in groups that fit one stack."""
    groups: dict[Hashable, list[Member]] = defaultdict(list)
    unpacked: dict[int, Any] = {}
    coupled = couples_samples(simulation.model)
    for task in tasks:
        if id(task.packet) not in unpacked:  # a broadcast is one packet for all
            unpacked[id(task.packet)] = simulation.receive(task.packet, task.client)
        client = simulation.client(task, simulation.model)
        problem, plan = simulation.method.prepare(unpacked[id(task.packet)], client), simulation.plan(client)
        groups[_kind(problem, plan if coupled else None)].append((client, problem, plan))
    stacks = []
    for members in groups.values():
        size = max(1, LARGEST_STACK // max(1, sum(v.numel() for v in members[0][1].params.values())))
        stacks += [members[i : i + size] for i in range(0, len(members), size)]
    return stacks


def _kind(problem: LocalProblem, plan: list[np.ndarray] | None) -> Hashable:
    """What clients of one stack have in common; their batch lengths too if these matter (``plan``)."""
    o = problem.objective
    shapes = _shapes(problem.params, problem.buffers, o.context)
    lengths = tuple(len(batch) for batch in plan or ())
    # Bound methods of equal objects are unequal: their function and their object are compared instead.
    draw = (getattr(o.draw, "__func__", o.draw), getattr(o.draw, "__self__", None))
    return (o.transform, o.penalty, o.project, draw, shapes, lengths)


def _shapes(*tensors: Weights) -> Hashable:
    return tuple((name, value.shape) for part in tensors for name, value in part.items())


def _stack(tensors: list[Weights]) -> Weights:
    return {name: torch.stack([t[name] for t in tensors]) for name in tensors[0]}


def _train(simulation: Simulation, members: list[Member]) -> list[ClientResult]:
    """Train one stack of clients and send their replies."""
    problems = [problem for _, problem, _ in members]
    objective = problems[0].objective
    context = _stack([problem.objective.context for problem in problems])
    buffers = _stack([problem.buffers for problem in problems])
    simulation.model.train()

    slopes = autograd_grad(_loss(simulation, objective, buffers, context))
    project = (lambda params: _stacked(objective.project)(params, context)) if objective.project else None
    start, training = _stack([problem.params for problem in problems]), members[0][0].training
    params, losses = sgd(slopes, start, _steps(simulation, members), training, project)
    seen = torch.stack(losses)
    means = [float(seen[: len(plan), i].mean()) for i, (_, _, plan) in enumerate(members)]
    return simulation.send([client for client, _, _ in members], problems, params, buffers, means)


def _loss(
    simulation: Simulation, objective: Objective, buffers: Weights, context: Weights
) -> Callable[[Weights, Batch], torch.Tensor]:
    """``loss(params, step)`` of stacked clients: a vector. ``buffers`` are updated in place."""
    if getattr(simulation.model, "stacked", None):
        return partial(_stacked_loss, simulation.model.stacked, objective, context)

    def one(
        params: Weights, buffers: Weights, context: Weights, noise: Weights, x: Any, y: Any, w: Any
    ) -> torch.Tensor:
        return client_loss(simulation.model, objective, params, buffers, context, noise, x, y, w)

    def loss(params: Weights, step: Batch) -> torch.Tensor:
        weight = torch.ones(step.y.shape) if step.weight is None else step.weight
        return vmap(one)(params, buffers, context, step.noise, step.x, step.y, weight)

    return loss


def _stacked_loss(
    forward: Callable[..., torch.Tensor], objective: Objective, context: Weights, trained: Weights, step: Batch
) -> torch.Tensor:
    """:func:`fqlab.training.sgd.client_loss` of stacked clients for a model with a stacked forward pass."""
    seen, transform = trained, objective.transform
    if transform:
        seen = _stacked(transform)(trained, context, step.noise)
    logits = forward(seen, step.x)
    each = cross_entropy(logits.flatten(0, 1), step.y.flatten(), reduction="none").reshape(step.y.shape)
    if step.weight is None:
        loss = each.mean(1)
    else:
        loss = (each * step.weight).sum(1) / step.weight.sum(1).clamp(min=1)
    return loss + _stacked(objective.penalty)(trained, context) if objective.penalty else loss


def _stacked(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` for stacked clients: its own form for them (``function.stacked``), or else under ``vmap``."""
    return getattr(function, "stacked", None) or vmap(function)


def _steps(simulation: Simulation, members: list[Member]) -> Iterator[Batch]:
    """All clients' minibatches side by side, the shorter ones padded with weight 0."""
    plans = [plan for _, _, plan in members]
    count, width = max(map(len, plans)), max(len(batch) for plan in plans for batch in plan)
    index = np.zeros((count, len(plans), width), dtype=np.int64)
    real = np.zeros(index.shape, dtype=np.float32)
    for c, plan in enumerate(plans):
        for s, batch in enumerate(plan):
            index[s, c, : len(batch)], real[s, c, : len(batch)] = batch, 1
    active, widths = real.any(axis=2), real.sum(axis=2).max(axis=1).astype(int)
    waiting, ragged = ~active.all(axis=1), real.sum(axis=(1, 2)) < len(plans) * widths
    index, real, active = torch.from_numpy(index), torch.from_numpy(real), torch.from_numpy(active)
    draw, data = members[0][1].objective.draw, simulation.dataset
    generators = [client.generator("noise") for client, _, _ in members if draw]
    for s in range(count):
        noise = {}
        if draw:
            noise = _stack([draw(problem.params, g) for (_, problem, _), g in zip(members, generators, strict=True)])
        rows = index[s, :, : widths[s]]
        weight = real[s, :, : widths[s]] if ragged[s] else None
        yield Batch(data.train_x[rows], data.train_y[rows], weight, active[s] if waiting[s] else None, noise)
