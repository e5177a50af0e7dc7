"""Settings of all tests of lessons."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browser import BROWSER_ARGS, find_chromium
from fqlab.lessons import grading, guess, store


@pytest.fixture(autouse=True)
def own_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A progress file of its own for every test, and nothing remembered from the one before."""
    file = tmp_path / "progress.json"
    monkeypatch.setenv("FQLAB_PROGRESS", str(file))
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    for remembered in (store._kept, grading._given, guess._asked):
        remembered.clear()
    yield file
    store._kept.clear()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser without a lab, for pages that are files."""
    chromium = find_chromium()
    if chromium is None:
        pytest.skip("no Chromium for the browser tests")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=chromium, headless=True, args=BROWSER_ARGS)
        yield started
        started.close()
    gc.collect()  # greenlets of the driver end here, not in the middle of another test


@pytest.fixture
def context(browser: Any) -> Iterator[Any]:
    """A window of 1280 × 720 with nothing remembered."""
    window = browser.new_context(viewport={"width": 1280, "height": 720})
    window.set_default_timeout(60_000)
    yield window
    window.close()
