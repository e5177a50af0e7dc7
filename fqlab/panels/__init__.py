"""Interactive panels, one file each: ``fqlab.panels.tour()`` opens one in a notebook.

A panel's class is loaded on first use, together with ipywidgets and Matplotlib.
"""

from __future__ import annotations

import importlib
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
    return getattr(importlib.import_module(f"fqlab.panels.views.{name}"), PANELS[name])


def __dir__() -> list[str]:
    return sorted(__all__)
