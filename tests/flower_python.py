"""The Python that has Flower, which may be another one than runs the tests, and the mark of tests that need it."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

NAMED = os.environ.get("FQLAB_FLOWER_PYTHON")
PYTHON = str(Path(NAMED).absolute()) if NAMED else sys.executable if find_spec("flwr") else None
needs_flower = pytest.mark.skipif(
    PYTHON is None or sys.platform != "linux",
    reason="Flower is not installed here, FQLAB_FLOWER_PYTHON names no Python that has it, or this is not Linux",
)
