"""Bits dealt layer by layer or fixed, watched on digits: what every device's layers are given, move and send.

The network is the ResNet-8 of :mod:`fqlab.studies.weak_clients`, small enough here to be trained while one waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from fqlab.federation import Experiment, Federation, Round
from fqlab.federation.engines.crew import one_thread
from fqlab.methods import ReceivedUpdate, Server
from fqlab.methods.aqfl import sent_widths
from fqlab.methods.fedmpq_plus import FedMPQPlus
from fqlab.models.statistics import with_fresh_statistics
from fqlab.training.sgd import accuracy

__all__ = ["CLIENTS", "FIXED", "ROUNDS", "SIZES", "Step", "Table", "Watched", "experiment", "watch"]

CLIENTS, ROUNDS = 10, 6
FIXED = {"pruning": False, "growing": False}
"""Options that make AQFL of FedMPQ: every layer at its device's budget."""
SIZES = (144, 2304, 2304, 4608, 9216, 18432, 36864, 640)
"""Weights of the quantized layers."""
STATISTICS = 300
"""Training images that BatchNorm statistics of a device's own model are taken from."""

Table = tuple[tuple[int, ...], ...]
"""Widths ``[clients][layers]``."""


@dataclass(frozen=True)
class Watched(FedMPQPlus):
    """FedMPQ that also reports the widths of every upload, as ``sent/CLIENT/LAYER``."""

    def report(self, server: Server, updates: Sequence[ReceivedUpdate]) -> dict[str, float]:
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
    tables: dict[tuple[int, ...], float] = {}
    with one_thread():
        for n, widths in enumerate(_table(federation)):
            if widths not in tables:
                weights = federation.method.personalized(federation.server, n, None)
                weights = with_fresh_statistics(simulation.model, weights, data.train_x[:STATISTICS])
                tables[widths] = accuracy(simulation.model, weights, data.test_x, data.test_y)
    return tuple(tables[widths] for widths in _table(federation))
