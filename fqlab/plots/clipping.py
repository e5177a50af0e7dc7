"""The pictures of optimal clipping: error against the clip, where the error comes from, and what a clip saves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import FigureBase
from matplotlib.patches import Rectangle

from fqlab.plots.picture import Picture
from fqlab.plots.spots import Drag
from fqlab.plots.style import INK, MUTED, axes, line, note, number_of, style_for, title

__all__ = ["Descent", "Origin", "Price", "more"]

WIDEST = 8.0
"""Largest clip (σ) that is drawn."""
LOW, HIGH = 0.03, 100.0
"""Lowest and highest squared error (× the least) that are drawn."""
PURPLE = "#a1477a"


def more(ratio: float) -> str:
    """An error relative to the lowest, in words: ``0.3 % above the lowest``, ``2.9 × the lowest``."""
    if ratio < 1.0005:
        return "the lowest error"
    if ratio < 1.995:
        return f"{100 * (ratio - 1):.2g} % above the lowest"
    return f"{ratio:.2g} × the lowest" if ratio < 99.5 else f"{ratio:.0f} × the lowest"


class Descent(Picture):
    """Squared error against the clip, its two parts, and OCTAV's walk down."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        clip: float
        mse: float
        parts: tuple[float, float]  # granular, clipping
        curves: tuple[np.ndarray, ...]  # clips, granular and clipping error
        best: tuple[float, float]
        steps: tuple[Sequence[float], Sequence[float]]  # OCTAV's clips and their errors
        parabola: np.ndarray | None
        rule: str
        level_aware: bool
        largest: float

    width, height = 686, 250
    drag = {"x": Drag("clip", WIDEST / 612)}

    def build(self, fig: FigureBase) -> None:
        """One wide pair of axes; errors are multiples of the lowest."""
        self.title = self.live(title(fig))
        limits = {"xlim": (0, WIDEST), "ylim": (LOW, HIGH), "yscale": "log"}
        ax = axes(fig, 62, 40, 612, 172, xlabel="clip s (σ)", ylabel="error, × the lowest", **limits)
        ax.set_yticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
        ax.minorticks_off()
        self.here = self.live(line(ax, "error", linewidth=1.1))
        self.granular = self.live(line(ax, "granular"))
        self.clipping = self.live(line(ax, "clipping"))
        self.total = self.live(line(ax, "error", linewidth=2.4))
        self.parabola = self.live(line(ax, "theory", linewidth=1.8))
        self.steps = self.live(line(ax, "theory", markers=True, linestyle="", markersize=7.5, zorder=4))
        self.best = self.live(line(ax, "full precision", linestyle="", marker="*", markersize=11, zorder=3))
        self.dot = self.live(line(ax, "error", markers=True, linestyle="", markersize=8.5, zorder=5))
        color = style_for("error").color
        self.names = [self.live(note(ax, text, color=color)) for text in ("rounding", "clipping")]
        self.lowest = self.live(note(ax, "", ha="center"))
        self.belief = self.live(note(ax, "", color=PURPLE, ha="left"))
        self.numbers = [self.live(note(ax, str(k), color=PURPLE, ha="center", halo=False)) for k in range(5)]
        self.largest = self.live(note(ax, "max |w|", y=84, ha="left", color=MUTED))
        self.edge = self.live(line(ax, "previous", linewidth=1.2))

    def update(self, data: Data, ghost: Data | None = None) -> str:
        clips, granular, clipping = data.curves
        where, unit = data.best
        self.total.set_data(clips, (granular + clipping) / unit)
        self.granular.set_data(clips, np.maximum(granular / unit, 1e-6))
        self.clipping.set_data(clips, np.maximum(clipping / unit, 1e-6))
        x = min(data.clip, WIDEST)
        y = self._inside(data.mse / unit)
        self.here.set_data([x, x], [LOW, HIGH])
        self.dot.set_data([x], [y])
        self.best.set_data([where], [1])
        edge = min(data.largest, WIDEST)
        self.edge.set_data([edge, edge], [55, HIGH])
        self.largest.set_x(min(edge + 0.06, 7.4))
        self._draw_walk(data, unit)
        self._name_curves(clips, granular / unit, clipping / unit, where)
        self.title.set_text(self._finding(data))
        rounding, clipped = data.parts
        return (
            f"Squared error against the clip: lowest at {where:.2f} σ with {unit:.3g} σ². The clip is {data.clip:.2f} σ "
            f"with {data.mse:.3g} σ², {more(data.mse / unit)}; rounding makes {rounding:.2g}, clipping "
            f"{clipped:.2g}."
            + (f" OCTAV has made {number_of(len(data.steps[0]) - 1, 'step')}." if data.rule == "octav" else "")
        )

    @staticmethod
    def _inside(value: float) -> float:
        return float(min(max(value, 1.15 * LOW), 0.87 * HIGH))

    def _draw_walk(self, data: Data, unit: float) -> None:
        """OCTAV's clips so far, numbered while they lie apart, and the parabola it sees from the last."""
        walking = data.rule == "octav"
        clips, mse = data.steps if walking else ((), ())
        total = data.curves[1] + data.curves[2]
        heights = [self._inside(e / unit) for e in mse]
        self.steps.set_data([min(c, WIDEST) for c in clips], heights)
        for k, number in enumerate(self.numbers):
            shown = k < len(clips) and all(abs(clips[k] - c) > 0.12 for c in clips[:k])
            number.set(visible=shown)
            if shown:
                number.set(x=min(clips[k], WIDEST) + 0.1, y=min(heights[k] * 1.5, 70), ha="left")
        curve = data.parabola
        self.parabola.set_data(*((data.curves[0], np.maximum(curve / unit, 1e-6)) if walking else ((), ())))
        self.belief.set_visible(walking)
        if walking:
            x, y, side = self._room(data.curves[0], curve / unit, total / unit)
            self.belief.set(text=f"what OCTAV sees from step {len(clips) - 1}", x=x, y=y, ha=side)

    @staticmethod
    def _room(clips: np.ndarray, believed: np.ndarray, true: np.ndarray) -> tuple[float, float, str]:
        """Where the name of the curve OCTAV sees keeps clear of both curves: under its steep branch, or beside it."""
        steep = clips[(believed > 25) & (clips > clips[believed.argmin()])]
        if steep.size and steep[0] < 5.2:
            return float(steep[0]) + 0.12, 19.0, "left"
        seen, held = (np.interp([5.2, 6.35, 7.5], clips, curve) for curve in (believed, true))
        if seen[1] > 1.05 * held[1]:
            above = float(np.maximum(seen, held).max()) * 1.9
            return 6.35, above if above < 60 else float(seen.min()) / 1.9, "center"
        return 6.35, max(float(np.minimum(seen, held).min()) / 1.9, 0.09), "center"

    def _name_curves(self, x: np.ndarray, granular: np.ndarray, clipping: np.ndarray, best: float) -> None:
        """Write the names where the curves leave room: beside their lower ends, the lowest error between them."""
        rounding, clipped = self.names
        fall, middle = (float(np.interp(-y, -clipping, x)) for y in (0.075, 0.16))
        clipped.set(x=min(fall + 0.12, 7.0), y=0.075 if fall < 7 else 8)
        rising = granular[: granular.argmax() + 1]
        rise, start = (float(np.interp(y, rising, x[: rising.size])) for y in (0.2, 0.16))
        rounding.set(x=max(rise - 0.1, 0.75), y=0.2, ha="right")
        low, high = start + 0.65, middle - 0.65
        place = min(max(best, low), high) if low < high else (low + high) / 2
        self.lowest.set(text=f"★ best {best:.2f} σ", x=place, y=0.1)

    @staticmethod
    def _finding(data: Data) -> str:
        ratio = data.mse / data.best[1]
        if data.rule == "octav":
            clips = data.steps[0]
            name = "OCTAV" if data.level_aware else "OCTAV with the textbook's c"
            return f"{name}, step {len(clips) - 1}: s = {clips[-1]:.2f} σ, {more(ratio)}"
        if ratio < 1.02:
            return f"The clip is where it should be: {more(ratio)}"
        rounding, clipping = data.parts
        share = max(rounding, clipping) / max(data.mse, 1e-30)
        which = "clipping" if clipping > rounding else "rounding"
        return f"{more(ratio)[0].upper()}{more(ratio)[1:]}: {100 * share:.0f} % of it is {which}"


class Origin(Picture):
    """Above, the weights with the grid on them; below, which of them make the error."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        clip: float
        mse: float
        parts: tuple[float, float]  # granular, clipping
        histogram: tuple[np.ndarray, np.ndarray]  # heights, edges
        shares: np.ndarray  # share of the error by bin
        levels: Sequence[float]
        cut: float  # share of weights beyond the grid
        widest: float

    width, height = 338, 216

    def build(self, fig: FigureBase) -> None:
        """Two axes with one scale of weights."""
        self.title = self.live(title(fig))
        self.axes = [self._axes(fig, 114, 66, "weights (log)"), self._axes(fig, 38, 58, "error")]
        self.axes[0].set(yscale="log", ylim=(5e-5, 1))
        self.axes[0].set_yticks([])
        self.axes[0].minorticks_off()
        self.axes[0].set_xticklabels([])
        self.axes[1].set_xlabel("weight (σ)", fontsize=11.5, color=INK, labelpad=2)
        self.axes[1].set_ylim(0, 1.25)
        shade = {"color": style_for("clipping").color, "alpha": 0.16, "linewidth": 0}
        self.gone = [self.live(ax.add_patch(Rectangle((0, 0), 20, 2, **shade))) for ax in self.axes for _ in range(2)]
        empty = (np.zeros(100), np.linspace(-5, 5, 101))
        weights = {"fill": True, "baseline": 1e-6, "color": style_for("weights").color}
        self.bars = self.live(self.axes[0].stairs(*empty, **weights))
        self.shares = self.live(self.axes[1].stairs(*empty, fill=True, color=style_for("error").color))
        self.levels = self.live(LineCollection([], colors=style_for("bits").color, linewidths=1.2))
        self.axes[0].add_collection(self.levels)
        self.parts = [self.live(note(self.axes[1], "", y=1.22, color=style_for("error").color)) for _ in range(2)]

    @staticmethod
    def _axes(fig: FigureBase, bottom: float, tall: float, name: str) -> Any:
        ax = axes(fig, 40, bottom, 286, tall, xlim=(-5, 5), grid="", spines=("bottom",))
        ax.set_yticks([])
        ax.set_ylabel(name, fontsize=11.5, color=INK, labelpad=10)
        return ax

    def update(self, data: Data, ghost: Data | None = None) -> str:
        widest = data.widest
        clip = data.clip
        if self.axes[0].get_xlim()[1] != widest:
            for ax in self.axes:
                ax.set_xlim(-widest, widest)
        shares, edges = data.histogram
        self.bars.set_data(np.maximum(shares, 1e-6), edges)
        self.shares.set_data(data.shares / max(data.shares.max(), 1e-30), edges)
        levels = [v for v in data.levels if abs(v) <= widest]
        tall = 0.02 if len(levels) <= 64 else 2e-4  # a comb finer than the screen must not hide the weights
        self.levels.set_segments([[(v, 5e-5), (v, tall)] for v in levels])
        for k, patch in enumerate(self.gone):
            patch.set_x(clip if k % 2 else -clip - 20)
        rounding, clipping = (part / max(data.mse, 1e-30) for part in data.parts)
        self.parts[0].set(text=f"rounding {100 * rounding:.0f} %", x=0, ha="center")
        self.parts[1].set(text=f"clipping {100 * clipping:.0f} %", x=0.98 * widest, ha="right")
        self.title.set_text(self._finding(data.cut, clipping))
        return (
            f"Of the weights {data.cut:.2%} lie beyond the grid of {len(data.levels)} levels; they make "
            f"{clipping:.0%} of the squared error."
        )

    @staticmethod
    def _finding(cut: float, clipping: float) -> str:
        if cut == 0:
            return "Nothing is cut: all error is rounding"
        share = f"{100 * cut:.2g}" if cut < 0.995 else f"{100 * cut:.0f}"
        if clipping < 0.005:
            return f"Cutting {share} % of weights costs nothing"
        return f"{share} % of weights make {100 * clipping:.0f} % of error"


class Price(Picture):
    """Error against bits a weight, at fixed length and entropy coded, with and without a clip."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        curves: Mapping[str, tuple[np.ndarray, ...]]  # rule -> fixed bits, coded bits, errors
        bits: int
        fixed: int
        coded: float
        mse: float

    width, height = 338, 216
    STYLES = (
        ("max_abs", 0, {"color": MUTED, "linestyle": "-", "marker": "s", "linewidth": 1.6}),
        ("octav", 0, {"color": PURPLE, "linestyle": "-", "marker": "^", "linewidth": 1.6}),
        ("max_abs", 1, {"color": MUTED, "linestyle": (0, (1, 1.2)), "marker": "s", "linewidth": 1.8}),
        ("octav", 1, {"color": PURPLE, "linestyle": (0, (1, 1.2)), "marker": "^", "linewidth": 1.8}),
    )

    def build(self, fig: FigureBase) -> None:
        """One pair of axes."""
        self.title = self.live(title(fig))
        limits = {"xlim": (0.8, 9.2), "ylim": (5e-5, 3), "yscale": "log"}
        ax = axes(fig, 62, 40, 264, 138, xlabel="bits a weight", ylabel="error (σ²)", grid="both", **limits)
        ax.set_yticks([1e-4, 1e-2, 1], ["0.0001", "0.01", "1"])
        ax.minorticks_off()
        self.lines = [self.live(line(ax, "error", markersize=4, **style)) for _, _, style in self.STYLES]
        self.dots = self.live(line(ax, "error", linestyle="", marker="o", markersize=8, zorder=5))
        self.link = self.live(line(ax, "error", linewidth=1.2, linestyle=(0, (1, 1))))
        note(ax, "never clip", x=5.4, y=0.5, color=MUTED, halo=False)
        note(ax, "OCTAV", x=5.4, y=0.12, color=PURPLE, halo=False)
        note(ax, "dotted: entropy coded", x=1.0, y=1.0e-4, color=INK)

    def update(self, data: Data, ghost: Data | None = None) -> str:
        for drawn, (rule, coded, _) in zip(self.lines, self.STYLES, strict=True):
            fixed, coded_bits, mse = data.curves[rule]
            drawn.set_data(coded_bits if coded else fixed, mse)
        y = min(max(data.mse, 5e-5), 3.0)
        self.dots.set_data([data.coded, data.fixed], [y, y])
        self.link.set_data([data.coded, data.fixed], [y, y])
        fixed, coded = self.saved(data)
        self.title.set_text(self._finding(fixed, coded))
        return (
            f"Error against bits a weight: for OCTAV's error at {data.bits} bits an unclipped grid needs {fixed:.2f} bit "
            f"more at fixed length and {coded:.2f} bit more entropy coded. Now {data.fixed} bit, coded {data.coded:.2f}."
        )

    @staticmethod
    def saved(data: Data) -> tuple[float, float]:
        """Bits that an unclipped grid needs more than OCTAV's for the same error: fixed length, entropy coded."""
        at = data.bits - 2
        _, _, high = data.curves["max_abs"]
        target = np.log(data.curves["octav"][2][at])
        order = np.argsort(high)
        needed = [np.interp(target, np.log(high[order]), data.curves["max_abs"][k][order]) for k in (0, 1)]
        return tuple(float(needed[k] - data.curves["octav"][k][at]) for k in (0, 1))  # type: ignore[return-value]

    @staticmethod
    def _finding(fixed: float, coded: float) -> str:
        verb = "saves" if fixed > -0.05 else "loses"
        after = "nothing" if abs(coded) < 0.05 else f"{abs(coded):.1f} bit"
        after = f"it loses {after}" if coded <= -0.05 else after
        return f"A clip {verb} {abs(fixed):.1f} bit; coded, {after}"
