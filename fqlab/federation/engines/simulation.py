"""One client's round, wherever it runs: unpack, begin, train, upload, pack."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
import torch

from fqlab import data, methods, models, partition, seeds, wire
from fqlab.data import Dataset
from fqlab.data.reduce import reduced
from fqlab.errors import ConfigError
from fqlab.federation.engines import device as devices
from fqlab.federation.engines.crew import Crew
from fqlab.federation.engines.memory import keep_memory
from fqlab.federation.engines.services import Services
from fqlab.federation.experiment import Experiment
from fqlab.methods import Client, LocalProblem, Method, Spec, State
from fqlab.models import set_generator, smallest_batch, uses_noise
from fqlab.tensors import Weights, stack
from fqlab.training.gradients import channels_last, descent, network_grad, objective_grad
from fqlab.training.sgd import Batch, accuracy, batches, infer, sgd
from fqlab.wire import Payload

__all__ = ["Simulation", "ClientTask", "ClientResult", "build_simulation", "local_round"]

EVALUATED_AT_ONCE = 1000
"""Test samples that one thread takes."""


@dataclass(frozen=True)
class ClientTask:
    """What one client is asked to do in one round: a packet in, a packet out."""

    client: int
    round_index: int
    packet: bytes
    state: State | None = None


@dataclass(frozen=True)
class ClientResult:
    """What comes back: a packet and its size, or ``refusal``, the reason why there is none."""

    client: int
    packet: bytes = b""
    size: wire.Size | None = None
    state: State | None = None
    mse: dict[str, float] = field(default_factory=dict)
    moved: dict[str, float] = field(default_factory=dict)
    loss: float = float("nan")
    refusal: str | None = None


@dataclass(frozen=True)
class Simulation:
    """What all clients of a run have in common, and each client's samples.

    Attributes:
        train, validation, test: sample numbers of every client; ``test`` counts in the test set.
        crew: the threads that work.
        device: where stacks are trained, and the global model is evaluated.
        services: what the engine has started and keeps from round to round.
        states_come_home: where clients run on other machines, a copy of what they keep comes along with every upload.
    """

    experiment: Experiment
    method: Method
    model: torch.nn.Module
    spec: Spec
    dataset: Dataset
    train: list[np.ndarray]
    validation: list[np.ndarray]
    test: list[np.ndarray]
    crew: Crew
    device: torch.device = devices.CPU
    services: Services = field(default_factory=Services)
    states_come_home: bool = True

    def client(self, task: ClientTask, model: torch.nn.Module) -> Client:
        """The client's own view of the round."""
        address = dict(seed=self.experiment.seed, round_index=task.round_index, client=task.client)
        return Client(
            id=task.client,
            round_index=task.round_index,
            samples=len(self.train[task.client]),
            spec=self.spec,
            training=self.experiment.training(task.round_index),
            state=task.state,
            generator=lambda purpose: seeds.torch_generator(purpose=purpose, **address),
            accuracy=partial(self.accuracy, model, task.client, task.round_index),
        )

    def accuracy(
        self, model: torch.nn.Module, client: int, round_index: int, weights: Weights, on: str = "test", limit: int = 0
    ) -> float:
        """Accuracy of ``weights`` on the client's own samples, on at most ``limit`` of them if given."""
        samples = {"train": self.train, "validation": self.validation, "test": self.test}[on][client]
        if limit and limit < len(samples):
            rng = seeds.numpy_generator(self.experiment.seed, "accuracy", round_index, client)
            samples = rng.choice(samples, limit, replace=False)
        whole = self.dataset
        if on == "test":
            return accuracy(model, weights, whole.test_x[samples], whole.test_y[samples])
        return accuracy(model, weights, whole.train_x[samples], whole.train_y[samples])

    def logits(self, weights: Weights, x: torch.Tensor) -> torch.Tensor:
        """Logits ``[n, classes]``, worked out by all threads if there is much to do."""
        if self.device.type != "cpu":
            return infer(self.model, devices.moved(weights, self.device), x.to(self.device)).cpu()
        seen = channels_last(weights)
        return torch.cat(list(self.crew.map(lambda model, part: infer(model, seen, part), x.split(EVALUATED_AT_ONCE))))

    def samples_on(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Training samples, flattened ``[n, numbers]``, and their labels; on a GPU they stay."""
        return (self.dataset.train_x.flatten(1), self.dataset.train_y) if device == devices.CPU else self._resident

    @cached_property
    def _resident(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.dataset.train_x.flatten(1).to(self.device), self.dataset.train_y.to(self.device)

    def right(self, model: torch.nn.Module, weights: Weights) -> torch.Tensor:
        """Which test samples are classified right, bool ``[n]``."""
        return infer(model, channels_last(weights), self.dataset.test_x).argmax(1) == self.dataset.test_y

    @cached_property
    def smallest_batch(self) -> int:
        """Samples without which the network cannot train; looked up once a run."""
        return smallest_batch(self.model)

    def shuffles(self, tasks: Sequence[ClientTask]) -> Iterator[np.random.Generator]:
        """What each client of a round draws its minibatches from."""
        index = tasks[0].round_index if tasks else 0
        return seeds.numpy_generators(self.experiment.seed, "batches", index, [task.client for task in tasks])

    def plan(self, client: Client, shuffle: np.random.Generator | None = None) -> list[np.ndarray]:
        """Sample numbers of each of the client's minibatches; none for a lone sample that BatchNorm can't normalise.

        ``shuffle`` is the client's generator from :meth:`shuffles`; without it, it is made anew.
        """
        if shuffle is None:
            shuffle = seeds.numpy_generator(self.experiment.seed, "batches", client.round_index, client.id)
        least = self.experiment.batch_size if self.experiment.drop_last else self.smallest_batch
        return batches(self.train[client.id], client.training, shuffle, least=least)

    def receive(self, packet: bytes, client: int) -> Payload:
        return wire.unpack(packet, client=client)

    def pack(self, payloads: Sequence[Payload]) -> list[tuple[bytes, wire.Size]]:
        """Packets as the experiment wants them, and what they weigh."""
        return wire.pack_all(payloads, coding=self.experiment.coding, entropy=self.experiment.entropy)

    def send(
        self,
        clients: Sequence[Client],
        problems: Sequence[LocalProblem],
        params: Weights,
        buffers: Weights,
        losses: Sequence[float],
    ) -> list[ClientResult]:
        """Upload and pack for stacked clients ``[clients, ...]``; weights that are not finite never leave a client."""
        refusals = _not_finite({**params, **buffers}, len(clients))
        sound = [i for i, refusal in enumerate(refusals) if refusal is None]
        results = {
            i: ClientResult(clients[i].id, state=clients[i].state, loss=losses[i], refusal=refusal)
            for i, refusal in enumerate(refusals)
            if refusal is not None
        }
        if not sound:
            return list(results.values())
        if results:
            params, buffers = ({n: v[sound] for n, v in tensors.items()} for tensors in (params, buffers))
        updates = self.method.uploads(params, buffers, [problems[i] for i in sound], [clients[i] for i in sound])
        packets = self.pack([update.payload for update in updates])
        for i, update, (packet, size) in zip(sound, updates, packets, strict=True):
            results[i] = ClientResult(clients[i].id, packet, size, update.state, update.mse, update.moved, losses[i])
        return [results[i] for i in range(len(clients))]


def _not_finite(tensors: Weights, clients: int) -> list[str | None]:
    """For each stacked client the first tensor that is not finite, in words."""
    refusals: list[str | None] = [None] * clients
    for name, value in tensors.items():
        if not math.isfinite(float(value.sum())):
            for i in range(clients):
                if refusals[i] is None and not bool(value[i].isfinite().all()):
                    refusals[i] = f"{name} is not finite after training"
    return refusals


def steps(simulation: Simulation, client: Client, problem: LocalProblem) -> Iterator[Batch]:
    """The client's minibatches, one optimiser step each, with the objective's random draws."""
    generator = client.generator("noise")
    for samples in simulation.plan(client):
        index = torch.from_numpy(samples)
        noise = problem.objective.draw(problem.params, generator)
        yield Batch(simulation.dataset.train_x[index], simulation.dataset.train_y[index], noise=noise)


def local_round(simulation: Simulation, task: ClientTask, model: torch.nn.Module) -> ClientResult:
    """One client's whole round on ``model``, which no other thread may use meanwhile."""
    client = simulation.client(task, model)
    problem = simulation.method.prepare(simulation.receive(task.packet, task.client), client)
    buffers = {name: value.clone() for name, value in problem.buffers.items()}
    objective = problem.objective
    model.train()
    if uses_noise(model):
        set_generator(model, client.generator("dropout"))
    rule = objective.project
    project = (lambda moved: rule(moved, objective.context)) if rule else None
    scaled = objective.precondition
    precondition = (lambda slopes, params: scaled(slopes, params, objective.context)) if scaled else None
    walk = objective.walk(client.training)
    network = network_grad(model, buffers)
    grad = objective_grad(objective, network, walk=walk)
    whole = descent(objective, network, client.training)
    start = problem.params | channels_last({n: problem.params[n] for n in client.spec.trainable if n in problem.params})
    batches_of = steps(simulation, client, problem)
    params, losses = sgd(grad, start, batches_of, client.training, project, precondition, walk, whole)
    seen = [float(torch.stack(losses).mean()) if losses else math.nan]  # NaN where no batch was large enough
    return simulation.send([client], [problem], stack([params]), stack([buffers]), seen)[0]


def build_simulation(
    experiment: Experiment,
    method: Method | None = None,
    dataset: Dataset | None = None,
    model: torch.nn.Module | None = None,
) -> Simulation:
    """Data dealt to clients, model and method: everything a round needs that does not change.

    Args:
        experiment: names whatever is not given.
        method, dataset, model: objects in place of what the experiment names.

    Raises:
        ConfigError: if a client is left without training samples.
    """
    keep_memory()
    dataset = reduced(dataset or data.load(experiment.dataset), **experiment.reduce)
    parts = partition.split(
        experiment.partition, dataset, experiment.clients, experiment.seed, **dict(experiment.split)
    )
    method = method or methods.make(experiment.method, experiment.options)
    model = method.network(model or models.make(experiment.model, dataset, experiment.seed))
    if experiment.batch_size < smallest_batch(model):
        raise ConfigError("batch_size is 1, but the model has BatchNorm, which needs two samples or more in a batch.")
    numel = {name: value.numel() for name, value in models.weights_of(model).items()}
    spec = Spec(models.parameter_names(model), models.quantizable(model), numel)
    train, held = zip(*(_hold_back(part, experiment, c) for c, part in enumerate(parts)), strict=True)
    test = partition.personal_test(dataset, parts)
    crew = Crew(model, experiment.workers)
    device = devices.find(experiment, model)
    return Simulation(experiment, method, model, spec, dataset, list(train), list(held), test, crew, device)


def _hold_back(part: np.ndarray, experiment: Experiment, client: int) -> tuple[np.ndarray, np.ndarray]:
    """A client's samples as training and validation samples."""
    count = int(len(part) * experiment.validation)
    if len(part) - count < 1:
        raise ConfigError(f"client {client} has {len(part)} samples, but needs at least one to train on.")
    order = seeds.numpy_generator(experiment.seed, "validation", client=client).permutation(part)
    return np.sort(order[count:]), np.sort(order[:count])
