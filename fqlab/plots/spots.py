"""The spots of a picture: places that say something when the pointer is on them, and may change something when clicked.

A spot is found from the artist that is drawn there, by the artist's own transform, so that it moves with the mark::

    def spots(self):
        return spots_on(self.dots, self.tips)       # one tip for each point of the line

Lengths are layout pixels (1/72 inch of the figure) from the upper left corner of the picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from fqlab.plots.style import size

__all__ = ["Drag", "Spot", "Tip", "spots_at", "spots_on"]


@dataclass(frozen=True)
class Tip:
    """What a mark has to say.

    Attributes:
        label: a few words; a line break starts a second line.
        changes: the settings that a click on the mark changes; none where a click does nothing.
    """

    label: str
    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Spot:
    """A tip and where its mark is drawn, in pixels from the left and from the top of the picture."""

    x: float
    y: float
    tip: Tip


@dataclass(frozen=True)
class Drag:
    """What dragging a picture along one of its sides changes.

    Attributes:
        setting: name of a setting of the panel with equal steps.
        rate: units of the setting for each pixel to the right, or downwards.
        wraps: whether the last step is followed by the first one, as with an angle.
    """

    setting: str
    rate: float
    wraps: bool = False


def spots_on(line: Line2D, tips: Sequence[Tip]) -> list[Spot]:
    """A spot for each point of a drawn line or of its markers; none if the line is not shown."""
    return spots_at(line.axes, line.get_xydata(), tips) if line.get_visible() else []


def spots_at(ax: Axes, points: Any, tips: Sequence[Tip]) -> list[Spot]:
    """A spot for each of some places, leaving out those that lie outside the axes.

    Args:
        points: places ``[n, 2]`` in the units of the axes.
        tips: what each of them says.

    Raises:
        ValueError: if there are not as many tips as points.
    """
    points = np.asarray(points, dtype=float).reshape(-1, 2)
    if not len(points):
        return []
    whole = ax.figure
    drawn = ax.transData.transform(points)
    low, high = ax.bbox.min - 1, ax.bbox.max + 1
    inside = np.isfinite(drawn).all(axis=1) & (drawn >= low).all(axis=1) & (drawn <= high).all(axis=1)
    width, height = size(whole)
    scale = width / whole.bbox.width
    across = (drawn[:, 0] - whole.bbox.x0) * scale
    down = height - (drawn[:, 1] - whole.bbox.y0) * scale
    found = zip(across.tolist(), down.tolist(), tips, inside.tolist(), strict=True)
    return [Spot(round(x, 1), round(y, 1), tip) for x, y, tip, shown in found if shown]
