"""fqlab: see, touch and reproduce quantized federated learning.

Submodules load on first use, so ``import fqlab`` is quick and pulls in neither PyTorch nor Matplotlib.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"
__all__ = [
    "aggregate", "bits", "data", "engines", "errors", "experiment", "federation", "lessons", "local", "methods",
    "models", "objectives", "panels", "papers", "partition", "plots", "quant", "teach", "wire",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "teach":
        return importlib.import_module("fqlab.panels.teaching").teach
    if name in __all__:
        return importlib.import_module(f"fqlab.{name}")
    raise AttributeError(f"module 'fqlab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
