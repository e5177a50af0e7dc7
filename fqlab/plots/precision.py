"""The pictures of mixed precision: bits and moved weights by layer and device, and what it is worth to whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any, ClassVar

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import FigureBase
from matplotlib.patches import Rectangle

from fqlab.plots.picture import Picture
from fqlab.plots.style import INK, MUTED, axes, line, note, separate_labels, style_for, title

__all__ = ["Average", "Matrix", "Weakest"]

DEVICES, LAYERS = 10, 8
LEFT, CELL, TALL, BOTTOM = 112, 55, 18, 50
"""Left edge, width and height of a cell, and lower edge of the matrix, in pixels."""
BLUE = style_for("bits").color
PURPLE = style_for("theory").color
GREEN = "#00704f"
"""The colour of accuracy, darker, for words."""


class Matrix(Picture):
    """Bits of every layer on every device, shaded by the share of its weights that a local round moved.

    Below, each device's mean bits against its budget, and what its own model reads right.
    """

    @dataclass(frozen=True)
    class Data:
        """What it shows; ``moved`` is empty where nothing has been trained, and ``own`` NaN where it is not known."""

        widths: Sequence[Sequence[int]]  # by device and layer
        before: Sequence[Sequence[int]]
        moved: Sequence[Sequence[float]]  # the same shape, or empty
        budgets: Sequence[float]
        means: Sequence[float]
        own: Sequence[float]
        layers: Sequence[str]
        stage: str

    width, height = 686, 250

    def build(self, fig: FigureBase) -> None:
        """A canvas of 686 x 250 pixels; everything is placed by hand."""
        self.title = self.live(title(fig))
        ax = axes(fig, 0, 0, self.width, self.height, grid="", spines=())
        ax.set(xticks=[], yticks=[])
        self.ramps = {
            "moved": LinearSegmentedColormap.from_list("moved", ["#ffffff", "#ecd2e0", PURPLE]),
            "bits": LinearSegmentedColormap.from_list("bits", ["#ffffff", "#8ec1e3", BLUE]),
        }
        place = (LEFT, LEFT + DEVICES * CELL, BOTTOM, BOTTOM + LAYERS * TALL)
        self.map = self.live(ax.imshow(np.zeros((LAYERS, DEVICES)), vmin=0, vmax=1, extent=place))
        ax.set(xlim=(0, self.width), ylim=(0, self.height), aspect="auto")
        for n in range(DEVICES + 1):
            ax.plot([LEFT + n * CELL] * 2, place[2:], color="#ffffff", linewidth=2, zorder=3)
        for k in range(LAYERS + 1):
            ax.plot(place[:2], [BOTTOM + k * TALL] * 2, color="#e4e7eb", linewidth=1, zorder=3)
        self._build_words(ax)

    def _build_words(self, ax: Any) -> None:
        middle = {"ha": "center", "halo": False, "zorder": 6}
        rows = [BOTTOM + (LAYERS - k - 0.5) * TALL for k in range(LAYERS)]
        columns = [LEFT + (n + 0.5) * CELL for n in range(DEVICES)]
        top = BOTTOM + LAYERS * TALL + 10
        heads = {"budget (bits)": top, "mean (bits)": BOTTOM - 12, "own model": BOTTOM - 34}
        for words, y in heads.items():
            note(ax, words, x=LEFT - 8, y=y, ha="right", halo=False, color=MUTED)
        self.layers = [self.live(note(ax, "", x=LEFT - 8, y=y, ha="right", halo=False)) for y in rows]
        self.budgets = [self.live(note(ax, "", x=x, y=top, fontweight="bold", **middle)) for x in columns]
        self.cells = [[self.live(note(ax, "", x=x, y=y, **middle)) for y in rows] for x in columns]
        self.means = [self.live(note(ax, "", x=x, y=BOTTOM - 12, **middle)) for x in columns]
        self.own = [self.live(note(ax, "", x=x, y=BOTTOM - 34, color=GREEN, **middle)) for x in columns]
        frame = {"fill": False, "edgecolor": INK, "linewidth": 2, "zorder": 5}
        self.frames = [
            [
                self.live(ax.add_patch(Rectangle((x - CELL / 2 + 2, y - TALL / 2 + 1), CELL - 4, TALL - 2, **frame)))
                for y in rows
            ]
            for x in columns
        ]

    def update(self, data: Data, ghost: Data | None = None) -> str:
        shade = np.array(data.moved if len(data.moved) else np.array(data.widths) / 8)
        self.map.set(data=shade.T, cmap=self.ramps["moved" if len(data.moved) else "bits"])
        for text, name in zip(self.layers, data.layers, strict=True):
            text.set_text(name)
        for n, row in enumerate(data.widths):
            budget, mean = data.budgets[n], data.means[n]
            self.budgets[n].set_text(f"{budget:g}")
            for k, bits in enumerate(row):
                moved = f"{bits} · {data.moved[n][k]:.0%}" if len(data.moved) else str(bits)
                self.cells[n][k].set(text=moved, color="#ffffff" if not len(data.moved) and bits > 5 else INK)
                self.frames[n][k].set_visible(bits != data.before[n][k])
            over = mean > budget + 1e-9
            self.means[n].set(text=f"{mean:.2f}", color=style_for("error").color if over else INK)
            self.own[n].set_text("" if isnan(data.own[n]) else f"{data.own[n]:.0%}")
        self.title.set_text(data.stage)
        listed = "; ".join(
            f"budget {b:g}: {', '.join(self._words(data, n, k) for k in range(len(row)))}"
            for n, (b, row) in enumerate(zip(data.budgets, data.widths, strict=True))
        )
        return f"{data.stage}. Bits of the layers {', '.join(data.layers)}, by device: {listed}."

    @staticmethod
    def _words(data: Data, device: int, layer: int) -> str:
        moved = f" ({data.moved[device][layer]:.0%} moved)" if len(data.moved) else ""
        return f"{data.widths[device][layer]}{moved}"


class _Curve(Picture):
    """Accuracy round by round: the mean bold, single seeds thin, the last setting grey."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        seeds: Sequence[Sequence[float]]  # by seed and round
        rounds: int
        against: Sequence[float] = ()  # stored beside it, in place of the last setting
        other: str = "before"  # what that is called

    width, height = 338, 216
    whose: ClassVar[str]
    short: ClassVar[str]

    def build(self, fig: FigureBase) -> None:
        """One axis."""
        self.title = self.live(title(fig))
        ax = axes(
            fig, 58, 40, 204, 136, xlabel="communication round", ylabel="accuracy", xlim=(0.5, 8.5), ylim=(0, 1.04)
        )
        ax.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
        ax.set_xticks([2, 4, 6, 8])
        self.single = [self.live(line(ax, "weights")) for _ in range(4)]
        self.before = self.live(line(ax, "previous"))
        self.mean = self.live(line(ax, "accuracy", markers=True))
        self.names = [self.live(note(ax, "", x=8.7, halo=False, color=color)) for color in (GREEN, MUTED)]

    def update(self, data: Data, ghost: Data | None = None) -> str:
        seeds = data.seeds if len(data.seeds) > 1 else ()
        for k, drawn in enumerate(self.single):
            values = seeds[k] if k < len(seeds) else ()
            drawn.set_data(range(1, len(values) + 1), values)
        now = np.mean(data.seeds, axis=0)
        old = np.array(data.against) if len(data.against) else self._last(data, ghost)
        for drawn, values in ((self.mean, now), (self.before, old)):
            drawn.set_data(range(1, len(values) + 1), values)
        ends = [float(values[-1]) for values in (now, old) if len(values)]
        heights = separate_labels(ends, 0.1, 0.05, 1.0)
        for name, end, y, word in zip(self.names, [*ends, 0.0], [*heights, 0.0], ("", f"{data.other} "), strict=False):
            name.set(text=f"{word}{end:.0%}" if end else "", y=y)
        self.title.set_text(self._finding(ends))
        single = f", {len(seeds)} seeds" if seeds else ""
        return f"Accuracy of {self.whose} by round{single}, {ends[0]:.1%} after round {len(now)}."

    @staticmethod
    def _last(data: Data, ghost: Data | None) -> np.ndarray:
        """The last setting's curve, unless it is of another world or the same as now."""
        if ghost is None or ghost.rounds != data.rounds or ghost.seeds == data.seeds:
            return np.zeros(0)
        return np.mean(ghost.seeds, axis=0)

    def _finding(self, ends: Sequence[float]) -> str:
        gained = f", {100 * (ends[0] - ends[1]):+.1f} points".replace("-", "−") if len(ends) > 1 else ""
        return f"{self.short}: {ends[0]:.1%}{gained}"


class Weakest(_Curve):
    """The own model of the device with the smallest budget: the average at its widths."""

    whose = "the weakest device's own model"
    short = "Weakest device's own"


class Average(_Curve):
    """The server's average in full precision."""

    whose = "the average"
    short = "The average"
