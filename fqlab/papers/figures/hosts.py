"""Seconds of a round against bits, over lines of several rates, delays and losses: where fewer bytes become time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from matplotlib.figure import FigureBase

from fqlab.plots.picture import Drawing, Picture, PictureView, mosaic
from fqlab.plots.style import MUTED, axes, line, note, separate_labels, style_for, title
from fqlab.studies.hosts import Cell, Lines, Place, lines

__all__ = ["Delays", "Rates", "slow_lines"]

BITS = (32, 8, 4, 2)
RATES: tuple[Place, ...] = ((0.1, 0, 0), (0.3, 0, 0), (1, 0, 0), (0, 0, 0))
DELAYS: tuple[Place, ...] = ((1, 0, 0), (1, 20, 0), (1, 100, 0), (1, 100, 1), (1, 100, 5))


@dataclass(frozen=True)
class Shown:
    """What both pictures show."""

    lines: Lines


class _Curves(Picture):
    """A curve a line: the middle round at each bit-width; dashed, what line arithmetic says a round takes at least."""

    Data = Shown
    width, height = 338, 246
    places: tuple[Place, ...]

    def build(self, fig: FigureBase) -> None:
        """One axis of seconds over four bit-widths."""
        self.title = self.live(title(fig))
        ax = axes(
            fig, 44, 54, 182, 152, xlabel="bits a weight on the way up", ylabel="seconds a round", xlim=(-0.2, 3.2)
        )
        self.axis = ax
        ax.set_xticks(range(len(BITS)), [str(bits) for bits in BITS])
        count = range(len(self.places))
        self.curves = [self.live(line(ax, k, markers=True)) for k in count]
        thin = {"linestyle": (0, (2, 2)), "linewidth": 1.2}
        self.bounds = [self.live(line(ax, k, **thin)) for k in count]
        self.names = [self.live(note(ax, "", x=3.12, y=0, color=style_for(k).color)) for k in count]
        self.words = self.live(fig.text(10 / self.width, 12 / self.height, "", fontsize=11, color=MUTED))

    def update(self, data: Shown, ghost: Shown | None = None) -> str:
        rows = [data.lines.at(*place) for place in self.places]
        for k, row in enumerate(rows):
            self.curves[k].set_data(range(len(BITS)), [row[bits].median for bits in BITS])
            least = [row[bits].least_seconds(data.lines.setup["nodes"]) for bits in BITS]
            lossless = not self.places[k][2]  # arithmetic knows of no loss
            self.bounds[k].set_data(range(len(BITS)), least if lossless and any(least) else [float("nan")] * len(BITS))
        top = 1.08 * max(row[32].median for row in rows)
        self.axis.set_ylim(0, top)
        heights = separate_labels([row[2].median for row in rows], 0.095 * top, 0, top)
        for text, place, y in zip(self.names, self.places, heights, strict=True):
            text.set(text=self.name(*place), y=y)
        self.title.set_text(self.finding(rows))
        self.words.set_text(self.explanation)
        listed = "; ".join(
            f"{self.name(*place)} {', '.join(f'{row[bits].median:.1f}' for bits in BITS)}"
            for place, row in zip(self.places, rows, strict=True)
        )
        return f"{self.title.get_text()}. Seconds of the middle round at 32, 8, 4 and 2 bits: {listed}."

    explanation: str

    def name(self, rate: float, delay: float, loss: float) -> str:
        """A line in a few words."""
        raise NotImplementedError

    def finding(self, rows: list[dict[int, Cell]]) -> str:
        """What the picture shows, in a sentence."""
        raise NotImplementedError


class Rates(_Curves):
    """Lines that differ in their rate alone."""

    places = RATES
    explanation = "Dashed: what a node's packets alone would take."

    def name(self, rate: float, delay: float, loss: float) -> str:
        return f"{rate:g} Mbit/s" if rate else "no limit"

    def finding(self, rows: list[dict[int, Cell]]) -> str:
        slow = rows[0]
        return f"A low rate: {slow[32].median:.1f} s at 32 bits, {slow[2].median:.1f} at 2"


class Delays(_Curves):
    """Lines of one rate that differ in delay and loss."""

    places = DELAYS
    explanation = "At 1 Mbit/s. Dashed: packets, nine times there and back."

    def name(self, rate: float, delay: float, loss: float) -> str:
        return (f"{delay:g} ms" if delay else "no delay") + (f", {loss:g} % lost" if loss else "")

    def finding(self, rows: list[dict[int, Cell]]) -> str:
        lost = {bits: rows[-1][bits].median - rows[0][bits].median for bits in (32, 2)}
        return f"Far, 5 % lost: {lost[32]:.1f} s more at 32 bits, {lost[2]:.1f} at 2"


def _setup(setup: Any) -> str:
    return (
        f"{setup['clients']} clients of the digits network on {setup['nodes']} nodes and a server, each a network namespace on "
        f"{setup['cores']} shared cores; both ways of a line alike, the way down at 32 bit; Flower {setup['flwr']}."
    )


def slow_lines() -> Drawing:
    """The stored rounds over slow lines, measured by ``tests/benchmarks/hosts.py``: rates, then delays and losses."""
    shown = Shown(lines())
    drawing = mosaic([[PictureView(kind, shown) for kind in (Rates, Delays)]], zoom=2)
    return Drawing(drawing.figure, f"{drawing.alt} {_setup(shown.lines.setup)}")
