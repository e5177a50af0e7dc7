"""A round of every method against a FedAvg round on MNIST, as ratios taken in one run.

    python tests/benchmarks/methods.py [repeats] [model] [words of the methods to take]

Not a test: figures depend on the machine. The methods take turns; least CPU time of all repeats, which other work on the
machine disturbs less than the time on the clock, and medians of the latter. MNIST is read from ``FQLAB_DATA``. The
learning rate is one at which no method diverges: with FedMPQ's integer update a network without norms that explodes
moves every weight in every step. With momentum every digit has its own, and every layer moves.

What planes cost (BSQ, FedMPQ latent) is five passes over 2n numbers a weight. It did not get less by working on pieces that
stay in the cache, by choosing with masks (thirty times the time of arithmetic on the bits), by clamping between tensors (ten times
that of a minimum and a maximum), or by stacking clients: two of them fall out of the cache. What the integer update costs without momentum is a third of it the random draws.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from dataclasses import dataclass

from fqlab.errors import DataError
from fqlab.federation import Experiment, Federation

METHODS = {
    "fedavg": ("fedavg", {}, 0.0),
    "clipped, no QAT": ("clipped", {"qat": False}, 0.0),
    "clipped, QAT": ("clipped", {}, 0.0),
    "QAT": ("robust", {"variant": "qat"}, 0.0),
    "lottery": ("lottery", {}, 0.0),
    "bsq": ("bsq", {}, 0.0),
    "fedmpq": ("fedmpq", {}, 0.0),
    "fedmpq, momentum": ("fedmpq", {}, 0.9),
    "fedmpq, latent": ("fedmpq", {"update": "latent"}, 0.0),
}
"""Row -> method, options, momentum."""


def cpu() -> tuple[float, float, int]:
    """User and system seconds, page faults so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime, used.ru_stime, used.ru_minflt


@dataclass(frozen=True)
class Cost:
    """One round: least CPU seconds with the part spent in the system and its page faults, median seconds on the clock."""

    busy: float
    system: float
    faults: int
    wall: float


def federations(model: str, words: list[str]) -> dict[str, Federation]:
    """A federation of every row that one of ``words`` is in, or of all; FedAvg always."""
    engine = "vectorized" if model == "mlp" else "threads"
    shared = dict(dataset="mnist", model=model, clients=100, participants=10, rounds=10_000, batch_size=32, lr=0.01)
    runs = {}
    for name, (method, options, momentum) in METHODS.items():
        if name == "fedavg" or not words or any(word in name for word in words):
            held = 0.1 if method == "lottery" else 0.0
            how = dict(engine=engine, momentum=momentum, validation=held, evaluate_every=10)
            runs[name] = Federation(Experiment(method=method, options=options, **how, **shared))
    return runs


def measure(repeats: int, model: str, words: list[str]) -> dict[str, Cost]:
    """What a round of each method costs; they take turns."""
    runs = federations(model, words)
    seen: dict[str, list[tuple[float, float, int, float]]] = {name: [] for name in runs}
    for turn in range(repeats + 1):
        for name, federation in runs.items():
            before = cpu()
            began = time.perf_counter()
            federation.step()
            wall = time.perf_counter() - began
            user, system, faults = (new - old for new, old in zip(cpu(), before, strict=True))
            if turn:  # the first is a warm-up
                seen[name].append((user + system, system, int(faults), wall))
    walls = {name: statistics.median(row[3] for row in rows) for name, rows in seen.items()}
    return {name: Cost(*min(rows)[:3], walls[name]) for name, rows in seen.items()}


def main(repeats: int, model: str, words: list[str]) -> None:
    costs = measure(repeats, model, words)
    print(f"{model}: 10 of 100 clients, one epoch in batches of 32")
    for name, cost in costs.items():
        ratio = cost.busy / costs["fedavg"].busy
        clock = cost.wall / costs["fedavg"].wall
        print(
            f"{name:17} {1000 * cost.busy:8.0f} ms CPU {ratio:6.2f} x   {1000 * cost.wall:8.0f} ms {clock:6.2f} x",
            end="",
        )
        print(f"   system {cost.system / cost.busy:4.0%}, {cost.faults:7,.0f} page faults")


if __name__ == "__main__":
    try:
        numbers = int(sys.argv[1]) if len(sys.argv) > 1 else 5
        main(numbers, sys.argv[2] if len(sys.argv) > 2 else "mlp", sys.argv[3:])
    except DataError as missing:
        print(f"left out: {missing}")
