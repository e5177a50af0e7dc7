"""``python -m fqlab.studies.scale SOURCE[:SCALE[:ARM]] ...``: run what is not there yet, in order."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from fqlab.data.sources import cache_folder
from fqlab.errors import one_of
from fqlab.studies.scale.store import Arm, run

__all__ = ["SOURCES", "main", "queue"]

SOURCES = ("bsq", "clipped", "fedavg", "fedmpq", "lottery", "rivals", "robust")


def queue(names: Sequence[str], most: int | None = None) -> Iterator[tuple[Arm, int]]:
    """Arms and seeds in the order in which they are worth running.

    Args:
        names: ``"lottery"`` for all arms of the source at scale small, ``"lottery:paper"``, or ``"lottery:paper:alone"``.
        most: only so many seeds of each.

    Raises:
        ConfigError: for an unknown source, scale or arm.
    """
    for name in names:
        source, scale, only = (*name.split(":"), "", "")[:3]
        arms = importlib.import_module(f"fqlab.studies.scale.{one_of('source', source, SOURCES)}").ARMS
        one_of("scale", scale or "small", {at for at, _ in arms})
        at_scale = {label: arm for (at, label), arm in arms.items() if at == (scale or "small")}
        for arm in [at_scale[one_of("arm", only, at_scale)]] if only else at_scale.values():
            yield from ((arm, seed) for seed in range(arm.first, arm.first + arm.seeds)[:most])


def main() -> None:
    """Run the queue; killed and started again it goes on."""
    parser = argparse.ArgumentParser(prog="python -m fqlab.studies.scale", description=__doc__)
    parser.add_argument("names", nargs="+", metavar="SOURCE[:SCALE[:ARM]]")
    cache = cache_folder() / "runs"
    parser.add_argument("--runs", type=Path, default=cache, help="folder of finished runs")
    parser.add_argument("--scratch", type=Path, default=cache, help="folder of checkpoints")
    parser.add_argument("--seeds", type=int, help="only so many of each arm")
    asked = parser.parse_args()
    torch.set_num_threads(1)  # several queues may share a machine
    for arm, seed in queue(asked.names, asked.seeds):
        done = run(arm, seed, asked.runs, asked.scratch)
        shown = {"accuracy": done.curve["accuracy"][-1], **done.measures}
        numbers = ", ".join(f"{name} {value:.4g}" for name, value in shown.items())
        print(f"{done.source} {done.arm} seed {seed}: {numbers}; {done.seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
