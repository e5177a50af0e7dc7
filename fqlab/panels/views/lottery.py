"""A small network of your own: masks laid over each other, accuracy on own labels, and what is counted as cost."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fqlab.federation import Experiment, Federation
from fqlab.methods.lottery import Tickets, published_mib
from fqlab.panels.frame import Frame, Panel, Settings, control
from fqlab.panels.lru import LRUCache
from fqlab.plots.lottery import Costs, Masks, PersonalAccuracy
from fqlab.studies.lottery import CLIENTS, ROUNDS
from fqlab.studies.lottery import experiment as described

__all__ = ["LotteryPanel", "Outcome", "State", "bills", "experiment", "play"]


def _pruned(state: Any) -> bool:
    return state.target < 1


@dataclass(frozen=True)
class State(Settings):
    """Everything the pictures depend on."""

    target: float = control(
        0.1, label="Prune down to", unit="of the weights", low=0.1, high=1.0, step=0.1, group="Ticket",
        help="pruning goes on while more than this share is left, so it ends below; 1 never prunes",
    )  # fmt: skip
    rate: float = control(
        0.2, label="One pruning drops", unit="of the rest", low=0.05, high=0.5, step=0.05, mark=0.2, mark_label="paper",
        when=_pruned,
    )  # fmt: skip
    gate: float = control(
        0.5, label="Gate: prune above", unit="accuracy", low=0.0, high=0.95, step=0.05, mark=0.5, mark_label="paper",
        when=_pruned, help="a client prunes only if the model it received reads this share of its held-back images right",
    )  # fmt: skip
    rewind: bool = control(
        True, label="Rewind to θ₀", when=_pruned, help="start the survivors from their first values after a pruning"
    )
    classes: int = control(2, label="Digits per client", low=1, high=5, group="Data")
    client: int = control(1, label="Show client", low=1, high=CLIENTS, group="View")
    seed: int = control(0, label="Seed", low=0, high=999, box=True, group="Run")


@dataclass(frozen=True)
class Outcome:
    """A finished run: mean accuracy on own labels by round, shares kept, bytes by round, masks of the first layer."""

    personal: tuple[float, ...]
    accuracy: float
    kept: tuple[float, ...]
    bytes_up: tuple[int, ...]
    bytes_down: tuple[int, ...]
    weights: int
    masks: np.ndarray
    labels: tuple[str, ...]


class LotteryPanel(Panel):
    """Prune, rewind, repeat; then read the bill."""

    name, title = "lottery", "Lottery tickets: a small network of your own"
    State = State
    rows = ((PersonalAccuracy, Costs), (Masks,))
    presets = {
        "A tenth": {},
        "A third": {"target": 0.3},
        "Half": {"target": 0.5},
        "No rewind": {"rewind": False},
        "No gate": {"gate": 0.0},
        "Five digits each": {"classes": 5},
    }
    handles = ("target", "classes", "client")
    trains = "default"

    def instant(self, state: State) -> Frame:
        outcomes = [_MODELS.get(experiment(state, m).to_toml()) for m in METHODS]
        if None not in outcomes:
            return _frame(state, *outcomes)
        return Frame({} if self.gallery.views else {PersonalAccuracy: None, Costs: None, Masks: None})

    def run(self, state: State) -> Iterator[Frame]:
        outcomes = []
        seen = experiment(state).to_toml() in _MODELS
        for k, method in enumerate(METHODS):
            for done in play(experiment(state, method), self.stopping):
                if isinstance(done, Outcome):
                    outcomes.append(done)
                else:
                    yield Frame({}, "Training.", progress=(k + done) / len(METHODS))
        if len(outcomes) == len(METHODS):
            frame = _frame(state, *outcomes)
            yield replace(frame, message="") if seen else frame

    @classmethod
    def experiment(cls, state: State) -> Experiment:
        return experiment(state)

    @classmethod
    def training(cls, state: State) -> Hashable:
        return experiment(state).to_toml()

    def seconds(self, state: State) -> float:
        return 0.1 if experiment(state).to_toml() in _MODELS else 4.5

    def megabytes(self, state: State) -> float:
        return 2 * 2 * ROUNDS * CLIENTS * 4 * 4810 / 1e6


METHODS = ("lottery", "fedavg", "standalone")


def experiment(state: State, method: str = "lottery") -> Experiment:
    """The federation of a state, or a baseline on the same clients."""
    options = dict(target=state.target, rate=state.rate, gate=state.gate, rewind=state.rewind)
    return described(method, seed=state.seed, classes=state.classes, **options)


_MODELS: LRUCache[str, Outcome] = LRUCache(60)
"""The last runs, by their experiment as text: another client then shows at once."""


def play(wanted: Experiment, stopping: Callable[[], bool] = lambda: False) -> Iterator[float | Outcome]:
    """Yield the share that is done after every round, and at last the outcome; nothing more once it is stopped."""
    if (outcome := _MODELS.get(wanted.to_toml())) is not None:
        yield outcome
        return
    federation = Federation(wanted, cancelled=stopping)
    personal = []
    for record in federation:
        personal.append(
            record.personal if federation.method.personal else float(np.mean(federation.personal(record.index)))
        )
        yield record.index / wanted.rounds
    if len(personal) == wanted.rounds:
        _MODELS[wanted.to_toml()] = outcome = _outcome(federation, personal)
        yield outcome


def _outcome(federation: Federation, personal: list[float]) -> Outcome:
    simulation = federation.simulation
    rounds = federation.rounds
    first = simulation.spec.quantizable[0]
    whole = np.ones(federation.server.weights[first].shape, dtype=bool)
    state = federation.server.state
    count = federation.experiment.clients
    masks = [state.masks[first][c].numpy() if isinstance(state, Tickets) else whole for c in range(count)]
    labels = tuple(
        " ".join(map(str, sorted(set(simulation.dataset.train_y[part].tolist())))) for part in simulation.train
    )
    kept = tuple(r.extras.get("kept", 1.0) for r in rounds)
    weights = sum(simulation.spec.numel[n] for n in simulation.spec.quantizable)
    up, down = tuple(r.bytes_up for r in rounds), tuple(r.bytes_down for r in rounds)
    return Outcome(tuple(personal), rounds[-1].accuracy, kept, up, down, weights, np.stack(masks), labels)


def bills(run: Outcome, unicast: bool) -> dict[str, float]:
    """Megabytes of a run by three ways to count.

    Args:
        unicast: whether every client receives a packet of its own; a broadcast counts once a round in the last bill.
    """
    one_way = sum(published_mib(run.weights, CLIENTS, 1, share) for share in run.kept) * 2**20
    up, down = sum(run.bytes_up), sum(run.bytes_down)
    once = up + (down if unicast else down / CLIENTS)
    return {"one way": one_way / 1e6, "both ways": (up + down) / 1e6, "broadcast": once / 1e6}


def _frame(state: State, lottery: Outcome, fedavg: Outcome, alone: Outcome) -> Frame:
    kept = lottery.kept[-1]
    curves = {"now": list(lottery.personal), "fedavg": list(fedavg.personal), "alone": list(alone.personal)}
    accuracy = PersonalAccuracy.Data(curves, kept, lottery.accuracy)
    costs = Costs.Data(bills(lottery, True), bills(fedavg, False))
    masks = Masks.Data(lottery.masks, lottery.labels, state.client - 1)
    message = (
        f"{kept:.1%} of the weights are left. On its own digits a client reads {lottery.personal[-1]:.1%} right, on all "
        f"ten the shared model {lottery.accuracy:.1%}."
    )
    columns = zip(
        lottery.personal,
        lottery.kept,
        lottery.bytes_up,
        lottery.bytes_down,
        fedavg.personal,
        alone.personal,
        strict=True,
    )
    names = ("personal", "kept", "bytes_up", "bytes_down", "personal_fedavg", "personal_alone")
    rows = [{"round": i, **dict(zip(names, row, strict=True))} for i, row in enumerate(columns, 1)]
    return Frame({PersonalAccuracy: accuracy, Costs: costs, Masks: masks}, message, rows)
