"""``python -m fqlab.studies.scale SOURCE[:SCALE] ... [--runs FOLDER] [--scratch FOLDER]``: run what is not there yet, in order."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator
from pathlib import Path

import torch

from fqlab.data.sources import cache_folder
from fqlab.studies.scale.store import Arm, run


def queue(names: list[str]) -> Iterator[tuple[Arm, int]]:
    """The arms of each source at a scale, and their seeds, in the order in which they are worth running."""
    for name in names:
        source, _, scale = name.partition(":")
        arms = importlib.import_module(f"fqlab.studies.scale.{source}").ARMS
        for (at, _), arm in arms.items():
            if at == (scale or "small"):
                yield from ((arm, seed) for seed in range(arm.seeds))


def main() -> None:
    """Run the queue; killed and started again it goes on."""
    parser = argparse.ArgumentParser(prog="python -m fqlab.studies.scale", description=__doc__)
    parser.add_argument("sources", nargs="+", help="SOURCE or SOURCE:SCALE, such as lottery:paper")
    own = cache_folder() / "runs"
    parser.add_argument("--runs", type=Path, default=own, help="folder of finished runs")
    parser.add_argument("--scratch", type=Path, default=own, help="folder of checkpoints")
    asked = parser.parse_args()
    torch.set_num_threads(1)  # several queues may share a machine
    for arm, seed in queue(asked.sources):
        done = run(arm, seed, asked.runs, asked.scratch)
        shown = {"accuracy": done.curve["accuracy"][-1], **done.measures}
        numbers = ", ".join(f"{name} {value:.4g}" for name, value in shown.items())
        print(f"{done.source} {done.arm} seed {seed}: {numbers}; {done.seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
