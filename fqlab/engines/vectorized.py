"""Many small clients as one: their parameters stacked, the forward pass under ``torch.func.vmap``.

The gradient of the sum of all clients' losses is every client's own gradient, so plain autograd sits outside the vmap.
Clients with fewer batches stand still while the others finish. What cannot be stacked (objectives or shapes that
differ, dropout, BatchNorm on unequal batches) runs alone, as in the serial engine.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import numpy as np
import torch
from torch.func import vmap

from fqlab.engines.serial import one_thread
from fqlab.engines.site import Job, Reply, Site, local_round
from fqlab.local import Step, client_loss, descend
from fqlab.methods import Client, Task
from fqlab.models import uses_noise
from fqlab.objectives import Weights

__all__ = ["run"]

LARGEST_STACK = 2_000_000
"""Parameters in one stack; beyond that they fall out of the cache and stacking stops paying."""

Member = tuple[Client, Task, list[np.ndarray]]


def run(site: Site, jobs: list[Job], stop: Callable[[], bool], workers: int = 1) -> Iterator[Reply]:
    """Replies in the order of ``jobs``; stops between two stacks once ``stop()`` is true."""
    with one_thread():
        replies: dict[int, Reply] = {}
        if uses_noise(site.model):
            for job in jobs:
                if stop():
                    return
                replies[job.client] = local_round(site, job, site.model)
        else:
            for stack in _stacks(site, jobs):
                if stop():
                    return
                replies.update((reply.client, reply) for reply in _train(site, stack))
    yield from (replies[job.client] for job in jobs)


def _stacks(site: Site, jobs: list[Job]) -> list[list[Member]]:
    """Clients in groups that fit one stack."""
    groups: dict[Hashable, list[Member]] = defaultdict(list)
    unpacked: dict[int, Any] = {}
    for job in jobs:
        if id(job.packet) not in unpacked:  # a broadcast is one packet for all
            unpacked[id(job.packet)] = site.receive(job.packet, job.client)
        client = site.client(job, site.model)
        task, plan = site.method.begin(unpacked[id(job.packet)], client), site.plan(client)
        groups[_kind(task, plan)].append((client, task, plan))
    stacks = []
    for members in groups.values():
        size = max(1, LARGEST_STACK // max(1, sum(v.numel() for v in members[0][1].params.values())))
        stacks += [members[i : i + size] for i in range(0, len(members), size)]
    return stacks


def _kind(task: Task, plan: list[np.ndarray]) -> Hashable:
    o = task.objective
    shapes = tuple((k, v.shape) for tensors in (task.params, task.buffers, o.context) for k, v in tensors.items())
    lengths = tuple(len(batch) for batch in plan) if task.buffers else None
    return (o.transform, o.penalty, o.project, o.draw, shapes, lengths)


def _stack(tensors: list[Weights]) -> Weights:
    return {name: torch.stack([t[name] for t in tensors]) for name in tensors[0]}


def _train(site: Site, members: list[Member]) -> Iterator[Reply]:
    """Train one stack of clients and send each one's reply."""
    tasks = [task for _, task, _ in members]
    objective = tasks[0].objective
    context = _stack([task.objective.context for task in tasks])
    buffers = _stack([task.buffers for task in tasks])
    site.model.train()

    def one(params: Weights, buffers: Weights, context: Weights, step: Weights, noise: Weights) -> torch.Tensor:
        return client_loss(site.model, objective, params, buffers, context, noise, step["x"], step["y"], step.get("w"))

    every = vmap(one)
    losses: list[torch.Tensor] = []

    def loss(params: Weights, step: Step) -> torch.Tensor:
        data = {"x": step.x, "y": step.y} | ({} if step.weight is None else {"w": step.weight})
        each = every(params, buffers, context, data, step.noise)
        losses.append(each.detach())
        return each.sum()

    inside = objective.project
    project = (lambda params: vmap(inside)(params, context)) if inside else None
    params, _ = descend(loss, _stack([t.params for t in tasks]), _steps(site, members), members[0][0].training, project)
    seen = torch.stack(losses)
    for i, (client, task, plan) in enumerate(members):
        own = {name: value[i] for name, value in params.items()}
        stats = {name: value[i] for name, value in buffers.items()}
        yield site.send(client, task, own, stats, float(seen[: len(plan), i].mean()))


def _steps(site: Site, members: list[Member]) -> Iterator[Step]:
    """All clients' minibatches side by side, the shorter ones padded with weight 0."""
    plans = [plan for _, _, plan in members]
    count, width = max(map(len, plans)), max(len(batch) for plan in plans for batch in plan)
    index = np.zeros((count, len(plans), width), dtype=np.int64)
    real = np.zeros(index.shape, dtype=np.float32)
    for c, plan in enumerate(plans):
        for s, batch in enumerate(plan):
            index[s, c, : len(batch)], real[s, c, : len(batch)] = batch, 1
    full, active = real.all(axis=(1, 2)), torch.from_numpy(real.any(axis=2))
    index, real = torch.from_numpy(index), torch.from_numpy(real)
    generators = [client.generator("noise") for client, _, _ in members]
    draw, data = members[0][1].objective.draw, site.dataset
    for s in range(count):
        noise = {}
        if draw:
            noise = _stack([draw(task.params, g) for (_, task, _), g in zip(members, generators, strict=True)])
        weight = None if full[s] else real[s]
        moving = None if bool(active[s].all()) else active[s]
        yield Step(data.train_x[index[s]], data.train_y[index[s]], weight, moving, noise)
