"""Fixtures and settings that all tests share."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from browser import Lab, lab_fixture

ROOT = Path(__file__).resolve().parent.parent

# Lessons that run here write no guesses into the home of whoever runs the tests, and read none of theirs.
os.environ["FQLAB_PROGRESS"] = str(Path(tempfile.mkdtemp(prefix="fqlab-test-")) / "progress.json")

# A shared or slow machine must not turn a property into a timing test.
settings.register_profile("fqlab", deadline=None, max_examples=50, derandomize=True)
settings.load_profile("fqlab")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    """Small tensors gain nothing from intra-op threads, and on a busy machine they wait for each other."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(scope="session")
def somebodys_matplotlib() -> Callable[[], contextlib.AbstractContextManager[None]]:
    """Settings that a user may have made for pictures of their own, all at once; call it, and enter what it gives."""
    import matplotlib.style

    theirs = {
        "figure.constrained_layout.use": True, "text.usetex": True, "font.family": ["serif"], "font.size": 20.0,
        "axes.grid": True, "lines.linewidth": 5.0, "svg.fonttype": "none", "path.sketch": (1, 100, 2), "figure.dpi": 31.0,
        "axes.unicode_minus": False, "axes.formatter.use_mathtext": True, "xtick.top": True, "image.cmap": "jet",
    }  # fmt: skip
    return lambda: matplotlib.style.context(["dark_background", theirs])


@pytest.fixture
def displayed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], list[dict[str, Any]]]:
    """Call it with what ends a cell: the outputs that a notebook gets, each as text by MIME type."""
    outputs: list[dict[str, Any]] = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: outputs.append(data))

    def shown(value: Any) -> list[dict[str, Any]]:
        outputs.clear()
        value._ipython_display_()
        return list(outputs)

    return shown


@pytest.fixture(scope="session")
def root() -> Path:
    """Top folder of the repository."""
    return ROOT


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab in Chromium on a copy of ``notebooks/``; its helpers: see ``tests/lab.py``."""
    yield from lab_fixture(ROOT / "notebooks", tmp_path_factory.mktemp("lab"))
