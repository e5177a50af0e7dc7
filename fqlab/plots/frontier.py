"""Accuracy against bytes: every system's settings with the front, and who is cheapest by each way to count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.figure import FigureBase
from matplotlib.patches import Rectangle

from fqlab.plots.picture import Picture
from fqlab.plots.spots import Spot, Tip, spots_on
from fqlab.plots.style import COLORS, INK, MUTED, axes, line, note, separate_labels, title

__all__ = ["LOOKS", "WAYS", "Cheapest", "Plane", "size_words"]

LOOKS = {
    "fedavg": ("#000000", "s"),
    "clipped": (COLORS["blue"], "o"),
    "both": (COLORS["sky blue"], "D"),
    "aqfl": (COLORS["reddish purple"], "v"),
    "fedmpq": (COLORS["vermilion"], "^"),
    "bsq": (COLORS["orange"], "P"),
    "fedpaq": ("#0b6e8f", "p"),
    "uveqfed": ("#5b8c00", "h"),
    "eden": ("#7a4fbf", "d"),
    "sign": ("#a05a2c", "8"),
    "lottery": (COLORS["bluish green"], "X"),
    "lg_fedavg": ("#8a6d00", "<"),
    "standalone": ("#6e7781", ">"),
}
"""Family -> colour and marker."""
LOW, HIGH = 15.0, 2e4
"""Kilobytes that are drawn; a run outside sits on the edge."""
TOP = 0.995
"""The most accurate that is drawn; what is better sits on the edge."""
WAYS = {"up": "up", "up_coded": "up, coded", "both": "up and down", "both_coded": "both, coded"}


def _inside(kilobytes: float) -> float:
    return min(max(kilobytes, LOW), HIGH)


def _log_error(accuracy: np.ndarray) -> np.ndarray:
    """Place of an accuracy on the axis: as far as its error is small, so that 95 and 98 % lie well apart."""
    return -np.log10(np.clip(1 - np.asarray(accuracy, dtype=float), 1 - TOP, None))


def _from_log_error(place: np.ndarray) -> np.ndarray:
    return 1 - 10.0 ** -np.asarray(place, dtype=float)


class Plane(Picture):
    """Every point of every system, the front of those nobody beats, the cap, and the learner's own run."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        points: Mapping[str, Sequence[tuple[float, float]]]  # family -> (kB, accuracy)
        families: Mapping[str, str]  # in words
        front: Sequence[tuple[float, float]]
        cap: float  # kB, 0 for none
        own: Sequence[tuple[float, float]]  # the run by round
        earlier: Sequence[tuple[float, float]]  # ends of earlier runs
        finding: str
        who: str = "Your run"  # whose run it is, beside the star
        tips: Mapping[str, Sequence[Tip]] = field(default_factory=dict)  # family -> what its points say

    width, height = 686, 290

    def build(self, fig: FigureBase) -> None:
        """One pair of axes: bytes logarithmic, and accuracy by its error, logarithmic too."""
        self.title = self.live(title(fig))
        ax = axes(fig, 64, 42, 464, 210, xlabel="bytes of the whole run", ylabel="accuracy (error, log)", grid="both")
        ax.set_xscale("log")
        ax.set_yscale("function", functions=(_log_error, _from_log_error))
        ax.set(xlim=(LOW, HIGH), ylim=(0, TOP))
        ax.minorticks_off()
        ax.set_xticks([20, 100, 1000, 10_000], ["20 kB", "100 kB", "1 MB", "10 MB"])
        ax.set_yticks([0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99], ["0", "50 %", "80 %", "90 %", "95 %", "98 %", "99 %"])
        self.beyond = self.live(ax.add_patch(Rectangle((1, 0), 1, 2, color="#f1f3f5", linewidth=0, zorder=0.4)))
        self.cap = self.live(line(ax, "bytes", linestyle="-", linewidth=1.4))
        self.edge = self.live(line(ax, "full precision", linestyle="-", linewidth=1.4, drawstyle="steps-post"))
        self.dots = {
            family: self.live(line(ax, 0, linestyle="", marker=marker, color=color, markersize=6, alpha=0.75))
            for family, (color, marker) in LOOKS.items()
        }
        style = {"color": "#d00070", "marker": "*"}
        self.before = self.live(line(ax, 0, linestyle="", markersize=9, markerfacecolor="none", **style))
        self.path = self.live(line(ax, 0, color="#d00070", linestyle="-", linewidth=1.6))
        self.star = self.live(line(ax, 0, linestyle="", markersize=15, markeredgecolor="#ffffff", zorder=6, **style))
        self._build_names(ax)

    def _build_names(self, ax: Any) -> None:
        """Families at the right, each with its marker; their words come with the data."""
        rows = [0.98 - 0.068 * k for k in range(len(LOOKS) + 2)]
        for y, (color, marker) in zip(rows, LOOKS.values(), strict=False):
            ax.plot([1.035], [y], color=color, marker=marker, linestyle="", transform=ax.transAxes, clip_on=False)
        style = {"x": 1.06, "halo": False, "transform": ax.transAxes}
        self.names = [self.live(note(ax, "", y=y, **style)) for y in rows[: len(LOOKS)]]
        ax.plot([1.035], [rows[-2]], color="#d00070", marker="*", markersize=13, linestyle="", transform=ax.transAxes,
                clip_on=False)  # fmt: skip
        self.who = self.live(note(ax, "", y=rows[-2], color="#a8005a", **style))
        ax.plot([1.02, 1.05], [rows[-1]] * 2, color=INK, linewidth=1.4, transform=ax.transAxes, clip_on=False)
        note(ax, "the front", y=rows[-1], **style)

    def update(self, data: Data, ghost: Data | None = None) -> str:
        for family, dots in self.dots.items():
            dots.set_data([_inside(x) for x, _ in data.points[family]], [y for _, y in data.points[family]])
        for text, words in zip(self.names, data.families.values(), strict=True):
            text.set_text(words)
        self._tips = data.tips
        front = data.front
        self.edge.set_data([_inside(x) for x, _ in front] + [HIGH], [y for _, y in front] + [front[-1][1]])
        cap = data.cap
        self.cap.set_data(*(([cap, cap], [0, 1.02]) if cap else ([], [])))
        self.beyond.set_bounds(cap or HIGH, 0, HIGH, 1.02)
        path = [(_inside(x), y) for x, y in data.own]
        self.path.set_data([x for x, _ in path], [y for _, y in path])
        self.star.set_data(*(([path[-1][0]], [path[-1][1]]) if path else ([], [])))
        self.before.set_data([_inside(x) for x, _ in data.earlier], [y for _, y in data.earlier])
        self.who.set_text("your run" if data.who == "Your run" else data.who)
        self.title.set_text(data.finding)
        steps = ", ".join(f"{x:.0f} kB {y:.0%}" for x, y in front)
        return f"Accuracy against bytes of {sum(map(len, data.points.values()))} stored points. The front: {steps}."

    def spots(self) -> list[Spot]:
        return [spot for family, tips in self._tips.items() for spot in spots_on(self.dots[family], tips)]


class Cheapest(Picture):
    """Bytes each system needs to reach the target, counted in four ways side by side."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        needs: Mapping[str, Sequence[float] | None]  # family -> kB for each of WAYS
        families: Mapping[str, str]  # in words
        target: float  # %
        cost: str

    width, height = 686, 176

    def build(self, fig: FigureBase) -> None:
        """One axis: four columns, a line a family."""
        self.title = self.live(title(fig))
        ax = axes(fig, 64, 28, 420, 114, xlim=(-0.35, 3.1), ylim=(LOW, HIGH), yscale="log")
        ax.minorticks_off()
        ax.set_xticks(range(4), list(WAYS.values()))
        ax.tick_params(axis="x", length=0, labelcolor=INK)
        ax.set_yticks([100, 1000, 10_000], ["100 kB", "1 MB", "10 MB"])
        self.column = self.live(ax.add_patch(Rectangle((0, LOW), 0.5, HIGH, color="#e7f0f7", linewidth=0, zorder=0.4)))
        self.lines = {
            family: self.live(line(ax, 0, color=color, marker=marker, linestyle="-", linewidth=1.4, markersize=6))
            for family, (color, marker) in LOOKS.items()
        }
        self.ends = {
            family: self.live(note(ax, "", x=3.16, color=MUTED if color == "#000000" else color, halo=False))
            for family, (color, _) in LOOKS.items()
        }

    def update(self, data: Data, ghost: Data | None = None) -> str:
        self.column.set_x(list(WAYS).index(data.cost) - 0.25)
        shown = {family: needs for family, needs in data.needs.items() if needs}
        for family, drawn in self.lines.items():
            needs = [_inside(x) for x in shown.get(family, ())]
            drawn.set_data(range(len(needs)), needs)
            self.ends[family].set_text("")
        from math import log10

        heights = [log10(_inside(needs[-1])) for needs in shown.values()]
        room = (log10(HIGH) - log10(LOW)) * 12 / 114
        for family, height in zip(shown, separate_labels(heights, room, log10(LOW), log10(HIGH)), strict=True):
            self.ends[family].set(text=f"{data.families[family]}  {size_words(shown[family][-1])}", y=10**height)
        self._tips = {
            family: [
                Tip(f"{data.families[family]}, {words}\n{size_words(x)} to reach {data.target:g} %", {"cost": cost})
                for x, (cost, words) in zip(needs, WAYS.items(), strict=True)
            ]
            for family, needs in shown.items()
        }
        self.title.set_text(self._finding(data, shown))
        listed = [f"{data.families[f]} {', '.join(size_words(x) for x in needs)}" for f, needs in shown.items()]
        return f"Bytes to reach {data.target} % ({', '.join(WAYS.values())}): {'; '.join(listed) or 'nobody does'}."

    def spots(self) -> list[Spot]:
        return [spot for family, tips in self._tips.items() for spot in spots_on(self.lines[family], tips)]

    @staticmethod
    def _finding(data: Data, shown: Data) -> str:
        target = data.target
        if not shown:
            return f"Nobody reaches {target} %"
        best = [min(shown, key=lambda family: shown[family][k]) for k in range(4)]
        names = [data.families[family] for family in best]
        if len(set(best)) == 1:
            return f"{target} % is cheapest with {names[0]}, however one counts"
        return f"Cheapest at {target} %: {names[0]} (bytes up), {names[2]} (up and down)"


def size_words(kilobytes: float) -> str:
    """``966 kB``, ``7.2 MB``."""
    return f"{kilobytes:.0f} kB" if kilobytes < 999.5 else f"{kilobytes / 1000:.1f} MB"
