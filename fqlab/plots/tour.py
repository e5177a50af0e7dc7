"""The three pictures of the tour."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import FigureBase
from matplotlib.patches import Rectangle

from fqlab.plots.picture import Picture
from fqlab.plots.style import INK, MUTED, axes, line, look, note, title

__all__ = ["Levels", "Planes", "Training"]

MOST_LAYERS = 4


class Levels(Picture):
    """Above, the weights of the largest layer with the grid on them; below, the error as a function of the clip."""

    width, height = 338, 300

    def build(self, fig: FigureBase) -> None:
        self.title = self.live(title(fig))
        above = axes(fig, 58, 176, 268, 80, xlim=(0, 5), ylim=(0, 1.15), grid="")
        above.set_ylabel("weights", fontsize=11, color=INK)
        above.set_yticks([])
        above.set_xticklabels([])
        self.above = above
        gone = Rectangle((0, 0), 5, 2, color=look("clipping").color, alpha=0.16, linewidth=0)
        self.gone = self.live(above.add_patch(gone))
        self.bars = self.live(above.stairs(np.zeros(60), np.linspace(0, 5, 61), fill=True, color=look("weights").color))
        style = {"colors": look("bits").color, "linewidths": 1.1}
        self.levels = self.live(above.add_collection(LineCollection([], **style)))
        self.edge = self.live(line(above, "clipping"))
        below = axes(fig, 58, 42, 268, 128, xlabel="|w| and clip, in σ", ylabel="error (σ²)", xlim=(0, 5), ylim=(1e-5, 2))
        below.set_yscale("log")
        below.set_yticks([1e-4, 1e-2, 1])
        below.minorticks_off()
        self.total = self.live(line(below, "error"))
        self.granular = self.live(line(below, "granular"))
        self.clipping = self.live(line(below, "clipping"))
        self.best = self.live(line(below, "theory", markers=True, linestyle="", markersize=8))
        self.here = self.live(line(below, "error", markers=True, linestyle="", markersize=8, zorder=5))
        self.cut = self.live(line(below, "clipping", linewidth=1.0))
        self.names = [self.live(note(below, "", color=look("error").color, halo=False)) for _ in range(2)]
        self.optimum = self.live(note(below, "best clip", color=look("theory").color, va="top", ha="center", halo=False))

    def update(self, data: dict[str, Any], ghost: Any = None) -> str:
        counts, edges = data["histogram"]
        clip, (x, granular, clipping) = min(data["clip"], 5.0), data["curves"]
        self.bars.set_data(counts, edges)
        self.levels.set_segments([[(v, 0), (v, 0.5)] for v in data["levels"] if -1e-9 <= v <= 5])
        self.gone.set_xy((clip, 0))
        for artist in (self.edge, self.cut):
            artist.set_data([clip, clip], [1e-5, 2])
        self.total.set_data(x, granular + clipping)
        self.granular.set_data(x, granular)
        self.clipping.set_data(x, clipping)
        inside = min(data["optimum"], 5.0)
        self.best.set_data([inside], [data["best"]])
        self.optimum.set_position((min(max(inside, 0.6), 4.4), data["best"] / 2.2))
        self.here.set_data([clip], [max(data["error"], 1.2e-5)])
        for label, text, curve, place in zip(
            self.names, ("rounding", "clipping"), (granular, clipping), (0.93, 0.12), strict=True
        ):
            index = int(place * (len(x) - 1))
            seen = curve[index] > 2e-5 and x[index] < 4.9
            label.set(text=text if seen else "", ha="right" if place > 0.5 else "left")
            label.set_position((min(x[index], 4.9), curve[index] * (0.45 if place > 0.5 else 1.7)))
        self.title.set_text(self._finding(data))
        part, whole = data["parts"], data["error"]
        return (
            f"The layer's weights on a grid of {data['count']} levels, clipped at {data['clip']:.2f} σ; squared error "
            f"{whole:.2g} σ², of which {part[0]:.2g} rounding and {part[1]:.2g} clipping; the best clip is {data['optimum']:.2f} σ."
        )

    @staticmethod
    def _finding(data: dict[str, Any]) -> str:
        if data["float"]:
            return "Full precision: the grid is not used"
        rounding, clipping = data["parts"]
        over = data["error"] / max(data["best"], 1e-12)
        if over < 1.1:
            return f"{data['count']} levels at the best clip"
        which = "Clipping" if clipping > rounding else "Rounding"
        return f"{which} noise rules: {over:.1f} × the best error"


class Planes(Picture):
    """Every layer's δ(l) against ε, the bits that are left and the share of zero bits."""

    width, height = 338, 300

    def build(self, fig: FigureBase) -> None:
        self.title = self.live(title(fig))
        ax = axes(fig, 22, 42, 304, 208, xlabel="δ(l): share of weights that use the top bit", xlim=(0, 1), ylim=(-0.6, 3.6), grid="x")
        ax.set_yticks([])
        blue = look("bits").color
        self.bars = [self.live(ax.add_patch(Rectangle((0, 0), 0, 0.36, color=blue, linewidth=0))) for _ in range(MOST_LAYERS)]
        self.names = [self.live(note(ax, "", color=INK, va="bottom", halo=False)) for _ in range(MOST_LAYERS)]
        self.limit = self.live(line(ax, "theory"))
        self.epsilon = self.live(note(ax, "", color=look("theory").color, y=3.62, va="top", halo=False))

    def update(self, data: dict[str, Any], ghost: Any = None) -> str:
        layers, epsilon = data["layers"], data["epsilon"]
        places = np.linspace(2.6, -0.2, len(layers)) if len(layers) > 2 else np.array([2.2, 0.6])
        for i, (bar, name) in enumerate(zip(self.bars, self.names, strict=True)):
            bar.set_visible(i < len(layers))
            name.set_visible(i < len(layers))
            if i < len(layers):
                layer = layers[i]
                bar.set_bounds(0, places[i] - 0.36, layer["delta"], 0.36)
                bar.set_alpha(0.35 if layer["delta"] <= epsilon else 1.0)
                change = f"{layer['bits']} → {layer['left']}" if layer["left"] < layer["bits"] else f"{layer['bits']}"
                name.set_text(f"{layer['name']}: {change} bit, {layer['zeros']:.0%} of them zero")
                name.set_position((0.01, places[i] + 0.04))
        self.limit.set_data([epsilon, epsilon], [-0.6, 3.2])
        self.epsilon.set_text(f"ε = {epsilon:g}")
        self.epsilon.set_x(min(epsilon + 0.01, 0.8))
        fallen = sum(layer["left"] < layer["bits"] for layer in layers)
        if not data["on"]:
            self.title.set_text("ε waits for the sign-magnitude grid")
        elif fallen:
            self.title.set_text(f"ε cuts planes off {fallen} of {len(layers)} layers")
        else:
            self.title.set_text("No top plane is rare enough to cut")
        words = [f"{x['name']} {x['delta']:.2f} ({x['left']} bit left, {x['zeros']:.0%} zero bits)" for x in layers]
        return f"Share of weights that use the top bit, by layer, against ε = {epsilon:g}: {', '.join(words)}."


class Training(Picture):
    """Federated accuracy round by round, and what a round costs."""

    width, height = 686, 216

    def build(self, fig: FigureBase) -> None:
        self.title = self.live(title(fig))
        ax = axes(fig, 66, 40, 390, 136, xlabel="communication round", ylabel="test accuracy", xlim=(0.5, 31), ylim=(0, 1.04))
        ax.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
        self.ghost = self.live(line(ax, "previous"))
        self.full = self.live(line(ax, "full precision"))
        self.accuracy = self.live(line(ax, "accuracy"))
        self.end = self.live(line(ax, "accuracy", markers=True, linestyle=""))
        note(ax, "dashed: full precision · grey: the setting before", x=30.3, y=0.07, ha="right", color=MUTED)
        cost = axes(fig, 560, 40, 112, 136, xlabel="share of 32 bit", xlim=(0, 1.25), ylim=(-0.6, 2.7), grid="x")
        cost.set_xticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
        cost.set_yticks([2, 1, 0], ["up", "up, coded", "down"])
        cost.tick_params(axis="y", length=0, labelsize=11)
        orange = look("bytes").color
        shapes = ((1.7, 1.0), (0.7, 0.6), (-0.3, 0.3))
        self.bars = [self.live(cost.add_patch(Rectangle((0, y), 0, 0.6, color=orange, alpha=a, linewidth=0))) for y, a in shapes]
        self.values = [self.live(note(cost, "", y=y + 0.3, halo=False)) for y, _ in shapes]

    def update(self, data: dict[str, Any], ghost: Any = None) -> str:
        curve, full = data["accuracy"], data["full"]
        self.accuracy.set_data(range(1, len(curve) + 1), curve)
        self.end.set_data([len(curve)], curve[-1:])
        self.full.set_data(range(1, len(full) + 1), full)
        before = ghost["accuracy"] if ghost else []
        self.ghost.set_data(range(1, len(before) + 1), before)
        for bar, value, size in zip(self.bars, self.values, (data["up"], data["coded"], data["down"]), strict=True):
            share = size / max(data["down"], 1)
            bar.set_width(share)
            value.set_text(f"{size / 1000:.3g} kB")
            value.set(x=min(share, 0.62) + 0.03)
        saved = data["full_up"] / max(data["up"], 1)
        gap = curve[-1] - full[-1] if full else 0.0
        cost = f", {saved:.1f} × fewer bytes up" if saved > 1.05 else ""
        self.title.set_text(f"{curve[-1]:.1%} after {len(curve)} rounds, {gap * 100:+.1f} points against full precision{cost}")
        return (
            f"Accuracy against round, {curve[-1]:.1%} after {len(curve)} rounds; full precision {full[-1] if full else 0:.1%}. "
            f"A round costs {data['up'] / 1000:.1f} kB up ({data['coded'] / 1000:.1f} kB entropy coded), {data['down'] / 1000:.1f} kB down."
        )
