"""One client's round, wherever it runs: unpack, begin, train, upload, pack."""

from __future__ import annotations

from collections.abc import Iterator
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

    def send(self, client: Client, task: Task, params: Weights, buffers: Weights, loss: float) -> Reply:
        """Upload and pack; weights that are not finite never leave the client."""
        for name, value in {**params, **buffers}.items():
            if not bool(torch.isfinite(value).all()):
                return Reply(client.id, memory=client.memory, loss=loss, fault=f"{name} is not finite after training")
        sent = self.method.upload(params, buffers, task, client)
        packet, size = wire.pack_measured(sent.payload, coding=self.experiment.coding)
        return Reply(client.id, packet, size, sent.memory, sent.error, loss)


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
    return site.send(client, task, params, buffers, float(torch.stack(losses).mean()))


def _project(project, context: Weights, params: Weights) -> Weights:  # noqa: ANN001
    return project(params, context)
