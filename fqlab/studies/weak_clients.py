"""Who can still train: FedMPQ beside AQFL with three ways of training few bits, at a size for one machine.

Fashion-MNIST averaged down to 14 x 14, ResNet-8, ten devices with budgets of 2 to 8 bits. Every curve is stored, so
that lessons and claims read what takes an hour to run: ``python -m fqlab.studies.weak_clients`` runs those that are
missing, one after the other, and writes each as soon as it is there; names of a setting, an update or a seed narrow
that down.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any

from fqlab.federation import Experiment, Federation
from fqlab.federation.engines.crew import one_thread
from fqlab.files import atomic_write
from fqlab.models.statistics import with_fresh_statistics
from fqlab.tensors import Weights
from fqlab.training.sgd import accuracy

__all__ = [
    "BUDGETS", "METHODS", "OVER", "SEEDS", "SETTINGS", "STORE", "UPDATES", "Curve", "Key", "curve", "curves", "experiment",
    "measure", "refreshed", "store", "stored", "wanted",
]  # fmt: skip

BUDGETS = "2-2-4-4-4-6-6-6-8-8"
METHODS = ("aqfl", "fedmpq")
OVER = "fqlab.studies.over_budget:OverBudget"
"""FedMPQ that may pass a budget, run for the comparison alone."""
UPDATES = ("integer", "latent", "frozen")
SEEDS = (10, 11, 12, 13)
"""None of them was looked at before the criteria were written."""
SETTINGS: dict[str, dict[str, Any]] = {
    "unequal": {"alpha": 0.5, "budgets": BUDGETS, "rounds": 8},
    "long": {"alpha": 0.5, "budgets": BUDGETS, "rounds": 24},
    "skewed": {"alpha": 0.1, "budgets": BUDGETS, "rounds": 8},
    "all 2": {"alpha": 0.5, "budgets": "2", "rounds": 8},
    "all 8": {"alpha": 0.5, "budgets": "8", "rounds": 8},
}
"""The devices and their labels; the first is the comparison, the others say when it is there."""
RUNS = {
    ("unequal", "integer"): 4, ("unequal", "frozen"): 4, ("unequal", "latent"): 4, ("all 2", "integer"): 3,
    ("skewed", "integer"): 3, ("long", "integer"): 3,
}  # fmt: skip
"""Setting and update -> seeds; the most telling first."""
STORE = Path(__file__).parent / "points" / "weak_clients.json"
WEAKEST = 0
"""The client whose own model is measured: 2 bits a weight."""
LAYERS = ("stem", "1 a", "1 b", "2 a", "2 b", "3 a", "3 b", "output")
"""The quantized layers of ResNet-8: two convolutions in each of three stages; 1x1 shortcuts have no codes."""

Key = tuple[str, str, str, int]
"""Setting, method, update, seed."""


@dataclass(frozen=True)
class Curve:
    """One run, a number a round.

    Attributes:
        setting, method, update, seed: which run.
        accuracy: of the float average on the test images, in evaluation mode.
        refreshed: the same with BatchNorm statistics taken anew on 1 000 training images, nearer to what the public
            code reports, where a test batch is normalised by itself.
        weakest: of the 2-bit client's own model: the average at that client's widths, statistics taken anew.
        own: of every client's own model after the last round.
        widths: of every client's layers in the last round, ``[clients][layers]``.
        moved: share of their weights whose code that local round changed, in the same shape.
        began: UTC time of the start.
        seconds: of the whole run.
    """

    setting: str
    method: str
    update: str
    seed: int
    accuracy: tuple[float, ...]
    refreshed: tuple[float, ...]
    weakest: tuple[float, ...]
    own: tuple[float, ...]
    widths: tuple[tuple[int, ...], ...]
    moved: tuple[tuple[float, ...], ...]
    began: str
    seconds: float


def experiment(setting: str, method: str, update: str, seed: int) -> Experiment:
    """The federation of a curve; momentum, λ and ε are those of FedMPQ's public code, the rest is cut down."""
    of = SETTINGS[setting]
    return Experiment(
        method=method,
        options={"budgets": of["budgets"], "update": update},
        dataset="fashion_mnist",
        reduce={"side": 14, "train": 4000, "test": 1000},
        model="resnet8",
        partition="dirichlet_capped",
        split={"alpha": of["alpha"]},
        clients=10,
        rounds=of["rounds"],
        epochs=2,
        batch_size=32,
        drop_last=True,
        lr=0.1,
        momentum=0.9,
        seed=seed,
        engine="threads",
        evaluate_every=of["rounds"],
    )


def measure(setting: str, method: str, update: str, seed: int) -> Curve:
    """Run one curve."""
    began = datetime.now(timezone.utc)
    clock = time.perf_counter()
    federation = Federation(experiment(setting, method, update, seed))
    series: dict[str, list[float]] = {"accuracy": [], "refreshed": [], "weakest": []}
    widths: list[list[int]] = []
    moved: dict[str, tuple[float, ...]] = {}
    while len(federation.rounds) < federation.experiment.rounds:
        widths = federation.server.state.bits.tolist()
        record = federation.step()
        moved = record.moved if record else {}
        for kind, value in _accuracies(federation).items():
            series[kind].append(round(value, 4))
    rows = {kind: tuple(values) for kind, values in series.items()}
    shares = tuple(tuple(round(share, 4) for share in row) for row in zip(*moved.values(), strict=True))
    seconds = round(time.perf_counter() - clock, 1)
    return Curve(
        setting, method, update, seed, **rows, own=_own(federation), widths=tuple(map(tuple, widths)), moved=shares,
        began=began.isoformat(timespec="seconds"), seconds=seconds,
    )  # fmt: skip


def _accuracies(federation: Federation) -> dict[str, float]:
    """Of the average, in evaluation mode and with fresh statistics, and of the weakest client's own model."""
    data = federation.simulation.dataset
    average = federation.server.weights
    with one_thread():
        weights = federation.method.personalized(federation.server, WEAKEST, None)
        plain = accuracy(federation.simulation.model, average, data.test_x, data.test_y)
    return {"accuracy": plain, "refreshed": refreshed(federation, average), "weakest": refreshed(federation, weights)}


def refreshed(federation: Federation, weights: Weights) -> float:
    """Accuracy on all test images, BatchNorm statistics taken anew."""
    model = federation.simulation.model
    data = federation.simulation.dataset
    with one_thread():
        return accuracy(model, with_fresh_statistics(model, weights, data.train_x[:1000]), data.test_x, data.test_y)


def _own(federation: Federation) -> tuple[float, ...]:
    """Accuracy of every client's own model; clients with the same widths have the same."""
    tables: dict[tuple[int, ...], float] = {}
    clients = [tuple(widths) for widths in federation.server.state.bits.tolist()]
    for n, widths in enumerate(clients):
        if widths not in tables:
            tables[widths] = round(refreshed(federation, federation.method.personalized(federation.server, n, None)), 4)
    return tuple(tables[widths] for widths in clients)


def stored() -> dict[Key, Curve]:
    """The curves that have been run."""
    if not STORE.exists():
        return {}
    rows = json.loads(STORE.read_text(encoding="utf-8"))["curves"]
    return {_key(curve): curve for curve in (Curve(**{name: _tuple(v) for name, v in row.items()}) for row in rows)}


def _key(curve: Curve) -> Key:
    return curve.setting, curve.method, curve.update, curve.seed


def _tuple(value: Any) -> Any:
    return tuple(map(_tuple, value)) if isinstance(value, list) else value


def wanted() -> Iterator[Key]:
    """Every curve of the study, the comparison of the paper first."""
    for (setting, update), count in RUNS.items():
        yield from ((setting, method, update, seed) for seed in SEEDS[:count] for method in METHODS)
    yield from (("unequal", OVER, "integer", seed) for seed in SEEDS)
    yield from (("all 8", "aqfl", "integer", seed) for seed in SEEDS)  # the public code's FP8


def curves(setting: str, method: str, update: str) -> tuple[Curve, ...]:
    """The stored curves of an arm, by seed."""
    return tuple(curve for key, curve in sorted(stored().items()) if key[:3] == (setting, method, update))


@cache
def curve(setting: str, method: str, update: str, seed: int) -> Curve:
    """One curve: the stored one, or where there is none, a run of it."""
    seen = stored().get((setting, method, update, seed))
    return seen or measure(setting, method, update, seed)


def store(only: tuple[str, ...] = ()) -> None:
    """Run what is missing; each curve is written as soon as it is there."""
    for key in wanted():
        if key in stored() or not set(only) <= set(map(str, key)):
            continue
        seen = measure(*key)
        kept = stored() | {key: seen}  # another process may have written meanwhile
        print(seen, file=sys.stderr, flush=True)
        rows = ",\n".join(json.dumps(asdict(kept[k])) for k in wanted() if k in kept)
        STORE.parent.mkdir(exist_ok=True)
        atomic_write(STORE, f'{{"about": "see fqlab/studies/weak_clients.py", "curves": [\n{rows}\n]}}\n'.encode())


if __name__ == "__main__":
    store(tuple(sys.argv[1:]))
