"""Which engine is quickest here: a step of every engine, measured on this machine with this network and these clients."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from fqlab.federation.engines.crew import one_thread
from fqlab.federation.engines.simulation import Simulation
from fqlab.federation.engines.vectorized import LARGEST_STACK
from fqlab.models import uses_noise, weights_of
from fqlab.tensors import stack
from fqlab.training.gradients import channels_last, network_grad, stacked_network_grad
from fqlab.training.sgd import Batch

__all__ = ["choose", "measure"]

REPEATS = 3


def choose(simulation: Simulation) -> tuple[str, dict[str, float]]:
    """The engine with the shortest step, and what was measured: engine → seconds a client's step takes.

    Engines agree within float tolerance, and serial and threads to the bit; so a choice by the clock may move the last
    bits of a result from one run to the next. Name an engine where that matters.
    """
    seconds = measure(simulation)
    return min(seconds, key=seconds.__getitem__), seconds


def measure(simulation: Simulation) -> dict[str, float]:
    """Engine → seconds of one client's step on a first minibatch, clients that run side by side counted out."""
    experiment = simulation.experiment
    model = simulation.model
    workers = experiment.workers
    clients = experiment.participants or experiment.clients
    data = simulation.dataset
    size = min(experiment.batch_size, len(data.train_y))
    batch = Batch(data.train_x[:size], data.train_y[:size])
    weights = weights_of(model)
    params = {name: weights[name] for name in simulation.spec.trainable}
    buffers = {name: value for name, value in weights.items() if name not in params}
    model.train()
    if uses_noise(model):  # needs a client's generator, and is never stacked
        return {"threads" if min(workers, clients) > 1 else "serial": 0.0}
    with one_thread():
        alone = network_grad(model, dict(buffers))
        start = channels_last(params)
        seconds = {"serial": _least(lambda: alone(start, batch))}
        if min(workers, clients) > 1:
            seconds["threads"] = seconds["serial"] / min(workers, clients)
        stacks = -(-clients * sum(value.numel() for value in params.values()) // LARGEST_STACK)
        members = min(-(-clients // stacks), 16)  # enough to see what one costs
        many = stacked_network_grad(model, stack([buffers] * members))
        side_by_side = Batch(torch.stack([batch.x] * members), torch.stack([batch.y] * members))
        together = stack([params] * members)
        seconds["vectorized"] = _least(lambda: many(together, side_by_side)) / members / min(workers, stacks)
    return seconds


def _least(work: Callable[[], object]) -> float:
    work()
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)
