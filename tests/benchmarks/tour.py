"""Measure the tour in Chromium: key press to changed picture, and to a complete new federated curve.

    PYTHONPATH=tests python tests/benchmarks/tour.py [presses]

Not a test: figures depend on the machine. Take them on an idle one; the script prints its load.
"""

from __future__ import annotations

import os
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

import pytest

from browser import lab_fixture

LOOK = 0.02
"""Seconds between two looks at the status: looking takes a share of the two cores."""
NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


def main(presses: int) -> None:
    with tempfile.TemporaryDirectory() as home:
        fixture = lab_fixture(NOTEBOOKS, Path(home))
        lab = next(fixture)
        sheet = lab.open("00_tour")
        sheet.wait_text("fqlab-status", "after 30 rounds", timeout=120)
        print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
        for control, picture in (("clip", "levels"), ("epsilon", "planedensity")):
            key = lambda i: "ArrowRight" if i % 2 == 0 else "ArrowLeft"
            times = []
            for i in range(presses):
                times.append(sheet.latency(f"fqlab-c-{control}", key(i), f"fqlab-p-{picture}"))
                time.sleep(1.5)  # let the curve finish: the next press starts from rest
            print(f"{control}: picture after {statistics.median(times):.0f} ms (median of {presses})")
        curves = []
        for i in range(presses):
            before = sheet.text("fqlab-status")
            began = time.perf_counter()
            sheet.press("fqlab-c-clip", "ArrowRight" if i % 2 == 0 else "ArrowLeft")
            while True:
                text = sheet.text("fqlab-status")
                if text != before and re.search(r"after 30 rounds.*\d\.\d\d s\.$", text):
                    break
                time.sleep(LOOK)
            curves.append(1000 * (time.perf_counter() - began))
        print(f"curve complete after {statistics.median(curves):.0f} ms (median of {presses})")
        fixture.close()


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
    except pytest.skip.Exception as missing:
        print(f"left out: {missing}")
