"""One visual language: the same quantity has the same colour, dash and marker in every picture.

Sizes are pixels: figures are made at 72 dots per inch, so that one point is one pixel and a font of 11 is 11 px high.
Nothing here touches ``matplotlib.pyplot``, which is global, and nothing hangs on the user's ``rcParams``: whatever makes
or draws a picture does so inside :func:`matplotlib_defaults`.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.lines import Line2D
from matplotlib.text import Text

__all__ = [
    "COLORS", "INK", "LOOKS", "Look", "MUTED", "PAPER", "SERIES", "axes", "figure", "line", "matplotlib_defaults", "note",
    "number_of", "separate_labels", "size", "style_for", "title", "untrained",
]  # fmt: skip

COLORS = {
    "black": "#000000",
    "orange": "#E69F00",
    "sky blue": "#56B4E9",
    "bluish green": "#009E73",
    "yellow": "#F0E442",
    "blue": "#0072B2",
    "vermilion": "#D55E00",
    "reddish purple": "#CC79A7",
}
"""The palette of Okabe and Ito, told apart by readers with any common colour vision deficiency."""

INK = "#1f2328"
MUTED = "#57606a"
RULE = "#e4e7eb"
PAPER = "#ffffff"
FONT = 11.5
SMALL = 11.0
LARGE = 13.0


@dataclass(frozen=True)
class Look:
    """How a quantity is drawn: colour plus a redundant dash and marker."""

    color: str
    dash: Any = "-"
    marker: str = ""
    width: float = 2.0


LOOKS = {
    "error": Look(COLORS["vermilion"], "-", "o"),
    "granular": Look(COLORS["vermilion"], (0, (1, 1.4)), "", 1.8),
    "clipping": Look(COLORS["vermilion"], (0, (5, 2)), "", 1.8),
    "bits": Look(COLORS["blue"], "-", "s"),
    "sparsity": Look(COLORS["blue"], (0, (1, 1.4)), "D"),
    "accuracy": Look(COLORS["bluish green"], "-", "o"),
    "bytes": Look(COLORS["orange"], "-", "v"),
    "full precision": Look(COLORS["black"], (0, (6, 3)), "", 1.5),
    "previous": Look("#9aa1a9", "-", "", 1.8),
    "theory": Look(COLORS["reddish purple"], (0, (3, 2)), "^", 1.5),
    "weights": Look("#b9c0c8", "-", "", 1.0),
}
"""Quantity -> look. Error vermilion, bits and sparsity blue, accuracy bluish green, bytes orange."""

SERIES = (
    Look(COLORS["blue"], "-", "o"),
    Look(COLORS["orange"], (0, (5, 2)), "s"),
    Look(COLORS["bluish green"], (0, (1, 1.4)), "^"),
    Look(COLORS["reddish purple"], (0, (5, 1.5, 1, 1.5)), "D"),
    Look(COLORS["sky blue"], "-", "v"),
    Look(COLORS["vermilion"], (0, (3, 1)), "P"),
    Look(COLORS["black"], (0, (1, 1)), "X"),
    Look(COLORS["yellow"], "-", "<"),
    Look(COLORS["blue"], (0, (1, 1.4)), "h"),
    Look(COLORS["orange"], "-", "p"),
)
"""Looks for things that are not a quantity of the language: methods, layers, clients, in this order. The palette has eight
colours; from the ninth look on they come again with another dash and marker."""


def style_for(quantity: str | int) -> Look:
    """The look of a quantity (a key of :data:`LOOKS`), or of the n-th member of a series."""
    return SERIES[quantity % len(SERIES)] if isinstance(quantity, int) else LOOKS[quantity]


_DRAWING = threading.RLock()
_OURS = {
    key: value
    for key, value in dict.items(matplotlib.rcParamsDefault)
    if key not in ("backend", "backend_fallback", "date.epoch", "interactive", "toolbar")
}


@contextlib.contextmanager
def matplotlib_defaults(**more: Any) -> Iterator[None]:
    """Inside, Matplotlib is ours: no other thread draws, and its settings are the defaults it ships with.

    Matplotlib is not thread-safe, and panels draw from callbacks and from workers. Its settings are global as well: a
    user's dark style, TeX or constrained layout would reach into every picture. What differs from the defaults is put
    aside and comes back afterwards; where nothing differs, as on most machines, nothing is touched. Also a decorator.

    Args:
        more: further settings, with ``__`` for the dot: ``svg__fonttype="path"``.
    """
    settings = matplotlib.rcParams
    wanted = _OURS | {name.replace("__", "."): value for name, value in more.items()}
    with _DRAWING:
        aside = {key: now for key, now in dict.items(settings) if key in wanted and now != wanted[key]}
        settings.update({key: wanted[key] for key in aside})
        try:
            yield
        finally:  # a setting that somebody changed in the meantime stays as they want it
            settings.update({key: theirs for key, theirs in aside.items() if settings[key] == wanted[key]})


@matplotlib_defaults()
def figure(width: float, height: float, zoom: float = 1.0) -> Figure:
    """An empty figure of ``width`` x ``height`` pixels; ``zoom`` multiplies the pixels, not the layout."""
    return Figure(figsize=(width / 72, height / 72), dpi=72 * zoom, facecolor=PAPER)


def size(fig: FigureBase) -> tuple[float, float]:
    """Width and height of a figure or subfigure in layout pixels (1/72 inch)."""
    dpi = fig.dpi  # type: ignore[attr-defined]  # of figures and subfigures alike
    return fig.bbox.width * 72 / dpi, fig.bbox.height * 72 / dpi


def axes(
    fig: FigureBase,
    left: float,
    bottom: float,
    width: float,
    height: float,
    *,
    xlabel: str = "",
    ylabel: str = "",
    xlim: tuple[float, float] | None = None,
    ylim: tuple[float, float] | None = None,
    yscale: str = "linear",
    grid: str = "y",
    spines: Sequence[str] = ("left", "bottom"),
) -> Axes:
    """Axes at a fixed place, in pixels from the lower left corner of ``fig``.

    Args:
        grid: which grid lines to draw: ``"x"``, ``"y"``, ``"both"`` or ``""``.
        spines: the sides that get a line.
    """
    w, h = size(fig)
    ax = fig.add_axes((left / w, bottom / h, width / w, height / h))
    ax.set(xlim=xlim or (0, 1), ylim=ylim or (0, 1), yscale=yscale)
    ax.set_xlabel(xlabel, fontsize=FONT, color=INK, labelpad=3)
    ax.set_ylabel(ylabel, fontsize=FONT, color=INK, labelpad=3)
    ax.tick_params(labelsize=SMALL, colors=MUTED, length=3, width=0.8, which="major", pad=2)
    ax.tick_params(which="minor", length=0)
    for side, spine in ax.spines.items():
        spine.set(visible=side in spines, color=MUTED, linewidth=0.8)
    if grid:
        ax.grid(True, axis=grid, color=RULE, linewidth=0.8)  # type: ignore[arg-type]
    ax.set_axisbelow(True)
    return ax


def line(ax: Axes, quantity: str | int, *, markers: bool = False, **options: Any) -> Line2D:
    """An empty line in the look of ``quantity``; fill it with ``set_data``. ``markers`` shows its marker too."""
    way = style_for(quantity)
    style = {"color": way.color, "linestyle": way.dash, "linewidth": way.width, "solid_capstyle": "round"}
    if markers:
        style |= {"marker": way.marker or "o", "markersize": 5.5}
    (drawn,) = ax.plot([], [], **(style | options))
    return drawn


def title(fig: FigureBase, text: str = "", *, x: float = 10, top: float = 9) -> Text:
    """The headline of a picture, at its upper left. Write the finding into it, not the names of the axes."""
    w, h = size(fig)
    return fig.text(x / w, 1 - top / h, text, fontsize=LARGE, fontweight="bold", color=INK, va="top", ha="left")


def untrained(headline: Text) -> str:
    """What a picture says, and its alt text, before the first run is done."""
    headline.set_text("Training comes first")
    return "Nothing is trained yet, so the picture is empty."


def number_of(count: int, thing: str) -> str:
    """The count and the thing, in the plural unless there is one: ``1 level``, ``3 levels``."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def note(
    ax: Axes, text: str = "", *, x: float = 0, y: float = 0, color: str = INK, halo: bool = True, **options: Any
) -> Text:
    """A direct label at data position ``(x, y)``, clipped to the axes; ``halo`` keeps it readable across lines."""
    from matplotlib.patheffects import withStroke

    style = {"fontsize": SMALL, "color": color, "ha": "left", "va": "center", "clip_on": False}
    if halo:
        style["path_effects"] = [withStroke(linewidth=3, foreground=PAPER)]
    return ax.text(x, y, text, **(style | options))


def separate_labels(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move label positions until neighbours are ``gap`` apart, inside ``[low, high]``; their order stays.

    >>> separate_labels([0.5, 0.5, 0.9], 0.1, 0.0, 1.0)
    [0.45, 0.55, 0.9]
    """
    order = sorted(range(len(places)), key=lambda i: places[i])
    moved = [min(max(places[i], low), high) for i in order]
    for _ in range(100):
        for k in range(len(moved) - 1):
            close = gap - (moved[k + 1] - moved[k])
            if close > 1e-9:
                moved[k], moved[k + 1] = moved[k] - close / 2, moved[k + 1] + close / 2
        moved = [min(max(m, low + k * gap), high - (len(moved) - 1 - k) * gap) for k, m in enumerate(moved)]
    return [round(moved[order.index(i)], 6) for i in range(len(places))]
