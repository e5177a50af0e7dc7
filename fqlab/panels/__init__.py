"""Interactive panels, one file each: ``fqlab.panels.tour()`` opens one in a notebook.

A panel's class is loaded on first use, together with ipywidgets and Matplotlib.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

PANELS = {
    "tour": "Tour",
    "drift": "Drift",
    "quantizer": "Quantizer",
    "clipping": "Clipping",
    "rounding": "Rounding",
    "clipped": "ClippedFederation",
    "robustness": "Robustness",
    "planes": "Planes",
    "precision": "Precision",
    "lottery": "LotteryPanel",
    "packet": "PacketPanel",
    "fleet": "Fleet",
    "frontier": "Frontier",
}
"""Module (and name) of every panel -> name of its class."""

__all__ = ["PANELS", *PANELS]


def __getattr__(name: str) -> Any:
    if name not in PANELS:
        raise AttributeError(f"module 'fqlab.panels' has no attribute {name!r}; panels: {', '.join(PANELS)}")
    return getattr(importlib.import_module(f"fqlab.panels.{name}"), PANELS[name])


def __dir__() -> list[str]:
    return sorted(__all__)


class _Panels(ModuleType):
    """Importing ``fqlab.panels.tour`` must not hide the panel ``tour`` behind the module of the same name."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in PANELS and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Panels
