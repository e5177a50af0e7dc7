"""The round loop: download, train, upload, guard, aggregate, evaluate. One loop for every method and every engine."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fqlab import methods, models, seeds, wire
from fqlab.aggregate import validate_updates
from fqlab.data import Dataset
from fqlab.errors import ConfigError, WireError
from fqlab.federation import checkpoint as files
from fqlab.federation import engines
from fqlab.federation.engines import ClientResult, ClientTask
from fqlab.federation.engines.crew import one_thread
from fqlab.federation.engines.simulation import build_simulation
from fqlab.federation.experiment import Experiment
from fqlab.federation.records import History, Round
from fqlab.methods import Method, ReceivedUpdate, Server, State
from fqlab.models.statistics import with_fresh_statistics
from fqlab.tensors import Weights, with_prefix

__all__ = ["Federation", "fit", "run"]

FORMAT = "2"
"""Version of the checkpoint file."""


class Federation:
    """A run one can step through: iterate over it to get :class:`Round` records.

    Args:
        experiment: what to run.
        method: a method of one's own in place of the experiment's; the experiment then names its class and settings.
        dataset: data of one's own in place of the experiment's.
        model: a network of one's own in place of the experiment's; its weights are the first global model.
        checkpoint: a file that is written after every round. If it exists and belongs to the same experiment, the run
            resumes there; the resumed run is bitwise the run that was never stopped.
        cancelled: asked between clients; once it returns True the run ends without a further round.

    Attributes:
        server: the server's state after the last finished round.
        client_states: what each client kept for itself.
        ledger: every packet's sizes.
        rounds: the records so far, those of the checkpoint included.

    Raises:
        ConfigError: if a client would have no samples, or the checkpoint belongs to another experiment.
    """

    def __init__(
        self,
        experiment: Experiment,
        *,
        method: Method | None = None,
        dataset: Dataset | None = None,
        model: torch.nn.Module | None = None,
        checkpoint: str | Path | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        if method is not None:
            name, settings = methods.describe(method)
            experiment = replace(experiment, method=name, options=settings)
        self.experiment = experiment
        self.method = method or methods.make(experiment.method, experiment.options)
        self.cancelled = cancelled
        self.checkpoint = Path(checkpoint) if checkpoint else None
        self.simulation = build_simulation(experiment, self.method, dataset, model)
        self.ledger = wire.Ledger()
        self.client_states: dict[int, State] = {}
        self.rounds: list[Round] = []
        samples = tuple(len(part) for part in self.simulation.train)
        weights = models.weights_of(self.simulation.model)
        self.server = self.method.start(Server(self.simulation.spec, weights, State(), experiment.clients, samples))
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
        began = time.perf_counter()
        index = len(self.rounds) + 1
        chosen = self._participants(index)
        tasks, down = self._download(index, chosen)
        run = engines.get(self.experiment.engine)
        results = list(run(self.simulation, tasks, self.cancelled, self.experiment.workers))
        if len(results) < len(tasks):
            return None
        with one_thread():
            updates, left_out, up = self._receive(index, results)
            if updates:
                self.server = self.method.aggregate(self.server, updates)
            self._remember(results, {update.client for update in updates})
            accuracy, personal = self._evaluate(index)
        record = Round(
            index,
            accuracy,
            _mean([r.loss for r in results]),
            self._mse(results),
            bytes_up=sum(s.total for s in up),
            bytes_down=sum(s.total for s in down),
            bytes_up_coded=sum(s.entropy_bytes for s in up),
            bytes_down_coded=sum(s.entropy_bytes for s in down),
            code_bits=sum(s.code_bits for s in up),
            participants=tuple(chosen),
            left_out=tuple(left_out),
            personal=personal,
            moved=_moved(results),
            extras=self.method.report(self.server, updates) if updates else {},
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
        everyone = self.experiment.clients
        wanted = self.experiment.participants
        if not wanted or wanted == everyone:
            return list(range(everyone))
        rng = seeds.numpy_generator(self.experiment.seed, "participants", index)
        return sorted(int(c) for c in rng.choice(everyone, wanted, replace=False))

    def _download(self, index: int, chosen: Sequence[int]) -> tuple[list[ClientTask], list[wire.Size]]:
        """Pack what each client receives; a broadcast is packed once and counted for each."""
        tasks: list[ClientTask] = []
        sizes: list[wire.Size] = []
        packet = b""
        size = None
        for client in chosen:
            if size is None or not self.method.broadcast:
                owner = seeds.SERVER if self.method.broadcast else client
                generator = seeds.torch_generator(self.experiment.seed, "download", index, owner)
                payload = self.method.download(self.server, client, generator)
                packet, size = self.simulation.pack([payload])[0]
            self.ledger.add(index, client, "down", size)
            sizes.append(size)
            tasks.append(ClientTask(client, index, packet, self.client_states.get(client)))
        return tasks, sizes

    def _receive(
        self, index: int, results: Sequence[ClientResult]
    ) -> tuple[list[ReceivedUpdate], list[str], list[wire.Size]]:
        """Unpack and guard: what is damaged, mis-shaped or not finite is left out and named."""
        sent = [result for result in results if result.size is not None]
        sizes = [result.size for result in results if result.size is not None]
        senders = [result.client for result in sent]
        for client, size in zip(senders, sizes, strict=True):
            self.ledger.add(index, client, "up", size)
        payloads = wire.unpack_all([result.packet for result in sent], senders)
        checked = dict(zip(senders, validate_updates(payloads, self.method.expected_shapes(self.server)), strict=True))
        updates: list[ReceivedUpdate] = []
        left_out: list[str] = []
        for result in results:
            payload = WireError(result.fault) if result.fault is not None else checked[result.client]
            if isinstance(payload, WireError):
                left_out.append(f"client {result.client}: {payload}")
            else:
                updates.append(ReceivedUpdate(result.client, self.server.samples[result.client], payload))
        return updates, left_out, sizes

    def _remember(self, results: Sequence[ClientResult], accepted: set[int]) -> None:
        """What clients keep for themselves until they take part again; one that is left out keeps what it had."""
        for result in (r for r in results if r.client in accepted):
            if result.state is None:
                self.client_states.pop(result.client, None)
            else:
                self.client_states[result.client] = result.state

    def _evaluate(self, index: int) -> tuple[float, float]:
        """Accuracy of the global model and, for personal methods, the clients' mean on their own labels."""
        if index % self.experiment.evaluate_every and index != self.experiment.rounds:
            return float("nan"), float("nan")
        data = self.simulation.dataset
        logits = self.simulation.logits(self.method.evaluation_weights(self.server), data.test_x)
        accuracy = float((logits.argmax(1) == data.test_y).float().mean())
        return accuracy, _mean(self.personal(index)) if self.method.personal else float("nan")

    def personal(self, index: int = 0) -> list[float]:
        """Each client's accuracy with its own model on all test samples of the labels it holds."""
        return [
            self.simulation.accuracy(self.simulation.model, client, index, self.model_of(client))
            for client in range(self.experiment.clients)
        ]

    def model_of(self, client: int) -> Weights:
        """The weights of a client's own model, as :meth:`personal` evaluates them."""
        own = self.method.personalized(self.server, client, self.client_states.get(client))
        if not self.method.fresh_statistics:
            return own
        samples = self.simulation.train[client]
        return with_fresh_statistics(self.simulation.model, own, self.simulation.dataset.train_x[samples])

    def _mse(self, results: Sequence[ClientResult]) -> float:
        """Squared error averaged over clients and weights."""
        numel = self.simulation.spec.numel
        pairs = [(numel[name], mse) for r in results for name, mse in r.mse.items()]
        return sum(n * mse for n, mse in pairs) / max(1, sum(n for n, _ in pairs))

    def _save(self, path: Path) -> None:
        tensors = {f"weights/{k}": v for k, v in self.server.weights.items()}
        tensors |= {f"server/{k}": v for k, v in self.server.state.flatten().items()}
        for client, state in self.client_states.items():
            tensors |= {f"client/{client}/{k}": v for k, v in state.flatten().items()}
        rounds = json.dumps([asdict(r) for r in self.rounds])
        notes = {"format": FORMAT, "experiment": self._identity(), "rounds": rounds}
        files.save(path, tensors, notes | {"clients": json.dumps(sorted(self.client_states))})

    def _resume(self, path: Path) -> None:
        tensors, notes = files.load(path)
        if notes.get("format") != FORMAT:
            raise ConfigError(f"checkpoint is {str(path)!r}, but of an older form; choose another file.")
        if notes.get("experiment") != self._identity():
            raise ConfigError(f"checkpoint is {str(path)!r}, but belongs to another experiment; choose another file.")
        stored = with_prefix(tensors, "weights/")
        weights = {name: stored[name] for name in self.server.weights}  # in the model's order, as are packets
        self.server = self.server.next(weights, self.method.ServerState.unflatten(with_prefix(tensors, "server/")))
        for client in json.loads(notes["clients"]):
            kept = with_prefix(tensors, f"client/{client}/")
            self.client_states[client] = self.method.ClientState.unflatten(kept)
        self.rounds = [_round(values) for values in json.loads(notes["rounds"])]

    def _identity(self) -> str:
        """The experiment without what may differ between two halves of a run."""
        free = ("engine", "workers", "rounds", "entropy")
        return json.dumps({k: v for k, v in self.experiment.to_dict().items() if k not in free}, sort_keys=True)


def _moved(results: Sequence[ClientResult]) -> dict[str, tuple[float, ...]]:
    """Layer -> what each client says of it, in the order of the results."""
    known = [result.moved for result in results if result.moved]
    return {name: tuple(own[name] for own in known) for name in known[0]} if known else {}


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _round(values: dict[str, Any]) -> Round:
    tuples = {key: tuple(values[key]) for key in ("participants", "left_out")}
    moved = {name: tuple(shares) for name, shares in values["moved"].items()}
    return Round(**{**values, **tuples, "moved": moved})


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
