"""``make fuzz``: many damaged inputs for every decoder, the slowest of them, and the peak of memory.

    python -m fuzz [--inputs 100000] [--seed 0] [NAME ...]

One process a target, so that a peak is the target's own. What an input of one megabyte costs is measured apart.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys

from fuzz import TARGETS
from fuzz.campaign import campaign


def main() -> int:
    """Run the targets that are named, or all."""
    parser = argparse.ArgumentParser("fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(TARGETS)}")
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    if unknown := [name for name in chosen.names if name not in TARGETS]:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    jobs = [(name, chosen.inputs, chosen.seed) for name in chosen.names or TARGETS]
    with multiprocessing.get_context("spawn").Pool(2, maxtasksperchild=1) as pool:
        return 0 if all(pool.starmap(campaign, jobs, chunksize=1)) else 1


if __name__ == "__main__":
    sys.exit(main())
