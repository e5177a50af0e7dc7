"""The pointer on a picture in JupyterLab in Chromium: labels, clicks and drags, and links in the text that set a panel."""

from __future__ import annotations

from collections.abc import Iterator

import nbformat
import pytest

from browser import Lab, Sheet
from fqlab import panels
from fqlab.panels import ticket
from fqlab.plots.fleet import Street
from fqlab.plots.frontier import Plane

LINKED = panels.frontier.State(cost="both", cap=500, method="fedavg", rounds=2)
CODE = ticket.write("frontier", panels.frontier.version, LINKED)
TIP = "() => { const t = document.querySelector('.fqlab-tip'); return t && t.style.visibility === 'visible' ? t.innerText : null; }"


@pytest.fixture(scope="module")
def sheet(lab: Lab) -> Iterator[Sheet]:
    cells = [
        nbformat.v4.new_code_cell("from fqlab import panels\nfrontier = panels.frontier(rounds=2); display(frontier)"),
        nbformat.v4.new_markdown_cell(f"Counted both ways, FedAvg sends [much](#{CODE})."),
        nbformat.v4.new_code_cell("fleet = panels.fleet(); display(fleet)"),
    ]
    python = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(
        nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": python}), lab.folder / "pointing.ipynb"
    )
    opened = lab.open("pointing", timeout=300)
    opened.wait_text("fqlab-frontier .fqlab-status", "Your run", timeout=60)
    return opened


@pytest.fixture(scope="module")
def frontier() -> Iterator[panels.frontier]:
    """The same panel here, to know where its spots are."""
    panel = panels.frontier(rounds=2)
    panel.wait()
    yield panel
    panel.close()


def where(sheet: Sheet, name: str, spot, kind) -> tuple[float, float]:
    """A spot of a picture in the window."""
    picture = sheet.page.locator(f".fqlab-{name} img.fqlab-p-{kind.__name__.lower()}")
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    return box["x"] + spot.x * box["width"] / kind.width, box["y"] + spot.y * box["height"] / kind.height


def value(sheet: Sheet, name: str) -> str:
    return sheet.page.locator(f".fqlab-{name} .fqlab-ticket input").input_value()


def alone(spots) -> list:
    """Spots that the pointer cannot confuse with another one, and that a click acts on."""
    return [s for s in spots if s.tip.changes and all(abs(s.x - o.x) + abs(s.y - o.y) > 8 for o in spots if o is not s)]


def test_the_pointer_on_a_point_shows_what_it_is_and_nothing_jumps(sheet, frontier):
    spot = alone(frontier.gallery.spots[Plane])[0]
    height = sheet.page.evaluate("() => document.querySelector('.fqlab-frontier').getBoundingClientRect().height")
    x, y = where(sheet, "frontier", spot, Plane)
    sheet.page.mouse.move(x + 2, y - 1)
    assert sheet.page.wait_for_function(TIP).json_value() == spot.tip.label
    tip = sheet.page.locator(".fqlab-tip span").nth(1).bounding_box()
    assert tip["y"] + tip["height"] < y or tip["y"] > y
    assert tip["x"] >= 0
    assert tip["x"] + tip["width"] <= 1280
    assert (
        sheet.page.evaluate("() => document.querySelector('.fqlab-frontier').getBoundingClientRect().height") == height
    )
    sheet.page.keyboard.press("Escape")
    assert sheet.page.evaluate(TIP) is None
    sheet.page.mouse.move(x + 2, y)
    sheet.page.wait_for_function(TIP)
    sheet.page.mouse.move(5, 5)
    assert sheet.page.evaluate(TIP) is None


def test_a_click_on_a_point_runs_its_setting(sheet, frontier):
    spot = next(s for s in alone(frontier.gallery.spots[Plane]) if s.tip.changes["rounds"] < 20)
    sheet.page.mouse.click(*where(sheet, "frontier", spot, Plane))
    wanted = ticket.write("frontier", 1, type(frontier.state)(**(vars(frontier.state) | dict(spot.tip.changes))))
    sheet.page.wait_for_function(
        "code => document.querySelector('.fqlab-frontier .fqlab-ticket input').value === code", arg=wanted
    )
    assert sheet.slider_value("fqlab-frontier .fqlab-c-rounds") == spot.tip.changes["rounds"]
    sheet.wait_text("fqlab-frontier .fqlab-status", "Your run", timeout=60)


def test_a_link_in_the_text_sets_the_panel_above_it(sheet):
    sheet.page.locator(".jp-MarkdownCell a", has_text="much").click()
    sheet.page.wait_for_function(
        "code => document.querySelector('.fqlab-frontier .fqlab-ticket input').value === code", arg=CODE
    )
    assert sheet.page.locator(".fqlab-frontier .fqlab-c-cap select").input_value() == "500 kB"
    sheet.wait_text("fqlab-frontier .fqlab-status", "Your run", timeout=60)


def test_a_drag_turns_the_cloud(sheet):
    box = ".fqlab-fleet img.fqlab-p-street"
    sheet.page.locator(box).hover()  # waits until the page has stopped moving
    room = sheet.page.locator(box).bounding_box()
    x, y = room["x"] + room["width"] / 2, room["y"] + room["height"] / 2
    before = sheet.image_bytes("fqlab-p-street")
    sheet.page.mouse.move(x, y)
    sheet.page.mouse.down()
    sheet.page.mouse.move(x - 100, y + 40, steps=20)
    sheet.wait_change("fqlab-p-street", before)
    sheet.page.mouse.up()
    pixel = Street.width / room["width"]
    start = panels.fleet.State()
    for name, rate, way in (("view", Street.drag["x"].rate, -100), ("tilt", Street.drag["y"].rate, 40)):
        sheet.page.wait_for_function(
            "([name, end]) => Math.abs(document.querySelector(`.fqlab-fleet .fqlab-c-${name} .noUi-target`)"
            ".noUiSlider.get(true) - end) <= 2",
            arg=[name, getattr(start, name) + rate * way * pixel],
        )


def test_nothing_broke_and_nothing_left_the_machine(sheet):
    assert sheet.outside == []
    assert sheet.page_errors == []
    assert sheet.errors() == []
