"""What answers to the pointer on a stored picture, in positions of controls: the page knows no values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fqlab.panels.frame import Panel
from fqlab.panels.state import Settings, changed, controls
from fqlab.plots.picture import Picture
from fqlab.plots.spots import Drag, Spot

__all__ = ["StoredSpot", "drags", "stored"]

StoredSpot = list[Any]
"""``[x, y, label, [[control, position], ...]]``, in whole layout pixels; a 0 in place of the list where a click does nothing."""


def stored(spots: Sequence[Spot], state: Settings) -> list[StoredSpot]:
    """The spots of a picture that shows ``state``."""
    return [[round(spot.x), round(spot.y), spot.tip.label, _changes(spot, state)] for spot in spots]


def _changes(spot: Spot, state: Settings) -> list[list[int]] | int:
    after = changed(state, spot.tip.changes)
    turned = [(k, c) for k, c in enumerate(controls(type(state))) if c.name in spot.tip.changes]
    return [[k, c.index(getattr(after, c.name))] for k, c in turned] or 0


def drags(panel: type[Panel], kind: type[Picture]) -> list[Any] | int:
    """For each side of a picture ``[control, positions a pixel, whether it wraps]`` or 0; 0 alone if it cannot be dragged."""
    sides = [_side(panel, kind.drag[side]) if side in kind.drag else 0 for side in ("x", "y")]
    return sides if any(sides) else 0


def _side(panel: type[Panel], drag: Drag) -> list[Any]:
    every = controls(panel.State)
    number = [c.name for c in every].index(drag.setting)
    return [number, drag.rate / every[number].step, drag.wraps]
