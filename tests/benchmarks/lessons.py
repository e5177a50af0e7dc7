"""Seconds and peak memory of each lesson, run from the top: what a lesson's header says.

    python tests/benchmarks/lessons.py [NN_topic ...]

The memory is the largest resident set of the kernel's process, the import of everything included; Binder gives 1 to 2 GB.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import nbformat

from fqlab.lessons.build import execute, read_source

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
PEAK = "print(next(int(line.split()[1]) for line in open('/proc/self/status') if line.startswith('VmHWM')))"
"""Not getrusage, whose peak is that of the parent before the kernel started, if that was larger."""


def measured(path: Path) -> tuple[float, float]:
    """Seconds to run, and megabytes (10**6 bytes) at the peak."""
    book = read_source(path)
    book.cells.append(nbformat.v4.new_code_cell(PEAK))
    began = time.perf_counter()
    execute(book, path.parent)
    return time.perf_counter() - began, int(book.cells[-1].outputs[0].text) * 1024 / 1e6


def main(names: list[str]) -> None:
    """Measure the lessons that are named, or all."""
    for path in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.py")):
        if not names or path.stem in names:
            seconds, megabytes = measured(path)
            print(f"{path.stem:24} {seconds:6.0f} s {megabytes:6.0f} MB", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
