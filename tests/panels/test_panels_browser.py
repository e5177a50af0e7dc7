"""Every panel in JupyterLab in Chromium: moved by keyboard, its picture and its words change, nothing breaks.

All panels stand in one notebook, so that they share a kernel and a page, as in a long evening of playing.
"""

from __future__ import annotations

import io
import re
import time

import numpy as np
import pytest
from PIL import Image

from browser import Lab, Sheet
from fqlab import panels
from fqlab.federation import Experiment
from fqlab.panels import ticket
from fqlab.panels.gallery import picture_class
from fqlab.panels.state import Control, controls
from fqlab.panels.widgets import css_class


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
    box = f"fqlab-{name} .fqlab-c-{slider(name).name}"
    key = "ArrowRight"
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


def sliders(name: str) -> list[tuple[Control, dict]]:
    """Every slider of a panel, each with the fewest changes to the default settings under which it can be moved."""
    kind = getattr(panels, name).State
    pairs = []
    for c in controls(kind):
        if c.choices is None and not c.box:
            changes = [{}, *({o.name: value} for o in controls(kind) if o.choices for value in o.values)]
            pairs.append((c, next(ch for ch in changes if c.when is None or c.when(kind(**ch)))))
    return pairs


def ticket_of(name: str, **settings: float) -> str:
    panel = getattr(panels, name)
    return ticket.write(name, panel.version, panel.State(**settings))


def settled(sheet: Sheet, name: str, c: Control, changes: dict, patience: float = 60) -> float:
    """Where a slider stands once the kernel holds the same and nothing moves any more."""
    slider = f"fqlab-{name} .{css_class(c.name)}"
    box = sheet.page.locator(f".fqlab-{name} .fqlab-ticket input")
    deadline = time.monotonic() + patience
    quiet = 0
    while time.monotonic() < deadline and quiet < 5:
        value = c.at(c.index(sheet.slider_value(slider)))
        quiet = quiet + 1 if box.input_value() == ticket_of(name, **changes, **{c.name: value}) else 0
        sheet.page.wait_for_timeout(60)
    assert quiet == 5, f"{c.name} shows {value}, and the kernel holds another value"
    return sheet.slider_value(slider)


def go(sheet: Sheet, name: str, code: str) -> None:
    """Paste a ticket, and wait until the panel stands there."""
    box = sheet.page.locator(f".fqlab-{name} .fqlab-ticket input")
    box.fill(code)
    box.press("Enter")
    on = "([name, code]) => document.querySelector(`.fqlab-${name} .fqlab-ticket input`).value == code"
    sheet.page.wait_for_function(on, arg=[name, code])


@pytest.mark.parametrize("name", list(panels.PANELS))
def test_every_slider_ends_where_the_hand_leaves_it(sheet: Sheet, name: str) -> None:
    """Twenty quick presses, then a fast drag; what the kernel holds is what the slider shows."""
    for c, changes in sliders(name):
        slider = f"fqlab-{name} .{css_class(c.name)}"
        start = c.index(getattr(getattr(panels, name).State(), c.name))
        right = c.count - 1 - start >= start
        go(sheet, name, ticket_of(name, **changes))
        settled(sheet, name, c, changes)
        sheet.press(slider, "ArrowRight" if right else "ArrowLeft", 20)
        end = c.at(min(max(start + (20 if right else -20), 0), c.count - 1))
        assert settled(sheet, name, c, changes) == pytest.approx(end, abs=1e-9), c.name

        track = sheet.page.locator(f".{slider} .noUi-target").bounding_box()
        from_x = centre(sheet, slider)
        way = (-0.4 if from_x > track["x"] + track["width"] / 2 else 0.4) * track["width"]
        sheet.drag(slider, way / track["width"], steps=25)
        settled(sheet, name, c, changes)
        off = abs(centre(sheet, slider) - from_x - way)
        assert off <= 0.5 * track["width"] / (c.count - 1) + 3, f"{c.name} ended {off:.0f} px from the hand"


def centre(sheet: Sheet, slider: str) -> float:
    """Where the middle of a slider's handle is, in pixels from the left."""
    box = sheet.slider(slider).bounding_box()
    return box["x"] + box["width"] / 2


def quiet(sheet: Sheet, name: str) -> None:
    """Wait until a text has stood for two seconds: the run has ended, and nothing is written over what comes next."""
    before = ""
    while (now := sheet.text(name)) != before:
        before = now
        sheet.page.wait_for_timeout(2000)


def test_a_run_is_walked_through_and_played(sheet: Sheet) -> None:
    panel = ".fqlab-tour"
    status = "fqlab-tour .fqlab-status"
    picture = "fqlab-p-trainingcurve"
    go(sheet, "tour", ticket_of("tour"))
    sheet.wait_text(status, "after 30 rounds", timeout=60)
    quiet(sheet, status)
    end = sheet.image_bytes(picture)
    sheet.page.locator(f"{panel} .fqlab-back").click()
    assert "after 29 rounds" in sheet.wait_text(status, "Step 29 of 30", timeout=30)
    assert sheet.wait_change(picture, end) != end
    assert "after 29 rounds" in sheet.image(picture).get_attribute("alt")
    sheet.page.locator(f"{panel} .fqlab-forth").click()
    sheet.wait_text(status, "Step 30 of 30", timeout=30)
    assert sheet.page.locator(f"{panel} .fqlab-forth").get_attribute("title") == "One step on"
    sheet.page.locator(f"{panel} .fqlab-play").click()
    sheet.page.locator(f".{status}", has_text=re.compile(r"Step (\d|1\d) of 30")).first.wait_for(timeout=30_000)
    sheet.page.locator(f"{panel} .fqlab-play").click()  # a pause
    sheet.page.wait_for_timeout(400)
    paused = sheet.text(status)
    sheet.page.wait_for_timeout(600)
    assert sheet.text(status) == paused
    assert "Step 30" not in paused
    sheet.press("fqlab-tour .fqlab-c-bits", "ArrowRight")
    sheet.wait_text(status, "after 30 rounds", timeout=60)


@pytest.mark.parametrize("name", list(panels.PANELS))
def test_on_a_phone_pictures_come_first_and_fit(sheet: Sheet, name: str) -> None:
    sheet.page.evaluate("() => window.jupyterapp.shell.collapseLeft()")
    try:
        for width in (390, 640):
            sheet.page.set_viewport_size({"width": width, "height": 800})
            sheet.page.wait_for_timeout(200)
            panel, controls = (
                sheet.page.locator(f".fqlab-{name}{part}").bounding_box() for part in ("", " .fqlab-column")
            )
            presets = sheet.page.locator(f".fqlab-{name} .fqlab-presets").bounding_box()
            kind = getattr(panels, name)
            bottom = presets["y"] + presets["height"]
            for picture in (p for row in kind.rows for p in row):
                box = sheet.page.locator(f".fqlab-{name} .{picture_class(picture)}").bounding_box()
                assert panel["x"] <= box["x"]
                assert box["x"] + box["width"] <= panel["x"] + panel["width"] + 1
                assert bottom <= box["y"] < controls["y"]
                assert box["width"] / box["height"] == pytest.approx(picture.width / picture.height, rel=0.02)
            assert controls["width"] == pytest.approx(panel["width"], abs=2)
    finally:
        sheet.page.set_viewport_size({"width": 1280, "height": 720})


CUT = """name => {
  const panel = document.querySelector(`.fqlab-${name}`);
  const words = panel.querySelectorAll('.widget-label, .widget-readout, button, .fqlab-heading, .fqlab-status');
  const cut = [...words].filter(x => x.offsetParent)
    .filter(x => x.scrollWidth > x.clientWidth || x.scrollHeight > x.clientHeight + 1).map(x => x.innerText);
  for (const select of panel.querySelectorAll('select')) {
    const free = select.cloneNode(true);  // as wide as its longest option
    free.style.cssText = 'width: max-content; flex: none; position: absolute;';
    select.parentNode.append(free);
    if (free.offsetWidth > select.offsetWidth)
      cut.push([...select.options].map(o => o.text).sort((a, b) => b.length - a.length)[0]);
    free.remove();
  }
  return cut;
}"""


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", list(panels.PANELS))
def test_no_word_of_a_control_is_cut_off(sheet: Sheet, name: str, width: int) -> None:
    sheet.page.evaluate("() => window.jupyterapp.shell.collapseLeft()")
    try:
        sheet.page.set_viewport_size({"width": width, "height": 720})
        sheet.page.wait_for_timeout(200)
        assert sheet.page.evaluate(CUT, name) == []
    finally:
        sheet.page.set_viewport_size({"width": 1280, "height": 720})


@pytest.mark.parametrize("name", list(panels.PANELS))
def test_a_panel_is_not_too_high(sheet: Sheet, name: str) -> None:
    """At its full width, whole on a projector."""
    sheet.page.set_viewport_size({"width": 1600, "height": 900})
    try:
        sheet.page.wait_for_timeout(200)
        height = sheet.page.locator(f".fqlab-{name}").bounding_box()["height"]
        assert height <= 560
    finally:
        sheet.page.set_viewport_size({"width": 1280, "height": 720})


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


def test_the_button_toml_copies_the_experiment(sheet: Sheet) -> None:
    """One click on the box in the status line selects all of it; the text comes back as the experiment."""
    sheet.page.locator(".fqlab-precision button", has_text="TOML").click()
    box = sheet.page.locator(".fqlab-precision .fqlab-text")
    box.wait_for(timeout=60_000)
    box.click()
    picked = sheet.page.evaluate("() => window.getSelection().toString()")
    assert Experiment.from_toml(picked) == panels.precision.experiment(panels.precision.State())
    heights = "() => document.querySelector('.fqlab-precision .fqlab-bar').getBoundingClientRect().height"
    assert sheet.page.evaluate(heights) < 60, "nothing jumps"
