"""A notebook that was played with and saved, opened again in JupyterLab where its widgets are gone: the stills take their place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browser import Lab, Sheet, lab_fixture

CELLS = [
    "from fqlab.lessons import predict, quiz\nfrom fqlab.panels import quantizer",
    "quantizer()",
    'quiz("02")',
    'predict("02-levels")',
]
HEIGHTS = "() => [...document.querySelectorAll('.jp-OutputArea-child')].map((each) => each.offsetHeight)"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A JupyterLab that knows nothing of fqlab: no hook, nothing of ours in its settings."""
    home = tmp_path_factory.mktemp("plain")
    yield from lab_fixture(home / "own", home, hook=False)


def save(sheet: Sheet) -> None:
    """Save, and wait until the file is written."""
    sheet.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    sheet.page.wait_for_timeout(500)


def everything_is_seen_once_and_alive(page: Any) -> None:
    page.locator(".fqlab-panel img").first.wait_for(timeout=30_000)
    assert page.locator(".fqlab-panel").count() == 1
    heights = page.evaluate(HEIGHTS)
    assert len(heights) == 6
    assert all(height > 50 for height in heights[::2])
    assert heights[1::2] == [0, 0, 0], "the stills take no room beside what lives"


def everything_is_seen_once_and_still(page: Any) -> None:
    still = page.locator(".jp-OutputArea-output figure img")
    still.wait_for(timeout=30_000)
    assert "levels" in still.get_attribute("alt")
    assert still.bounding_box()["height"] > 200
    assert page.locator("figcaption", has_text="Uniform quantization").is_visible()
    assert page.get_by_text("Two papers report the same accuracy").is_visible()
    assert page.get_by_text("How many different values").is_visible()
    assert page.get_by_text("Error displaying widget").locator("visible=true").count() == 0
    assert page.get_by_text("Loading widget").locator("visible=true").count() == 0
    assert sum(height > 0 for height in page.evaluate(HEIGHTS)) == 3


def test_a_saved_copy_shows_its_stills_without_its_kernel(plain: Lab) -> None:
    plain.write("99_copy", CELLS)
    sheet = plain.open("99_copy")
    everything_is_seen_once_and_alive(sheet.page)
    save(sheet)
    sheet.load()
    everything_is_seen_once_and_alive(sheet.page)  # the kernel lives on: so do its widgets
    sheet = plain.open("99_copy", run=False)  # in a new kernel, that knows none of them
    everything_is_seen_once_and_still(sheet.page)
    save(sheet)
    sheet = plain.open("99_copy", run=False)
    everything_is_seen_once_and_still(sheet.page)
    sheet.run_all()
    everything_is_seen_once_and_alive(sheet.page)
    assert sheet.page_errors == []


def test_a_copy_of_a_lesson_shows_its_stills_in_a_lab_that_knows_nothing_of_it(plain: Lab, root: Path) -> None:
    copy = (root / "notebooks" / "02_uniform_quantization.ipynb").read_bytes()
    (plain.folder / "02_mine.ipynb").write_bytes(copy)
    sheet = plain.open("02_mine", run=False)
    assert sheet.page.locator("figure img").first.is_visible()
    sheet.run_all()
    sheet.page.locator(".fqlab-panel img").first.wait_for(timeout=30_000)
    assert sheet.page.locator("figure img").locator("visible=true").count() == 0
    save(sheet)
    sheet = plain.open("02_mine", run=False)
    sheet.page.locator("figure img").first.wait_for(timeout=30_000)
    assert sheet.page.get_by_text("Error displaying widget").locator("visible=true").count() == 0
