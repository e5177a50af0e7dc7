"""Where the words of a panel's pictures are: what reaches over the edge is cut off on the screen."""

from __future__ import annotations

from collections.abc import Iterator

from matplotlib.figure import Figure
from matplotlib.text import Text

from fqlab.panels.frame import Panel

SLACK = 0.5
"""Pixels that a letter's box may reach over the edge: the box is larger than the ink."""


def words(fig: Figure) -> Iterator[Text]:
    """Every text that is drawn; ticks beyond the ends of their axis are not."""
    idle = set()
    for ax in fig.findobj(lambda artist: hasattr(artist, "xaxis")):
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
            idle |= {id(label) for t in ticks if not low <= t.get_loc() <= high for label in (t.label1, t.label2)}
    yield from (t for t in fig.findobj(Text) if t.get_visible() and t.get_text().strip() and id(t) not in idle)


def outside(panel: Panel) -> list[str]:
    """The words that are cut off by the edges of the pictures that a panel shows now, each with its picture and its box."""
    cut = []
    for kind in (kind for row in panel.rows for kind in row):
        fig = panel.gallery.picture(kind).artists[0].get_figure(root=True)
        for text in words(fig):
            box = text.get_window_extent()
            sides = (box.x0, box.y0, fig.bbox.width - box.x1, fig.bbox.height - box.y1)
            if box.width > 1 and min(sides) < -SLACK:
                cut.append(f"{kind.__name__}: {text.get_text()!r} {[round(side) for side in sides]}")
    return cut
