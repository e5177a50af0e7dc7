"""Every system in many settings on digits: accuracy against bytes. ``python -m fqlab.studies.frontier`` stores it.

Ten clients, thirty rounds, two ways to deal the labels. A setting is kept at several rounds, because stopping early is
a setting too; bytes are those of packets on the wire, added up over clients and rounds.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from fqlab.federation import Experiment, Federation

__all__ = [
    "COSTS", "FAMILIES", "LABELS", "Point", "SETTINGS", "cheapest", "experiment", "front", "measure", "names", "points", "store", "trace",
]  # fmt: skip

STORE = Path(__file__).parent / "points" / "frontier.json"
STOPS = (2, 5, 10, 20, 30)
SEEDS = (0, 1, 2)
LABELS = {"even": ("iid", {}), "two": ("n_class", {"classes_per_client": 2, "samples_per_class": 60})}
COSTS = ("up", "up_coded", "both", "both_coded")
"""Bytes up, or up and down; as sent, or entropy coded."""
FAMILIES = {
    "fedavg": "FedAvg",
    "clipped": "clipped",
    "both": "clipped both ways",
    "aqfl": "AQFL",
    "fedmpq": "FedMPQ",
    "bsq": "BSQ",
    "fedpaq": "FedPAQ",
    "uveqfed": "UVeQFed",
    "eden": "EDEN",
    "sign": "sign, majority",
    "lottery": "LotteryFL",
    "lg_fedavg": "LG-FedAvg",
    "standalone": "standalone",
}

_QUIET = {"rounding": "stochastic", "averaging": "size", "qat": False}
_LATENT = {"update": "latent"}
"""Without norms the network of the digits does not train by FedMPQ's integer update."""
_METHODS = {"both": "clipped", "fedmpq": "fedmpq_plus"}
"""Families that are not called as their method is."""
_DIFFERENCES = {"downlink": True, "send": "differences"}
SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "FedAvg": ("fedavg", {}),
    **{f"clipped, {b} bit": ("clipped", {**_QUIET, "bits": b}) for b in (1, 2, 3, 4, 6)},
    "clipped, 2 bit, clip 1.3": ("clipped", {**_QUIET, "bits": 2, "clip_factor": 1.3}),
    "clipped, 2 bit, max-abs": ("clipped", {**_QUIET, "bits": 2, "clip": "max_abs"}),
    **{f"both ways, {b} bit": ("both", {**_QUIET, "bits": b, "downlink": True}) for b in (2, 3, 4, 6, 8)},
    **{f"AQFL, {b} bit": ("aqfl", {**_LATENT, "budgets": b}) for b in (2, 4)},
    "AQFL, 2 to 8 bit": ("aqfl", _LATENT),
    "FedMPQ": ("fedmpq", _LATENT),
    "FedMPQ, changes down": ("fedmpq", {**_LATENT, "downlink": "changes"}),
    "BSQ": ("bsq", {}),
    "BSQ, gentle": ("bsq", {"penalty": 0.001}),
    **{f"both ways, differences, {b} bit": ("both", {**_QUIET, **_DIFFERENCES, "bits": b}) for b in (2, 3, 4)},
    **{f"FedPAQ, {b} bit": ("fedpaq", {"bits": b}) for b in (1, 2, 4)},
    **{f"UVeQFed, {b} bit": ("uveqfed", {"bits": b}) for b in (1, 2)},
    **{f"EDEN, {b} bit": ("eden", {"bits": b}) for b in (1, 2)},
    "sign, majority vote": ("sign", {}),
    **{f"LotteryFL, {t:.0%} left": ("lottery", {"target": t}) for t in (0.5, 0.1)},
    "LG-FedAvg": ("lg_fedavg", {}),
    "standalone": ("standalone", {}),
}
"""Name of a setting -> its family and the method's options."""
LONG = tuple(
    name for name, (family, _) in SETTINGS.items() if family in ("fedavg", "lottery", "lg_fedavg", "standalone")
)
"""Settings that are also run with five local epochs where labels are skewed: personal models need the work."""


def names(labels: str) -> dict[str, tuple[str, dict[str, Any], int]]:
    """Every stored setting on these labels: name -> family, options and local epochs."""
    settings = {name: (*setting, 1) for name, setting in SETTINGS.items()}
    return settings | ({f"{name}, 5 epochs": (*SETTINGS[name], 5) for name in LONG} if labels == "two" else {})


@dataclass(frozen=True)
class Point:
    """A setting stopped after ``round``: means over seeds.

    Attributes:
        everyone, own: accuracy of the global model on all digits; mean over clients of their models on their labels.
        spread: standard deviation of ``everyone`` and ``own`` over seeds.
        up, down, up_coded, down_coded: bytes of the whole run so far.
    """

    name: str
    family: str
    labels: str
    round: int
    everyone: float
    own: float
    spread: tuple[float, float]
    bytes_up: float
    bytes_down: float
    bytes_up_coded: float
    bytes_down_coded: float

    def cost(self, model: str) -> float:
        """Bytes by one of :data:`COSTS`."""
        way = model.partition("_")[0]
        coded = "_coded" if model.endswith("coded") else ""
        return getattr(self, f"bytes_up{coded}") + (getattr(self, f"bytes_down{coded}") if way == "both" else 0.0)


def experiment(family: str, options: dict[str, Any], labels: str, seed: int = 0, **changes: Any) -> Experiment:
    """The federation of a setting; ``changes`` are fields of the experiment."""
    partition, split = LABELS[labels]
    shared: dict[str, Any] = dict(
        model="mlp", lr=0.3, batch_size=32, clients=10, rounds=max(STOPS), seed=seed, engine="vectorized",
        evaluate_every=max(STOPS), partition=partition, split=split, options=options,
        validation=0.1 if family == "lottery" else 0.0,
    )  # fmt: skip
    return Experiment(method=_METHODS.get(family, family), **{**shared, **changes})


def trace(
    e: Experiment, cancelled: Callable[[], bool] = lambda: False, stops: tuple[int, ...] = ()
) -> Iterator[dict[str, float]]:
    """Round by round: bytes so far and, in every round or at ``stops`` alone, both accuracies."""
    from fqlab.training.sgd import accuracy

    federation = Federation(replace(e, entropy=True), cancelled=cancelled)
    total = dict.fromkeys(("bytes_up", "bytes_down", "bytes_up_coded", "bytes_down_coded"), 0)
    test = federation.simulation.dataset
    for record in federation:
        total = {way: count + getattr(record, way) for way, count in total.items()}
        measures = {"round": record.index, **total}
        if not stops or record.index in stops:
            model = federation.method.evaluation_weights(federation.server)
            personal = federation.personal(record.index)
            measures["everyone"] = accuracy(federation.simulation.model, model, test.test_x, test.test_y)
            measures["own"] = sum(personal) / len(personal)
        yield measures


@cache
def points() -> tuple[Point, ...]:
    """The stored points."""
    rows = json.loads(STORE.read_text(encoding="utf-8"))["points"]
    return tuple(Point(**row | {"spread": tuple(row["spread"])}) for row in rows)


def front(costs: list[tuple[float, float]]) -> list[int]:
    """Which of (bytes, accuracy) nobody beats: no other has at least this accuracy for fewer bytes; by bytes.

    >>> front([(10, 0.5), (20, 0.4), (30, 0.9), (30, 0.8)])
    [0, 2]
    """
    best = float("-inf")
    kept = []
    for i in sorted(range(len(costs)), key=lambda i: (costs[i][0], -costs[i][1])):
        if costs[i][1] > best:
            best = costs[i][1]
            kept.append(i)
    return kept


def cheapest(family: str, labels: str, metric: str, target: float, cost: str) -> Point | None:
    """The point of a family with the fewest bytes that reaches ``target``; None if none does."""
    reached = [p for p in points() if (p.family, p.labels) == (family, labels) and getattr(p, metric) >= target]
    return min(reached, key=lambda p: p.cost(cost), default=None)


def measure(name: str, labels: str) -> list[Point]:
    """The points of one setting, run anew."""
    family, options, epochs = names(labels)[name]
    runs = [{f["round"]: f for f in _stops(experiment(family, options, labels, s, epochs=epochs))} for s in SEEDS]
    setting = []
    for stop in STOPS:
        each = [run[stop] for run in runs]
        mean = {key: _mean([f[key] for f in each]) for key in each[0] if key != "round"}
        everyone, personal = (round(_spread([f[key] for f in each]), 4) for key in ("everyone", "own"))
        rounded = {key: round(value, 4) for key, value in mean.items()}
        setting.append(Point(name, family, labels, stop, spread=(everyone, personal), **rounded))
    return setting


def _stops(e: Experiment) -> Iterator[dict[str, float]]:
    """The rounds of :func:`trace` at which a setting is kept."""
    yield from (measures for measures in trace(e, stops=STOPS) if measures["round"] in STOPS)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _spread(values: list[float]) -> float:
    return (sum((v - _mean(values)) ** 2 for v in values) / (len(values) - 1)) ** 0.5


def store(path: Path = STORE) -> None:
    """Run every setting under every deal of the labels and write all points."""
    import torch

    torch.set_num_threads(1)
    all_points = []
    for labels in LABELS:
        for name in names(labels):
            all_points += [asdict(point) for point in measure(name, labels)]
            print(labels, name, all_points[-1]["everyone"], all_points[-1]["own"], file=sys.stderr, flush=True)
    about = "digits, 10 clients, local networks of 4810 weights; means over seeds 0, 1, 2; bytes of packets"
    rows = ",\n".join(json.dumps(row) for row in all_points)
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'{{"about": "{about}", "points": [\n{rows}\n]}}\n', encoding="utf-8")


if __name__ == "__main__":
    store()
