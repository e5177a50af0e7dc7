"""The three pictures of unequal devices: who has the say, which digits are read, and the rounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import FigureBase
from matplotlib.patches import Rectangle

from fqlab.plots.picture import Picture
from fqlab.plots.rounds import build_bytes, draw_curves
from fqlab.plots.style import COLORS, MUTED, PAPER, axes, line, note, number_of, style_for, title

__all__ = ["Digits", "Rounds", "VoteShares"]

DEVICES = 10
FINE = COLORS["blue"]
COARSE = "#a9cbe2"
SEVEN = COLORS["vermilion"]


class VoteShares(Picture):
    """Each device's share of the average, one bar a layer; fine devices dark, coarse ones light."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        shares: Mapping[str, Sequence[float]]  # layer -> ten shares
        fine: int  # devices
        bits: Mapping[str, tuple[int, int]]  # layer -> (fine, coarse)
        by: str  # rule of averaging

    width, height = 338, 250

    def build(self, fig: FigureBase) -> None:
        """One axis: two stacked bars from 0 to 100 %."""
        self.title = self.live(title(fig))
        ax = axes(fig, 14, 40, 310, 166, xlim=(0, 1), ylim=(0, 4), grid="x", spines=("bottom",))
        ax.set_xlabel("share of the average", fontsize=11.5, labelpad=3)
        ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
        ax.get_xticklabels()[-1].set_ha("right")
        ax.set_yticks([])
        style = {"edgecolor": PAPER, "linewidth": 1.0}
        self.bars = [
            [self.live(ax.add_patch(Rectangle((0, y), 0, 1.05, **style))) for _ in range(DEVICES)] for y in (2.25, 0.25)
        ]
        self.names = [self.live(note(ax, "", x=0, y=y + 1.3, halo=False)) for y in (2.25, 0.25)]
        self.inside = [
            [self.live(note(ax, "", y=y + 0.52, ha="center", halo=False, fontweight="bold")) for _ in range(2)]
            for y in (2.25, 0.25)
        ]

    def update(self, data: Data, ghost: Data | None = None) -> str:
        fine = data.fine
        words = []
        for k, (layer, shares) in enumerate(data.shares.items()):
            left = 0.0
            for i, (bar, share) in enumerate(zip(self.bars[k], shares, strict=True)):
                bar.set_bounds(left, bar.get_y(), share, 1.05)
                bar.set_facecolor(FINE if i < fine else COARSE)
                left += share
            self._label(k, layer, data.bits[layer], sum(shares[:fine]), fine)
            words.append(f"{layer} layer {sum(shares[:fine]):.1%}")
        self.title.set_text(self._finding(data))
        return f"Share of the average of the {fine} fine of ten devices: {', '.join(words)}."

    def _label(self, k: int, layer: str, bits: tuple[int, int], share: float, fine: int) -> None:
        self.names[k].set_text(f"{layer} layer: {fine} at {bits[0]} bit, {DEVICES - fine} at {bits[1]} bit")
        for text, part, middle, color in zip(
            self.inside[k], (share, 1 - share), (share / 2, (1 + share) / 2), ("#ffffff", "#12405c"), strict=True
        ):
            text.set(text=f"{_percent(part)}" if part > 0.18 else "", x=middle, color=color)

    @staticmethod
    def _finding(data: Data) -> str:
        fine = data.fine
        rows = data.shares.values()
        if all(max(row) < 1.3 * min(row) for row in rows):
            return "Every device has its say"
        who = "One device has" if fine == 1 else f"{fine} devices have"
        return f"{who} {_percent(max(sum(row[:fine]) for row in rows))} of the say"


def _percent(share: float) -> str:
    """``53%``, ``99.4%``; never 0 or 100 %, which no device has."""
    if not 0.0005 <= share < 0.9995:
        return "under 0.1%" if share < 0.5 else "over 99.9%"
    return f"{share:.0%}" if 0.015 < share < 0.985 else f"{share:.1%}"


class Digits(Picture):
    """How many test images of each digit the final model reads right."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        digits: Sequence[float]  # ten shares read right
        full: Sequence[float]  # the same in full precision, may be empty
        rare: int  # the rare digit

    width, height = 338, 250

    def build(self, fig: FigureBase) -> None:
        """One axis with ten bars; dashes are full precision, grey ticks the previous run."""
        self.title = self.live(title(fig))
        ax = axes(fig, 54, 40, 272, 160, xlabel="digit", ylabel="read right", xlim=(-0.6, 9.6), ylim=(0, 1.16))
        ax.yaxis.labelpad = -2
        ax.set_xticks(range(10))
        ax.set_yticks([0, 0.5, 1], ["0", "50 %", "100 %"])
        self.bars = [self.live(ax.add_patch(Rectangle((d - 0.36, 0), 0.72, 0, linewidth=0))) for d in range(10)]
        self.full = [self.live(line(ax, "full precision", linestyle="-", linewidth=1.6)) for _ in range(10)]
        self.before = [self.live(line(ax, "previous", linewidth=2.4)) for _ in range(10)]
        self.value = self.live(note(ax, "", ha="center", va="bottom", color="#a34700", fontweight="bold"))
        note(ax, "black: full precision   grey: before", x=9.6, y=1.24, ha="right", color=MUTED, halo=False)

    def update(self, data: Data, ghost: Data | None = None) -> str:
        digits, rare = data.digits, data.rare
        for d, bar in enumerate(self.bars):
            bar.set_height(max(digits[d], 0.006))
            bar.set_facecolor(SEVEN if d == rare else style_for("accuracy").color)
            self._tick(self.full[d], d, data.full[d] if data.full else None, 0.42)
            self._tick(self.before[d], d, ghost.digits[d] if ghost else None, 0.24)
        above = [digits[rare], *data.full[rare : rare + 1], *(ghost.digits[rare : rare + 1] if ghost else [])]
        self.value.set(text=f"{digits[rare]:.0%}", x=rare, y=max(y for y in above if y < digits[rare] + 0.12) + 0.025)
        self.title.set_text(self._finding(data))
        listed = ", ".join(f"{d}: {share:.0%}" for d, share in enumerate(digits))
        return f"Share of each digit's test images that are read right: {listed}."

    @staticmethod
    def _tick(tick: Any, digit: int, height: float | None, half: float) -> None:
        tick.set_data(*(([], []) if height is None else ([digit - half, digit + half], [height, height])))

    @staticmethod
    def _finding(data: Data) -> str:
        digits, rare = data.digits, data.rare
        others = sum(share for d, share in enumerate(digits) if d != rare) / 9
        if digits[rare] < 0.05:
            return f"The {rare} is forgotten, others {others:.0%}"
        if digits[rare] < others - 0.1:
            return f"The {rare} suffers: {digits[rare]:.0%}, others {others:.0%}"
        return f"Every {rare} counts: {digits[rare]:.0%}, others {others:.0%}"


class Rounds(Picture):
    """Accuracy round by round, of all digits and of the rare one, and what a packet weighs."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        accuracy: Sequence[float]  # by round
        sevens: Sequence[float]
        full: Sequence[float]
        fine_up: int  # bytes
        coarse_up: int
        down: int

    width, height = 686, 216

    def build(self, fig: FigureBase) -> None:
        """Two axes: curves against rounds, and bytes a packet."""
        self.title = self.live(title(fig))
        limits = {"xlim": (0.5, 30.5), "ylim": (0, 1.03)}
        ax = axes(fig, 64, 38, 340, 130, xlabel="communication round", ylabel="test accuracy", **limits)
        ax.set_yticks([0, 0.5, 1], ["0", "50 %", "100 %"])
        seven = {"color": SEVEN, "linestyle": (0, (2, 1.2))}
        ways = {"previous": {}, "full precision": {}, "accuracy": {}, "sevens": seven}
        self.curves = {
            kind: self.live(line(ax, "accuracy" if kind == "sevens" else kind, **style)) for kind, style in ways.items()
        }
        colors = {"previous": MUTED, "sevens": "#a34700"}
        self.ends = {
            kind: self.live(note(ax, "", x=31, color=colors.get(kind) or style_for(kind).color, halo=False))
            for kind in ways
        }
        self._build_bytes(fig)

    def _build_bytes(self, fig: FigureBase) -> None:
        ax = axes(fig, 588, 38, 84, 130, xlabel="kB", xlim=(0, 22), ylim=(-0.5, 2.65), grid="x")
        ax.set_xticks([0, 10, 20])
        note(ax, "a device's packet", x=22, y=2.74, ha="right", va="bottom", color=MUTED, halo=False)
        self.bars, self.values = build_bytes(ax, ("fine, up", "coarse, up", "down"), (1.0, 0.65, 0.3))
        for artist in (*self.bars, *self.values):
            self.live(artist)

    def update(self, data: Data, ghost: Data | None = None) -> str:
        curves = {
            "previous": ghost.accuracy if ghost else [],
            "full precision": data.full,
            "accuracy": data.accuracy,
            "sevens": data.sevens,
        }
        words = {
            "previous": "before",
            "full precision": "all, 32 bit",
            "accuracy": "all digits",
            "sevens": "the sevens",
        }
        draw_curves(self.curves, self.ends, curves, words, (0.105, 0.03, 1.0), digits=0)
        packets = [data.fine_up, data.coarse_up, data.down]
        for bar, value, size in zip(self.bars, self.values, packets, strict=True):
            bar.set_width(size / 1000)
            value.set(text=f"{size / 1000:.1f}", x=size / 1000 + 1 if size < 15_000 else 2)
        self.title.set_text(self._finding(data))
        return (
            f"Accuracy against round: {data.accuracy[-1]:.1%} after {number_of(len(data.accuracy), 'round')}, of the sevens "
            f"{data.sevens[-1]:.0%}. A packet weighs {packets[0]} bytes up from a fine device, {packets[1]} from a "
            f"coarse one, {packets[2]} down."
        )

    @staticmethod
    def _finding(data: Data) -> str:
        lost = 100 * (data.full[-1] - data.accuracy[-1]) if data.full else 0.0
        gap = f"{abs(lost):.0f} points {'below' if lost > 0 else 'above'} full precision" if abs(lost) >= 0.5 else ""
        ratio = data.down / data.coarse_up
        return f"{gap or 'As good as full precision'}, for {ratio:.1f} × fewer bytes up from a coarse device"
