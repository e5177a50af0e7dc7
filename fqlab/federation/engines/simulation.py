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
from fqlab.federation.experiment import Experiment
from fqlab.methods import Client, LocalProblem, Method, Spec
from fqlab.models import set_generator, uses_noise
from fqlab.training.objectives import Weights
from fqlab.training.sgd import Batch, accuracy, autograd_grad, batches, client_loss, sgd
from fqlab.wire import Payload

__all__ = ["Simulation", "ClientTask", "ClientResult", "local_round"]


@dataclass(frozen=True)
class ClientTask:
    """What one client is asked to do in one round: a packet in, a packet out."""

    client: int
    round: int
    packet: bytes
    memory: Weights


@dataclass(frozen=True)
class ClientResult:
    """What comes back: a packet and its size, or ``fault``, the reason why there is none."""

    client: int
    packet: bytes = b""
    size: wire.Size | None = None
    memory: Weights = field(default_factory=dict)
    error: dict[str, float] = field(default_factory=dict)
    loss: float = float("nan")
    fault: str | None = None


@dataclass(frozen=True)
class Simulation:
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

    def client(self, task: ClientTask, model: torch.nn.Module) -> Client:
        """The client's own view of the round."""
        address = dict(seed=self.experiment.seed, round=task.round, client=task.client)
        return Client(
            id=task.client,
            round=task.round,
            size=len(self.train[task.client]),
            spec=self.spec,
            training=self.experiment.training(task.round),
            memory=task.memory,
            generator=lambda purpose: seeds.torch_generator(purpose=purpose, **address),
            accuracy=partial(self.accuracy, model, task.client, task.round),
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
        problems: Sequence[LocalProblem],
        params: Weights,
        buffers: Weights,
        losses: Sequence[float],
    ) -> list[ClientResult]:
        """Upload and pack for stacked clients ``[clients, ...]``; weights that are not finite never leave a client."""
        faults = _not_finite({**params, **buffers}, len(clients))
        sound = [i for i, fault in enumerate(faults) if fault is None]
        results = [
            ClientResult(c.id, memory=c.memory, loss=loss, fault=f)
            for c, loss, f in zip(clients, losses, faults, strict=True)
        ]
        if not sound:
            return results
        pick = (lambda t: t) if len(sound) == len(clients) else (lambda t: {n: v[sound] for n, v in t.items()})
        sent = self.method.uploads(
            pick(params), pick(buffers), [problems[i] for i in sound], [clients[i] for i in sound]
        )
        for i, own in zip(sound, sent, strict=True):
            packet, size = wire.pack_measured(own.payload, coding=self.experiment.coding)
            results[i] = ClientResult(clients[i].id, packet, size, own.memory, own.error, losses[i])
        return results


def _not_finite(tensors: Weights, clients: int) -> list[str | None]:
    """For each stacked client the first tensor that is not finite, in words."""
    faults: list[str | None] = [None] * clients
    for name, value in tensors.items():
        if not math.isfinite(float(value.sum())):
            for i in range(clients):
                if faults[i] is None and not bool(value[i].isfinite().all()):
                    faults[i] = f"{name} is not finite after training"
    return faults


def steps(simulation: Simulation, client: Client, problem: LocalProblem) -> Iterator[Batch]:
    """The client's minibatches, one optimiser step each, with the objective's random draws."""
    generator = client.generator("noise")
    for samples in simulation.plan(client):
        index = torch.from_numpy(samples)
        noise = problem.objective.draw(problem.params, generator) if problem.objective.draw else {}
        yield Batch(simulation.dataset.train_x[index], simulation.dataset.train_y[index], noise=noise)


def local_round(
    simulation: Simulation, task: ClientTask, model: torch.nn.Module, payload: Payload | None = None
) -> ClientResult:
    """One client's whole round on ``model``, which no other thread may use meanwhile.

    ``payload`` is the unpacked ``task.packet`` if the caller has it already.
    """
    client = simulation.client(task, model)
    problem = simulation.method.prepare(
        payload if payload is not None else simulation.receive(task.packet, task.client), client
    )
    buffers = {name: value.clone() for name, value in problem.buffers.items()}
    model.train()
    if uses_noise(model):
        set_generator(model, client.generator("dropout"))
    objective, context = problem.objective, problem.objective.context

    def loss(params: Weights, step: Batch) -> torch.Tensor:
        return client_loss(model, objective, params, buffers, context, step.noise, step.x, step.y, step.weight)

    project = partial(_project, objective.project, context) if objective.project else None
    slopes = autograd_grad(loss)
    params, losses = sgd(slopes, problem.params, steps(simulation, client, problem), client.training, project)
    alone = lambda tensors: {name: value[None] for name, value in tensors.items()}
    return simulation.send([client], [problem], alone(params), alone(buffers), [float(torch.stack(losses).mean())])[0]


def _project(project, context: Weights, params: Weights) -> Weights:  # noqa: ANN001
    return project(params, context)
