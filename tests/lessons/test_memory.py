"""A lesson's process at its peak against what its header says."""

from __future__ import annotations

import re
import sys

import pytest

pytest.importorskip("jupytext", reason="lessons are read with jupytext: pip install jupytext")

from benchmarks.lessons import NOTEBOOKS, measured

from lesson_rules import MOST_MEMORY

LESSONS = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.py"))


@pytest.mark.long
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is read from /proc")
@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_takes_the_memory_that_its_header_says(path, own_progress):
    _, megabytes = measured(path)
    said = int(re.search(r"in (\d+) MB of memory", path.read_text(encoding="utf-8"))[1])
    print(f"{path.stem}: {megabytes:.0f} MB, its header says {said}")
    assert megabytes <= MOST_MEMORY
    assert megabytes == pytest.approx(said, rel=0.25)
