"""One model, any chip: training for quantization that happens later, and what each deployed width makes of it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from fqlab import methods
from fqlab.federation import Experiment, Federation, History
from fqlab.federation.deployment import deploy, robustness
from fqlab.panels.frame import Frame, Panel, Settings, control
from fqlab.panels.lru import LRUCache
from fqlab.plots.robustness import CHIPS, Deployed, KurtosisPath, Shape
from fqlab.tensors import Weights
from fqlab.training.objectives import kurtosis

__all__ = ["Robustness", "State", "Trained", "experiment", "train"]

ROUNDS = 20
CLIENTS = 10
METHODS = {
    "fedavg": "FedAvg",
    "kure": "KURE: kurtosis term",
    "apqn": "APQN: noise",
    "qat": "QAT: one width",
    "mqat": "MQAT: many widths",
}
RANGES = {"max_abs": "largest weight", "mse": "least squared error"}


def _rounds_in_training(state: Any) -> bool:
    return state.method in ("apqn", "qat", "mqat")


@dataclass(frozen=True)
class State(Settings):
    """Everything the pictures depend on."""

    method: str = control("kure", label="Method", group="Training", choices=METHODS)
    penalty: float = control(
        0.1,
        label="Kurtosis term λ",
        low=0.0,
        high=1.0,
        step=0.05,
        when=lambda s: s.method == "kure",
        help="λ times the mean over layers of (kurtosis − target)²; needs no data",
    )
    target: float = control(
        1.8,
        label="Target kurtosis",
        low=1.8,
        high=6.0,
        step=0.2,
        mark=1.8,
        mark_label="uniform",
        when=lambda s: s.method == "kure",
    )
    bits: int = control(
        2, label="Trained at", unit="bit", low=2, high=8, when=lambda s: s.method in ("apqn", "qat"),
        help="MQAT draws 2, 3, 4, 6 or 8 bit anew at every step",
    )  # fmt: skip
    trained: str = control("max_abs", label="Range in training", choices=RANGES, when=_rounds_in_training)
    split: str = control(
        "even", label="Labels", choices={"even": "dealt evenly", "skewed": "skewed, α = 0.3"},
        help="how the ten digits are dealt to the ten clients; α is Dirichlet's concentration",
    )  # fmt: skip
    chip: int = control(2, label="Bits of the chip", unit="bit", low=2, high=8, group="Deployment")
    range_rule: str = control(
        "max_abs", label="Range on the chip", choices=RANGES, help="where the grid ends: QAT wants the one of training"
    )
    seed: int = control(0, label="Seed", low=0, high=999, box=True, group="Run")


@dataclass(frozen=True)
class Trained:
    """A finished run: final weights with their experiment, and kurtosis by layer after 0, 1, ... rounds."""

    history: History
    curves: dict[str, tuple[float, ...]]


class Robustness(Panel):
    """Train once, deploy at every width."""

    name, title = "robustness", "Robust training: one model, any chip"
    State = State
    rows = ((Deployed,), (Shape, KurtosisPath))
    presets = {
        "FedAvg": {"method": "fedavg"},
        "KURE": {"method": "kure"},
        "FedAvg, MSE range": {"method": "fedavg", "range_rule": "mse"},
        "KURE, MSE range": {"range_rule": "mse"},
        "QAT at 2 bit": {"method": "qat", "trained": "mse", "range_rule": "mse", "chip": 8},
        "Wrong range": {"method": "qat", "trained": "mse"},
        "MQAT": {"method": "mqat", "trained": "mse", "range_rule": "mse"},
    }
    handles = ("penalty", "chip", "range_rule")
    trains = "default"

    def instant(self, state: State) -> Frame:
        trained, plain = _seen(experiment(state)), _seen(experiment(_plain(state)))
        if trained is not None and plain is not None:
            return _frame(state, trained, plain)
        return Frame({} if self.gallery.views else {Deployed: None, Shape: None, KurtosisPath: None})

    def run(self, state: State) -> Iterator[Frame]:
        pair = []
        seen = _seen(experiment(state)) is not None
        for k, wanted in enumerate((_plain(state), state)):
            for done in train(experiment(wanted), self.stopping):
                if isinstance(done, Trained):
                    pair.append(done)
                else:
                    yield Frame({}, "Training.", progress=(k + done) / 2)
        if len(pair) == 2:
            frame = _frame(state, pair[1], pair[0])
            yield replace(frame, message="") if seen else frame

    @classmethod
    def experiment(cls, state: State) -> Experiment:
        return experiment(state)

    @classmethod
    def training(cls, state: State) -> Hashable:
        return experiment(state).to_toml()

    def seconds(self, state: State) -> float:
        if _seen(experiment(state)) is not None:
            return 0.1
        return {"fedavg": 0.6, "kure": 0.9}.get(state.method, 3.0 if state.trained == "mse" else 1.2)

    def megabytes(self, state: State) -> float:
        return 2 * ROUNDS * CLIENTS * 4 * 4810 / 1e6


def experiment(state: State) -> Experiment:
    """The federation that a state trains; the chip has no part in it."""
    skew = {"partition": "dirichlet", "split": {"alpha": 0.3}} if state.split == "skewed" else {}
    shared = dict(lr=0.3, batch_size=32, rounds=ROUNDS, clients=CLIENTS, evaluate_every=ROUNDS, seed=state.seed, **skew)
    if state.method == "fedavg":
        return Experiment(engine="vectorized", **shared)
    options: dict[str, Any] = {"variant": state.method}
    if state.method == "kure":
        options |= {"penalty": state.penalty, "target": state.target}
    else:
        options |= {"range_rule": state.trained}
        options |= {} if state.method == "mqat" else {"bits": state.bits}
    return Experiment(method="robust", engine="vectorized", options=methods.acting("robust", options), **shared)


def _plain(state: State) -> State:
    return State(split=state.split, seed=state.seed, method="fedavg")


_MODELS: LRUCache[str, Trained] = LRUCache(40)
"""The last runs, by their experiment as text: the chip's controls then answer at once."""


def _seen(wanted: Experiment) -> Trained | None:
    return _MODELS.get(wanted.to_toml())


def train(wanted: Experiment, stopping: Callable[[], bool] = lambda: False) -> Iterator[float | Trained]:
    """Yield the share that is done after every round, and at last the result; nothing more once it is stopped."""
    if (result := _seen(wanted)) is not None:
        yield result
        return
    federation = Federation(wanted, cancelled=stopping)
    layers = federation.simulation.spec.quantizable
    path = [_kurtoses(federation.server.weights, layers)]
    for record in federation:
        path.append(_kurtoses(federation.server.weights, layers))
        yield record.index / wanted.rounds
    if len(path) > wanted.rounds:
        curves = {name: tuple(p[k] for p in path) for k, name in enumerate(layers)}
        _MODELS[wanted.to_toml()] = result = Trained(federation.history(), curves)
        yield result


def _kurtoses(weights: Weights, layers: tuple[str, ...]) -> tuple[float, ...]:
    return tuple(float(kurtosis(weights[name])) for name in layers)


_ANSWERS: LRUCache[tuple[str, str], dict[int, float]] = LRUCache(128)


def _answers(trained: Trained, range_rule: str) -> dict[int, float]:
    """Accuracy of a run by deployed width."""
    key = (trained.history.experiment.to_toml(), range_rule)
    answers = _ANSWERS.get(key)
    if answers is None:
        _ANSWERS[key] = answers = robustness(trained.history, CHIPS, range_rule)
    return answers


def _frame(state: State, trained: Trained, plain: Trained) -> Frame:
    now, before = (_answers(t, state.range_rule) for t in (trained, plain))
    about: dict[str, Any] = {"method": state.method, "bits": state.bits, "chip": state.chip}
    answer = Deployed.Data(accuracy=list(now.values()), fedavg=list(before.values()), **about)
    shape = _shape(state, trained.history.weights, next(iter(trained.curves)))
    path = KurtosisPath.Data(curves=trained.curves, fedavg=plain.curves, target=state.target, **about)
    rows = [
        {"deployed_bits": b, "accuracy": now[b], "accuracy_fedavg": before[b], "range_rule": state.range_rule}
        for b in CHIPS
    ]
    message = f"Full precision {now[32]:.1%}; rounded to {state.chip} bit {now[state.chip]:.1%}."
    return Frame({Deployed: answer, Shape: shape, KurtosisPath: path}, message, rows)


def _shape(state: State, weights: Weights, layer: str) -> Shape.Data:
    """Histogram of the largest layer in units of its largest weight, and the share of weights on each level."""
    w = weights[layer]
    largest = float(w.abs().max())
    rounded = deploy(weights, [layer], state.chip, state.range_rule)[layer]
    levels, counts = torch.unique(rounded / largest, return_counts=True)
    bars, edges = np.histogram((w / largest).numpy(), bins=60, range=(-1, 1))
    return Shape.Data(
        histogram=(bars / bars.max(), edges),
        levels=levels.tolist(),
        grid=2**state.chip,
        shares=(counts / w.numel()).tolist(),
        zeros=float((rounded == 0).float().mean()),
        kurtosis=float(kurtosis(w)),
    )
