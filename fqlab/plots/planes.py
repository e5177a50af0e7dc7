"""The pictures of bit-level sparsity: a layer's planes, the bits of every layer, and what they cost in accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, ListedColormap
from matplotlib.figure import FigureBase
from matplotlib.patches import Rectangle

from fqlab.plots.picture import Picture
from fqlab.plots.spots import Spot, Tip, spots_at
from fqlab.plots.style import COLORS, INK, MUTED, axes, line, note, number_of, separate_labels, style_for, title

__all__ = ["Stack", "Tradeoff", "Widths"]

SIDE = 64
"""Side of a plane (pixels)."""
GAP = 11
"""Space between two."""
LEFT, BOTTOM = 12, 78
"""Their lower left corner."""
MOST = 8
"""So many planes at most."""
BLUE = style_for("bits").color
PALE = COLORS["orange"]
CUT = "#eceef1"


class Stack(Picture):
    """The weights of a layer, and the planes they are made of, MSB first."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        planes: Sequence[np.ndarray]  # LSB first, of -1, 0, 1
        weights: np.ndarray
        ones: Sequence[float]  # share by plane
        bits: int
        epoch: int
        layer: str

    width, height = 686, 196

    def build(self, fig: FigureBase) -> None:
        """A canvas of 686 x 196 pixels; everything is placed by hand."""
        self.title = self.live(title(fig))
        ax = axes(fig, 0, 0, self.width, self.height, grid="", spines=())
        ax.set(xticks=[], yticks=[])
        signed = ListedColormap([PALE, "#ffffff", BLUE])
        ramp = LinearSegmentedColormap.from_list("weights", [PALE, "#ffffff", BLUE])
        lefts = [LEFT + k * (SIDE + GAP) for k in range(MOST + 1)]
        self.images = []
        for k, x in enumerate(lefts):
            place = {"extent": (x, x + SIDE, BOTTOM, BOTTOM + SIDE), "vmin": -1, "vmax": 1, "interpolation": "nearest"}
            self.images.append(self.live(ax.imshow(np.zeros((1, 1)), cmap=signed if k else ramp, **place)))
            ax.add_patch(Rectangle((x, BOTTOM), SIDE, SIDE, fill=False, edgecolor=MUTED, linewidth=0.8, zorder=4))
        ax.set(xlim=(0, self.width), ylim=(0, self.height), aspect="auto")
        cut = {"facecolor": CUT, "edgecolor": MUTED, "linewidth": 0.8, "hatch": "///", "zorder": 3}
        self.cuts = [self.live(ax.add_patch(Rectangle((x, BOTTOM), SIDE, SIDE, **cut))) for x in lefts[1:]]
        middle = {"ha": "center", "halo": False}
        note(ax, "weights =", x=lefts[0] + SIDE / 2, y=BOTTOM + SIDE + 12, **middle)
        self.powers = [self.live(note(ax, "", x=x + SIDE / 2, y=BOTTOM + SIDE + 12, **middle)) for x in lefts[1:]]
        bar = {"color": BLUE, "linewidth": 0}
        self.bars = [self.live(ax.add_patch(Rectangle((x, BOTTOM - 12), 0, 6, **bar))) for x in lefts[1:]]
        self.ones = [self.live(note(ax, "", x=x + SIDE / 2, y=BOTTOM - 23, **middle)) for x in lefts[1:]]
        note(ax, "ones", x=lefts[0] + SIDE, y=BOTTOM - 23, ha="right", halo=False, color=MUTED)
        for x, color, words in ((12, BLUE, "+1"), (62, PALE, "−1")):
            ax.add_patch(Rectangle((x, 18), 10, 10, color=color, linewidth=0))
            note(ax, words, x=x + 15, y=23, halo=False)
        self.words = self.live(note(ax, "", x=112, y=23, halo=False, color=MUTED))

    def update(self, data: Data, ghost: Data | None = None) -> str:
        planes = data.planes
        bits = data.bits
        self.images[0].set_data(data.weights)
        for k in range(MOST):
            i = MOST - 1 - k
            there = MOST - 1 - k < bits
            self.cuts[k].set_visible(not there)
            share = data.ones[i] if there else 0.0
            if there:
                self.images[k + 1].set_data(planes[i])
            sign = "" if i == bits - 1 or not there else "+ "
            self.powers[k].set(text=f"{sign}{2**i} ×" if there else "cut", color=INK if there else MUTED)
            self.bars[k].set_width(SIDE * share)
            self.ones[k].set_text(f"{100 * share:.2g} %" if there else "")
        self.title.set_text(self._finding(data))
        levels = 2 ** (bits + 1) - 1
        self.words.set_text(
            f"{number_of(bits, 'plane')} and a sign: {levels} levels. Every small square is one weight's bit."
        )
        shares = ", ".join(f"plane {i} {share:.1%}" for i, share in reversed(list(enumerate(data.ones[:bits]))))
        return f"{data.layer.capitalize()} in epoch {data.epoch}: {number_of(bits, 'bit plane')}; ones: {shares or 'none'}."

    @staticmethod
    def _finding(data: Data) -> str:
        bits = data.bits
        where = f"{data.layer}, epoch {data.epoch}"
        if not bits:
            return f"Nothing is left of {where}: all weights are zero"
        top = data.ones[bits - 1]
        if bits == 1:
            return f"One bit left in {where}, and yet three values: −1, 0 and 1"
        empty = "is empty and can go" if top == 0 else f"is used by {100 * top:.2g} % of the weights"
        return f"{where[0].upper()}{where[1:]}: {bits} planes; the top one {empty}"


class Widths(Picture):
    """Bits of every tensor, epoch by epoch."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        bits: Mapping[str, Sequence[int]]  # tensor -> bits by epoch
        mean: Sequence[float]  # by epoch
        epoch: int  # shown
        run: Any  # what the run depends on

    width, height = 338, 270
    DASHES = ("-", (0, (1.2, 1.2)), (0, (5, 1.5)), (0, (5, 1.5, 1, 1.5)))

    def build(self, fig: FigureBase) -> None:
        """One pair of axes with steps."""
        self.title = self.live(title(fig))
        limits = {"xlim": (0, 24), "ylim": (0, 8.8)}
        ax = axes(fig, 40, 40, 234, 188, xlabel="epoch of bit-level training", ylabel="bits", **limits)
        ax.set_yticks(range(0, 9, 2))
        ax.set_xticks(range(0, 25, 8))
        ax.add_patch(Rectangle((16, 0), 8, 8.8, color="#f3f4f6", linewidth=0, zorder=0))
        note(ax, "fine-tuning", x=20, y=9.15, ha="center", color=MUTED, halo=False)
        self.here = self.live(line(ax, "full precision", linestyle="-", linewidth=1.0))
        self.before = self.live(line(ax, "previous", drawstyle="steps-post"))
        style = {"linewidth": 1.5, "drawstyle": "steps-post"}
        self.steps = [self.live(line(ax, "bits", linestyle=dash, **style)) for dash in self.DASHES]
        self.mean = self.live(line(ax, "bits", linewidth=3.2, drawstyle="steps-post"))
        self.names = [self.live(note(ax, "", x=24.5, color=BLUE, halo=False)) for _ in range(5)]

    def update(self, data: Data, ghost: Data | None = None) -> str:
        seen = list(range(len(data.mean)))
        shift = np.linspace(-0.12, 0.12, len(self.steps))
        ends = []
        for step, d, widths in zip(self.steps, shift, data.bits.values(), strict=True):
            step.set_data(seen, np.array(widths) + d)
            ends.append(widths[-1] + d)
        self.mean.set_data(seen, data.mean)
        old = ghost.mean if ghost and ghost.run != data.run else []
        self.before.set_data(range(len(old)), old)
        self.here.set_data([data.epoch] * 2, [0, 8.8])
        places = separate_labels([*ends, data.mean[-1]], 0.62, 0.3, 8.5)
        for text, words, y in zip(self.names, [*data.bits, "mean"], places, strict=True):
            text.set(text=words, y=y, fontweight="bold" if words == "mean" else "normal")
        largest = data.bits["layer 1"]
        cuts = sum(a > b for a, b in zip(largest, largest[1:], strict=False))
        way = f"{largest[0]} to {largest[-1]} bits in {number_of(cuts, 'cut')}"
        self.title.set_text(f"Layer 1: {way}" if cuts else "No plane of layer 1 has gone")
        listed = ", ".join(f"{name} {widths[-1]}" for name, widths in data.bits.items())
        return f"Bits after {number_of(seen[-1], 'epoch')}: {listed}; {data.mean[-1]:.2f} a weight on average."


class Tradeoff(Picture):
    """The way of a run through bits and accuracy."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        mean: Sequence[float]  # bits by epoch
        accuracy: Sequence[float]
        epoch: int  # shown
        held: int  # epochs before fine-tuning
        run: Any  # what the run depends on

    width, height = 338, 270

    def build(self, fig: FigureBase) -> None:
        """One pair of axes; bits fall to the right."""
        self.title = self.live(title(fig))
        limits = {"xlim": (8.4, -0.3), "ylim": (0, 1.03)}
        ax = axes(fig, 58, 40, 268, 188, xlabel="bits a weight (mean)", ylabel="test accuracy", **limits)
        ax.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
        ax.set_xticks([8, 6, 4, 2, 1])
        self.start = self.live(line(ax, "full precision"))
        self.before = self.live(line(ax, "previous"))
        self.old_end = self.live(line(ax, "previous", markers=True, marker="o", linestyle="", markersize=6))
        self.path = self.live(line(ax, "accuracy", markers=True, marker=".", markersize=4, linewidth=1.2))
        self.tuned = self.live(line(ax, "accuracy", linewidth=3))
        self.end = self.live(line(ax, "accuracy", markers=True, linestyle="", markersize=9, zorder=5))
        self.here = self.live(line(ax, "full precision", linestyle="", marker="o", markersize=11, fillstyle="none"))
        self.level = self.live(note(ax, "8-bit start", x=0.1, ha="right", color=INK))
        self.words = self.live(note(ax, "", color="#00704f", fontweight="bold"))
        self.axis = ax
        self._way: list[tuple[float, float]] = []

    def update(self, data: Data, ghost: Data | None = None) -> str:
        bits = data.mean
        accuracy = data.accuracy
        held = data.held
        self._way = list(zip(bits, accuracy, strict=True))
        self.start.set_data([8.4, -0.3], [accuracy[0]] * 2)
        self.level.set_y(accuracy[0] - 0.06)
        self.path.set_data(bits[: held + 1], accuracy[: held + 1])
        self.tuned.set_data(bits[held:], accuracy[held:])
        self.end.set_data(bits[-1:], accuracy[-1:])
        self.here.set_data([bits[data.epoch]], [accuracy[data.epoch]])
        other = ghost is not None and ghost.run != data.run
        old_bits, old_accuracy = (ghost.mean, ghost.accuracy) if other else ([], [])
        self.before.set_data(old_bits, old_accuracy)
        self.old_end.set_data(old_bits[-1:], old_accuracy[-1:])
        right = bits[-1] < 3.4
        tuning = len(bits) > held + 1
        y = (accuracy[held] + accuracy[-1]) / 2 if tuning else accuracy[-1] - 0.08
        self.words.set(text="fine-tuning" if tuning else "", x=bits[-1] + (0.25 if right else -0.25),
                       y=min(max(y, 0.06), 0.8), ha="right" if right else "left")  # fmt: skip
        smaller = f"{32 / bits[-1]:.1f} × smaller" if bits[-1] else "nothing is left"
        self.title.set_text(f"{accuracy[-1]:.1%} at {bits[-1]:.1f} bits, {smaller}")
        return (
            f"Accuracy against mean bits, from {accuracy[0]:.1%} at 8 bits to {accuracy[-1]:.1%} at {bits[-1]:.2f} bits "
            f"after {number_of(len(bits) - 1, 'epoch')}."
        )

    def spots(self) -> list[Spot]:
        tips = [Tip(f"epoch {k}: {a:.1%} at {b:.2f} bits", {"epoch": k}) for k, (b, a) in enumerate(self._way)]
        return spots_at(self.axis, self._way, tips)
