"""Bits dealt layer by layer or fixed, watched on digits: what every device's layers are given, move and send.

The network is the ResNet-8 of :mod:`fqlab.studies.weak_clients`, small enough here to be trained while one waits.
``python -m fqlab.studies.dealing`` stores what three seeds give.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np

from fqlab.federation import Experiment, Federation, Round
from fqlab.federation.engines.crew import one_thread
from fqlab.files import atomic_write
from fqlab.methods import ReceivedUpdate, Server
from fqlab.methods.aqfl import sent_widths
from fqlab.methods.fedmpq_plus import FedMPQPlus
from fqlab.models.statistics import with_fresh_statistics
from fqlab.studies.weak_clients import BUDGETS
from fqlab.training.sgd import accuracy

__all__ = [
    "CLIENTS", "FIXED", "ROUNDS", "SEEDS", "SIZES", "UPDATES", "Outcome", "Step", "Watched", "experiment", "gainer", "gains",
    "measure", "moved_at_2", "outcomes", "store", "watch",
]  # fmt: skip

CLIENTS, ROUNDS, SEEDS = 10, 6, 3
FIXED = {"pruning": False, "growing": False}
"""Options that make AQFL of FedMPQ: every layer at its device's budget."""
UPDATES = ("integer", "latent", "frozen")
SIZES = (144, 2304, 2304, 4608, 9216, 18432, 36864, 640)
"""Weights of the quantized layers."""
STATISTICS = 300
"""Training images that BatchNorm statistics of a device's own model are taken from."""
STORE = Path(__file__).parent / "points" / "dealing.json"

Table = tuple[tuple[int, ...], ...]
"""Widths ``[clients][layers]``."""


@dataclass(frozen=True)
class Watched(FedMPQPlus):
    """FedMPQ that also reports the widths of every upload, as ``sent/CLIENT/LAYER``."""

    def report(self, server: Server, updates: list[ReceivedUpdate]) -> dict[str, float]:
        sent = {f"sent/{u.client}/{k}": float(bits) for u in updates for k, bits in enumerate(sent_widths(server, u))}
        return super().report(server, updates) | sent


@dataclass(frozen=True)
class Step:
    """One round, seen layer by layer.

    Attributes:
        record: the round.
        given: widths that devices trained at.
        moved: share of the weights whose code changed, ``[clients][layers]``.
        sent: widths after pruning.
        dealt: widths for the next round.
        samples: of every device.
        own: accuracy of every device's own model on all test images, BatchNorm statistics taken anew.
    """

    record: Round
    given: Table
    moved: tuple[tuple[float, ...], ...]
    sent: Table
    dealt: Table
    samples: tuple[int, ...]
    own: tuple[float, ...]


def experiment(options: dict[str, object], *, rounds: int = ROUNDS, seed: int = 0) -> Experiment:
    """Ten devices with digits dealt by label (Dirichlet, α = 0.5), two local epochs a round."""
    return Experiment(
        method="fedmpq_plus",
        options=options,
        model="resnet8",
        partition="dirichlet_capped",
        split={"alpha": 0.5},
        clients=CLIENTS,
        rounds=rounds,
        epochs=2,
        batch_size=32,
        lr=0.1,
        momentum=0.9,
        seed=seed,
        engine="threads",
    )


def watch(wanted: Experiment, cancelled: Callable[[], bool] = lambda: False) -> Iterator[Step]:
    """The rounds of an :func:`experiment`, one after the other; they end early once it is cancelled."""
    method = Watched(**dict(wanted.options))
    federation = Federation(wanted, method=method, cancelled=cancelled)
    while len(federation.rounds) < wanted.rounds:
        given = _table(federation)
        record = federation.step()
        if record is None:
            return
        layers = range(len(given[0]))
        sent = tuple(tuple(int(record.extras[f"sent/{n}/{k}"]) for k in layers) for n in range(CLIENTS))
        moved = tuple(zip(*record.moved.values(), strict=True))
        yield Step(record, given, moved, sent, _table(federation), federation.server.samples, _own(federation))


def _table(federation: Federation) -> Table:
    return tuple(map(tuple, federation.server.state.bits.tolist()))


def _own(federation: Federation) -> tuple[float, ...]:
    """Accuracy of every device's own model; devices with the same widths have the same model."""
    simulation = federation.simulation
    data = simulation.dataset
    known: dict[tuple[int, ...], float] = {}
    with one_thread():
        for n, widths in enumerate(_table(federation)):
            if widths not in known:
                own = federation.method.personalized(federation.server, n, None)
                own = with_fresh_statistics(simulation.model, own, data.train_x[:STATISTICS])
                known[widths] = accuracy(simulation.model, own, data.test_x, data.test_y)
    return tuple(known[widths] for widths in _table(federation))


@dataclass(frozen=True)
class Outcome:
    """What a run ends with: accuracy of the average and of every device's own model, and moved shares of the last round.

    ``moved`` is by device, over the weights of all layers.
    """

    update: str
    dealt: bool
    seed: int
    accuracy: float
    own: tuple[float, ...]
    moved: tuple[float, ...]


def measure(update: str, dealt: bool, seed: int) -> Outcome:
    """Run FedMPQ (``dealt``) or AQFL to its end."""
    options = {"budgets": BUDGETS, "update": update, **({} if dealt else FIXED)}
    *_, last = watch(experiment(options, seed=seed))
    moved = np.array(last.moved) @ np.array(SIZES) / sum(SIZES)
    rounded = [tuple(round(float(v), 4) for v in values) for values in (last.own, moved)]
    return Outcome(update, dealt, seed, round(last.record.accuracy, 4), *rounded)


@cache
def outcomes() -> tuple[Outcome, ...]:
    """The stored ones."""
    rows = json.loads(STORE.read_text(encoding="utf-8"))
    return tuple(Outcome(**{**row, "own": tuple(row["own"]), "moved": tuple(row["moved"])}) for row in rows)


def gains(update: str) -> np.ndarray:
    """Points that dealing gains each device's own model: ``[seeds, clients]``, as stored."""
    rows = {(o.dealt, o.seed): np.array(o.own) for o in outcomes() if o.update == update}
    return 100 * np.array([rows[True, seed] - rows[False, seed] for seed in range(SEEDS)])


def gainer() -> float:
    """Budget of the device whose own model gains most, mean over the stored seeds."""
    mean = gains("integer").mean(0)
    return float(BUDGETS.split("-")[int(mean.argmax())])


def moved_at_2() -> float:
    """Percent of a 2-bit device's weights that a local round changes at fixed widths, mean over the stored seeds."""
    return 100 * float(np.mean([o.moved[0] for o in outcomes() if o.update == "integer" and not o.dealt]))


def store() -> None:
    """Run what is missing; each outcome is written as soon as it is there."""
    kept = {(o.update, o.dealt, o.seed): o for o in (outcomes() if STORE.exists() else ())}
    for update in UPDATES:
        for seed in range(SEEDS):
            for dealt in (False, True):
                if (update, dealt, seed) not in kept:
                    kept[update, dealt, seed] = measure(update, dealt, seed)
                    print(kept[update, dealt, seed], file=sys.stderr, flush=True)
                    rows = ",\n".join(json.dumps(asdict(o)) for o in kept.values())
                    atomic_write(STORE, f"[\n{rows}\n]\n".encode())


if __name__ == "__main__":
    store()
