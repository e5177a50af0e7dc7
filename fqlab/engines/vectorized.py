"""Many small clients as one: their parameters stacked, loss and gradient under ``torch.func.vmap``.

On small tensors the interpreter costs more than the arithmetic, so the stacked gradient is recorded once as a graph of
plain tensor operations and replayed at every step. Clients with fewer batches stand still while the others finish. What cannot be stacked (objectives or shapes that
differ, dropout, BatchNorm on unequal batches) runs alone, as in the serial engine.
"""

from __future__ import annotations

import threading
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import numpy as np
import torch
from torch.func import grad_and_value, vmap
from torch.utils._pytree import tree_flatten, tree_unflatten

from fqlab.engines.serial import one_thread
from fqlab.engines.site import Job, Reply, Site, local_round
from fqlab.local import Slopes, Step, client_loss, descend
from fqlab.methods import Client, Task
from fqlab.models import uses_noise
from fqlab.objectives import Objective, Weights

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
    shapes = _shapes((task.params, task.buffers, o.context))
    lengths = tuple(len(batch) for batch in plan) if task.buffers else None
    return (*_functions(o), shapes, lengths)


def _functions(objective: Objective) -> Hashable:
    return (objective.transform, objective.penalty, objective.project, objective.draw)


def _shapes(tree: Any) -> Hashable:
    leaves, layout = tree_flatten(tree)
    return (str(layout), *(leaf.shape for leaf in leaves))


def _stack(tensors: list[Weights]) -> Weights:
    return {name: torch.stack([t[name] for t in tensors]) for name in tensors[0]}


def _train(site: Site, members: list[Member]) -> list[Reply]:
    """Train one stack of clients and send their replies."""
    tasks = [task for _, task, _ in members]
    objective = tasks[0].objective
    context = _stack([task.objective.context for task in tasks])
    buffers = _stack([task.buffers for task in tasks])
    site.model.train()

    slopes = _slopes(site, objective, buffers, context)
    inside = objective.project
    project = (lambda params: vmap(inside)(params, context)) if inside else None
    start, training = _stack([task.params for task in tasks]), members[0][0].training
    params, losses = descend(slopes, start, _steps(site, members), training, project)
    seen = torch.stack(losses)
    means = [float(seen[: len(plan), i].mean()) for i, (_, _, plan) in enumerate(members)]
    return site.send([client for client, _, _ in members], tasks, params, buffers, means)


def _slopes(site: Site, objective: Objective, buffers: Weights, context: Weights) -> Slopes:
    """Every client's gradient and loss in one go; ``buffers`` are updated in place."""

    def one(params: Weights, buffers: Weights, context: Weights, noise: Weights, x: Any, y: Any, w: Any) -> torch.Tensor:
        return client_loss(site.model, objective, params, buffers, context, noise, x, y, w)

    every = vmap(grad_and_value(one))

    def slopes(params: Weights, step: Step) -> tuple[list[torch.Tensor], torch.Tensor]:
        weight = torch.ones(step.y.shape) if step.weight is None else step.weight
        inputs = (params, buffers, context, step.noise, step.x, step.y, weight)
        if buffers:
            gradients, losses = every(*inputs)
            return list(gradients.values()), losses
        kind = (site.experiment.model, site.experiment.dataset, *_functions(objective), _shapes(inputs))
        return _recorded(kind, every, inputs)(*inputs)

    return slopes


_RECORDINGS: OrderedDict[Hashable, Callable[..., Any]] = OrderedDict()
_LOCK = threading.Lock()


def _recorded(kind: Hashable, every: Callable[..., Any], inputs: tuple[Any, ...]) -> Callable[..., Any]:
    """``every`` as a graph of tensor operations on flat inputs, recorded the first time a ``kind`` is met."""
    with _LOCK:
        if kind not in _RECORDINGS:
            _RECORDINGS[kind] = _record(every, inputs)
            if len(_RECORDINGS) > 32:
                _RECORDINGS.popitem(last=False)
        return _RECORDINGS[kind]


def _record(every: Callable[..., Any], inputs: tuple[Any, ...]) -> Callable[..., Any]:
    from torch.fx.experimental.proxy_tensor import make_fx

    _, layout = tree_flatten(inputs)

    def flat(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        gradients, losses = every(*tree_unflatten(list(tensors), layout))
        return (*gradients.values(), losses)

    leaves = tree_flatten(inputs)[0]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit.trace announces a successor that is not there yet
        graph = torch.jit.trace(make_fx(flat)(*leaves), leaves, check_trace=False)

    def replay(*inputs: Any) -> tuple[list[torch.Tensor], torch.Tensor]:
        with torch.no_grad():
            *gradients, losses = graph(*tree_flatten(inputs)[0])
        return gradients, losses

    return replay


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
