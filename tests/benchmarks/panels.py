"""Measure every panel in Chromium: key press on its first slider to the first changed picture.

    PYTHONPATH=tests python tests/benchmarks/panels.py [presses]

A panel whose first slider does nothing but train (drift, precision) shows the first picture of the training. Not a
test: figures depend on the machine. Take them on an idle one; the script prints its load.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import pytest

from browser import lab_fixture, write_notebook
from fqlab import panels
from fqlab.panels.state import controls

# Resolves to the milliseconds from the next keydown to the paint after the first picture of the panel that loads.
WATCH = """name => { window.fqlabTime = new Promise(resolve => {
    let start = null;
    document.addEventListener('keydown', event => { start = event.timeStamp; }, {capture: true, once: true});
    for (const image of document.querySelectorAll(`.fqlab-${name} .fqlab-picture`))
        image.addEventListener('load', () => { if (start !== null) {
            const at = performance.now(); requestAnimationFrame(() => resolve(at - start)); } }, {once: true});
    setTimeout(() => resolve(null), 5000);
}); }"""


def main(presses: int) -> None:
    with tempfile.TemporaryDirectory() as home:
        books = Path(home) / "books"
        books.mkdir()
        for name in panels.PANELS:
            cells = ["from fqlab import panels", f"panel = panels.{name}()", "panel.stop(); panel"]
            write_notebook(books / f"{name}.ipynb", cells)
        fixture = lab_fixture(books, Path(home))
        lab = next(fixture)
        for name in panels.PANELS:
            times = [t for t in timed(lab.open(name, width=1440), name, presses) if t is not None]
            said = f"{statistics.median(times):4.0f} ms (median of {len(times)})" if times else "nothing within 5 s"
            print(f"load {os.getloadavg()[0]:.1f}  {name:12} {said}", flush=True)
        fixture.close()


def timed(sheet, name: str, presses: int):
    """Milliseconds of each press; the slider goes to and fro."""
    state = getattr(panels, name).State
    start = state()
    slider = next(c for c in controls(state) if c.choices is None and not c.box and (c.when is None or c.when(start)))
    keys = ["ArrowRight", "ArrowLeft"]
    if getattr(start, slider.name) >= slider.high:
        keys.reverse()
    for i in range(presses):
        time.sleep(1.5)  # what a press starts in the background goes on, as in a class
        sheet.page.evaluate(WATCH, name)
        sheet.press(f"fqlab-{name} .fqlab-c-{slider.name.replace('_', '-')}", keys[i % 2])
        yield sheet.page.evaluate("() => window.fqlabTime")


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 11)
    except pytest.skip.Exception as missing:
        print(f"left out: {missing}")
