"""All guesses of a class on one scale, and what is true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import FigureBase

from fqlab.plots.picture import Picture
from fqlab.plots.style import COLORS, INK, MUTED, axes, note, title

__all__ = ["Guesses", "Poll"]

BINS = 20
WIDE = 24
"""A scale of whole numbers up to this long gets a bar for each."""


@dataclass(frozen=True)
class Poll:
    """What a class said.

    Attributes:
        guesses: one number for each student, in the order of the codes.
        low, high: the scale.
        truth: the right answer; None keeps it hidden.
        close: a guess this near counts as right.
        unit: of all of them, may be empty.
        left_out: a sentence about codes that were not counted, may be empty.
    """

    guesses: tuple[float, ...]
    low: float
    high: float
    truth: float | None
    close: float
    unit: str = ""
    left_out: str = ""


class Guesses(Picture):
    """A histogram of guesses with the class's median and the result; drawn once for each poll."""

    Data = Poll

    width, height = 686, 300

    def build(self, fig: FigureBase) -> None:
        self.title = title(fig)
        self.ax = axes(fig, 52, 62, 606, 196, ylabel="students")
        self.foot = fig.text(10 / 686, 10 / 300, "", fontsize=11, color=MUTED, va="bottom")

    def update(self, data: Poll, ghost: Any = None) -> str:
        edges = _edges(data)
        counts, _ = np.histogram(data.guesses, edges)
        top = max(int(counts.max()), 3)
        self.ax.set(xlim=(edges[0], edges[-1]), ylim=(0, 1.45 * top))
        self.ax.set_yticks(range(0, top + 1, max(1, top // 4)))
        self.ax.set_xlabel(f"guess ({data.unit})" if data.unit else "guess", fontsize=11.5, color=INK)
        self.ax.bar(edges[:-1], counts, np.diff(edges) * 0.92, align="edge", color=COLORS["sky blue"])
        if data.guesses:
            middle = float(np.median(data.guesses))
            self._mark(middle, 1.15 * top, f"class {middle:.4g}", INK, (0, (4, 2)), "")
        if data.truth is not None:
            self._mark(data.truth, 1.35 * top, f"it is {data.truth:.4g}", COLORS["bluish green"], "-", "s")
        self.title.set_text(headline(data))
        self.foot.set_text(data.left_out)
        return f"Histogram of guesses from {data.low:g} to {data.high:g}. {headline(data)}. {data.left_out}".strip()

    def _mark(self, value: float, height: float, text: str, color: str, dash: Any, marker: str) -> None:
        """A line from the axis up to ``height``, its label beside its end, towards the middle of the scale."""
        self.ax.plot([value, value], [0, height], color=color, linestyle=dash, linewidth=2)
        self.ax.plot([value], [height], color=color, marker=marker, markersize=7)
        low, high = self.ax.get_xlim()
        right = value < low + 0.6 * (high - low)
        shift = 0.012 * (high - low) * (1 if right else -1)
        note(self.ax, text, x=value + shift, y=height, color=color, ha="left" if right else "right")


def _edges(data: Poll) -> np.ndarray:
    """Edges of the bars: one for each whole number of a short scale of whole numbers, else twenty."""
    whole = all(float(g).is_integer() for g in (*data.guesses, data.low, data.high))
    if whole and data.high - data.low <= WIDE:
        return np.arange(data.low, data.high + 2) - 0.5
    return np.linspace(data.low, data.high, BINS + 1)


def headline(data: Poll) -> str:
    """The finding: how many guessed, where their middle is, how many came close."""
    if not data.guesses:
        return "No guess could be read yet"
    unit = f" {data.unit}" if data.unit else ""
    count = f"{len(data.guesses)} guess" + ("es" if len(data.guesses) > 1 else "")
    said = f"{count}, median {np.median(data.guesses):.4g}{unit}"
    if data.truth is None:
        return said
    return f"{said}; it is {data.truth:.4g}{unit}, {near(data.guesses, data.truth, data.close)} came close"


def near(guesses: Sequence[float], truth: float, close: float) -> int:
    """How many guesses are at most ``close`` from the truth."""
    return sum(abs(guess - truth) <= close for guess in guesses)
