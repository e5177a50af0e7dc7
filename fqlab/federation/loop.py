"""The round loop: download, train, upload, guard, aggregate, evaluate. One loop for every method and every engine."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fqlab import methods, models, seeds, wire
from fqlab.data import Dataset
from fqlab.errors import ConfigError, WireError, shown
from fqlab.federation import checkpoint as files
from fqlab.federation import engines
from fqlab.federation.checkpoint import Saved
from fqlab.federation.engines import ClientResult, ClientTask
from fqlab.federation.engines.crew import one_thread
from fqlab.federation.engines.memory import no_cycles_sought
from fqlab.federation.engines.simulation import build_simulation
from fqlab.federation.experiment import Experiment
from fqlab.federation.guard import answers, judged
from fqlab.federation.records import History, Round
from fqlab.files import writable_file
from fqlab.methods import Method, ReceivedUpdate, Server, State
from fqlab.models import couples_samples
from fqlab.models.statistics import with_fresh_statistics
from fqlab.tensors import Weights

__all__ = ["Federation", "fit", "run"]


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
        engine: where clients run; with ``"auto"`` the one that was chosen.
        step_seconds: with ``"auto"``, the seconds of a client's step on each engine.
        ledger: every packet's sizes.
        rounds: the records so far, those of the checkpoint included.

    Raises:
        ConfigError: if a client would have no samples, or the checkpoint belongs to another experiment, has more rounds
            than are asked for, or lies where nothing can be written.
        DataError: if the checkpoint is damaged.
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
        self.checkpoint = None if checkpoint is None else writable_file(checkpoint, "checkpoint")
        _may_travel(experiment.engine, dataset, model)
        home = self.checkpoint is not None or self.method.personal  # who needs what clients keep for themselves
        self.simulation = replace(build_simulation(experiment, self.method, dataset, model), states_come_home=home)
        self.engine = experiment.engine
        self.step_seconds: dict[str, float] = {}
        if self.engine == "auto" and self.simulation.device.type != "cpu":
            self.engine = "vectorized"
        elif self.engine == "auto":
            self.engine, self.step_seconds = engines.choose(self.simulation)
        self.ledger = wire.Ledger()
        self.client_states: dict[int, State] = {}
        self.rounds: list[Round] = []
        samples = tuple(len(part) for part in self.simulation.train)
        weights = models.weights_of(self.simulation.model)
        self.server = self.method.start(Server(self.simulation.spec, weights, State(), experiment.clients, samples))
        if self.checkpoint and self.checkpoint.exists():
            self._resume(self.checkpoint)

    def __iter__(self) -> Iterator[Round]:
        try:
            while len(self.rounds) < self.experiment.rounds:
                record = self.step()
                if record is None:
                    return
                yield record
        finally:
            self.close()

    def close(self) -> None:
        """End what the engine has started, processes and threads; a further round would start them anew."""
        self.simulation.services.close()
        self.simulation.crew.close()

    def step(self) -> Round | None:
        """Run one more round; None if it was cancelled. Until a round is complete nothing changes, whatever ends it.

        Raises:
            StoreError: if the checkpoint can't be written; the round itself counts.
        """
        rest = nullcontext() if self.engine == "flower" else no_cycles_sought()  # other machines may take hours
        # Workers have one thread each as well; idle ones of the main one would spin beside them.
        with one_thread(), rest:
            return self._step()

    def _step(self) -> Round | None:
        began = time.perf_counter()
        index = len(self.rounds) + 1
        tasks, down = self._download(index, self._participants(index))
        run = engines.get(self.engine)
        results = answers(tasks, run(self.simulation, tasks, self.cancelled, self.experiment.workers))
        if results is None:
            return None
        updates, left_out = self._receive(results)
        server = self.method.aggregate(self.server, updates) if updates else self.server
        states = self._states([result for result in results if result.client not in left_out])
        accuracy, personal = self._evaluate(index, server, states)
        extras = self.method.report(server, updates) if updates else {}
        up = {result.client: result.size for result in results if result.size is not None}
        record = Round(
            index,
            accuracy,
            _mean([r.loss for r in results if not math.isnan(r.loss)]),
            self._mse(results),
            **traffic("up", up.values()),
            **traffic("down", down.values()),
            code_bits=sum(size.code_bits for size in up.values()),
            participants=tuple(task.client for task in tasks),
            left_out=tuple(f"client {client}: {why}" for client, why in left_out.items()),
            personal=personal,
            moved=_moved(results),
            extras=extras,
            seconds=time.perf_counter() - began,
        )
        self._commit(record, server, states, {"down": down, "up": up})
        return record

    def _commit(
        self, record: Round, server: Server, states: dict[int, State], packets: Mapping[str, Mapping[int, wire.Size]]
    ) -> None:
        """Make a complete round count, all of it at once; then the checkpoint."""
        traffic_of = wire.Ledger()
        for direction, by_client in packets.items():
            for client, size in by_client.items():
                traffic_of.add(record.index, client, direction, size)
        self.server = server
        self.client_states = states
        self.ledger.entries.extend(traffic_of.entries)
        self.rounds.append(record)
        if self.checkpoint:
            self.save(self.checkpoint)

    def history(self) -> History:
        """The run so far; its last round is evaluated, whatever ``evaluate_every`` says."""
        rounds = list(self.rounds)
        if rounds and math.isnan(rounds[-1].accuracy):
            accuracy, personal = self._measure(rounds[-1].index, self.server, self.client_states)
            rounds[-1] = replace(rounds[-1], accuracy=accuracy, personal=personal)
        return History(self.experiment, tuple(rounds), self.server.weights)

    def _participants(self, index: int) -> list[int]:
        everyone = self.experiment.clients
        wanted = self.experiment.participants
        if not wanted or wanted == everyone:
            return list(range(everyone))
        rng = seeds.numpy_generator(self.experiment.seed, "participants", index)
        return sorted(int(c) for c in rng.choice(everyone, wanted, replace=False))

    def _download(self, index: int, chosen: Sequence[int]) -> tuple[list[ClientTask], dict[int, wire.Size]]:
        """Pack what each client receives; a broadcast is packed once and counted for each."""
        tasks: list[ClientTask] = []
        packets: dict[int, wire.Size] = {}
        packet = b""
        size = None
        for client in chosen:
            if size is None or not self.method.broadcast:
                owner = seeds.SERVER if self.method.broadcast else client
                generator = seeds.torch_generator(self.experiment.seed, "download", index, owner)
                payload = self.method.download(self.server, client, generator)
                packet, size = self.simulation.pack([payload])[0]
            packets[client] = size
            tasks.append(ClientTask(client, index, packet, self.client_states.get(client)))
        return tasks, packets

    def _receive(self, results: Sequence[ClientResult]) -> tuple[list[ReceivedUpdate], dict[int, str]]:
        """Unpack and guard: the updates that may count, and by client why the others may not."""
        updates: list[ReceivedUpdate] = []
        left_out: dict[int, str] = {}
        for client, payload in judged(results, self.method, self.server).items():
            if isinstance(payload, WireError):
                left_out[client] = str(payload)
            else:
                updates.append(ReceivedUpdate(client, self.server.samples[client], payload))
        return updates, left_out

    def _states(self, results: Sequence[ClientResult]) -> dict[int, State]:
        """What clients keep for themselves once these are accepted; whoever was left out keeps what it had."""
        states = dict(self.client_states)
        for result in results:
            if result.state is None:
                states.pop(result.client, None)
            else:
                states[result.client] = result.state
        return states

    def _evaluate(self, index: int, server: Server, states: Mapping[int, State]) -> tuple[float, float]:
        """:meth:`_measure` in rounds that are evaluated, else NaN."""
        if index % self.experiment.evaluate_every and index != self.experiment.rounds:
            return float("nan"), float("nan")
        return self._measure(index, server, states)

    def _measure(self, index: int, server: Server, states: Mapping[int, State]) -> tuple[float, float]:
        """Accuracy of the global model and, for personal methods, the clients' mean on their own labels."""
        data = self.simulation.dataset
        logits = self.simulation.logits(self.method.evaluation_weights(server), data.test_x)
        accuracy = float((logits.argmax(1) == data.test_y).float().mean())
        return accuracy, _mean(self._personal(index, server, states)) if self.method.personal else float("nan")

    def personal(self, index: int = 0) -> list[float]:
        """Each client's accuracy with its own model on all test samples of the labels it holds."""
        return self._personal(index, self.server, self.client_states)

    def model_of(self, client: int) -> Weights:
        """The weights of a client's own model, as :meth:`personal` evaluates them."""
        return self._model_of(client, self.server, self.client_states, self.simulation.model)

    def _model_of(self, client: int, server: Server, states: Mapping[int, State], model: torch.nn.Module) -> Weights:
        weights = self.method.personalized(server, client, states.get(client))
        if not self.method.fresh_statistics:
            return weights
        samples = self.simulation.train[client]
        return with_fresh_statistics(model, weights, self.simulation.dataset.train_x[samples])

    def _personal(self, index: int, server: Server, states: Mapping[int, State]) -> list[float]:
        def judge(model: torch.nn.Module, clients: list[int]) -> list[float]:
            weights = self._model_of(clients[0], server, states, model)
            if len(clients) == 1:
                return [self.simulation.accuracy(model, clients[0], index, weights)]
            right = self.simulation.right(model, weights)
            return [float(right[self.simulation.test[client]].float().mean()) for client in clients]

        groups = self._alike(server, states)
        found = self.simulation.crew.map(judge, groups)
        accuracies = {
            c: value
            for group, values in zip(groups, found, strict=True)
            for c, value in zip(group, values, strict=True)
        }
        return [accuracies[client] for client in range(self.experiment.clients)]

    def _alike(self, server: Server, states: Mapping[int, State]) -> list[list[int]]:
        """Clients in groups that share a model of their own, which is then judged once for all of them."""
        own = self.method.fresh_statistics and couples_samples(self.simulation.model)
        groups: dict[Hashable, list[int]] = {}
        for client in range(self.experiment.clients):
            key = None if own else self.method.alike(server, client, states.get(client))
            groups.setdefault(("alone", client) if key is None else key, []).append(client)
        return list(groups.values())

    def _mse(self, results: Sequence[ClientResult]) -> float:
        """Squared error averaged over clients and weights."""
        numel = self.simulation.spec.numel
        pairs = [(numel[name], mse) for r in results for name, mse in r.mse.items()]
        return sum(n * mse for n, mse in pairs) / max(1, sum(n for n, _ in pairs))

    def save(self, path: Path) -> None:
        """Write a checkpoint now.

        Raises:
            StoreError: if it can't be written; what was there before is still there.
        """
        saved = Saved(self._identity(), self.server, self.client_states, self.rounds, self.ledger)
        files.write(path, saved)

    def _resume(self, path: Path) -> None:
        saved = files.read(path, self._identity(), self.server, self.method)
        if len(saved.rounds) > self.experiment.rounds:
            raise ConfigError(
                f"rounds is {self.experiment.rounds}, but checkpoint {shown(str(path))} already has {len(saved.rounds)}; "
                "ask for as many or more, or choose another file."
            )
        self.server = saved.server
        self.client_states = saved.client_states
        self.rounds = saved.rounds
        self.ledger = saved.ledger

    def _identity(self) -> str:
        """The experiment without what may differ between two halves of a run."""
        free = ("engine", "workers", "device", "rounds", "entropy")
        return json.dumps({k: v for k, v in self.experiment.to_dict().items() if k not in free}, sort_keys=True)


def _may_travel(engine: str, dataset: Dataset | None, model: torch.nn.Module | None) -> None:
    """Refuse objects that other machines could not have."""
    given = [name for name, thing in (("dataset", dataset), ("model", model)) if thing is not None]
    if engine == "flower" and given:
        raise ConfigError(
            f"engine is 'flower', but {given[0]} is an object of this process alone; "
            f"register it in a module that every node has, and name it in the experiment."
        )


def _moved(results: Sequence[ClientResult]) -> dict[str, tuple[float, ...]]:
    """Layer -> what each client says of it, in the order of the results."""
    moved = [result.moved for result in results if result.moved]
    return {name: tuple(layers[name] for layers in moved) for name in moved[0]} if moved else {}


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def traffic(direction: str, packets: Iterable[wire.Size]) -> dict[str, Any]:
    """A round's ``bytes_up`` and ``bytes_up_coded``, or the same down."""
    plain, coded = zip((0, 0), *((size.total, size.entropy_bytes) for size in packets), strict=True)
    return {f"bytes_{direction}": sum(plain), f"bytes_{direction}_coded": sum(coded)}


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
