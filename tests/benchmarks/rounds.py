"""A FedAvg round of every engine against the plain PyTorch loop, as ratios taken in one run.

    python tests/benchmarks/rounds.py [repeats] [words of the rows to take]

Not a test: figures depend on the machine. Contestants take turns, so that a busy moment hits all of them alike, and the
table has medians. MNIST is read from ``FQLAB_DATA``; without it its rows are left out.
"""

from __future__ import annotations

import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from plain import PlainLoop, copy_speed, sgemm_speed, threads

from fqlab import data
from fqlab.errors import DataError
from fqlab.federation import Federation
from fqlab.federation.experiment import ENGINES, Experiment

BATCH = 32
LR = 0.05


@dataclass(frozen=True)
class Work:
    """One row: what is trained, how much better than the plain loop it is meant to be, and what a sample costs.

    ``first`` and ``rest`` are multiplications of the first layer and of all others in a forward pass; a backward pass takes
    twice as many, but for the first layer, whose input needs no gradient.
    """

    dataset: str
    model: str
    clients: int
    participants: int
    wanted: float
    first: int
    rest: int

    @property
    def cohort(self) -> int:
        """Clients of a round."""
        return self.participants or self.clients

    def __str__(self) -> str:
        among = f"{self.participants} of {self.clients}" if self.participants else f"{self.clients}"
        return f"{self.dataset} {self.model}, {among} clients"

    def experiment(self, engine: str) -> Experiment:
        return Experiment(
            dataset=self.dataset,
            model=self.model,
            clients=self.clients,
            participants=self.participants,
            rounds=100_000,
            batch_size=BATCH,
            lr=LR,
            engine=engine,
        )


WORKS = (
    Work("digits", "mlp", 10, 0, 4, 64 * 64, 640),
    Work("digits", "mlp", 100, 0, 6, 64 * 64, 640),
    Work("mnist", "mlp", 100, 10, 3, 784 * 200, 2000),
    Work("mnist", "lenet5", 100, 10, 1.5, 117_600, 240_000 + 58_920),
    Work("mnist", "clipped_cnn", 100, 10, 1.5, 112_896, 451_584 + 79_400),
)
RUN = tuple(engine for engine in ENGINES if engine not in ("auto", "flower"))


def contestants(work: Work) -> dict[str, Callable[[], object]]:
    """What to time, by name."""
    federations = {engine: Federation(work.experiment(engine)) for engine in RUN}
    parts = federations["serial"].simulation.train[: work.cohort]
    loops = {count: PlainLoop(work.dataset, work.model, parts, BATCH, LR) for count in (1, 2)}

    def plain(count: int) -> Callable[[], object]:
        def timed() -> object:
            with threads(count):
                return loops[count].round()

        return timed

    rounds = {engine: federation.step for engine, federation in federations.items()}
    return {"plain 1": plain(1), "plain 2": plain(2), **rounds}


def measure(work: Work, repeats: int) -> dict[str, float]:
    """Median seconds of each contestant; they take turns."""
    runners = contestants(work)
    times: dict[str, list[float]] = {name: [] for name in runners}
    for turn in range(repeats + 1):
        for name, run in runners.items():
            began = time.perf_counter()
            run()
            if turn:  # the first is a warm-up
                times[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in times.items()}


def sides(seconds: dict[str, float]) -> tuple[float, dict[str, float]]:
    """Of what :func:`measure` found the better plain loop, and the engines."""
    engines = {name: value for name, value in seconds.items() if not name.startswith("plain")}
    return min(value for name, value in seconds.items() if name not in engines), engines


def show(work: Work, seconds: dict[str, float], limit: float) -> None:
    """One row: milliseconds, then how many times faster than the plain loop the best engine is."""
    plain, engines = sides(seconds)
    best = min(engines, key=engines.get)
    cells = "".join(f"{1000 * value:>12.1f}" for value in (plain, *engines.values()))
    ratio = plain / engines[best]
    mark = "" if ratio >= work.wanted else f"  (wanted {work.wanted:g})"
    print(f"{work!s:36}{cells}{1000 * limit:>10.1f}{ratio:>8.2f} x {best}{mark}", flush=True)


def main(repeats: int, words: list[str]) -> None:
    load = os.getloadavg()[0]
    sgemm = sgemm_speed()
    copy = copy_speed()
    print(f"torch {torch.__version__}, {os.cpu_count()} cores, load {load:.1f}, ", end="")
    print(f"sgemm {sgemm / 1e9:.0f} GF/s on 2 threads, copy {copy / 1e9:.0f} GB/s on 1")
    print(f"{'milliseconds a round':36}{'plain':>12}" + "".join(f"{e:>12}" for e in RUN) + f"{'limit':>10}    best")
    for work in WORKS:
        if words and not all(word in str(work) for word in words):
            continue
        try:
            seconds = measure(work, repeats)
        except DataError as missing:
            print(f"{work!s:36}left out: {missing}")
            continue
        dataset = data.load(work.dataset)
        trained = len(dataset.train_y) * work.cohort / work.clients * (4 * work.first + 6 * work.rest)
        show(work, seconds, (trained + len(dataset.test_y) * 2 * (work.first + work.rest)) / sgemm)
    used = resource.getrusage(resource.RUSAGE_SELF)
    share = used.ru_stime / used.ru_utime
    print(f"user {used.ru_utime:.1f} s, system {used.ru_stime:.1f} s ({share:.0%}), page faults {used.ru_minflt:,}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7, sys.argv[2:])
