"""``fqlab.teach``: what panels take over when they are made, and what it looks like on the wall."""

from __future__ import annotations

import io

import pytest
from PIL import Image
from test_layers import modules_after

import fqlab
from browser import Lab, Sheet
from fqlab import panels
from fqlab.errors import ConfigError
from fqlab.panels import teaching
from fqlab.plots.tour import Levels


@pytest.fixture(autouse=True)
def afterwards_off():
    yield
    fqlab.teach(False)


def test_the_name_is_there_without_anything_heavy():
    assert "teach" in dir(fqlab)
    assert (
        modules_after("import fqlab; fqlab.teach") & {"torch", "numpy", "ipywidgets", "anywidget", "matplotlib"}
        == set()
    )
    assert "torch" not in modules_after("import fqlab; fqlab.teach(1.25)")


def test_what_is_set_is_said_and_comes_back():
    shown = fqlab.teach(hide=("seed", "grid"))
    assert teaching.now() == teaching.Teaching(1.5, frozenset({"grid", "seed"}))
    assert "1.5 times as large, hidden: grid, seed." in shown.words
    assert "--jp-content-font-size1:21.0px" in shown.css
    assert "--jp-code-font-size:19.5px" in shown.css
    assert shown._repr_mimebundle_()["text/plain"] == shown.words
    assert fqlab.teach(1.25) is shown
    assert teaching.now() == teaching.Teaching(1.25)
    fqlab.teach(False)
    assert teaching.now() == teaching.Teaching()
    assert shown.css == ""
    assert "off" in shown.words


def test_a_panel_takes_it_over_when_it_is_made():
    before = panels.tour()
    fqlab.teach(2, hide="seed")
    large = panels.tour()
    small = panels.tour(zoom=1)
    try:
        headings = [c.value for c in large.children[2].children[0].children if hasattr(c, "value")]
        assert large.controls.widgets["seed"] not in everything(large)
        assert "Run" not in headings, "a group without a control has no heading"
        assert large.controls.widgets["clip"] in everything(large)
        assert before.controls.widgets["seed"] in everything(before)
        assert "fqlab-zoom-200" in large._dom_classes
        assert "fqlab-zoom-100" in small._dom_classes
        assert width(large) == 2 * width(small) == 2 * width(before)
        large.set(seed=7)
        assert large.state.seed == 7, "a hidden control still follows tickets and presets"
    finally:
        for panel in (before, large, small):
            panel.close()


def everything(widget) -> list:
    return [widget, *(inner for child in getattr(widget, "children", ()) for inner in everything(child))]


def width(panel) -> int:
    """Of the picture that is there at once; the curve comes when its run does."""
    return Image.open(io.BytesIO(panel.gallery.images[Levels].value)).size[0]


def test_bad_input_is_one_sentence():
    for call, words in (
        (lambda: fqlab.teach(9), "zoom is 9, but must be a number from 1 to 3"),
        (lambda: fqlab.teach(hide=("gird",)), "hide is 'gird', but must be one of .*grid"),
        (lambda: panels.tour(hide=("gird",)), "hide is 'gird'"),
        (lambda: panels.tour(zoom=0), "zoom is 0"),
    ):
        with pytest.raises(ConfigError, match=words):
            call()
    assert teaching.now() == teaching.Teaching()


@pytest.fixture(scope="module")
def sheet(lab: Lab) -> Sheet:
    cells = [
        "import fqlab", "fqlab.teach(hide=('grid', 'seed'))", "fqlab.panels.tour()", "fqlab.lessons.quiz('00')",
        "fqlab.lessons.classroom('03-clip-gain', 'FQ03-J0-5056')", "fqlab.papers.table('octav')",
        "from fqlab.papers.figures import figure", "figure('03-clips')",
    ]  # fmt: skip
    lab.write("class", cells)
    return lab.open("class", width=1900, height=1000)


def test_on_the_wall(sheet: Sheet):
    box = sheet.page.locator(".fqlab-tour").bounding_box()
    assert 1430 <= box["width"] <= 1450
    assert sheet.page.locator(".fqlab-c-seed, .fqlab-c-grid").count() == 0
    natural = sheet.page.locator(".fqlab-p-levels").first.evaluate("img => img.naturalWidth")
    assert natural == 1.5 * 338
    assert "hidden: grid, seed" in sheet.page.locator("body").inner_text()
    size = "name => getComputedStyle(document.querySelector('.jp-Notebook')).getPropertyValue(name)"
    assert sheet.page.evaluate(size, "--jp-content-font-size1") == "21.0px"


def test_tables_figures_and_the_class_are_enlarged_too(sheet: Sheet):
    output = ".jp-OutputArea .jp-RenderedHTMLCommon"
    pictures = sheet.page.locator(f"{output} img[width]")
    assert pictures.count() == 2, "the guesses and the figure"
    for k in range(2):
        drawn = pictures.nth(k).evaluate("img => img.getBoundingClientRect().width")  # Playwright's box leaves zoom out
        assert drawn == pytest.approx(1.5 * int(pictures.nth(k).get_attribute("width")), abs=1)
    line = sheet.page.locator(f"{output} table.claims td").nth(0)
    size = line.evaluate(
        "td => { const r = document.createRange(); r.selectNodeContents(td); return r.getClientRects()[0].height; }"
    )
    assert size >= 1.4 * 13, "a table's letters are 13 px at zoom 1"


def test_panels_fit_into_a_narrower_page(sheet: Sheet):
    try:
        sheet.page.set_viewport_size({"width": 1600, "height": 1000})
        sheet.page.wait_for_timeout(500)
        panel, clip, picture = (
            sheet.page.locator(name).first.bounding_box()
            for name in (".fqlab-tour", ".fqlab-c-clip", ".fqlab-p-trainingcurve")
        )
        assert picture["x"] + picture["width"] <= panel["x"] + panel["width"] + 1
        assert picture["x"] >= clip["x"] + clip["width"], "controls and pictures stand beside each other"
        assert picture["width"] > 700
    finally:
        sheet.page.set_viewport_size({"width": 1900, "height": 1000})


def test_sliders_follow_the_mouse_when_enlarged(sheet: Sheet):
    handle = sheet.slider("fqlab-c-clip")
    handle.hover()  # waits until the page has stopped moving
    track = sheet.page.locator(".fqlab-c-clip .noUi-target").bounding_box()
    box = handle.bounding_box()
    mouse = sheet.page.mouse
    start = box["x"] + box["width"] / 2
    target = track["x"] + 0.75 * track["width"]
    y = box["y"] + box["height"] / 2
    mouse.down()
    mouse.move(start + 30, y, steps=3)
    for wiggle in range(150):  # a slow machine may miss the last move
        mouse.move(target + wiggle % 2, y)
        sheet.page.wait_for_timeout(100)
        if abs(sheet.slider_value("fqlab-c-clip") - (0.2 + 0.75 * 2.8)) < 0.11:
            break
    mouse.up()
    assert sheet.slider_value("fqlab-c-clip") == pytest.approx(0.2 + 0.75 * 2.8, abs=0.11)
    assert sheet.page_errors == []
    assert sheet.outside == []
