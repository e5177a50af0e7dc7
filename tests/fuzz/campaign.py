"""One decoder under many damaged inputs: what it did that it may not, how long, and how much memory."""

from __future__ import annotations

import random
import resource
import time
import tracemalloc
import warnings

from fqlab.errors import FqlabError
from fuzz import TARGETS, Target
from fuzz.mutate import damaged

__all__ = ["campaign"]

MEBIBYTE = 2**20


def trial(target: Target, data: bytes) -> str | None:
    """What an input did that no decoder may do, or None."""
    try:
        target.decode(data)
    except FqlabError:
        return None
    except BaseException as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    return None


def campaign(name: str, inputs: int, seed: int) -> bool:
    """Run one target and print its line; whether it did what it should.

    Times are the processor's, so that a busy machine adds none.
    """
    warnings.simplefilter("error")
    target = TARGETS[name]()
    rng = random.Random(f"{seed} {name}")
    slowest = 0.0
    problems: dict[str, bytes] = {}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(inputs):
        data = damaged(target.seeds, rng)
        began = time.process_time()
        problem = trial(target, data)
        slowest = max(slowest, time.process_time() - began)
        if problem:
            problems.setdefault(problem, data)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    seconds, peak = large(target, rng)
    print(
        f"{name:18} {inputs:,} inputs, {len(problems)} kinds of wrong error; slowest {1000 * slowest:.0f} ms, "
        f"memory +{grown:.0f} MiB; of 1 MiB: slowest {1000 * seconds:.0f} ms, peak {peak:.0f} MiB",
        flush=True,
    )
    for problem, data in problems.items():
        print(f"    {problem}\n        {data[:300]!r}", flush=True)
    return not problems


def large(target: Target, rng: random.Random, inputs: int = 30) -> tuple[float, float]:
    """Slowest decoding (s) and peak of memory (MiB) of inputs of one megabyte, the input itself left out."""
    slowest = peak = 0.0
    for i in range(inputs):
        data = damaged(target.seeds, rng)
        start = len(data) * (i % 2)  # repeated as a whole, or in its middle
        piece = data[start // 3 : len(data) - start // 3] or b"\0"
        data = (data[: start // 2] + piece * (MEBIBYTE // len(piece) + 1))[:MEBIBYTE]
        began = time.process_time()
        trial(target, data)
        slowest = max(slowest, time.process_time() - began)
        tracemalloc.start()
        trial(target, data)
        peak = max(peak, tracemalloc.get_traced_memory()[1] / MEBIBYTE)
        tracemalloc.stop()
    return slowest, peak
