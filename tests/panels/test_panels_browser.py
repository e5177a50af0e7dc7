"""Every panel in JupyterLab in Chromium: moved by keyboard, its picture and its words change, nothing breaks.

All panels stand in one notebook, so that they share a kernel and a page, as in a long evening of playing.
"""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from browser import Lab, Sheet
from fqlab import panels
from fqlab.panels.state import Control, controls


@pytest.fixture(scope="module")
def sheet(lab: Lab) -> Sheet:
    shown = [f"{name} = panels.{name}(); display({name})" for name in panels.PANELS]
    lab.write("every_panel", ["from fqlab import panels", *shown])
    return lab.open("every_panel", timeout=300)


def slider(name: str) -> Control:
    """The first slider that moves something at once."""
    panel = getattr(panels, name)
    start = panel.State()
    for c in controls(panel.State):
        if c.choices is None and not c.box and (c.when is None or c.when(start)):
            return c
    raise AssertionError(f"panel {name} has no slider")


@pytest.mark.parametrize("name", list(panels.PANELS))
def test_a_key_moves_the_picture_and_the_words(sheet: Sheet, name: str) -> None:
    box, key = f"fqlab-{name} .fqlab-c-{slider(name).name}", "ArrowRight"
    start = getattr(panels, name).State()
    if getattr(start, slider(name).name) >= slider(name).high:
        key = "ArrowLeft"
    images = sheet.page.locator(f".fqlab-{name} .fqlab-picture")
    before = [images.nth(i).get_attribute("src") for i in range(images.count())]
    alts = [images.nth(i).get_attribute("alt") for i in range(images.count())]
    sheet.press(box, key)
    changed = "([name, before]) => [...document.querySelectorAll(`.fqlab-${name} .fqlab-picture`)].some((p, i) => p.src != before[i])"
    sheet.page.wait_for_function(changed, arg=[name, before], timeout=90_000)
    worded = "([name, alts]) => [...document.querySelectorAll(`.fqlab-${name} .fqlab-picture`)].some((p, i) => p.alt != alts[i])"
    sheet.page.wait_for_function(worded, arg=[name, alts], timeout=90_000)
    assert all(alts), "every picture has an alt text"


@pytest.mark.parametrize("name", list(panels.PANELS))
def test_a_screenshot_is_a_panel_not_a_blank(sheet: Sheet, name: str) -> None:
    shot = sheet.page.locator(f".fqlab-{name}").screenshot()
    pixels = np.asarray(Image.open(io.BytesIO(shot)).convert("L"))
    assert pixels.shape[1] >= 700
    assert (pixels < 128).mean() > 0.005, "ink"
    assert (pixels > 200).mean() > 0.3, "paper"


def test_nothing_broke_and_nothing_left_the_machine(sheet: Sheet) -> None:
    assert sheet.outside == []
    assert sheet.page_errors == []
    assert sheet.errors() == []
