"""The pictures of uniform quantization: five ladders of levels, one staircase, and a fair comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import FigureBase

from fqlab.plots.picture import Picture
from fqlab.plots.spots import Drag, Spot, Tip, spots_on
from fqlab.plots.style import INK, MUTED, RULE, axes, line, note, number_of, style_for, title

__all__ = ["LOOKS", "Fair", "Ladders", "Staircase", "mse_ratio"]

WIDEST = 4.0
LOOKS = {"narrow": 4, "midrise": 0, "twos_complement": 1, "octav": 3, "sign_magnitude": 2}
"""Grid -> its place in the series of looks, from the coarsest to the finest."""
AT = {"said": "At “{} bit”", "stored": "In {}-bit codes", "levels": "With {} levels"}
UNITS = {
    "said": "bits, as the papers say",
    "stored": "bits that a code is stored in",
    "levels": "log₂ of the number of levels",
}
NAMES = {
    "said": ("the other four", "sign-magnitude"),
    "stored": ("OCTAV", "the other four"),
    "levels": ("all five", ""),
}
"""What stands above and below the lines: the grid that leaves the others."""


class Ladders(Picture):
    """Five grids over one histogram, and where one weight lands on each."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        grids: Mapping[str, Any]  # kind -> ladder
        names: Mapping[str, str]
        bits: int
        weight: float
        chosen: str
        histogram: tuple[np.ndarray, np.ndarray]

    width, height = 686, 250
    drag = {"x": Drag("weight", 2 * WIDEST / 374)}

    def build(self, fig: FigureBase) -> None:
        """One pair of axes with a row for each grid."""
        self.title = self.live(title(fig))
        limits = {"xlim": (-WIDEST, WIDEST), "ylim": (0, 5.05)}
        ax = axes(fig, 138, 40, 374, 168, xlabel="weight (σ)", grid="", spines=("bottom",), **limits)
        ax.set_yticks([])
        ax.hlines(range(1, 5), -WIDEST, WIDEST, colors=RULE, linewidth=0.8)
        empty = (np.zeros(80), np.linspace(-WIDEST, WIDEST, 81))
        style = {"fill": True, "color": style_for("weights").color, "alpha": 0.55}
        self.bars = [self.live(ax.stairs(*empty, baseline=row, **style)) for row in range(5)]
        self.ticks = self.live(LineCollection([], colors=style_for("bits").color, linewidths=1.4))
        ax.add_collection(self.ticks)
        self.weight = self.live(line(ax, "full precision", linewidth=1.2))
        self.which = self.live(note(ax, "", y=5.25, ha="center", halo=False))
        self.ways = self.live(LineCollection([], colors=style_for("error").color, linewidths=2.2, zorder=4))
        ax.add_collection(self.ways)
        self.lands = self.live(line(ax, "error", linestyle="", marker="o", markersize=7, zorder=5))
        self.marks = [self.live(line(ax, k, linestyle="", markers=True, markersize=6)) for k in LOOKS.values()]
        for mark in self.marks:
            mark.set_clip_on(False)
        self.names = [self.live(note(ax, "", x=-4.3, y=4.5 - k, ha="right", halo=False)) for k in range(5)]
        places = ((4.5, "levels"), (5.6, "stored in"), (6.9, "error (σ²)"))
        for x, head in places:
            note(ax, head, x=x, y=5.25, ha="center", color=MUTED, halo=False)
        self.cells = [
            [self.live(note(ax, "", x=x, y=4.5 - k, ha="center", halo=False)) for x, _ in places] for k in range(5)
        ]

    def update(self, data: Data, ghost: Data | None = None) -> str:
        grids = data.grids
        w = data.weight
        ticks = []
        ways = []
        lands = []
        words = []
        for row, (kind, grid) in enumerate(grids.items()):
            floor = 4 - row
            count = len(grid["levels"])
            tall = 0.72 if count <= 33 else 0.25  # a comb finer than the screen must not hide the weights
            ticks += [[(v, floor), (v, floor + tall)] for v in grid["levels"] if abs(v) <= WIDEST]
            self._fill(row, kind, data)
            ways.append([(w, floor + 0.45), (grid["lands"], floor + 0.45)])
            lands.append((grid["lands"], floor + 0.45))
            words.append(
                f"{data.names[kind]} {number_of(count, 'level')} in {grid['code_bits']} bit, error {grid['mse']:.3g} σ²"
            )
        self.ticks.set_segments(ticks)
        self.ways.set_segments(ways)
        self.lands.set_data(*zip(*lands, strict=True))
        self.weight.set_data([w, w], [0, 5.05])
        self.which.set(text=f"one weight, {_signed(w)} σ", x=min(max(w, -3.0), 3.0))
        counts = sorted({len(grid["levels"]) for grid in grids.values()})
        self._tips = [
            Tip(f"{data.names[kind]}: {_signed(w)} σ lands at {_signed(grid['lands'])} σ", {"grid": kind})
            for kind, grid in grids.items()
        ]
        several = f"{', '.join(map(str, counts[:-1]))} or {counts[-1]}"
        self.title.set_text(f"“{data.bits} bit” means {several} levels")
        return f"At {data.bits} bit: {'; '.join(words)}. A weight of {w:g} σ lands at {_places(grids)} σ."

    def spots(self) -> list[Spot]:
        return spots_on(self.lands, self._tips)

    def _fill(self, row: int, kind: str, data: Data) -> None:
        grid = data.grids[kind]
        chosen = kind == data.chosen
        shares, edges = data.histogram
        self.bars[row].set_data(4 - row + 0.85 * shares, edges, baseline=4 - row)
        self.names[row].set(text=data.names[kind], fontweight="bold" if chosen else "normal")
        self.marks[row].set_data([-4.17], [4.5 - row])
        self.marks[row].set(marker=style_for(LOOKS[kind]).marker, color=style_for(LOOKS[kind]).color)
        texts = (f"{len(grid['levels'])}", f"{grid['code_bits']} bit", f"{grid['mse']:.3g}")
        for cell, text in zip(self.cells[row], texts, strict=True):
            cell.set_text(text)


def _places(grids: Mapping[str, Any]) -> str:
    return ", ".join(f"{grid['lands']:.2f}" for grid in grids.values())


class Staircase(Picture):
    """What one grid makes of every weight."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        curve: tuple[np.ndarray, np.ndarray]
        weight: float
        lands: float
        code: tuple[int, int, int]  # code, lowest, highest
        step: float
        name: str

    width, height = 338, 216
    drag = {"x": Drag("weight", 2 * WIDEST / 280)}

    def build(self, fig: FigureBase) -> None:
        """One pair of axes, weights in and levels out."""
        self.title = self.live(title(fig))
        limits = {"xlim": (-WIDEST, WIDEST), "ylim": (-WIDEST, WIDEST)}
        ax = axes(fig, 46, 40, 280, 138, xlabel="weight (σ)", ylabel="level (σ)", **limits)
        ax.plot([-WIDEST, WIDEST], [-WIDEST, WIDEST], color=style_for("previous").color, linewidth=1.2)
        self.stairs = self.live(line(ax, "bits", linewidth=1.8))
        self.miss = self.live(line(ax, "error", linewidth=2.2))
        self.dot = self.live(line(ax, "error", linestyle="", marker="o", markersize=7, zorder=5))
        self.code = self.live(note(ax, "", x=-3.8, y=3.4))
        self.step = self.live(note(ax, "", x=3.8, y=-3.4, ha="right", color=style_for("bits").color))

    def update(self, data: Data, ghost: Data | None = None) -> str:
        w = data.weight
        level = data.lands
        code, low, high = data.code
        self.stairs.set_data(*data.curve)
        self.miss.set_data([w, w], [w, level])
        self.dot.set_data([w], [level])
        self.code.set_text(f"code {code} of {low} … {high}".replace("-", "−"))
        self.step.set_text(f"step Δ = {data.step:.3g} σ")
        self.title.set_text(f"{_signed(w)} σ becomes {_signed(level)} σ")
        return f"Staircase of the {data.name} grid with step {data.step:.3g} σ: {w:g} σ becomes {level:.3g} σ, code {code}."


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−") if abs(value) >= 0.005 else "0"


class Fair(Picture):
    """Error of the five grids at their best clips, against bits counted in one of three ways."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        curves: Mapping[str, Mapping[str, np.ndarray]]  # kind -> said, stored, levels, mse
        count: str
        bits: int
        names: Mapping[str, str]

    width, height = 338, 216

    def build(self, fig: FigureBase) -> None:
        """One pair of axes."""
        self.title = self.live(title(fig))
        limits = {"xlim": (-0.3, 9.3), "ylim": (1.2e-5, 2.5), "yscale": "log"}
        ax = axes(fig, 62, 40, 264, 138, ylabel="least error (σ²)", grid="both", **limits)
        ax.set_yticks([1e-4, 1e-2, 1], ["0.0001", "0.01", "1"])
        ax.minorticks_off()
        self.unit = self.live(fig.text(192 / 338, 8 / 228, "", fontsize=11.5, color=INK, ha="center", va="bottom"))
        self.here = self.live(line(ax, "bits", linestyle="-", linewidth=1.0))
        self.lines = {k: self.live(line(ax, n, linewidth=1.5, markers=True, markersize=3)) for k, n in LOOKS.items()}
        self.dots = {k: self.live(line(ax, n, linestyle="", markers=True, markersize=8)) for k, n in LOOKS.items()}
        self.names = [self.live(note(ax, "")) for _ in range(2)]

    def update(self, data: Data, ghost: Data | None = None) -> str:
        count = data.count
        bits = data.bits
        for kind, curve in data.curves.items():
            self.lines[kind].set_data(curve[count], curve["mse"])
            self.dots[kind].set_data([curve[count][bits - 1]], [curve["mse"][bits - 1]])
        self._tips = {kind: _measured(data.names[kind], kind, curve) for kind, curve in data.curves.items()}
        self.here.set_data([bits, bits], [1e-5, 2.5])
        self.unit.set_text(UNITS[count])
        self._name(data.curves, count, bits)
        many, fold = mse_ratio(data.curves, count, bits)
        at = AT[count].format(2**bits if count == "levels" else bits)
        self.title.set_text(f"{at} errors differ {fold:.1f}-fold" if fold >= 1.05 else f"{at} all err alike")
        return f"Least error against {UNITS[count]}. {at} the errors of {many} grids differ {fold:.2f}-fold."

    def spots(self) -> list[Spot]:
        return [spot for kind, tips in self._tips.items() for spot in spots_on(self.lines[kind], tips)]

    def _name(self, curves: Data, count: str, bits: int) -> None:
        """Name the grid that leaves the others, and the others, on their sides of the lines and off the upright one."""
        above, below = NAMES[count]
        upper, lower = self.names
        odd = {"said": "sign_magnitude", "stored": "octav", "levels": "midrise"}[count]
        color = style_for(LOOKS[odd]).color if count != "levels" else INK
        height = lambda kind, x: float(np.interp(x, curves[kind][count], np.log10(curves[kind]["mse"])))
        high, low = ("octav", "midrise") if count == "stored" else ("midrise", "sign_magnitude")
        x = max(4.2, bits + 0.2) if bits < 6 else 2.9
        upper.set(text=above, x=x, y=10 ** (height(high, x) + 0.45), color=color if count != "said" else MUTED)
        left, right = (bits + 0.2, bits + 3.6) if bits < 3 else (0.0, 2.9)
        x = left if bits < 3 else right
        lower.set(text=below, x=x, ha="left" if bits < 3 else "right", y=10 ** (height(low, right) - 0.4))
        lower.set_color(color if count == "said" else MUTED)


def _measured(name: str, kind: str, curve: Mapping[str, np.ndarray]) -> list[Tip]:
    """What the points of a grid's line say: its bits, as the papers say, and its error."""
    return [
        Tip(f"{name}, {said:.0f} bit\nleast error {mse:.3g} σ²", {"grid": kind, "bits": round(float(said))})
        for said, mse in zip(curve["said"], curve["mse"], strict=True)
    ]


def mse_ratio(curves: Mapping[str, Mapping[str, np.ndarray]], count: str, bits: int) -> tuple[int, float]:
    """How many grids can be had at ``bits``, counted as ``count`` says, and how many times their errors differ.

    Where levels are counted, errors are read off between the grids' own points, straight in log error.
    """
    mse = []
    for curve in curves.values():
        at = curve[count]
        if at[0] <= bits <= at[-1] + 0.01:
            mse.append(float(np.exp(np.interp(bits, at, np.log(curve["mse"])))))
    return len(mse), max(mse) / min(mse)
