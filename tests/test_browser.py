"""The browser harness itself, on a small notebook: if this fails, look here before blaming a panel."""

from __future__ import annotations

import pytest

from browser import Lab, Sheet, find_chromium

CELLS = [
    """import io
import ipywidgets as w
from matplotlib.figure import Figure
from matplotlib.backends.backend_agg import FigureCanvasAgg""",
    """bits = w.IntSlider(4, 1, 8, description="bits"); bits.add_class("t-bits")
rule = w.Dropdown(options=["nearest", "stochastic"]); rule.add_class("t-rule")
reset = w.Button(description="reset"); reset.add_class("t-reset")
note = w.HTML(); note.add_class("t-note")
picture = w.Image(format="png"); picture.add_class("t-picture")""",
    """def draw(change=None):
    figure = Figure(figsize=(2, 1)); FigureCanvasAgg(figure)
    figure.add_subplot().bar(range(bits.value), range(bits.value))
    with io.BytesIO() as file:
        figure.savefig(file, format="png")
        picture.value = file.getvalue()
    note.value = f"{bits.value} bit, {rule.value}" """,
    """bits.observe(draw, "value"); rule.observe(draw, "value")
reset.on_click(lambda _: setattr(bits, "value", 4))
draw()
w.VBox([bits, rule, reset, note, picture])""",
]


@pytest.fixture
def sheet(lab: Lab) -> Sheet:
    lab.write("trial", CELLS)
    return lab.open("trial")


def test_controls_change_picture_and_text(sheet: Sheet) -> None:
    before = sheet.image_bytes("t-picture")
    assert before.startswith(b"\x89PNG")
    sheet.press("t-bits", "ArrowRight", 2)
    sheet.wait_text("t-note", "6 bit, nearest")
    after = sheet.wait_change("t-picture", before)
    assert sheet.slider_value("t-bits") == 6
    sheet.choose("t-rule", "stochastic")
    sheet.wait_text("t-note", "6 bit, stochastic")
    sheet.drag("t-bits", 1.0)
    sheet.wait_text("t-note", "8 bit")
    sheet.click("t-reset")
    sheet.wait_text("t-note", "4 bit")
    assert sheet.wait_change("t-picture", after) == before
    assert sheet.latency("t-bits", "ArrowRight", "t-picture") > 0
    assert sheet.latency("t-bits", "ArrowRight", "t-note") > 0
    assert sheet.outside == []
    assert sheet.page_errors == []


def test_a_failing_cell_is_reported(lab: Lab) -> None:
    lab.write("broken", ["1 / 0"])
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        lab.open("broken")


def test_nothing_leaves_the_machine_and_the_attempt_is_noted(sheet: Sheet) -> None:
    address = "https://example.org/picture.png"
    sheet.page.evaluate("address => fetch(address).catch(() => null)", address)
    assert sheet.outside == [address]


def test_no_chromium_is_said_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FQLAB_CHROMIUM", "/nowhere/chromium")
    assert find_chromium() is None
