"""Who can still train: FedMPQ beside AQFL with three ways of training few bits, at a size for one machine.

Fashion-MNIST averaged down to 14 x 14, ResNet-8, ten devices with budgets of 2 to 8 bits. Every curve is stored, so
that lessons and claims read what takes half an hour to run: ``python -m fqlab.studies.weak_clients`` runs those that
are missing, one after the other, and writes each as soon as it is there.
"""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from fqlab.federation import Experiment, Federation
from fqlab.federation.engines.serial import one_thread
from fqlab.files import atomic_write
from fqlab.models.statistics import with_fresh_statistics
from fqlab.training.sgd import accuracy

__all__ = [
    "BUDGETS", "Curve", "METHODS", "SEEDS", "STORE", "UPDATES", "curves", "experiment", "frozen_gain", "gain",
    "integer_gain", "integer_own_gain", "latent_gain", "measure", "moved_at_2", "moved_at_8", "stored",
]  # fmt: skip

BUDGETS = "2-2-4-4-4-6-6-6-8-8"
METHODS = ("aqfl", "fedmpq")
UPDATES = ("integer", "latent", "frozen")
SEEDS = (0, 1, 2, 3)
ROUNDS = 8
STORE = Path(__file__).parent / "points" / "weak_clients.json"
WEAKEST = 0
"""The client whose own model is measured: 2 bits a weight."""


@dataclass(frozen=True)
class Curve:
    """One run, a number a round.

    Attributes:
        method, update, seed: which run.
        accuracy: of the float average on the test images, in evaluation mode.
        weakest: of the 2-bit client's own model on the same images: the average at that client's widths, BatchNorm
            statistics taken anew on all training images.
        moved: bits -> share of the weights of that width whose code a local round changed; in the last round.
        bits: widths of every client's layers after the last round.
        seconds: of the whole run.
    """

    method: str
    update: str
    seed: int
    accuracy: tuple[float, ...]
    weakest: tuple[float, ...]
    moved: dict[str, float]
    bits: tuple[tuple[int, ...], ...]
    seconds: float


def experiment(method: str, update: str, seed: int) -> Experiment:
    """The federation of a curve; momentum, λ and ε are those of FedMPQ's public code, the rest is cut down."""
    return Experiment(
        method=method,
        options={"budgets": BUDGETS, "update": update},
        dataset="fashion_mnist",
        reduce={"side": 14, "train": 4000, "test": 1000},
        model="resnet8",
        partition="dirichlet_capped",
        split={"alpha": 0.5},
        clients=10,
        rounds=ROUNDS,
        epochs=2,
        batch_size=32,
        drop_last=True,
        lr=0.1,
        momentum=0.9,
        seed=seed,
        engine="threads",
        evaluate_every=ROUNDS,
    )


def measure(method: str, update: str, seed: int) -> Curve:
    """Run one curve."""
    federation = Federation(experiment(method, update, seed))
    data = federation.simulation.dataset
    averages: list[float] = []
    weakest: list[float] = []
    began = time.perf_counter()
    given = federation.server.state.bits
    record = None
    while len(federation.rounds) < federation.experiment.rounds:
        given = federation.server.state.bits
        record = federation.step()
        with one_thread():
            average = accuracy(federation.simulation.model, federation.server.weights, data.test_x, data.test_y)
            averages.append(round(average, 4))
            weakest.append(round(_own_accuracy(federation), 4))
    bits = tuple(tuple(row) for row in federation.server.state.bits.tolist())
    moved = _moved(record.moved if record else {}, given.T.tolist(), federation)
    seconds = round(time.perf_counter() - began, 1)
    return Curve(method, update, seed, tuple(averages), tuple(weakest), moved, bits, seconds)


def _own_accuracy(federation: Federation) -> float:
    """Of the weakest client's own model on all test images."""
    simulation = federation.simulation
    data = federation.simulation.dataset
    weights = federation.method.personalized(federation.server, WEAKEST, None)
    weights = with_fresh_statistics(simulation.model, weights, data.train_x)
    return accuracy(simulation.model, weights, data.test_x, data.test_y)


def _moved(shares: dict[str, tuple[float, ...]], widths: list[list[int]], federation: Federation) -> dict[str, float]:
    """Share of weights moved by width, over layers and clients; ``widths`` of every layer's clients."""
    moved: dict[int, float] = defaultdict(float)
    weights: dict[int, int] = defaultdict(int)
    for (name, by_client), row in zip(shares.items(), widths, strict=True):
        size = federation.simulation.spec.numel[name]
        for share, bits in zip(by_client, row, strict=True):
            moved[bits] += size * share
            weights[bits] += size
    return {str(bits): round(moved[bits] / weights[bits], 5) for bits in sorted(weights)}


def stored() -> dict[tuple[str, str, int], Curve]:
    """The curves that have been run: ``(method, update, seed)`` -> curve."""
    if not STORE.exists():
        return {}
    curves_by_arm: dict[tuple[str, str, int], Curve] = {}
    for row in json.loads(STORE.read_text(encoding="utf-8"))["curves"]:
        lists = {key: tuple(row[key]) for key in ("accuracy", "weakest")}
        curve = Curve(**{**row, **lists, "bits": tuple(map(tuple, row["bits"]))})
        curves_by_arm[curve.method, curve.update, curve.seed] = curve
    return curves_by_arm


def wanted() -> Iterator[tuple[str, str, int]]:
    """Every curve of the study, the comparison of the paper first."""
    return ((method, update, seed) for update in UPDATES for seed in SEEDS for method in METHODS)


@cache
def curves(method: str, update: str) -> tuple[Curve, ...]:
    """The stored curves of an arm, by seed."""
    return tuple(curve for key, curve in sorted(stored().items()) if key[:2] == (method, update))


@cache
def curve(method: str, update: str, seed: int) -> Curve:
    """One run, at most once in a process."""
    return measure(method, update, seed)


def gain(update: str, seed: int, kind: str = "accuracy") -> float:
    """FedMPQ minus AQFL after the last round, in points.

    Args:
        kind: ``"accuracy"`` of the average or ``"weakest"``, the 2-bit client's own model.
    """
    last = {method: getattr(curve(method, update, seed), kind)[-1] for method in METHODS}
    return 100 * (last["fedmpq"] - last["aqfl"])


def integer_gain(seed: int, scale: str) -> float:
    """Points that the average gains with the public code's update."""
    return gain("integer", seed)


def integer_own_gain(seed: int, scale: str) -> float:
    """Points that a 2-bit client's own model gains with the public code's update."""
    return gain("integer", seed, "weakest")


def latent_gain(seed: int, scale: str) -> float:
    """Points that the average gains where planes keep fractions."""
    return gain("latent", seed)


def frozen_gain(seed: int, scale: str) -> float:
    """Points that the average gains where no code moves."""
    return gain("frozen", seed)


def moved_at_2(seed: int, scale: str) -> float:
    """Percent of the 2-bit weights of AQFL whose code the last local round changed."""
    return 100 * curve("aqfl", "integer", seed).moved["2"]


def moved_at_8(seed: int, scale: str) -> float:
    """The same of 8 bits."""
    return 100 * curve("aqfl", "integer", seed).moved["8"]


def store() -> None:
    """Run what is missing; each curve is written as soon as it is there."""
    for key in wanted():
        kept = stored()
        if key in kept:
            continue
        kept[key] = measure(*key)
        print(kept[key], file=sys.stderr, flush=True)
        rows = ",\n".join(json.dumps(asdict(kept[k])) for k in wanted() if k in kept)
        STORE.parent.mkdir(exist_ok=True)
        atomic_write(STORE, f'{{"about": "see fqlab/studies/weak_clients.py", "curves": [\n{rows}\n]}}\n'.encode())


if __name__ == "__main__":
    store()
