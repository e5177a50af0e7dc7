"""Seconds of a round against bits, over lines of several rates, delays and losses: where fewer bytes become time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from matplotlib.figure import FigureBase

from fqlab.plots.picture import Drawing, Picture, draw
from fqlab.plots.style import MUTED, axes, line, note, separate_labels, style_for, title
from fqlab.studies.hosts import Cell, Lines, Place, lines

__all__ = ["Delays", "Rates", "far_lines", "slow_lines"]

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
    width, height = 686, 258
    places: tuple[Place, ...]

    def build(self, fig: FigureBase) -> None:
        """One axis of seconds over four bit-widths."""
        self.title = self.live(title(fig))
        ax = axes(
            fig, 60, 52, 470, 168, xlabel="bits a weight on the way up", ylabel="seconds a round", xlim=(-0.2, 3.2)
        )
        self.axis = ax
        ax.set_xticks(range(len(BITS)), [str(bits) for bits in BITS])
        count = range(len(self.places))
        self.curves = [self.live(line(ax, k, markers=True)) for k in count]
        thin = {"linestyle": (0, (2, 2)), "linewidth": 1.2}
        self.bounds = [self.live(line(ax, k, **thin)) for k in count]
        self.names = [self.live(note(ax, "", x=3.12, y=0, color=style_for(k).color)) for k in count]
        self.words = self.live(fig.text(60 / self.width, 12 / self.height, "", fontsize=11, color=MUTED))

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
    explanation = "Dashed: a node's packets alone, without Flower's own messages, training and waiting."

    def name(self, rate: float, delay: float, loss: float) -> str:
        return f"{rate:g} Mbit/s" if rate else "no limit"

    def finding(self, rows: list[dict[int, Cell]]) -> str:
        slow, free = rows[0], rows[-1]
        return (
            f"32 bits take {slow[32].median:.1f} s on the slowest line, 2 bits {slow[2].median:.1f}; "
            f"without a limit {free[32].median:.1f} and {free[2].median:.1f}"
        )


class Delays(_Curves):
    """Lines of one rate that differ in delay and loss."""

    places = DELAYS
    explanation = "All at 1 Mbit/s. Dashed: a node's packets, and nine times there and back."

    def name(self, rate: float, delay: float, loss: float) -> str:
        return (f"{delay:g} ms each way" if delay else "no delay") + (f", {loss:g} % lost" if loss else "")

    def finding(self, rows: list[dict[int, Cell]]) -> str:
        far = {bits: rows[2][bits].median - rows[0][bits].median for bits in (32, 2)}
        lost = {bits: rows[-1][bits].median - rows[2][bits].median for bits in (32, 2)}
        return (
            f"100 ms each way cost 32 bits {far[32]:.1f} s and 2 bits {far[2]:.1f}; "
            f"5 % lost as well, {lost[32]:.1f} and {lost[2]:.1f} more"
        )


def _setup(setup: Any) -> str:
    return (
        f"{setup['clients']} clients of the digits network on {setup['nodes']} nodes and a server, each a network namespace on "
        f"{setup['cores']} shared cores; both ways of a line alike, the way down at 32 bit; Flower {setup['flwr']}."
    )


def slow_lines() -> Drawing:
    """Lines that differ in their rate, measured by ``tests/benchmarks/hosts.py``."""
    return _drawn(Rates)


def far_lines() -> Drawing:
    """Lines that differ in delay and loss, from the same measurement."""
    return _drawn(Delays)


def _drawn(picture: type[_Curves]) -> Drawing:
    shown = Shown(lines())
    drawing = draw(picture, shown, zoom=2)
    return Drawing(drawing.figure, f"{drawing.alt} {_setup(shown.lines.setup)}")
