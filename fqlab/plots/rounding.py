"""The pictures of stochastic rounding: a picture re-drawn by many clients, error against clients, bias and chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import FigureBase
from matplotlib.patches import Rectangle

from fqlab.plots.picture import Picture
from fqlab.plots.style import INK, MUTED, axes, line, note, number_of, separate_labels, style_for, title

__all__ = ["Crossing", "Redrawn", "Shares"]

RED = style_for("error").color
PURPLE = "#a1477a"
MOST = 100
LOW, HIGH = 1e-6, 3.0


class Redrawn(Picture):
    """The true picture, one client's upload, and the server's mean with either rounding."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        images: Sequence[np.ndarray]  # four, in [-1, 1]
        mse: Sequence[float]  # of the last three
        clients: int
        bits: int

    width, height = 686, 226
    NAMES = ("the picture", "one client, stochastic", "mean, nearest", "mean, stochastic")

    def build(self, fig: FigureBase) -> None:
        """Four square images in a row."""
        self.title = self.live(title(fig))
        self.images = []
        self.words = []
        for k, name in enumerate(self.NAMES):
            ax = axes(fig, 12 + 171 * k, 26, 150, 150, grid="", spines=("left", "right", "top", "bottom"))
            ax.set_xticks([])
            ax.set_yticks([])
            shown = ax.imshow(np.zeros((2, 2)), cmap="gray", vmin=-1, vmax=1, extent=(0, 1, 0, 1), aspect="auto")
            self.images.append(self.live(shown))
            for edge in ax.spines.values():  # a white picture on white paper needs all four, and over the image
                self.live(edge)
            ink = (INK, PURPLE, RED, PURPLE)[k]
            note(ax, name, x=0, y=1.05, va="bottom", color=ink, halo=False)
            self.words.append(self.live(note(ax, "", x=0, y=-0.04, va="top", color=MUTED, halo=False)))

    def update(self, data: Data, ghost: Data | None = None) -> str:
        for shown, image in zip(self.images, data.images, strict=True):
            shown.set_data(np.clip(image, -1, 1))
        self.words[0].set_text("grey from −1 to 1")
        for word, mse in zip(self.words[1:], data.mse, strict=True):
            word.set_text(f"squared error {mse:.2g}")
        _, nearest, stochastic = data.mse
        self.title.set_text(self._finding(data.clients, nearest, stochastic))
        return (
            f"A picture re-drawn with {2**data.bits} grey levels by {number_of(data.clients, 'client')}: squared error of the mean "
            f"{nearest:.2g} with nearest rounding, {stochastic:.2g} with stochastic rounding."
        )

    @staticmethod
    def _finding(clients: int, nearest: float, stochastic: float) -> str:
        who = "One client" if clients == 1 else f"{clients} clients together"
        ratio = max(nearest, stochastic) / max(min(nearest, stochastic), 1e-12)
        if ratio < 1.05:
            return f"{who}: both roundings err alike"
        better = "stochastic" if stochastic < nearest else "nearest"
        return f"{who}: {better} rounding errs {ratio:.2g} × less"


class Crossing(Picture):
    """Squared error of the mean against the number of clients: expected lines, and the errors just drawn."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        m: np.ndarray
        nearest: np.ndarray  # expected errors at each m
        stochastic: np.ndarray
        clients: int
        mse: Sequence[float]
        cross: float | None

    width, height = 338, 240

    def build(self, fig: FigureBase) -> None:
        """One pair of logarithmic axes with fixed limits."""
        self.title = self.live(title(fig))
        limits = {"xlim": (0.9, 1.15 * MOST), "ylim": (LOW, HIGH), "yscale": "log"}
        names = {"xlabel": "clients M", "ylabel": "squared error of the mean"}
        ax = axes(fig, 60, 40, 266, 158, **limits, **names)
        ax.set_xscale("log")
        ax.set_xticks([1, 2, 5, 10, 30, 100], ["1", "2", "5", "10", "30", "100"])
        ax.set_yticks([1e-6, 1e-4, 1e-2, 1])
        ax.minorticks_off()
        self.now = self.live(line(ax, "previous", linewidth=1.2))
        self.nearest = self.live(line(ax, "error"))
        self.stochastic = self.live(line(ax, "theory", linewidth=2.2))
        self.drawn = [
            self.live(line(ax, "error", linestyle="", marker="o", markersize=7.5)),
            self.live(line(ax, "theory", linestyle="", marker="^", markersize=8.5)),
        ]
        self.names = [self.live(note(ax, text, color=ink)) for text, ink in (("nearest", RED), ("stochastic", PURPLE))]
        self.equal = self.live(line(ax, "full precision", linestyle="", marker="*", markersize=11, zorder=6))

    def update(self, data: Data, ghost: Data | None = None) -> str:
        m = data.m
        clients = data.clients
        self.nearest.set_data(m, np.maximum(data.nearest, 1e-9))
        self.stochastic.set_data(m, np.maximum(data.stochastic, 1e-9))
        self.now.set_data([clients, clients], [LOW, HIGH])
        for dot, mse in zip(self.drawn, data.mse, strict=True):
            dot.set_data([clients], [min(max(mse, 1.2 * LOW), HIGH)])
        cross = data.cross
        lines = (data.nearest, data.stochastic)
        seen = cross is not None and 1 <= cross <= MOST
        at = float(np.interp(np.log(cross), np.log(m), np.log(np.maximum(lines[0], 1e-9)))) if seen else 0.0
        self.equal.set_data(*(([cross], [np.exp(at)]) if seen else ([], [])))
        self._name(m, lines)
        self.title.set_text(self._finding(cross, *(values[0] for values in lines)))
        crossed = f"they are equal at {cross:.2g} clients" if seen else "they do not cross"
        return (
            f"Expected error of the mean against clients: from {lines[0][0]:.2g} (nearest) and {lines[1][0]:.2g} "
            f"(stochastic) with one client to {lines[0][-1]:.2g} and {lines[1][-1]:.2g} with {MOST}; {crossed}."
        )

    def _name(self, m: np.ndarray, lines: tuple[np.ndarray, np.ndarray]) -> None:
        """Names near the right end, above the upper line and below the lower one."""
        x = 12.0
        heights = [max(float(np.interp(x, m, values)), 2 * LOW) for values in lines]
        upper = int(heights[1] > heights[0])
        places = [np.log10(h) + (0.5 if k == upper else -0.5) for k, h in enumerate(heights)]
        for name, y in zip(self.names, separate_labels(places, 0.5, -5.7, 0.3), strict=True):
            name.set(x=x, y=10**y, ha="left")

    @staticmethod
    def _finding(cross: float | None, nearest: float, stochastic: float) -> str:
        if cross is None:
            return "Nearest is never worse here" if nearest <= stochastic else "Stochastic is always better"
        if cross < 1:
            return "Stochastic is better from the start"
        if cross > MOST:
            return f"Nearest is better up to {MOST} clients"
        return f"The lines cross at M = {cross:.1f} clients"


class Shares(Picture):
    """What remains of the error in the mean: bias, which averaging keeps, and chance, which it divides by M."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        parts: Sequence[tuple[float, float]]  # bias, chance: one client nearest, stochastic; mean nearest, stochastic
        clients: int

    width, height = 338, 240

    def build(self, fig: FigureBase) -> None:
        """Two pairs of bars: one client, and the mean of M."""
        self.title = self.live(title(fig))
        ax = axes(
            fig, 100, 40, 226, 150, xlim=(0, 1), ylim=(3.95, -0.8), grid="x", xlabel="squared error, of the largest"
        )
        ax.set_xticks([0, 0.5, 1], ["0", "½", "1"])
        ax.set_yticks([0, 1, 2.5, 3.5], ["nearest", "stochastic"] * 2)
        ax.tick_params(axis="y", length=0, labelcolor=INK)
        self.heads = [self.live(note(ax, "", x=0, y=y, va="center", color=MUTED, halo=False)) for y in (-0.6, 1.88)]
        self.bias = []
        self.chance = []
        self.values = []
        for row, y in enumerate((0, 1, 2.5, 3.5)):
            ink = (RED, PURPLE)[row % 2]
            solid = Rectangle((0, y - 0.3), 0, 0.6, facecolor=ink, edgecolor=ink, linewidth=1)
            open_ = Rectangle((0, y - 0.3), 0, 0.6, facecolor="white", edgecolor=ink, linewidth=1, hatch="////")
            self.bias.append(self.live(ax.add_patch(solid)))
            self.chance.append(self.live(ax.add_patch(open_)))
            self.values.append(self.live(note(ax, "", y=y)))
        fig.text(
            100 / self.width, 1 - 40 / self.height, "■ bias: stays     ▨ chance: divided by M", fontsize=11, color=MUTED
        )

    def update(self, data: Data, ghost: Data | None = None) -> str:
        parts = data.parts
        clients = data.clients
        whole = max(sum(pair) for pair in parts) or 1.0
        for (bias, chance), solid, open_, value in zip(parts, self.bias, self.chance, self.values, strict=True):
            solid.set_width(bias / whole)
            open_.set(x=bias / whole, width=chance / whole)
            end = (bias + chance) / whole
            inside = end > 0.72
            value.set(
                text=f"{bias + chance:.2g}", x=end + (-0.02 if inside else 0.02), ha="right" if inside else "left"
            )
        self.heads[0].set_text("one client")
        self.heads[1].set_text(f"mean of {clients}" if clients > 1 else "mean of 1: the same")
        bias, chance = parts[2]
        self.title.set_text(f"{bias / max(bias + chance, 1e-30):.0%} of nearest's error is bias")
        words = [f"{name}: bias {b:.2g}, chance {c:.2g}" for name, (b, c) in zip(self.NAMES, parts, strict=True)]
        return f"Parts of the expected squared error. {'; '.join(words)}."

    NAMES = ("One client, nearest", "one client, stochastic", "mean, nearest", "mean, stochastic")
