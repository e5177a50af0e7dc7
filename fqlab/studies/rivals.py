"""Who sends few bits, and what they are worth: every system at equal packets. ``python -m fqlab.studies.rivals`` stores
what is missing.

Ten devices with evenly dealt digits, all in every round; a hundred with skewed labels of MNIST (Dirichlet, α = 0.5), ten
of them a round. Every setting under three seeds. Bytes are those of packets on the wire, added up over clients and rounds.

AQFL and FedMPQ give device n the budget n mod 10 of 2-2-4-4-4-6-6-6-8-8 bits a weight, FP8 gives all 8. On digits a round
has 5 bits a weight on average; on MNIST ten of each budget exist and the ten of a round are drawn, so 5 on average over
rounds. Each way of training codes has the learning rate that suits it, see :data:`RATES`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from time import process_time
from typing import Any

import torch

from fqlab import wire
from fqlab.federation import Experiment, Federation, fit
from fqlab.federation.engines import ClientTask
from fqlab.federation.engines.simulation import local_round
from fqlab.federation.repeats import MEASURES, Repeats, run_all, seeded
from fqlab.files import atomic_write
from fqlab.methods.aqfl import PRESETS
from fqlab.quant import (
    Grid,
    eden_decode,
    eden_encode,
    expected_mse,
    lattice_mse,
    max_abs,
    random_signs,
    rotate,
    rotate_back,
)
from fqlab.seeds import SERVER, torch_generator

__all__ = [
    "CODED", "DATA", "RATES", "SETTINGS", "Row", "best_rate", "changes", "digits_accuracy", "dither", "eden_nmse",
    "experiment", "measure", "rows", "store", "table",
]  # fmt: skip

STORE = Path(__file__).parent / "points" / "rivals.json"
SEEDS = 3
DATA: dict[str, dict[str, Any]] = {
    "digits": dict(lr=0.3, batch_size=32, clients=10, rounds=30),
    "mnist": dict(
        dataset="mnist", lr=0.2, batch_size=50, clients=100, participants=10, rounds=30,
        partition="dirichlet", split={"alpha": 0.5},
    ),
}  # fmt: skip
_WEIGHTS = {"rounding": "stochastic", "averaging": "size", "qat": False}
_FEEDBACK = {"bits": 1, "clip": "octav", "rounding": "nearest", "feedback": True}

CODED = (("FP8", "aqfl", PRESETS["FP8"]), ("AQFL", "aqfl", PRESETS["AQFL"]), ("FedMPQ", "fedmpq", {}))
"""Those whose devices train codes."""
UPDATES = ("integer", "latent")
"""How they train them: as FedMPQ's public code, and in planes that keep fractions."""
RATES = {
    ("digits", "integer"): 0.1, ("digits", "latent"): 0.3, ("mnist", "integer"): 0.2, ("mnist", "latent"): 0.067,
}  # fmt: skip
"""Data set and update -> learning rate: what :func:`best_rate` found: .21, .90, .21 and .90 of that seed's test images
are right. Whole digits hardly train a network without norms at any of the three."""

SETTINGS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "FedAvg, 32 bit": ("weights", "fedavg", {}),
    **{f"clipped, {b} bit": ("weights", "clipped", {**_WEIGHTS, "bits": b}) for b in (1, 2, 4)},
    **{f"FedPAQ, {b} bit": ("differences", "fedpaq", {"bits": b}) for b in (1, 2, 4)},
    "FedPAQ, QSGD's norm, 2 bit": ("differences", "fedpaq", {"bits": 2, "clip": "norm", "grid": "sign_magnitude"}),
    "FedPAQ, error feedback, 1 bit": ("differences", "fedpaq", _FEEDBACK),
    **{f"UVeQFed, {b} bit": ("differences", "uveqfed", {"bits": b}) for b in (1, 2, 4)},
    "UVeQFed, hexagonal, 4 bit": ("differences", "uveqfed", {"bits": 4, "lattice": "hexagonal"}),
    **{f"EDEN, {b} bit": ("differences", "eden", {"bits": b}) for b in (1, 2, 4)},
    "sign, majority vote": ("differences", "sign", {}),
    **{f"{name}, {u}": ("weights", method, {**options, "update": u})
       for u in UPDATES for name, method, options in CODED},
}  # fmt: skip
"""Name of a setting -> what its clients send, the method and its options."""


@dataclass(frozen=True)
class Row:
    """One setting on one data set.

    Attributes:
        sends: ``"weights"`` or ``"differences"``.
        state: whether a client must keep something between rounds.
        mean, spread: of every measure of :data:`~fqlab.federation.repeats.MEASURES` over the seeds.
    """

    name: str
    data: str
    sends: str
    state: bool
    mean: dict[str, float]
    spread: dict[str, float]


def experiment(name: str, data: str) -> Experiment:
    """The federation of a setting, with the first seed."""
    _, method, options = SETTINGS[name]
    shared = DATA[data] | {"lr": RATES.get((data, options.get("update", "")), DATA[data]["lr"])}
    return Experiment(
        method=method,
        options=options,
        model="mlp",
        engine="vectorized",
        entropy=True,
        evaluate_every=shared["rounds"],
        **shared,
    )


def best_rate(data: str, update: str) -> float:
    """The best of three learning rates for AQFL, under a seed that no row has: the shared one, a third, a tenth."""
    base = experiment(f"AQFL, {update}", data)
    rates = [round(DATA[data]["lr"] * share, 3) for share in (1, 1 / 3, 1 / 10)]
    return max(rates, key=lambda lr: fit(replace(base, lr=lr, seed=100)).accuracy)


def measure(name: str, data: str) -> Row:
    """Run a setting under all seeds; seconds are the processor's, so that other work on the machine does not count."""
    sends, _, options = SETTINGS[name]
    clock = process_time()
    summary = Repeats(tuple(run_all(seeded(experiment(name, data), SEEDS)))).summary()
    summary["seconds"] = ((process_time() - clock) / SEEDS, summary["seconds"][1])
    mean = {key: round(value, 4) for key, (value, _) in summary.items()}
    spread = {key: round(value, 4) for key, (_, value) in summary.items()}
    return Row(name, data, sends, bool(options.get("feedback")), mean, spread)


@cache
def rows() -> tuple[Row, ...]:
    """The stored rows, in the order of :data:`SETTINGS`."""
    return tuple(Row(**row) for row in json.loads(STORE.read_text(encoding="utf-8")))


def store(only: Iterable[str] = DATA) -> None:
    """Measure what is missing on the data sets ``only``; each row is stored as soon as it is there."""
    kept = {(row.data, row.name): row for row in (rows() if STORE.exists() else ())}
    for data in only:
        for name in SETTINGS:
            if (data, name) in kept:
                continue
            row = kept[data, name] = measure(name, data)
            print(f"{data:<8} {name:<32} {row.mean['accuracy']:.4f} {row.mean['seconds']:.1f} s", flush=True)
            order = [kept[d, n] for d in DATA for n in SETTINGS if (d, n) in kept]
            lines = ",\n".join(json.dumps(vars(r)) for r in order)
            atomic_write(STORE, f"[\n{lines}\n]\n".encode())
    rows.cache_clear()


def table(data: str) -> str:
    """The stored rows of a data set as a Markdown table; bytes in megabytes."""
    head = [
        "",
        "sends",
        "state",
        "accuracy",
        *(MEASURES[key] for key in MEASURES if key.startswith("bytes")),
        "seconds",
    ]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in (r for r in rows() if r.data == data):
        accuracy = f"{row.mean['accuracy']:.3f} ± {row.spread['accuracy']:.3f}"
        sent = [f"{row.mean[key] / 1e6:.3f}" for key in MEASURES if key.startswith("bytes")]
        kept = "residual" if row.state else "-"
        cells = [row.name, row.sends, kept, accuracy, *sent, f"{row.mean['seconds']:.1f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def digits_accuracy(seed: int, setting: str) -> float:
    """Accuracy of a setting on digits."""
    return fit(replace(experiment(setting, "digits"), seed=seed)).accuracy


def changes(seed: int) -> torch.Tensor:
    """The first layer's change of ten devices in one local round on digits: ``[10, 4096]``."""
    federation = Federation(replace(experiment("FedAvg, 32 bit", "digits"), seed=seed, rounds=1, engine="serial"))
    simulation = federation.simulation
    packet = wire.pack(federation.method.download(federation.server, SERVER, torch_generator(seed, "download")))
    results = [local_round(simulation, ClientTask(c, 1, packet), simulation.model) for c in range(10)]
    trained = torch.stack([wire.unpack(result.packet).tensors["fc1.weight"] for result in results])
    return (trained - federation.server.weights["fc1.weight"]).flatten(1)


def eden_nmse(seed: int, bits: int) -> float:
    """EDEN's normalised error on real changes."""
    x = changes(seed)
    generators = [torch_generator(seed, "rotation", client=c) for c in range(len(x))]
    signs = random_signs(x.shape[1], generators)
    decoded = rotate_back([eden_decode(eden_encode(part, bits)) for part in rotate(x, signs)], signs, x.shape[1])
    return float(((decoded - x).square().sum(1) / x.square().sum(1)).mean())


def dither(seed: int) -> float:
    """Squared error of stochastic rounding over that of subtractive dither, on real changes at two bits."""
    x = changes(seed)
    grid = Grid(2)
    clip = max_abs(x, batch_dims=1)
    return float((expected_mse(x, clip, grid, "stochastic", batch_dims=1) / lattice_mse("scalar", grid, clip)).mean())


if __name__ == "__main__":
    store(sys.argv[1:] or DATA)
