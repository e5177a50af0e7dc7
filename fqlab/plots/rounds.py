"""What the pictures of a training share: curves that carry their names at their ends, and bars of bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from fqlab.plots.style import INK, note, separate_labels, style_for

__all__ = ["build_bytes", "draw_curves"]


def draw_curves(
    lines: Mapping[str, Line2D],
    names: Mapping[str, Text],
    curves: Mapping[str, Sequence[float]],
    words: Mapping[str, str],
    room: tuple[float, float, float],
    *,
    digits: int = 1,
    first: int = 1,
) -> None:
    """Draw curves of accuracy, each with its name and last value beside its end; a kind without values disappears.

    Args:
        lines: a line for each kind.
        names: the label at its end.
        curves: kind -> accuracy, in the order in which equal ends are stacked.
        words: what each kind is called.
        room: how far labels keep apart, and the lowest and highest place of one.
        digits: decimals of the percentages.
        first: x of the first value.
    """
    for kind, drawn in lines.items():
        y = curves.get(kind, ())
        drawn.set_data(range(first, first + len(y)), y)
        names[kind].set_text(f"{words[kind]} {y[-1]:.{digits}%}" if len(y) else "")
    ends = {kind: curve[-1] for kind, curve in curves.items() if len(curve)}
    for kind, y in zip(ends, separate_labels(list(ends.values()), *room), strict=True):
        names[kind].set_y(y)


def build_bytes(ax: Axes, ways: Sequence[str], alphas: Sequence[float]) -> tuple[list[Rectangle], list[Text]]:
    """Empty bars of bytes, the first at the top, and a text for the value of each."""
    rows = range(len(ways))[::-1]
    ax.set_yticks(rows, ways)
    ax.tick_params(axis="y", length=0, labelcolor=INK)
    shade = {"color": style_for("bytes").color, "linewidth": 0}
    bars = [
        ax.add_patch(Rectangle((0, y - 0.3), 0, 0.6, alpha=alpha, **shade))
        for y, alpha in zip(rows, alphas, strict=True)
    ]
    return bars, [note(ax, "", y=y, halo=False) for y in rows]
