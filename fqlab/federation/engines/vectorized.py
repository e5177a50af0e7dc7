"""Many small clients as one: their parameters stacked, their losses under ``torch.func.vmap``.

The gradient of the sum of all clients' losses is every client's own gradient, so plain autograd sits outside the vmap.
A model that can run stacked by itself (``MLP.stacked``) skips the vmap, whose overhead is most of the time on tiny
models. The clients with most batches come first in a stack, so that those who still train are its head. What cannot be
stacked (objectives or shapes that differ, dropout, BatchNorm on unequal batches) runs alone, as in the serial engine.
Which clients share a stack depends on nothing but them, so the number of threads changes no bit.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from fqlab.federation.engines.device import CPU, moved, recorder, suited
from fqlab.federation.engines.simulation import ClientResult, ClientTask, Simulation, local_round
from fqlab.methods import Client, LocalProblem
from fqlab.models import couples_samples, uses_noise
from fqlab.models.backprop import Buffers
from fqlab.tensors import Weights, leading, stack
from fqlab.training.gradients import descent, objective_grad, stacked, stacked_network_grad
from fqlab.training.objectives import Objective
from fqlab.training.sgd import Batch, sgd

__all__ = ["run"]

LARGEST_STACK = 1_000_000
"""Parameters in one stack; beyond that they fall out of the cache and stacking stops paying."""

Member = tuple[Client, LocalProblem, list[np.ndarray]]


def run(
    simulation: Simulation, tasks: list[ClientTask], stop: Callable[[], bool], workers: int = 1
) -> Iterator[ClientResult]:
    """Replies in the order of ``tasks``; stops between two stacks once ``stop()`` is true."""
    results: dict[int, ClientResult] = {}
    alone = uses_noise(simulation.model)
    work: list[Any] = [[task] for task in tasks] if alone else _stacks(simulation, tasks)

    def train(model: torch.nn.Module, members: list[Any]) -> list[ClientResult] | None:
        if stop():
            return None
        return [local_round(simulation, members[0], model)] if alone else _train(simulation, members, model)

    for done in simulation.crew.map(train, work):
        if done is None:
            return
        results.update((result.client, result) for result in done)
    yield from (results[task.client] for task in tasks)


def _stacks(simulation: Simulation, tasks: list[ClientTask]) -> list[list[Member]]:
    """Clients in groups that fit one stack."""
    groups: dict[Hashable, list[Member]] = defaultdict(list)
    unpacked: dict[int, Any] = {}
    coupled = couples_samples(simulation.model)
    for task, shuffle in zip(tasks, simulation.shuffles(tasks), strict=True):
        if id(task.packet) not in unpacked:  # a broadcast is one packet for all
            unpacked[id(task.packet)] = simulation.receive(task.packet, task.client)
        client = simulation.client(task, simulation.model)
        problem = simulation.method.prepare(unpacked[id(task.packet)], client)
        plan = simulation.plan(client, shuffle)
        groups[_kind(problem, plan if coupled else None)].append((client, problem, plan))
    stacks = []
    for members in groups.values():
        members.sort(key=lambda member: -len(member[2]))
        whole = len(members) * sum(v.numel() for v in members[0][1].params.values())
        size = -(-len(members) // -(-whole // LARGEST_STACK))  # as many to each as the largest that fits, evenly
        stacks += [members[i : i + size] for i in range(0, len(members), size)]
    return stacks


def _kind(problem: LocalProblem, plan: list[np.ndarray] | None) -> Hashable:
    """What clients of one stack have in common; their batch lengths too if these matter (``plan``)."""
    o = problem.objective
    shapes = _shapes(problem.params, problem.buffers, o.context)
    lengths = tuple(len(batch) for batch in plan or ())
    return (o.transform, o.penalty, o.project, o.precondition, o.steps, shapes, lengths)


def _shapes(*tensors: Weights) -> Hashable:
    return tuple((name, value.shape) for part in tensors for name, value in part.items())


def _train(simulation: Simulation, members: list[Member], model: torch.nn.Module) -> list[ClientResult]:
    """Train one stack of clients and send their results."""
    problems = [problem for _, problem, _ in members]
    device = suited(simulation.device, problems[0].objective, simulation.experiment)
    context = moved(stack([problem.objective.context for problem in problems]), device)
    objective = replace(problems[0].objective, context=context)
    buffers = moved(stack([problem.buffers for problem in problems]), device)
    model.train()

    training = members[0][0].training
    walk = objective.walk(training)
    network = stacked_network_grad(model, buffers)
    grad = objective_grad(objective, network, of_stack=True, walk=walk)
    whole = descent(objective, network, training, of_stack=True)
    start = moved(_side_by_side([problem.params for problem in problems]), device)
    played = recorder(device, objective, len(members[0][2]))
    hooks = (_projection(objective), _preconditioner(objective), walk, whole, played)
    params, losses = sgd(grad, start, _batches(simulation, members, device), training, *hooks)
    total = torch.zeros(len(members), dtype=torch.float32, device=device)
    for loss in losses:
        total[: len(loss)] += loss
    means = [value / (len(plan) or math.nan) for value, (_, _, plan) in zip(total.tolist(), members, strict=True)]
    clients = [client for client, _, _ in members]
    return simulation.send(clients, problems, moved(params, CPU), moved(buffers, CPU), means)


def _side_by_side(params: list[Weights]) -> Weights:
    """Parameters to start from, which nobody writes to: a tensor that all clients begin with is not copied for each."""
    first, *others = params
    return {
        name: value.expand(len(params), *value.shape)
        if all(other[name] is value for other in others)
        else torch.stack([member[name] for member in params])
        for name, value in first.items()
    }


def _projection(objective: Objective) -> Callable[[Weights], Weights] | None:
    """The objective's projection of the clients that still train."""
    if objective.project is None:
        return None
    inside = stacked(objective.project)
    return lambda moved: inside(moved, leading(objective.context, len(next(iter(moved.values())))))


def _preconditioner(objective: Objective) -> Callable[[Weights, Weights], Weights] | None:
    """The objective's preconditioner of the clients that still train."""
    if objective.precondition is None:
        return None
    scaled = stacked(objective.precondition)
    return lambda slopes, params: scaled(slopes, params, leading(objective.context, len(next(iter(params.values())))))


def _batches(simulation: Simulation, members: list[Member], device: torch.device) -> Iterator[Batch]:
    """The minibatches of the clients that still have one side by side, the shorter ones padded with weight 0."""
    plans = [plan for _, _, plan in members]
    shape = simulation.dataset.train_x.shape[1:]
    inputs, labels = simulation.samples_on(device)
    memory = Buffers(device)
    noises = _noises(members)
    for s in range(len(plans[0])):
        rows = [plan[s] for plan in plans if s < len(plan)]
        lengths = np.array([len(row) for row in rows])
        width = int(lengths.max())
        real = np.arange(width) < lengths[:, None]
        weight = None if real.all() else torch.from_numpy(real.astype(np.float32)).to(device)
        padded = np.zeros(real.shape, np.int64)
        padded[real] = np.concatenate(rows)
        index = torch.from_numpy(padded.reshape(-1)).to(device)
        x = torch.index_select(inputs, 0, index, out=memory("x", len(index), inputs.shape[1]))
        x = x.view(len(rows), width, *shape)
        y = torch.index_select(labels, 0, index).view(len(rows), width)
        yield Batch(x, y, weight, len(rows) if len(rows) < len(plans) else None, moved(next(noises), device))


def _noises(members: list[Member]) -> Iterator[Weights]:
    """The random draws of every step, stacked; each client's from its own generator while it trains."""
    if not members[0][1].objective.draws:
        yield from ({} for _ in members[0][2])
        return
    generators = [client.generator("noise") for client, _, _ in members]
    for s in range(len(members[0][2])):
        active = [(p, g) for (_, p, plan), g in zip(members, generators, strict=True) if s < len(plan)]
        yield stack([p.objective.draw(p.params, g) for p, g in active])
