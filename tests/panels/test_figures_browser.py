"""The panel of the papers' figures in JupyterLab in Chromium: by pointer and by keyboard the same point, its card, its experiment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from browser import Lab, Sheet
from fqlab import panels
from fqlab.plots.charts import Rebuilt

ALT = "n => document.querySelector('.fqlab-figures img.fqlab-p-card').alt.includes(n)"
TIP = "() => { const t = document.querySelector('.fqlab-tip'); return t && t.style.visibility === 'visible' ? t.innerText : null; }"


@pytest.fixture(scope="module")
def sheet(lab: Lab) -> Sheet:
    lab.write("figures", ["from fqlab import panels", 'paper = panels.figures(figure="09-accuracy"); display(paper)'])
    return lab.open("figures", timeout=300)


def look(sheet: Sheet, name: str) -> None:
    """Keep a picture of the page where somebody wants to look at it."""
    if folder := os.environ.get("FQLAB_LOOK"):
        sheet.page.screenshot(path=Path(folder) / f"{name}.png")


def test_keys_walk_through_the_points(sheet):
    sheet.page.wait_for_function(ALT, arg="Point 1 of 18", timeout=60_000)
    sheet.press("fqlab-figures .fqlab-c-point", "ArrowRight", 3)
    sheet.page.wait_for_function(ALT, arg="Point 4 of 18: MNIST, published, LotteryFL(0.1): 99.96", timeout=60_000)
    look(sheet, "keys")


def test_the_pointer_names_a_point_and_a_click_picks_it(sheet):
    panel = panels.figures(figure="09-accuracy")
    spot = panel.gallery.spots[Rebuilt][12]
    panel.close()
    box = sheet.page.locator(".fqlab-figures img.fqlab-p-rebuilt").bounding_box()
    x = box["x"] + spot.x * box["width"] / Rebuilt.width
    y = box["y"] + spot.y * box["height"] / Rebuilt.height
    sheet.page.mouse.move(x, y)
    sheet.page.wait_for_function(TIP, timeout=30_000)
    assert sheet.page.evaluate(TIP).startswith("digits, Standalone: 97")
    look(sheet, "hover")
    sheet.page.mouse.click(x, y)
    sheet.page.wait_for_function(ALT, arg="Point 13 of 18: digits, Standalone", timeout=60_000)
    sheet.page.mouse.move(5, 5)


def test_the_line_below_holds_the_experiment(sheet):
    box = sheet.page.locator(".fqlab-figures pre.fqlab-text")
    box.wait_for(timeout=30_000)
    assert 'method = "standalone"' in box.inner_text()


def test_the_panel_is_one_calm_rectangle(sheet):
    size = sheet.page.locator(".fqlab-panel.fqlab-figures").bounding_box()
    assert size["width"] <= 960
    assert size["height"] <= 560


def test_a_point_runs_again(sheet):
    sheet.choose("fqlab-figures .fqlab-c-again", "yes, at demo scale")
    sheet.page.wait_for_function(ALT, arg="(the cross)", timeout=120_000)
    look(sheet, "again")
