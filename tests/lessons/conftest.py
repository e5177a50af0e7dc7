"""Settings of all tests of lessons."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

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
