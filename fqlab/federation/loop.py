"""The round loop: download, train, upload, guard, aggregate, evaluate. One loop for every method and every engine."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fqlab import data, methods, models, partition, seeds, wire
from fqlab.aggregate import validate_update
from fqlab.errors import ConfigError, WireError
from fqlab.federation import checkpoint as files
from fqlab.federation import engines
from fqlab.federation.engines import ClientResult, ClientTask, Simulation
from fqlab.federation.engines.serial import one_thread
from fqlab.federation.experiment import Experiment
from fqlab.methods import ReceivedUpdate, Server, Spec
from fqlab.training.objectives import Weights
from fqlab.training.sgd import infer

__all__ = ["Round", "History", "Federation", "run", "fit"]


@dataclass(frozen=True)
class Round:
    """What one communication round did.

    Attributes:
        index: 1, 2, ...
        accuracy: of the global model on the test set, 0 to 1; NaN in rounds without evaluation.
        loss: mean training loss over the round's clients.
        error: mean squared quantization error of an uploaded weight; 0 if nothing was quantized.
        up, down: bytes on the wire, all clients together.
        up_coded, down_coded: the same packets' bytes once entropy coded (zstandard level 1).
        code_bits: bits of integer codes in all uploads, without scales, floats and headers.
        participants: clients that took part.
        left_out: ``"client 3: ..."`` for each one the guard refused.
        personal: mean accuracy of the clients' own models on their own labels; NaN where the method has none.
        extras: further numbers of the method.
        seconds: wall time.
    """

    index: int
    accuracy: float
    loss: float
    error: float
    up: int
    down: int
    up_coded: int
    down_coded: int
    code_bits: int
    participants: tuple[int, ...]
    left_out: tuple[str, ...] = ()
    personal: float = float("nan")
    extras: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class History:
    """A finished run: its experiment, its rounds and the final global model."""

    experiment: Experiment
    rounds: tuple[Round, ...]
    weights: Weights

    @property
    def accuracy(self) -> float:
        """Test accuracy after the last round."""
        return self.rounds[-1].accuracy

    @property
    def up(self) -> int:
        """Bytes sent to the server in the whole run."""
        return sum(r.up for r in self.rounds)

    @property
    def down(self) -> int:
        """Bytes sent to the clients in the whole run."""
        return sum(r.down for r in self.rounds)

    def to_json(self) -> str:
        """Experiment and rounds as JSON; the weights stay out."""
        rounds = [{k: None if v != v else v for k, v in asdict(r).items()} for r in self.rounds]
        return json.dumps({"experiment": self.experiment.to_dict(), "rounds": rounds}, indent=1)


class Federation:
    """A run one can step through: iterate over it to get :class:`Round` records.

    Args:
        experiment: what to run.
        checkpoint: a file that is written after every round. If it exists and belongs to the same experiment, the run
            resumes there; the resumed run is bitwise the run that was never stopped.
        cancelled: asked between clients; once it returns True the run ends without a further round.

    Attributes:
        server: the server's state after the last finished round.
        memories: what each client kept for itself.
        ledger: every packet's sizes.
        rounds: the records so far, those of the checkpoint included.

    Raises:
        ConfigError: if a client would have no samples, or the checkpoint belongs to another experiment.
    """

    def __init__(
        self,
        experiment: Experiment,
        *,
        checkpoint: str | Path | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        self.experiment = experiment
        self.cancelled = cancelled
        self.checkpoint = Path(checkpoint) if checkpoint else None
        self.simulation = build_simulation(experiment)
        self.method = self.simulation.method
        self.ledger = wire.Ledger()
        self.client_states: dict[int, Weights] = {}
        self.rounds: list[Round] = []
        sizes = tuple(len(part) for part in self.simulation.train)
        start = Server(self.simulation.spec, models.weights_of(self.simulation.model), {}, experiment.clients, sizes)
        self.server = self.method.start(start)
        if self.checkpoint and self.checkpoint.exists():
            self._resume(self.checkpoint)

    def __iter__(self) -> Iterator[Round]:
        while len(self.rounds) < self.experiment.rounds:
            record = self.step()
            if record is None:
                return
            yield record

    def step(self) -> Round | None:
        """Run one more round; None if it was cancelled, and then nothing has changed."""
        began, index = time.perf_counter(), len(self.rounds) + 1
        chosen = self._participants(index)
        tasks, down = self._download(index, chosen)
        run = engines.get(self.experiment.engine)
        results = list(run(self.simulation, tasks, self.cancelled, self.experiment.workers))
        if len(results) < len(tasks):
            return None
        with one_thread():
            uploads, left_out, up = self._receive(index, results)
            if uploads:
                self.server = self.method.aggregate(self.server, uploads)
            self.client_states.update((result.client, result.memory) for result in results)
            accuracy, personal = self._evaluate(index)
        record = Round(
            index,
            accuracy,
            _mean([r.loss for r in results]),
            self._error(results),
            up=sum(s.total for s in up),
            down=sum(s.total for s in down),
            up_coded=sum(s.entropy_bytes for s in up),
            down_coded=sum(s.entropy_bytes for s in down),
            code_bits=sum(s.code_bits for s in up),
            participants=tuple(chosen),
            left_out=tuple(left_out),
            personal=personal,
            extras=self.method.report(self.server, uploads) if uploads else {},
            seconds=time.perf_counter() - began,
        )
        self.rounds.append(record)
        if self.checkpoint:
            self._save(self.checkpoint)
        return record

    def history(self) -> History:
        """The run so far."""
        return History(self.experiment, tuple(self.rounds), self.server.weights)

    def _participants(self, index: int) -> list[int]:
        everyone, wanted = self.experiment.clients, self.experiment.participants
        if not wanted or wanted == everyone:
            return list(range(everyone))
        rng = seeds.numpy_generator(self.experiment.seed, "participants", index)
        return sorted(int(c) for c in rng.choice(everyone, wanted, replace=False))

    def _download(self, index: int, chosen: Sequence[int]) -> tuple[list[ClientTask], list[wire.Size]]:
        """Pack what each client receives; a broadcast is packed once and counted for each."""
        tasks, sizes, packet, size = [], [], b"", None
        for client in chosen:
            if size is None or not self.method.broadcast:
                owner = seeds.SERVER if self.method.broadcast else client
                generator = seeds.torch_generator(self.experiment.seed, "download", index, owner)
                payload = self.method.download(self.server, client, generator)
                packet, size = wire.pack_measured(payload, coding=self.experiment.coding)
            self.ledger.add(index, client, "down", size)
            sizes.append(size)
            tasks.append(ClientTask(client, index, packet, self.client_states.get(client, {})))
        return tasks, sizes

    def _receive(
        self, index: int, results: Sequence[ClientResult]
    ) -> tuple[list[ReceivedUpdate], list[str], list[wire.Size]]:
        """Unpack and guard: what is damaged, mis-shaped or not finite is left out and named."""
        uploads, left_out, sizes = [], [], []
        expected = self.method.expected_shapes(self.server)
        for result in results:
            problem, payload = result.fault, {}
            if result.size is not None:
                self.ledger.add(index, result.client, "up", result.size)
                sizes.append(result.size)
                try:
                    payload = wire.unpack(result.packet, client=result.client)
                    problem = validate_update(payload, expected)
                except WireError as error:
                    problem = str(error)
            if problem is None:
                uploads.append(ReceivedUpdate(result.client, len(self.simulation.train[result.client]), payload))
            else:
                left_out.append(f"client {result.client}: {problem}")
        return uploads, left_out, sizes

    def _evaluate(self, index: int) -> tuple[float, float]:
        """Accuracy of the global model and, for personal methods, the clients' mean on their own labels."""
        if index % self.experiment.evaluate_every and index != self.experiment.rounds:
            return float("nan"), float("nan")
        simulation, x, y = self.simulation, self.simulation.dataset.test_x, self.simulation.dataset.test_y
        logits = infer(simulation.model, self.method.evaluation_weights(self.server), x)
        accuracy = float((logits.argmax(1) == y).float().mean())
        return accuracy, _mean(self.personal(index)) if self.method.personal else float("nan")

    def personal(self, index: int = 0) -> list[float]:
        """Each client's accuracy with its own model on all test samples of the labels it holds."""
        own = [
            self.method.personalized(self.server, c, self.client_states.get(c, {}))
            for c in range(self.experiment.clients)
        ]
        return [self.simulation.accuracy(self.simulation.model, c, index, weights) for c, weights in enumerate(own)]

    def _error(self, results: Sequence[ClientResult]) -> float:
        """Squared error averaged over clients and weights."""
        sizes = self.simulation.spec.sizes
        pairs = [(sizes[name], e) for r in results for name, e in r.error.items()]
        return sum(n * e for n, e in pairs) / max(1, sum(n for n, _ in pairs))

    def _save(self, path: Path) -> None:
        tensors = {f"weights/{k}": v for k, v in self.server.weights.items()}
        tensors |= {f"shared/{k}": v for k, v in self.server.shared.items()}
        tensors |= {f"memory/{c}/{k}": v for c, memory in self.client_states.items() for k, v in memory.items()}
        rounds = json.dumps([asdict(r) for r in self.rounds])
        files.save(path, tensors, {"experiment": self._identity(), "rounds": rounds})

    def _resume(self, path: Path) -> None:
        tensors, notes = files.load(path)
        if notes.get("experiment") != self._identity():
            raise ConfigError(f"checkpoint is {str(path)!r}, but belongs to another experiment; choose another file.")
        part = lambda prefix: {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
        stored = part("weights/")
        weights = {name: stored[name] for name in self.server.weights}  # in the model's order, as are packets
        self.server = methods.base.next_state(self.server, weights, part("shared/"))
        numbers = {int(k.split("/")[1]) for k in tensors if k.startswith("memory/")}
        self.client_states = {c: part(f"memory/{c}/") for c in numbers}
        self.rounds = [_round(values) for values in json.loads(notes["rounds"])]

    def _identity(self) -> str:
        """The experiment without what may differ between two halves of a run."""
        free = ("engine", "workers", "rounds")
        return json.dumps({k: v for k, v in self.experiment.to_dict().items() if k not in free}, sort_keys=True)


def build_simulation(experiment: Experiment) -> Simulation:
    """Data dealt to clients, model and method: everything a round needs that does not change.

    Raises:
        ConfigError: if a client is left without training samples.
    """
    dataset = data.load(experiment.dataset)
    parts = partition.split(
        experiment.partition, dataset, experiment.clients, experiment.seed, **dict(experiment.split)
    )
    method = methods.make(experiment.method, experiment.options)
    model = method.network(models.make(experiment.model, dataset, experiment.seed))
    weights = models.weights_of(model)
    spec = Spec(models.parameter_names(model), models.quantizable(model), {k: v.numel() for k, v in weights.items()})
    train, held = zip(*(_hold_back(part, experiment, c) for c, part in enumerate(parts)), strict=True)
    test = partition.personal_test(dataset, parts)
    return Simulation(experiment, method, model, spec, dataset, list(train), list(held), test)


def _hold_back(part: np.ndarray, experiment: Experiment, client: int) -> tuple[np.ndarray, np.ndarray]:
    """A client's samples as training and validation samples."""
    count = int(len(part) * experiment.validation)
    if len(part) - count < 1:
        raise ConfigError(f"client {client} has {len(part)} samples, but needs at least one to train on.")
    order = seeds.numpy_generator(experiment.seed, "validation", client=client).permutation(part)
    return np.sort(order[count:]), np.sort(order[:count])


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _round(values: dict[str, Any]) -> Round:
    return Round(**{**values, "participants": tuple(values["participants"]), "left_out": tuple(values["left_out"])})


def run(
    experiment: Experiment,
    *,
    checkpoint: str | Path | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[Round]:
    """Yield one :class:`Round` after the other; arguments as for :class:`Federation`."""
    yield from Federation(experiment, checkpoint=checkpoint, cancelled=cancelled)


def fit(experiment: Experiment, *, checkpoint: str | Path | None = None, progress: bool = False) -> History:
    """Run an experiment to its end, with a progress bar if asked."""
    federation = Federation(experiment, checkpoint=checkpoint)
    rounds: Any = federation
    if progress:
        from tqdm.auto import tqdm

        rounds = tqdm(federation, total=experiment.rounds, initial=len(federation.rounds), unit="round")
    for record in rounds:
        if progress:
            rounds.set_postfix(accuracy=f"{record.accuracy:.3f}")
    return federation.history()
