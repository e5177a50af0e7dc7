"""Fixtures and settings that all tests share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from browser import Lab, lab_fixture

ROOT = Path(__file__).resolve().parent.parent

# A shared or slow machine must not turn a property into a timing test.
settings.register_profile("fqlab", deadline=None, max_examples=50, derandomize=True)
settings.load_profile("fqlab")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    """Small tensors gain nothing from intra-op threads, and on a busy machine they wait for each other."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(scope="session")
def root() -> Path:
    """Top folder of the repository."""
    return ROOT


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab in Chromium on a copy of ``notebooks/``; its helpers: see ``tests/lab.py``."""
    yield from lab_fixture(ROOT / "notebooks", tmp_path_factory.mktemp("lab"))
