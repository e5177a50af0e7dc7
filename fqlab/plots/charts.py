"""A figure of a paper, rebuilt: one axes with up to ten arms, and a card that says all about one point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import FigureBase
from matplotlib.text import Text

from fqlab.plots.picture import Picture
from fqlab.plots.spots import Spot, Tip, spots_at
from fqlab.plots.style import INK, LOOKS, MUTED, Look, axes, line, note, separate_labels, style_for, title

__all__ = ["Arm", "Card", "Rebuilt", "Scale"]

MOST = 10
"""Arms that a figure may have."""
WIDE = 0.24
"""Width of a column, in categories."""
STAR = "*"
GLYPHS = {
    "*": "★", "o": "●", "s": "■", "^": "▲", "D": "◆", "v": "▼", "P": "✚", "X": "✖", "<": "◀", "h": "⬢", "p": "⬟", "": "╌",
}  # fmt: skip
"""Marker -> the letter that looks like it, before an arm's name."""


@dataclass(frozen=True)
class Scale:
    """One axis: its label, (place, words) of its ticks, its ends, whether it is logarithmic, and the width over which arms are spread at a place."""

    label: str
    ticks: tuple[tuple[float, str], ...]
    low: float
    high: float
    log: bool = False
    apart: float = 0.0


@dataclass(frozen=True)
class Arm:
    """One line of points, or one colour of columns.

    Attributes:
        y, spread: a value for every ``x``, and the standard deviation over the seeds; 0 draws no bar.
        published: drawn as stars and not as our markers.
        shown: False where another arm is looked at: it is drawn pale.
        look: number of its look in a series, where that is not its own number.
        single: for every ``x`` whether one seed is all there is: such a point is white inside. Empty: none is.
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    spread: tuple[float, ...]
    published: bool = False
    shown: bool = True
    single: tuple[bool, ...] = ()
    look: int | None = None


class Rebuilt(Picture):
    """The figure."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        finding: str
        setup: str
        x: Scale
        y: Scale
        arms: tuple[Arm, ...]
        bars: bool = False
        picked: tuple[int, int] | None = None  # number of an arm, and of its point
        again: tuple[float, float] | None = None  # value and spread of the picked point, run again
        tips: Sequence[Sequence[Tip]] = field(default=())  # of every point, arm by arm

    width, height = 686, 300

    def build(self, fig: FigureBase) -> None:
        """One axes, the arms' names in a column on its right."""
        self.title = self.live(title(fig))
        self.ax = axes(fig, 58, 58, 460, 196)
        self.bars = self.live(LineCollection([], capstyle="butt", zorder=1.5))
        self.spreads = self.live(LineCollection([], linewidths=1.3, zorder=2.2))
        self.ax.add_collection(self.bars)
        self.ax.add_collection(self.spreads)
        self.lines = [self.live(line(self.ax, k, markers=True, zorder=2.4)) for k in range(MOST)]
        hole = {"marker": "o", "markersize": 3.4, "markerfacecolor": "#ffffff", "markeredgewidth": 0}
        self.holes = self.live(line(self.ax, 0, linestyle="", zorder=2.6, **hole))
        ring = {
            "marker": "o",
            "markersize": 15,
            "markerfacecolor": "none",
            "markeredgecolor": INK,
            "markeredgewidth": 2,
        }
        self.ring = self.live(line(self.ax, 0, linestyle="", zorder=3, **ring))
        new = {"marker": "X", "markersize": 10, "markerfacecolor": "#ffffff", "markeredgecolor": INK}
        self.new = self.live(line(self.ax, 0, linestyle="", zorder=3.2, **new))
        self.names = [self.live(note(self.ax, "", halo=False, va="center")) for _ in range(MOST)]
        self.setup: Text = self.live(fig.text(10 / self.width, 9 / self.height, "", fontsize=11, color=MUTED))

    def update(self, data: Data, ghost: Data | None = None) -> str:
        self._axes(data)
        self._data = data
        self.title.set_text(data.finding)
        self.setup.set_text(data.setup)
        for k, drawn in enumerate(self.lines):
            self._arm(drawn, data, k)
        self._columns(data)
        self._holes(data)
        self._labels(data)
        self._pick(data)
        return f"{data.finding}. {data.y.label} by {data.x.label or 'method'}: {'; '.join(map(_words, data.arms))}."

    def spots(self) -> list[Spot]:
        return [
            spot
            for k, tips in enumerate(self._data.tips)
            for spot in spots_at(self.ax, self._places(self._data, k), tips)
        ]

    def _axes(self, data: Data) -> None:
        """Ticks, limits and labels; they belong to the background, which is drawn anew where they change."""
        if self.scenery == (data.x, data.y):
            return
        self.scenery = (data.x, data.y)
        ax = self.ax
        for scale, name in ((data.x, "x"), (data.y, "y")):
            getattr(ax, f"set_{name}scale")("log" if scale.log else "linear")
            getattr(ax, f"set_{name}lim")(scale.low, scale.high)
            getattr(ax, f"set_{name}ticks")([place for place, _ in scale.ticks], [words for _, words in scale.ticks])
            getattr(ax, f"set_{name}label")(scale.label)
        ax.minorticks_off()

    def _places(self, data: Data, k: int) -> np.ndarray:
        """Where the points of an arm are drawn, ``[n, 2]``."""
        arm = data.arms[k]
        step = _width(data) if data.bars else data.x.apart / max(len(data.arms), 5)
        shift = (k - (len(data.arms) - 1) / 2) * step
        return np.column_stack([np.add(arm.x, shift), arm.y])

    def _arm(self, drawn: object, data: Data, k: int) -> None:
        drawn.set_visible(k < len(data.arms))
        if k >= len(data.arms):
            return
        arm = data.arms[k]
        look = _look(data, k)
        drawn.set_data(*self._places(data, k).T)
        joined = not data.bars and not arm.published
        drawn.set(
            color=look.color,
            linestyle=look.dash if joined else "",
            marker=STAR if arm.published else look.marker or ".",
            markersize=12 if arm.published else 6,
            markeredgecolor=INK if arm.published else look.color,
            markeredgewidth=0.6 if arm.published else 1,
            alpha=1.0 if arm.shown else 0.18,
        )

    def _columns(self, data: Data) -> None:
        columns: list[list[tuple[float, float]]] = []
        colors: list[str] = []
        spreads: list[list[tuple[float, float]]] = []
        thin: list[str] = []
        for k, arm in enumerate(data.arms):
            color = _look(data, k).color
            for (x, y), spread in zip(self._places(data, k), arm.spread, strict=True):
                shade = color if arm.shown else f"{color}2e"
                if data.bars:
                    columns.append([(x, 0), (x, y)])
                    colors.append(f"{color}66" if arm.shown else f"{color}1a")
                if spread:
                    spreads.append([(x, max(y - spread, 1e-9)), (x, y + spread)])
                    thin.append(shade)
        self.bars.set_segments(columns)
        self.bars.set(colors=colors, linewidths=[_width(data) * 460 / (data.x.high - data.x.low) * 0.9])
        self.spreads.set_segments(spreads)
        self.spreads.set_colors(thin)

    def _holes(self, data: Data) -> None:
        """White in the middle of every point of one seed."""
        places = [self._places(data, k)[np.array(arm.single, bool)] for k, arm in enumerate(data.arms) if arm.single]
        self.holes.set_data(*np.concatenate([np.empty((0, 2)), *places]).T)

    def _labels(self, data: Data) -> None:
        """Names right of the axes: at the end of each line, or from the top where there are columns."""
        low, high = (0.02, 0.98)
        ends = [_share(data.y, _last(arm)) for arm in data.arms]
        wanted = [high - 0.085 * k for k in range(len(ends))] if data.bars else ends
        heights = separate_labels(wanted, 0.075, low, high)
        for k, text in enumerate(self.names):
            text.set_visible(k < len(data.arms))
            if k < len(data.arms):
                arm = data.arms[k]
                text.set_transform(self.ax.transAxes)
                look = _look(data, k)
                glyph = GLYPHS[STAR if arm.published else look.marker]
                text.set(text=f"{glyph} {arm.name}", x=1.03, y=heights[k], color=_dark(look.color))
                text.set_alpha(1.0 if arm.shown else 0.35)

    def _pick(self, data: Data) -> None:
        here: np.ndarray = np.empty((0, 2))
        if data.picked is not None:
            arm, number = data.picked
            here = self._places(data, arm)[number : number + 1]
        self.ring.set_data(*here.T)
        fresh = here.copy()
        if data.again is not None and len(fresh):
            fresh[0, 1] = data.again[0]
        self.new.set_data(*(fresh if data.again is not None else np.empty((0, 2))).T)


def _width(data: Rebuilt.Data) -> float:
    """Of one column: those of all arms stand side by side, with room between two places."""
    return min(WIDE, 0.84 / len(data.arms))


def _look(data: Rebuilt.Data, k: int) -> Look:
    """An arm that was published has the look of ours of the same number; a quantity of the language has its own."""
    if data.arms[k].name in LOOKS:
        return LOOKS[data.arms[k].name]
    look = data.arms[k].look
    if look is not None:
        return style_for(look)
    ours = [number for number, arm in enumerate(data.arms) if not arm.published]
    theirs = [number for number, arm in enumerate(data.arms) if arm.published]
    return style_for(ours[theirs.index(k)] if k in theirs and not data.bars and len(theirs) <= len(ours) else k)


def _last(arm: Arm) -> float:
    """Where its line ends; the foot of the axes where none of it is drawn."""
    return next((y for y in reversed(arm.y) if np.isfinite(y)), 0.0)


def _share(scale: Scale, value: float) -> float:
    """Height of a value as a share of its axis."""
    ends = np.array([scale.low, max(value, 1e-12), scale.high])
    low, at, high = np.log(ends) if scale.log else ends
    return float((at - low) / (high - low))


def _dark(color: str) -> str:
    """A colour in which words can be read on white."""
    red, green, blue = (int(color[k : k + 2], 16) for k in (1, 3, 5))
    dim = 0.62 if 0.3 * red + 0.59 * green + 0.11 * blue > 90 else 1.0
    return "#" + "".join(f"{round(dim * part):02x}" for part in (red, green, blue))


def _words(arm: Arm) -> str:
    """``FedAvg 96.1, 95.8 (one seed), ...``."""
    alone = arm.single or (False,) * len(arm.y)
    each = (f"{y:.3g}{' (one seed)' * one}" for y, one in zip(arm.y, alone, strict=True) if np.isfinite(y))
    return f"{arm.name} {', '.join(each)}"


class Card(Picture):
    """All about one point: what it is, its set-up, its row of the ledger, and what a new run gave."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        headline: str
        lines: tuple[tuple[str, str], ...]  # (what, words)

    width, height = 686, 166
    LINES = 8

    def build(self, fig: FigureBase) -> None:
        """A headline and lines in two columns."""
        self.title = self.live(title(fig))
        style = {"fontsize": 11.5, "va": "top", "ha": "left"}
        tops = [1 - (32 + 17 * k) / self.height for k in range(self.LINES)]
        self.heads = [self.live(fig.text(10 / self.width, top, "", color=MUTED, **style)) for top in tops]
        self.words = [self.live(fig.text(92 / self.width, top, "", color=INK, **style)) for top in tops]

    def update(self, data: Data, ghost: Data | None = None) -> str:
        self.title.set_text(data.headline)
        rows = [("" if part else head, words) for head, text in data.lines for part, words in enumerate(_folded(text))]
        for k, (head, words) in enumerate(zip(self.heads, self.words, strict=True)):
            head.set_text(rows[k][0] if k < len(rows) else "")
            words.set_text(rows[k][1] if k < len(rows) else "")
        return f"{data.headline}. {' '.join(f'{head}: {words}.' for head, words in data.lines)}"


def _folded(text: str, letters: int = 96) -> list[str]:
    """A text in lines of at most so many letters, two at most."""
    from textwrap import wrap

    lines = wrap(text, letters, break_on_hyphens=False) or [""]
    return lines if len(lines) <= 2 else [lines[0], f"{lines[1][: letters - 1]}…"]
