"""Federated averaging: local epochs, label skew and participation against drift and accuracy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from fqlab import data, partition
from fqlab.federation import Experiment
from fqlab.panels.frame import Frame, Panel, Settings, control
from fqlab.plots.drift import ClientDrift, Holdings, Progress
from fqlab.studies.fedavg import SHARED, Plane, Seen, Watched, distances, member_accuracy, plane, watch

__all__ = ["Drift", "State", "experiment", "method"]

ROUNDS = 20
CLIENTS = 10
SKEWS = {
    "even": "dealt evenly",
    "1": "skewed, α = 1",
    "0.3": "skewed, α = 0.3",
    "0.1": "skewed, α = 0.1",
    "0.05": "skewed, α = 0.05",
}


@dataclass(frozen=True)
class State(Settings):
    """Everything the pictures depend on."""

    skew: str = control(
        "0.1",
        label="Labels",
        group="Data and clients",
        choices=SKEWS,
        help="how the ten digits are dealt to the ten clients; α is Dirichlet's concentration",
    )
    participants: int = control(10, label="Clients in a round", unit="of 10", low=1, high=10)
    start: str = control(
        "server",
        label="Start",
        group="Local training",
        choices={"server": "one, the server's", "own": "ten, each its own"},
        help="the weights from which clients train in round 1; from round 2 on they are the server's",
    )
    epochs: int = control(
        1,
        label="Local epochs in a round",
        low=1,
        high=10,
        help="passes over a client's own images before it uploads; learning rate 0.3, batches of 32",
    )
    averaging: str = control(
        "size",
        label="Average",
        group="Server",
        choices={"size": "n_k / Σ n_k", "equal": "1 / K"},
        help="weights of the average; n_k is the number of images of client k",
    )
    seed: int = control(0, label="Seed", low=0, high=999, box=True, group="Run")


class Drift(Panel):
    """Let clients train longer alone, and see how far apart they end and what their average is worth."""

    name, title = "drift", "Federated averaging: 20 rounds, handwritten digits"
    State = State
    rows = ((Holdings, ClientDrift), (Progress,))
    presets = {
        "Even labels": {"skew": "even"},
        "Skewed": {},
        "10 epochs": {"epochs": 10},
        "Even, 10 epochs": {"skew": "even", "epochs": 10},
        "Own starts": {"skew": "even", "epochs": 10, "start": "own", "seed": 1},
        "2 clients a round": {"participants": 2},
    }
    handles = ("skew", "participants", "epochs")

    def instant(self, state: State) -> Frame:
        counts = holdings(state.skew, state.seed)
        message = f"A client makes {_steps(state):.0f} steps a round on average."
        return Frame({Holdings: Holdings.Data(counts, SKEWS[state.skew])}, message)

    def run(self, state: State) -> Iterator[Frame]:
        view: Plane | None = None
        path = [[0.0, 0.0]]
        tips = []
        average = []
        clients = []
        rows = []
        gaps = []
        for seen in watch(experiment(state), method(state), self.stopping):
            view = view or plane(seen)
            path.append(view.places(seen.after)[0].tolist())
            tips.append(view.places(seen.clients).tolist())
            average.append(seen.record.accuracy)
            clients.append(member_accuracy(seen.clients))
            scatter, moved = distances(seen)
            gaps.append(scatter)
            rows.append(_row(seen, clients[-1], scatter, moved))
            pictures: dict[Any, Any] = {
                ClientDrift: ClientDrift.Data(list(path), list(tips), state.start == "own", list(gaps), moved),
                Progress: Progress.Data(list(average), list(clients)),
            }
            message = f"The average of round {seen.record.index} reaches {average[-1]:.1%}, its best client {max(clients[-1]):.1%}."
            yield Frame(pictures, message, list(rows), seen.record.index / ROUNDS)

    @classmethod
    def experiment(cls, state: State) -> Experiment:
        return experiment(state)

    def seconds(self, state: State) -> float:
        counts = holdings(state.skew, state.seed).sum(axis=1)
        return 0.3 + 0.0011 * ROUNDS * state.epochs * float(np.ceil(counts.max() / SHARED["batch_size"]))

    def megabytes(self, state: State) -> float:
        return 2 * ROUNDS * state.participants * 4 * 4810 / 1e6


def experiment(state: State) -> Experiment:
    """The federation that a state describes."""
    split: dict[str, Any] = {"partition": "iid"}
    if state.skew != "even":
        split = {"partition": "dirichlet", "split": {"alpha": float(state.skew)}}
    shared: dict[str, Any] = {**SHARED, **split}
    return Experiment(
        method="fedavg", rounds=ROUNDS, epochs=state.epochs, participants=state.participants, seed=state.seed, **shared
    )


def method(state: State) -> Watched:
    """How a state starts and averages."""
    return Watched(own_start=state.start == "own", equal=state.averaging == "equal")


@lru_cache(maxsize=64)
def holdings(skew: str, seed: int) -> np.ndarray:
    """How many images of each digit each client holds, int [clients, digits]."""
    digits = data.load("digits")
    e = experiment(State(skew=skew, seed=seed))
    return partition.label_counts(digits, partition.split(e.partition, digits, CLIENTS, seed, **dict(e.split)))


def _steps(state: State) -> float:
    counts = holdings(state.skew, state.seed).sum(axis=1)
    return state.epochs * float(np.ceil(counts / SHARED["batch_size"]).mean())


def _row(seen: Seen, clients: list[float], scatter: float, moved: float) -> dict[str, float]:
    """One line of the CSV file."""
    return {
        "round": seen.record.index,
        "accuracy": seen.record.accuracy,
        "clients_mean": float(np.mean(clients)),
        "clients_best": max(clients),
        "scatter": scatter,
        "moved": moved,
        "bytes_up": seen.record.bytes_up,
        "bytes_down": seen.record.bytes_down,
    }
