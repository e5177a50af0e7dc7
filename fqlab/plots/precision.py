"""The pictures of mixed precision: bits by layer and device, MSB densities, and the federation's answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import FigureBase
from matplotlib.patches import Rectangle

from fqlab.plots.picture import Picture
from fqlab.plots.style import INK, MUTED, axes, line, note, number_of, style_for, title

__all__ = ["Federated", "Matrix", "Prune"]

DEVICES = 10
LAYERS = 4
LEFT, BOTTOM = 112, 78
"""Lower left corner of the matrix (pixels)."""
CELL, TALL = 55, 27
"""Width and height of a cell."""
BLUE = style_for("bits").color


class Matrix(Picture):
    """Bits of every layer on every device; below, each device's mean against its budget."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        widths: Sequence[Sequence[int]]  # by device and layer
        before: Sequence[Sequence[int]]
        budgets: Sequence[float]
        means: Sequence[float]
        layers: Sequence[str]
        stage: str
        kept: bool

    width, height = 686, 246

    def build(self, fig: FigureBase) -> None:
        """A canvas of 686 x 246 pixels; everything is placed by hand."""
        self.title = self.live(title(fig))
        ax = axes(fig, 0, 0, self.width, self.height, grid="", spines=())
        ax.set(xticks=[], yticks=[])
        ramp = LinearSegmentedColormap.from_list("bits", ["#ffffff", "#8ec1e3", BLUE])
        place = (LEFT, LEFT + DEVICES * CELL, BOTTOM, BOTTOM + LAYERS * TALL)
        self.map = self.live(ax.imshow(np.zeros((LAYERS, DEVICES)), cmap=ramp, vmin=0, vmax=8, extent=place))
        ax.set(xlim=(0, self.width), ylim=(0, self.height), aspect="auto")
        for n in range(1, DEVICES):
            ax.plot([LEFT + n * CELL] * 2, place[2:], color="#ffffff", linewidth=2, zorder=3)
        for k in range(1, LAYERS):
            ax.plot(place[:2], [BOTTOM + k * TALL] * 2, color="#ffffff", linewidth=2, zorder=3)
        middle = {"ha": "center", "halo": False, "zorder": 6}
        rows = [BOTTOM + (LAYERS - k - 0.5) * TALL for k in range(LAYERS)]
        columns = [LEFT + (n + 0.5) * CELL for n in range(DEVICES)]
        top = BOTTOM + LAYERS * TALL + 11
        note(ax, "budget (bits)", x=LEFT - 8, y=top, ha="right", halo=False, color=MUTED)
        note(ax, "mean (bits)", x=LEFT - 8, y=BOTTOM - 13, ha="right", halo=False, color=MUTED)
        self.layers = [self.live(note(ax, "", x=LEFT - 8, y=y, ha="right", halo=False)) for y in rows]
        self.budgets = [self.live(note(ax, "", x=x, y=top, fontweight="bold", **middle)) for x in columns]
        self.cells = [[self.live(note(ax, "", x=x, y=y, **middle)) for y in rows] for x in columns]
        frame = {"fill": False, "edgecolor": INK, "linewidth": 2.2, "zorder": 5}
        self.frames = [
            [
                self.live(ax.add_patch(Rectangle((x - CELL / 2 + 2, y - TALL / 2 + 2), CELL - 4, TALL - 4, **frame)))
                for y in rows
            ]
            for x in columns
        ]
        self._build_bars(ax, columns, middle)

    def _build_bars(self, ax: Any, columns: list[float], middle: dict[str, Any]) -> None:
        self.means = [self.live(note(ax, "", x=x, y=BOTTOM - 13, **middle)) for x in columns]
        bar = {"color": BLUE, "linewidth": 0}
        self.bars = [self.live(ax.add_patch(Rectangle((x - 22, 12), 12, 0, **bar))) for x in columns]
        self.limits = [self.live(line(ax, "full precision", linestyle="-", linewidth=2)) for _ in columns]
        self.flags = [
            self.live(note(ax, "", x=x + 12, y=26, color=style_for("error").color, **middle)) for x in columns
        ]
        note(ax, "of its budget", x=LEFT - 8, y=26, ha="right", halo=False, color=MUTED)

    def update(self, data: Data, ghost: Data | None = None) -> str:
        widths = np.array(data.widths)
        self.map.set_data(widths.T)
        for text, name in zip(self.layers, data.layers, strict=True):
            text.set_text(f"{name} weights")
        for n, row in enumerate(data.widths):
            budget = data.budgets[n]
            mean = data.means[n]
            self.budgets[n].set_text(f"{budget:g}")
            for k, bits in enumerate(row):
                self.cells[n][k].set(text=str(bits), color="#ffffff" if bits > 5 else INK)
                self.frames[n][k].set_visible(bits != data.before[n][k])
            over = mean > budget + 1e-9
            self.means[n].set(text=f"{mean:.2f}", color=style_for("error").color if over else INK)
            x = LEFT + (n + 0.5) * CELL
            self.bars[n].set(height=3.5 * mean, color=style_for("error").color if over else BLUE)
            self.limits[n].set_data([x - 25, x - 7], [12 + 3.5 * budget] * 2)
            self.flags[n].set_text("over" if over else f"{min(mean / budget, 1):.0%}")
            self.flags[n].set_color(style_for("error").color if over else MUTED)
        self.title.set_text(data.stage)
        listed = "; ".join(
            f"budget {b:g}: {', '.join(map(str, row))}" for b, row in zip(data.budgets, data.widths, strict=True)
        )
        return f"{data.stage}. Bits of layers with {', '.join(data.layers)} weights, by device: {listed}."


class Prune(Picture):
    """δ of every layer, before and after one top plane is cut, and ε."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        layers: Sequence[tuple[str, float, float]]  # name, delta, delta after one cut
        epsilon: float
        on: bool

    width, height = 338, 244
    WIDEST = 0.8

    def build(self, fig: FigureBase) -> None:
        """One axis with a row a layer."""
        self.title = self.live(title(fig))
        limits = {"xlim": (0, self.WIDEST), "ylim": (-0.6, 4.6)}
        ax = axes(fig, 84, 40, 240, 164, xlabel="δ, share of weights with top bit 1", grid="x", **limits)
        ax.set_yticks([])
        ax.set_xticks([0, 0.2, 0.4, 0.6, 0.8])
        self.shade = self.live(ax.add_patch(Rectangle((0, -0.6), 0, 5.2, color=BLUE, alpha=0.12, linewidth=0)))
        self.edge = self.live(line(ax, "full precision", linestyle="-", linewidth=1.2))
        self.setting = self.live(note(ax, "", y=4.78, va="bottom", halo=False))
        self.links = [self.live(line(ax, "previous", linewidth=1.2)) for _ in range(5)]
        self.now = self.live(line(ax, "bits", markers=True, linestyle="", markersize=7.5))
        self.after = self.live(line(ax, "bits", markers=True, linestyle="", markersize=7.5, fillstyle="none"))
        self.names = [self.live(note(ax, "", x=-0.012, y=4 - k, ha="right", halo=False)) for k in range(5)]
        note(ax, "now ■  after one cut □", x=self.WIDEST, y=-0.42, ha="right", color=BLUE)

    def update(self, data: Data, ghost: Data | None = None) -> str:
        epsilon = data.epsilon
        rows = data.layers
        for k, (name, now, then) in enumerate(rows):
            self.names[k].set_text(name)
            self.links[k].set_data([min(now, self.WIDEST), min(then, self.WIDEST)], [4 - k] * 2)
        self.now.set_data([min(now, self.WIDEST) for _, now, _ in rows], range(4, -1, -1))
        self.after.set_data([min(then, 2) for _, _, then in rows], range(4, -1, -1))
        self.shade.set_width(epsilon if data.on else 0)
        self.edge.set_data([epsilon] * 2, [-0.6, 4.6])
        self.setting.set(text=f"ε = {epsilon:g}", x=epsilon, ha="left" if epsilon < 0.5 else "right")
        bells = rows[:LAYERS]
        lost = sum(now <= epsilon for _, now, _ in bells)
        twice = sum(then <= epsilon for _, now, then in bells if now <= epsilon)
        self.title.set_text(self._finding(data.on, lost, twice))
        listed = ", ".join(f"{name} {now:.3f}, then {then:.2f}" for name, now, then in rows)
        return f"Share δ of weights that use the top plane, and after one cut: {listed}; ε = {epsilon:g}."

    @staticmethod
    def _finding(on: bool, lost: int, twice: int) -> str:
        if not on:
            return "MSB pruning is off"
        if not lost:
            return "ε is below every δ: nothing falls"
        if twice:
            return (
                f"{lost} of 4 layers lose planes, {twice} more than one" if lost > 1 else "1 of 4 layers loses planes"
            )
        return f"{lost} of 4 layers lose a plane, none two" if lost > 1 else "1 of 4 layers loses a plane, just one"


class Federated(Picture):
    """Accuracy and mean bits of the uploads, round by round."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        accuracy: Sequence[float]  # by round
        sent: Sequence[float]  # bits by round
        budget: float  # mean
        rounds: int

    width, height = 338, 244

    def build(self, fig: FigureBase) -> None:
        """Two axes, one above the other."""
        self.title = self.live(title(fig))
        limits = {"xlim": (0.5, 10.5)}
        top = axes(fig, 54, 122, 236, 84, ylabel="accuracy", ylim=(0, 1.04), **limits)
        top.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
        top.set_xticks([2, 4, 6, 8, 10], [""] * 5)
        low = axes(fig, 54, 40, 236, 66, xlabel="communication round, digits", ylabel="bits", ylim=(0, 8.6), **limits)
        low.set_yticks([0, 4, 8])
        low.set_xticks([2, 4, 6, 8, 10])
        self.before = [self.live(line(ax, "previous")) for ax in (top, low)]
        self.budget = self.live(line(low, "full precision"))
        self.accuracy = self.live(line(top, "accuracy", markers=True))
        self.bits = self.live(line(low, "bits", markers=True))
        self.words = self.live(note(low, "budget", x=10.7, color=INK, halo=False))
        self.ends = [self.live(note(ax, "", x=10.7, halo=False)) for ax in (top, low)]
        self.ends[0].set_color("#00704f")
        self.ends[1].set_color(BLUE)

    def update(self, data: Data, ghost: Data | None = None) -> str:
        seen = range(1, len(data.accuracy) + 1)
        self.accuracy.set_data(seen, data.accuracy)
        self.bits.set_data(seen, data.sent)
        self.budget.set_data([0.5, 10.5], [data.budget] * 2)
        for drawn, old in zip(self.before, (ghost.accuracy, ghost.sent) if ghost else ([], []), strict=True):
            drawn.set_data(range(1, len(old) + 1), old)
        last = data.accuracy[-1]
        bits = data.sent[-1]
        self.ends[0].set(text=f"{last:.1%}", y=last)
        close = abs(bits - data.budget) < 1.7
        self.ends[1].set(
            text=f"{bits:.1f}", y=data.budget + (1 if bits >= data.budget else -1) * 0.95 if close else bits
        )
        self.words.set_y(data.budget - (0.95 if bits >= data.budget else -0.95) if close else data.budget)
        over = bits > data.budget + 0.05
        tail = f"{bits - data.budget:.1f} bits over budget" if over else f"{bits:.1f} bits sent"
        self.title.set_text(f"{last:.1%} on digits, {tail}")
        return (
            f"Accuracy on digits by round, {last:.1%} after {number_of(len(data.accuracy), 'round')}; {bits:.2f} bits a weight sent, "
            f"mean budget {data.budget:.1f}."
        )
