"""Seconds of a round against bits, over lines of several rates: the one experiment in which fewer bytes become time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from matplotlib.figure import FigureBase

from fqlab.plots.picture import Drawing, Picture, draw
from fqlab.plots.style import MUTED, axes, line, note, separate_labels, style_for, title
from fqlab.studies.hosts import Cell, Lines, lines

__all__ = ["SlowLines", "slow_lines"]

BITS = (32, 8, 4, 2)
MOST = 4
"""Lines that are drawn."""


def _name(rate: float) -> str:
    return f"{rate:g} Mbit/s" if rate else "not slowed down"


class SlowLines(Picture):
    """A curve a line: the quickest round at each bit-width; dashed, what the packets alone would take."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        lines: Lines

    width, height = 686, 276

    def build(self, fig: FigureBase) -> None:
        """One axis of seconds over four bit-widths."""
        self.title = self.live(title(fig))
        ax = axes(
            fig, 60, 52, 470, 168, xlabel="bits a weight on the way up", ylabel="seconds a round", xlim=(-0.2, 3.2)
        )
        self.axis = ax
        ax.set_xticks(range(len(BITS)), [str(bits) for bits in BITS])
        self.curves = [self.live(line(ax, k, markers=True)) for k in range(MOST)]
        thin = {"linestyle": (0, (2, 2)), "linewidth": 1.2}
        self.bounds = [self.live(line(ax, k, **thin)) for k in range(MOST)]
        self.names = [self.live(note(ax, "", x=3.12, y=0, color=style_for(k).color)) for k in range(MOST)]
        self.words = self.live(fig.text(60 / self.width, 12 / self.height, "", fontsize=11, color=MUTED))

    def update(self, data: Data, ghost: Data | None = None) -> str:
        table, nodes = data.lines, data.lines.setup["nodes"]
        rates = list(dict.fromkeys(cell.rate for cell in table.cells))
        at = {(cell.rate, cell.bits): cell for cell in table.cells}
        for k, rate in enumerate(rates):
            row = [at[rate, bits] for bits in BITS]
            self.curves[k].set_data(range(len(BITS)), [cell.least for cell in row])
            self.bounds[k].set_data(
                range(len(BITS)), [cell.payload_seconds(nodes) if rate else float("nan") for cell in row]
            )
        self.axis.set_ylim(0, 1.08 * max(cell.least for cell in table.cells))
        top = self.axis.get_ylim()[1]
        heights = separate_labels([at[rate, 2].least for rate in rates], 0.09 * top, 0, top)
        for text, rate, y in zip(self.names, rates, heights, strict=True):
            text.set(text=_name(rate), y=y)
        slow, free = ([at[rate, bits].least for bits in (32, 2)] for rate in (rates[0], rates[-1]))
        self.title.set_text(
            f"32 bits take {slow[0]:.1f} s on the slowest line, 2 bits {slow[1]:.1f}; not slowed down {free[0]:.1f} and {free[1]:.1f}"
        )
        self.words.set_text("Dashed: a node's packets alone, without Flower's own messages, training and waiting.")
        return f"{self.title.get_text()}. {_listed(table.cells)} {_setup(table.setup)}"


def _listed(cells: tuple[Cell, ...]) -> str:
    rows = [f"{_name(cell.rate)}, {cell.bits} bits: {cell.least:.1f} s" for cell in cells]
    return f"Quickest rounds: {'; '.join(rows)}."


def _setup(setup: Any) -> str:
    return (
        f"{setup['clients']} clients of the digits network on {setup['nodes']} nodes and a server, each a network namespace on "
        f"{setup['cores']} shared cores; lines shaped both ways by tc, the way down at 32 bit; Flower {setup['flwr']}."
    )


def slow_lines() -> Drawing:
    """The stored rounds over slow lines, measured by ``tests/benchmarks/hosts.py``."""
    return draw(SlowLines, SlowLines.Data(lines()), zoom=2)
