"""Many small clients as one: their parameters stacked, their losses under ``torch.func.vmap``.

The gradient of the sum of all clients' losses is every client's own gradient, so plain autograd sits outside the vmap.
A model that can run stacked by itself (``MLP.stacked``) skips the vmap, whose overhead is most of the time on tiny
models. Clients with fewer batches stand still while the others finish. What cannot be stacked (objectives or shapes that
differ, dropout, BatchNorm on unequal batches) runs alone, as in the serial engine.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.func import vmap

from fqlab.federation.engines.serial import one_thread
from fqlab.federation.engines.simulation import ClientResult, ClientTask, Simulation, local_round
from fqlab.methods import Client, LocalProblem
from fqlab.models import couples_samples, uses_noise
from fqlab.tensors import Weights, stack
from fqlab.training.objectives import Objective, Stackable, stackable
from fqlab.training.sgd import Batch, autograd_grad, client_loss, sample_mean, sgd

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
    return (o.transform, o.penalty, o.project, o.steps, shapes, lengths)


def _shapes(*tensors: Weights) -> Hashable:
    return tuple((name, value.shape) for part in tensors for name, value in part.items())


def _train(simulation: Simulation, members: list[Member]) -> list[ClientResult]:
    """Train one stack of clients and send their results."""
    problems = [problem for _, problem, _ in members]
    context = stack([problem.objective.context for problem in problems])
    objective = replace(problems[0].objective, context=context)
    buffers = stack([problem.buffers for problem in problems])
    simulation.model.train()

    grad = autograd_grad(_loss(simulation.model, objective, buffers))
    inside = _stacked(objective.project) if objective.project else None
    project = (lambda moved: inside(moved, context)) if inside else None
    start = stack([problem.params for problem in problems])
    training = members[0][0].training
    walk = objective.walk(context, training.lr, training.momentum)
    params, losses = sgd(grad, start, _batches(simulation, members), training, project, walk)
    seen = torch.stack(losses)
    means = [float(seen[: len(plan), i].mean()) for i, (_, _, plan) in enumerate(members)]
    return simulation.send([client for client, _, _ in members], problems, params, buffers, means)


def _loss(model: torch.nn.Module, objective: Objective, buffers: Weights) -> Callable[[Weights, Batch], torch.Tensor]:
    """``loss(params, batch)`` of stacked clients: a vector. ``buffers`` are updated in place."""
    if stackable(model):
        return partial(_stacked_loss, model, objective)

    def one(params: Weights, buffers: Weights, context: Weights, noise: Weights, *tensors: torch.Tensor) -> Any:
        return client_loss(model, replace(objective, context=context), params, buffers, Batch(*tensors, noise=noise))

    def loss(params: Weights, batch: Batch) -> torch.Tensor:
        weight = torch.ones(batch.y.shape) if batch.weight is None else batch.weight
        return vmap(one)(params, buffers, objective.context, batch.noise, batch.x, batch.y, weight)

    return loss


def _stacked_loss(model: Stackable, objective: Objective, params: Weights, batch: Batch) -> torch.Tensor:
    """:func:`fqlab.training.sgd.client_loss` of stacked clients for a model with a stacked forward pass."""
    seen = _stacked(objective.transform)(params, objective.context, batch.noise) if objective.transform else params
    loss = sample_mean(model.stacked(seen, batch.x), batch)
    return loss + _stacked(objective.penalty)(params, objective.context) if objective.penalty else loss


def _stacked(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` for stacked clients: its own form for them, or else under ``vmap``."""
    return function.stacked if stackable(function) else vmap(function)


def _batches(simulation: Simulation, members: list[Member]) -> Iterator[Batch]:
    """All clients' minibatches side by side, the shorter ones padded with weight 0."""
    plans = [plan for _, _, plan in members]
    count = max(map(len, plans))
    width = max(len(batch) for plan in plans for batch in plan)
    index = np.zeros((count, len(plans), width), dtype=np.int64)
    real = np.zeros(index.shape, dtype=np.float32)
    for c, plan in enumerate(plans):
        for s, samples in enumerate(plan):
            index[s, c, : len(samples)] = samples
            real[s, c, : len(samples)] = 1
    active = real.any(axis=2)
    widths = real.sum(axis=2).max(axis=1).astype(int)
    waiting = ~active.all(axis=1)
    ragged = real.sum(axis=(1, 2)) < len(plans) * widths
    noises = _noises(members, count)
    data = simulation.dataset
    for s, noise in enumerate(noises):
        rows = torch.from_numpy(index[s, :, : widths[s]])
        weight = torch.from_numpy(real[s, :, : widths[s]]) if ragged[s] else None
        still = torch.from_numpy(active[s]) if waiting[s] else None
        yield Batch(data.train_x[rows], data.train_y[rows], weight, still, noise)


def _noises(members: list[Member], count: int) -> Iterator[Weights]:
    """The random draws of each of ``count`` steps, stacked; every client's from its own generator."""
    if not members[0][1].objective.draws:
        yield from ({} for _ in range(count))
        return
    generators = [client.generator("noise") for client, _, _ in members]
    for _ in range(count):
        yield stack([p.objective.draw(p.params, g) for (_, p, _), g in zip(members, generators, strict=True)])
