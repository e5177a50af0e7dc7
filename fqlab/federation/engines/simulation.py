"""One client's round, wherever it runs: unpack, begin, train, upload, pack."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch

from fqlab import seeds, wire
from fqlab.data import Dataset
from fqlab.experiment import Experiment
from fqlab.local import Step, accuracy, autograd_slopes, batches, client_loss, descend
from fqlab.methods import Client, Method, Spec, Task
from fqlab.models import set_generator, uses_noise
from fqlab.objectives import Weights
from fqlab.wire import Payload

__all__ = ["Site", "Job", "Reply", "local_round"]


@dataclass(frozen=True)
class Job:
    """What one client is asked to do in one round: a packet in, a packet out."""

    client: int
    round: int
    packet: bytes
    memory: Weights


@dataclass(frozen=True)
class Reply:
    """What comes back: a packet and its size, or ``fault``, the reason why there is none."""

    client: int
    packet: bytes = b""
    size: wire.Size | None = None
    memory: Weights = field(default_factory=dict)
    error: dict[str, float] = field(default_factory=dict)
    loss: float = float("nan")
    fault: str | None = None


@dataclass(frozen=True)
class Site:
    """What all clients of a run have in common, and each client's samples.

    Attributes:
        train, validation, test: sample numbers of every client; ``test`` counts in the test set.
    """

    experiment: Experiment
    method: Method
    model: torch.nn.Module
    spec: Spec
    dataset: Dataset
    train: list[np.ndarray]
    validation: list[np.ndarray]
    test: list[np.ndarray]

    def client(self, job: Job, model: torch.nn.Module) -> Client:
        """The client's own view of the round."""
        address = dict(seed=self.experiment.seed, round=job.round, client=job.client)
        return Client(
            id=job.client,
            round=job.round,
            size=len(self.train[job.client]),
            spec=self.spec,
            training=self.experiment.training(job.round),
            memory=job.memory,
            generator=lambda purpose: seeds.torch_generator(purpose=purpose, **address),
            accuracy=partial(self.accuracy, model, job.client, job.round),
        )

    def accuracy(
        self, model: torch.nn.Module, client: int, round: int, weights: Weights, on: str = "test", limit: int = 0
    ) -> float:
        """Accuracy of ``weights`` on the client's own samples, on at most ``limit`` of them if given."""
        samples = {"train": self.train, "validation": self.validation, "test": self.test}[on][client]
        if limit and limit < len(samples):
            rng = seeds.numpy_generator(self.experiment.seed, "accuracy", round, client)
            samples = rng.choice(samples, limit, replace=False)
        data = self.dataset
        x, y = (data.test_x, data.test_y) if on == "test" else (data.train_x, data.train_y)
        return accuracy(model, weights, x[samples], y[samples])

    def plan(self, client: Client) -> list[np.ndarray]:
        """Sample numbers of each of the client's minibatches."""
        rng = seeds.numpy_generator(self.experiment.seed, "batches", client.round, client.id)
        return batches(self.train[client.id], client.training, rng)

    def receive(self, packet: bytes, client: int) -> Payload:
        return wire.unpack(packet, client=client)

    def send(
        self,
        clients: Sequence[Client],
        tasks: Sequence[Task],
        params: Weights,
        buffers: Weights,
        losses: Sequence[float],
    ) -> list[Reply]:
        """Upload and pack for stacked clients ``[clients, ...]``; weights that are not finite never leave a client."""
        faults = _not_finite({**params, **buffers}, len(clients))
        sound = [i for i, fault in enumerate(faults) if fault is None]
        replies = [
            Reply(c.id, memory=c.memory, loss=loss, fault=f) for c, loss, f in zip(clients, losses, faults, strict=True)
        ]
        if not sound:
            return replies
        pick = (lambda t: t) if len(sound) == len(clients) else (lambda t: {n: v[sound] for n, v in t.items()})
        sent = self.method.uploads(pick(params), pick(buffers), [tasks[i] for i in sound], [clients[i] for i in sound])
        for i, own in zip(sound, sent, strict=True):
            packet, size = wire.pack_measured(own.payload, coding=self.experiment.coding)
            replies[i] = Reply(clients[i].id, packet, size, own.memory, own.error, losses[i])
        return replies


def _not_finite(tensors: Weights, clients: int) -> list[str | None]:
    """For each stacked client the first tensor that is not finite, in words."""
    faults: list[str | None] = [None] * clients
    for name, value in tensors.items():
        if not math.isfinite(float(value.sum())):
            for i in range(clients):
                if faults[i] is None and not bool(value[i].isfinite().all()):
                    faults[i] = f"{name} is not finite after training"
    return faults


def steps(site: Site, client: Client, task: Task) -> Iterator[Step]:
    """The client's minibatches, one optimiser step each, with the objective's random draws."""
    generator = client.generator("noise")
    for samples in site.plan(client):
        index = torch.from_numpy(samples)
        noise = task.objective.draw(task.params, generator) if task.objective.draw else {}
        yield Step(site.dataset.train_x[index], site.dataset.train_y[index], noise=noise)


def local_round(site: Site, job: Job, model: torch.nn.Module, payload: Payload | None = None) -> Reply:
    """One client's whole round on ``model``, which no other thread may use meanwhile.

    ``payload`` is the unpacked ``job.packet`` if the caller has it already.
    """
    client = site.client(job, model)
    task = site.method.begin(payload if payload is not None else site.receive(job.packet, job.client), client)
    buffers = {name: value.clone() for name, value in task.buffers.items()}
    model.train()
    if uses_noise(model):
        set_generator(model, client.generator("dropout"))
    objective, context = task.objective, task.objective.context

    def loss(params: Weights, step: Step) -> torch.Tensor:
        return client_loss(model, objective, params, buffers, context, step.noise, step.x, step.y, step.weight)

    project = partial(_project, objective.project, context) if objective.project else None
    slopes = autograd_slopes(loss)
    params, losses = descend(slopes, task.params, steps(site, client, task), client.training, project)
    alone = lambda tensors: {name: value[None] for name, value in tensors.items()}  # noqa: E731
    return site.send([client], [task], alone(params), alone(buffers), [float(torch.stack(losses).mean())])[0]


def _project(project, context: Weights, params: Weights) -> Weights:  # noqa: ANN001
    return project(params, context)
