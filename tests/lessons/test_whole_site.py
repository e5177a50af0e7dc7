"""``make test-site``: every panel of a built site played from its files, and how large and how fast the whole is."""

from __future__ import annotations

import json
import os
import statistics
from pathlib import Path

import pytest
from playing import Played, open_panel

from fqlab import panels

SITE = os.environ.get("FQLAB_SITE", "")
pytestmark = pytest.mark.skipif(not SITE, reason="FQLAB_SITE names no built site: make test-site")
LARGEST, FIRST_LOAD = 60_000_000, 300_000
"""Bytes of the whole site, and of what a panel's first picture needs."""
SOON, ONE_MOVE = 1000.0, 20.0
"""Milliseconds from the disk to the first picture, and from a slider to its picture."""


@pytest.fixture(scope="module")
def site() -> Path:
    return Path(SITE).resolve()


def stem(site: Path, name: str) -> str:
    """The first page with a panel."""
    return next(
        p.stem for p in sorted(site.glob("[0-9]*.html")) if f'data-panel="{name}"' in p.read_text(encoding="utf-8")
    )


def slider(played: Played) -> str:
    """A slider that acts in the default state."""
    rows = played.section.locator(".fq-slider:has(input:not(:disabled))")
    return str(rows.first.get_attribute("data-control"))


@pytest.mark.parametrize("name", panels.PANELS)
def test_a_panel_plays(context, site, name):
    played = open_panel(context, site, stem(site, name), name=name)
    played.press_presets()
    played.slide_to_both_ends()
    played.choose_everything()
    assert played.errors == []
    assert played.outside == []


@pytest.mark.parametrize("name", panels.PANELS)
def test_a_panel_is_one_calm_rectangle(browser, site, name):
    window = browser.new_context(viewport={"width": 1600, "height": 900})
    box = open_panel(window, site, stem(site, name), name=name).section.locator(".fq-stage").bounding_box()
    assert (box["width"], box["height"]) == (960, 560)
    window.close()


@pytest.mark.parametrize("name", panels.PANELS)
def test_every_mark_leads_where_it_says(context, site, name):
    played = open_panel(context, site, stem(site, name), name=name)
    played.reset()
    assert played.lost_marks() == []
    if name == "figures":
        for words in played.about["controls"][0]["words"]:
            played.section.locator('[data-control="figure"] select').select_option(label=words)
            played.page.wait_for_function(
                "words => fqlab.players.some((each) => each.status.textContent.startsWith(words))",
                arg=words.split(":")[0],
            )
            assert played.lost_marks() == [], words


@pytest.mark.parametrize("name", panels.PANELS)
def test_the_first_picture_comes_soon(context, site, name, record_property):
    page = stem(site, name)
    files = [site / f"{page}.html", site / "fqlab.js", site / "style.css", site / "play" / f"{name}.js"]
    size = sum(file.stat().st_size for file in files)
    played = open_panel(context, site, page, name=name)
    waits = []
    for _ in range(3):
        played.page.reload()
        played.wait()
        waits.append(played.page.evaluate("performance.getEntriesByName('fqlab:first')[0].startTime"))
    taken = played.latency(slider(played))
    taken = played.latency(slider(played))  # the second time: its file is there
    print(
        json.dumps(
            {
                "panel": name,
                "first_bytes": size,
                "first_ms": round(min(waits)),
                "move_ms": round(statistics.median(taken), 1),
            }
        )
    )
    record_property("first_bytes", size)
    assert size < FIRST_LOAD
    assert min(waits) < SOON
    assert statistics.median(taken) < ONE_MOVE


def test_the_whole_site_is_small(site):
    sizes = {path: path.stat().st_size for path in site.rglob("*") if path.is_file()}
    states = sum(size for path, size in sizes.items() if path.parent.name == "play")
    print(json.dumps({"files": len(sizes), "bytes": sum(sizes.values()), "states": states}))
    assert sum(sizes.values()) < LARGEST
