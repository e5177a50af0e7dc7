"""The three pictures of the tour: weights and their error, bit planes, and the federation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import FigureBase
from matplotlib.patches import Rectangle

from fqlab.plots.picture import Picture
from fqlab.plots.rounds import build_bytes, draw_curves
from fqlab.plots.style import INK, MUTED, PAPER, axes, line, note, number_of, separate_labels, style_for, title

__all__ = ["WIDEST", "Levels", "PlaneDensity", "TrainingCurve"]

WIDEST = 6.0
"""Largest |w|/σ that is drawn."""
FLOOR, CEILING = 1e-5, 60.0
"""Smallest and largest squared error (σ²) that are drawn."""
MOST_LAYERS = 4
MOST_BITS = 8
MOST_EPSILON = 0.2


class Levels(Picture):
    """Above, a layer's weights with the grid on them; below, the squared error as a function of the clip."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        histogram: tuple[np.ndarray, np.ndarray]
        levels: Sequence[float]
        clip: float
        optimum: float
        curves: tuple[np.ndarray, ...]  # clips, granular and clipping error
        mse: float
        parts: tuple[float, float]
        best: float
        count: int  # levels
        exact: bool  # nothing is quantized
        sent: str  # "weights" or "differences"

    width, height = 338, 264

    def build(self, fig: FigureBase) -> None:
        """Two axes: the histogram, and the two kinds of error with their sum."""
        self.title = self.live(title(fig))
        self._build_weights(fig)
        self._build_mse(fig)

    def _build_weights(self, fig: FigureBase) -> None:
        ax = axes(fig, 52, 164, 274, 68, xlim=(-WIDEST, WIDEST), ylim=(0, 1.3), grid="", spines=("bottom",))
        ax.set_yticks([])
        style = {"ha": "center", "rotation": 90, "fontsize": 11.5, "halo": False}
        self.sent = self.live(note(ax, "", x=-1.18 * WIDEST, y=0.65, **style))
        ax.set_xticks([-4, -2, 0, 2, 4], ["−4 σ", "−2 σ", "0", "2 σ", "4 σ"])
        shade = {"color": style_for("clipping").color, "alpha": 0.16, "linewidth": 0}
        self.gone = [self.live(ax.add_patch(Rectangle((0, 0), WIDEST, 2, **shade))) for _ in range(2)]
        empty = (np.zeros(120), np.linspace(-WIDEST, WIDEST, 121))
        self.bars = self.live(ax.stairs(*empty, fill=True, color=style_for("weights").color))
        self.levels = self.live(LineCollection([], colors=style_for("bits").color, linewidths=1.2))
        ax.add_collection(self.levels)
        self.edges = [self.live(line(ax, "clipping", linewidth=1.4)) for _ in range(2)]
        box = {"facecolor": PAPER, "edgecolor": "none", "pad": 1.5, "alpha": 0.85}
        self.count = self.live(
            note(ax, "", x=WIDEST - 0.1, y=1.14, ha="right", color=style_for("bits").color, halo=False, bbox=box)
        )

    def _build_mse(self, fig: FigureBase) -> None:
        limits = {"xlim": (0, WIDEST), "ylim": (FLOOR, CEILING)}
        ax = axes(fig, 52, 40, 274, 98, xlabel="clip (σ)", ylabel="error (σ²)", yscale="log", **limits)
        ax.set_yticks([1e-4, 1e-2, 1])
        ax.minorticks_off()
        self.cut = self.live(line(ax, "clipping", linewidth=1.4))
        self.total = self.live(line(ax, "error"))
        self.granular = self.live(line(ax, "granular"))
        self.clipping = self.live(line(ax, "clipping"))
        self.best = self.live(line(ax, "theory", markers=True, linestyle="", markersize=8.5))
        self.here = self.live(line(ax, "error", markers=True, linestyle="", markersize=7.5, zorder=5))
        color = style_for("error").color
        self.names = [self.live(note(ax, text, color=color, halo=False)) for text in ("rounding", "clipping")]
        self.optimum = self.live(note(ax, "", color="#a1477a", y=18, halo=False))

    def update(self, data: Data, ghost: Data | None = None) -> str:
        self.title.set_text(self._finding(data))
        self.sent.set_text(data.sent)
        self.bars.set_data(*data.histogram)
        for artist in self.artists:
            artist.set_visible(not data.exact or artist in (self.title, self.sent, self.bars))
        if data.exact:
            return "The weights of the largest layer, which nothing rounds."
        self._draw_grid(data)
        self._draw_mse(data, min(data.clip, WIDEST))
        rounding, clipped = data.parts
        whole = data.mse
        return (
            f"The {data.sent} of the largest layer on a grid of {number_of(data.count, 'level')}, clipped at "
            f"{data.clip:.2f} σ; squared error {whole:.2g} σ², of which {rounding:.2g} rounding and {clipped:.2g} "
            f"clipping; the best clip is {data.optimum:.2f} σ."
        )

    def _draw_grid(self, data: Data) -> None:
        clip = min(data.clip, WIDEST)
        tall = 0.5 if data.count <= 64 else 0.16  # a comb finer than the screen must not hide the weights
        self.levels.set_segments([[(v, 0), (v, tall)] for v in data.levels if abs(v) <= WIDEST])
        self.count.set_text(number_of(data.count, "level"))
        for side, edge, gone in zip((-1, 1), self.edges, self.gone, strict=True):
            edge.set_data([side * clip] * 2, [0, 1.3])
            gone.set_x(clip if side > 0 else -clip - WIDEST)

    def _draw_mse(self, data: Data, clip: float) -> None:
        x, granular, clipping = data.curves
        self.cut.set_data([clip, clip], [FLOOR, CEILING])
        self.total.set_data(x, granular + clipping)
        self.granular.set_data(x, granular)
        self.clipping.set_data(x, clipping)
        self.here.set_data([clip], [float(np.clip(data.mse, 1.3 * FLOOR, CEILING / 1.3))])
        best = min(data.optimum, WIDEST)
        self.best.set_data([best], [data.best])
        right = best > 4.1
        self.optimum.set(
            text=f"best {data.optimum:.1f} σ", x=best + (-0.1 if right else 0.1), ha="right" if right else "left"
        )
        self._name_curves(x, granular, clipping)

    def _name_curves(self, x: np.ndarray, granular: np.ndarray, clipping: np.ndarray) -> None:
        """Write the names where the curves leave room: clipping beside its fall, rounding at the right end."""
        rounding, clipped = self.names
        fall = float(np.interp(-1e-3, -clipping, x))
        side = "left" if fall < 2.9 else "right"
        clipped.set(x=fall + (0.12 if side == "left" else -0.15), y=8e-4, ha=side)
        end = min(float(x[-1]), 4.7)
        height = float(np.interp(end, x, granular))
        low = height < 0.03
        rounding.set(x=end, y=height * (1.9 if low else 0.55), ha="right", va="bottom" if low else "top")

    @staticmethod
    def _finding(data: Data) -> str:
        if data.exact:
            return "Full precision: no grid, no error"
        rounding, clipping = data.parts
        over = data.mse / max(data.best, 1e-12)
        if over < 1.1:
            return f"{number_of(data.count, 'level')}, clipped where it is best"
        which = "Clipping" if clipping > rounding else "Rounding"
        return f"{which} noise rules: {over:.1f} × the best"


class PlaneDensity(Picture):
    """Above, the bits every layer keeps as a function of ε; below, the share of zeros in each of its bit planes."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        layers: Sequence[Any]  # name, bits, left, delta, rare, ones, zeros
        epsilon: float
        on: bool  # whether epsilon acts

    width, height = 338, 264

    def build(self, fig: FigureBase) -> None:
        """Two axes: steps of bits against ε, and a matrix of layers and planes."""
        self.title = self.live(title(fig))
        self._build_steps(fig)
        self._build_matrix(fig)

    def _build_steps(self, fig: FigureBase) -> None:
        limits = {"xlim": (0, MOST_EPSILON), "ylim": (0, MOST_BITS + 0.9)}
        ax = axes(fig, 40, 146, 246, 74, ylabel="bits kept", **limits)
        ax.set_yticks([2, 4, 6, 8])
        ax.set_xticks([0, 0.05, 0.1, 0.15, 0.2], ["0", "0.05", "0.1", "0.15", "0.2"])
        dashes = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.5, 1, 1.5)))
        self.steps = [self.live(line(ax, "bits", linestyle=dash)) for dash in dashes]
        self.dots = self.live(line(ax, "bits", markers=True, linestyle="", markersize=6.5))
        self.epsilon = self.live(line(ax, "full precision", linestyle="-", linewidth=1.2))
        self.setting = self.live(note(ax, "", y=MOST_BITS + 1.0, va="bottom", halo=False))
        self.deltas = [self.live(note(ax, "δ", ha="center", color=style_for("bits").color, halo=False)) for _ in dashes]
        self.ends = [self.live(note(ax, "", x=0.205, color=style_for("bits").color, halo=False)) for _ in dashes]

    def _build_matrix(self, fig: FigureBase) -> None:
        ax = axes(fig, 40, 26, 286, 78, xlim=(0, 1), ylim=(0, 1), grid="", spines=())
        ax.set_xticks([])
        ax.set_yticks([])
        ramp = LinearSegmentedColormap.from_list("ones", ["#ffffff", style_for("bits").color]).with_extremes(
            bad="#eceef1"
        )
        self.ones = self.live(
            ax.imshow(np.zeros((1, 1)), cmap=ramp, vmin=0, vmax=1, extent=(0, 1, 0, 1), aspect="auto")
        )
        self.rows = [self.live(note(ax, "", x=-0.02, ha="right", halo=False)) for _ in range(MOST_LAYERS)]
        cells = range(MOST_LAYERS * MOST_BITS)
        self.cells = [self.live(note(ax, "", ha="center", halo=False)) for _ in cells]
        self.lines = self.live(LineCollection([], colors="#ffffff", linewidths=2))
        ax.add_collection(self.lines)
        self.live(note(ax, "zeros in each bit plane (%)", x=0, y=1.13, halo=False))
        style = {"color": MUTED, "y": -0.13, "halo": False}
        self.live(note(ax, "top plane", x=0, **style))
        self.live(note(ax, "lowest", x=1, ha="right", **style))

    def update(self, data: Data, ghost: Data | None = None) -> str:
        layers = data.layers
        epsilon = data.epsilon
        for artist in self.artists:
            artist.set_visible(bool(layers) or artist is self.title)
        if not layers:
            self.title.set_text("Full precision: no bit planes")
            return "Full precision has no bit planes to drop."
        self._draw_steps(layers, epsilon, style_for("bits" if data.on else "previous").color)
        self._draw_matrix(layers)
        self.title.set_text(self._finding(data))
        words = [f"{x['name']} {x['delta']:.2f} ({x['left']} bit left, {x['zeros']:.0%} zero bits)" for x in layers]
        on = "" if data.on else "If the grid were sign-magnitude: "
        return f"{on}Share of weights that use the top bit, by layer, against ε = {epsilon:g}: {', '.join(words)}."

    def _draw_steps(self, layers: Sequence[Data], epsilon: float, color: str) -> None:
        shift = np.linspace(-0.16, 0.16, len(layers)) if len(layers) > 1 else [0.0]
        ends = []
        for k, (step, name, delta) in enumerate(zip(self.steps, self.ends, self.deltas, strict=True)):
            for artist in (step, name, delta):
                artist.set(visible=k < len(layers), color=color)
            if k < len(layers):
                layer = layers[k]
                falls = sorted(min(t, 1.0) for t in layer["rare"][:-1])
                heights = layer["bits"] - np.arange(len(falls) + 1) + shift[k]
                step.set_data(np.repeat([0.0, *falls, 1.0], 2)[1:-1], np.repeat(heights, 2))
                ends.append(layer["bits"] - sum(t <= MOST_EPSILON for t in falls) + shift[k])
                name.set_text(layer["name"])
                delta.set(x=layer["delta"], y=layer["bits"] + 0.75, visible=bool(falls) and falls[0] < MOST_EPSILON)
        for name, y in zip(self.ends, separate_labels(ends, 1.4, 0.6, MOST_BITS + 0.4), strict=False):
            name.set_y(y)
        self.dots.set_data([epsilon] * len(layers), [x["left"] + d for x, d in zip(layers, shift, strict=True)])
        self.dots.set_color(color)
        self.epsilon.set_data([epsilon, epsilon], [0, MOST_BITS + 0.9])
        self.setting.set(text=f"ε = {epsilon:g}", x=epsilon, ha="left" if epsilon < 0.15 else "right")

    def _draw_matrix(self, layers: Sequence[Data]) -> None:
        rows = len(layers)
        columns = max(x["bits"] for x in layers)
        ones = np.full((rows, columns), np.nan)
        for text in (*self.cells, *self.rows):
            text.set_visible(False)
        for r, layer in enumerate(layers):
            y = 1 - (r + 0.5) / rows
            self.rows[r].set(visible=True, text=layer["name"], y=y)
            for c, share in enumerate(reversed(layer["ones"])):
                gone = c < layer["bits"] - layer["left"]
                ones[r, c] = np.nan if gone else share
                words = "cut" if gone else f"{100 - 100 * share:.0f}"
                cell = self.cells[r * MOST_BITS + c]
                cell.set(visible=True, text=words, x=(c + 0.5) / columns, y=y, color=MUTED if gone else INK)
        self.ones.set_data(np.ma.masked_invalid(ones))
        across = [[(0, k / rows), (1, k / rows)] for k in range(1, rows)]
        self.lines.set_segments([*across, *([(k / columns, 0), (k / columns, 1)] for k in range(1, columns))])

    @staticmethod
    def _finding(data: Data) -> str:
        layers = data.layers
        remaining = [x.get("size", 1) * x["left"] for x in layers]
        zeros = sum(x["zeros"] * s for x, s in zip(layers, remaining, strict=True)) / sum(remaining)
        cut = sum(x["bits"] - x["left"] for x in layers)
        if not data.on:
            return "ε needs the sign-magnitude grid"
        if not cut:
            return f"{zeros:.0%} of the bits are zero, ε cuts none"
        return f"ε cuts {number_of(cut, 'plane')}; {zeros:.0%} of the rest is zero"


class TrainingCurve(Picture):
    """Federated accuracy round by round, and what a round costs."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        accuracy: Sequence[float]  # by round
        full: Sequence[float]
        up: int  # bytes a round
        coded: float
        down: int
        full_up: int

    width, height = 686, 202

    def build(self, fig: FigureBase) -> None:
        """Two axes: accuracy against rounds, and bytes a round."""
        self.title = self.live(title(fig))
        limits = {"xlim": (0.5, 30.5), "ylim": (0, 1.03)}
        ax = axes(fig, 64, 38, 350, 126, xlabel="communication round", ylabel="test accuracy", **limits)
        ax.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
        self.curves = {kind: self.live(line(ax, kind)) for kind in ("previous", "full precision", "accuracy")}
        self.end = self.live(line(ax, "accuracy", markers=True, linestyle=""))
        self.ends = {
            kind: self.live(
                note(ax, "", x=31, color=style_for(kind).color if kind != "previous" else MUTED, halo=False)
            )
            for kind in self.curves
        }
        self._build_bytes(fig)

    def _build_bytes(self, fig: FigureBase) -> None:
        ax = axes(fig, 580, 38, 92, 126, xlabel="of 32 bit", xlim=(0, 1.15), ylim=(-0.5, 2.65), grid="x")
        ax.set_xticks([0, 0.5, 1], ["0", "½", "1"])
        note(ax, "bytes a round, all clients", x=1.15, y=2.86, ha="right", va="bottom", color=MUTED, halo=False)
        self.bars, self.values = build_bytes(ax, ("up", "up, coded", "down"), (1.0, 0.6, 0.3))
        for artist in (*self.bars, *self.values):
            self.live(artist)
        self.before = self.live(line(ax, "previous", linewidth=2.5))

    def update(self, data: Data, ghost: Data | None = None) -> str:
        before = ghost.accuracy if ghost else []
        curves = {"previous": before, "full precision": data.full, "accuracy": data.accuracy}
        words = {"previous": "before", "full precision": "32 bit", "accuracy": "now"}
        draw_curves(self.curves, self.ends, curves, words, (0.115, 0.05, 1.0))
        self.end.set_data([len(data.accuracy)], data.accuracy[-1:])
        self._draw_bytes(data, ghost)
        self.title.set_text(self._finding(data))
        last = data.full[-1] if data.full else 0.0
        return (
            f"Accuracy against round, {data.accuracy[-1]:.1%} after {number_of(len(data.accuracy), 'round')}; full precision "
            f"{last:.1%}. A round costs {data.up / 1000:.1f} kB up ({data.coded / 1000:.1f} kB entropy coded), "
            f"{data.down / 1000:.1f} kB down."
        )

    def _draw_bytes(self, data: Data, ghost: Any) -> None:
        whole = max(data.down, 1)
        for bar, value, size in zip(self.bars, self.values, (data.up, data.coded, data.down), strict=True):
            bar.set_width(size / whole)
            value.set_text(f"{size / 1000:.3g} kB")
            value.set_x(0.06 + (size / whole if size < 0.45 * whole else 0.0))
        mark = ghost.up / whole if ghost else None
        self.before.set_data(*(([mark, mark], [1.62, 2.38]) if mark is not None else ([], [])))

    @staticmethod
    def _finding(data: Data) -> str:
        curve = data.accuracy
        full = data.full
        cost = data.full_up / max(data.up, 1)
        saved = f" for {cost:.1f} × fewer bytes up" if cost > 1.05 else ""
        gap = 100 * (curve[-1] - full[-1]) if full else 0.0
        if not full or (abs(gap) < 0.05 and not saved):
            return f"{curve[-1]:.1%} after {number_of(len(curve), 'round')} in 32 bit"
        if abs(gap) < 0.05:
            return f"As accurate as 32 bit{saved}"
        return f"{abs(gap):.1f} points {'below' if gap < 0 else 'above'} 32 bit{saved}"
