"""The three pictures of a packet: its bytes, its bits a weight before and after coding, and its header's share."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import FigureBase
from matplotlib.patches import Rectangle

from fqlab.plots.picture import Picture
from fqlab.plots.style import COLORS, INK, MUTED, axes, line, note, style_for, title

__all__ = ["KINDS", "Bytes", "Overhead", "Rates"]


KINDS = {
    "header": "#6e7781",
    "numbers": "#c98a00",
    "plane": COLORS["blue"],
    "other plane": "#3f9fd8",
    "sign": "#a1477a",
}
"""What a byte is for -> its colour. Neighbouring bit planes take turns between two blues."""

WIDE, TALL = 330, 112
"""The map of the packet in pixels."""
LEAST = 3
"""Side of its smallest cell."""
ROWS, COLUMNS = 3, 16
"""Of the magnified bytes."""
LENS = 96
"""Height of the first of them."""
PLACES = 7
"""Parts of a packet that are listed."""


def layout(count: int) -> tuple[int, int, int]:
    """Side of a cell (pixels), cells in a row and bytes in a cell, so that ``count`` bytes fill the map."""
    cell = max(LEAST, int((WIDE * TALL / max(count, 1)) ** 0.5))
    while cell > LEAST and -(-count // (WIDE // cell)) * cell > TALL:
        cell -= 1
    columns = WIDE // cell
    return cell, columns, -(-count // (columns * (TALL // cell)))


class Bytes(Picture):
    """Above, the whole packet with a cell for each byte, and its parts; below, the bytes under the magnifier."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        packet: bytes
        fields: Sequence[tuple]  # start, stop, kind, name, meaning
        parts: Sequence[tuple]  # kind, name, detail, bytes
        at: int
        flip: bool
        verdict: str
        finding: str

    width, height = 686, 272

    def build(self, fig: FigureBase) -> None:
        """A canvas of 686 x 272 pixels; everything is placed by hand."""
        self.title = self.live(title(fig))
        ax = axes(fig, 0, 0, self.width, self.height, xlim=(0, self.width), ylim=(0, self.height), grid="", spines=())
        ax.set(xticks=[], yticks=[])
        self.map = self.live(ax.imshow(np.zeros((1, 1, 3)), extent=(12, 13, 236, 237), interpolation="nearest"))
        ax.set(xlim=(0, self.width), ylim=(0, self.height), aspect="auto")
        self.here = self.live(ax.add_patch(Rectangle((0, 0), 1, 1, fill=False, edgecolor=INK, linewidth=1.6)))
        self._build_parts(ax)
        self._build_magnifier(ax)

    def _build_parts(self, ax: Any) -> None:
        tops = [228 - 17 * k for k in range(PLACES)]
        self.chips = [self.live(ax.add_patch(Rectangle((362, y - 5), 10, 10, linewidth=0))) for y in tops]
        self.names = [self.live(note(ax, "", x=378, y=y, halo=False)) for y in tops]
        self.details = [self.live(note(ax, "", x=562, y=y, ha="right", color=MUTED, halo=False)) for y in tops]
        self.bytes = [self.live(note(ax, "", x=628, y=y, ha="right", halo=False)) for y in tops]
        self.shares = [self.live(note(ax, "", x=674, y=y, ha="right", halo=False)) for y in tops]

    def _build_magnifier(self, ax: Any) -> None:
        self.lens = self.live(ax.add_patch(Rectangle((0, 0), 20, 17, color="#ffe9a8", linewidth=0)))
        mono = {"family": "monospace", "halo": False}
        ys = [LENS - 18 * k for k in range(ROWS)]
        self.offsets = [self.live(note(ax, "", x=46, y=y, ha="right", color=MUTED, **mono)) for y in ys]
        self.hexes = [self.live(note(ax, "", x=64 + 19 * k, y=y, ha="center", **mono)) for y in ys for k in range(16)]
        self.plain = [self.live(note(ax, "", x=372, y=y, color=MUTED, **mono)) for y in ys]
        self.what = [self.live(note(ax, "", x=502, y=y, halo=False)) for y in (LENS, LENS - 18, LENS - 36, LENS - 52)]
        self.what[0].set_fontweight("bold")
        self.verdict = self.live(note(ax, "", x=12, y=22, halo=False))

    def update(self, data: Data, ghost: Data | None = None) -> str:
        field = next(f for f in data.fields if f[0] <= data.at < f[1])
        self._draw_map(data)
        self._draw_parts(data.parts, len(data.packet))
        self._draw_magnifier(data, field)
        color = style_for("error").color if data.flip else "#00704f"
        self.verdict.set(text=f"{'✗' if data.flip else '✓'} {data.verdict}", color=color)
        self.title.set_text(data.finding)
        words = [f"{name} {size} bytes" for _, name, _, size in data.parts]
        return (
            f"A packet of {len(data.packet)} bytes: {', '.join(words)}. Byte {data.at} is "
            f"0x{data.packet[data.at]:02x}, in {field[3]}. {data.verdict}"
        )

    def _draw_map(self, data: Data) -> None:
        packet = np.frombuffer(data.packet, np.uint8)
        cell, columns, each = layout(len(packet))
        count = -(-len(packet) // each)
        rows = -(-count // columns)
        values = np.pad(packet, (0, count * each - len(packet)), mode="edge").reshape(count, each).mean(1)
        kinds = np.array([to_rgb(KINDS[f[2]]) for f in data.fields])
        starts = np.array([f[1] for f in data.fields])
        inked = kinds[np.searchsorted(starts, np.arange(count) * each, side="right")]
        picture = np.ones((rows * columns, 3))
        picture[:count] = 1 - (1 - inked) * (0.25 + 0.75 * values / 255)[:, None]
        self.map.set_data(picture.reshape(rows, columns, 3))
        self.map.set_extent((12, 12 + columns * cell, 236 - rows * cell, 236))
        row, column = divmod(data.at // each, columns)
        self.here.set_bounds(12 + column * cell - 1, 236 - (row + 1) * cell - 1, cell + 2, cell + 2)
        self.here.set_edgecolor(style_for("error").color if data.flip else INK)

    def _draw_parts(self, parts: Sequence[tuple], total: int) -> None:
        lists = (self.chips, self.names, self.details, self.bytes, self.shares)
        for k, artists in enumerate(zip(*lists, strict=True)):
            for artist in artists:
                artist.set_visible(k < len(parts))
            if k < len(parts):
                kind, name, detail, size = parts[k]
                artists[0].set_facecolor(KINDS[kind])
                for text, words in zip(artists[1:], (name, detail, f"{size:,} B", f"{size / total:.0%}"), strict=True):
                    text.set_text(words)

    def _draw_magnifier(self, data: Data, field: tuple) -> None:
        packet = data.packet
        at = data.at
        first = max(0, at // COLUMNS - 1) * COLUMNS
        row, column = divmod(at - first, COLUMNS)
        self.lens.set_bounds(54.5 + 19 * column, LENS - 18 * row - 8, 19, 17)
        self.lens.set_color("#ffc9b0" if data.flip else "#ffe9a8")
        ends = [f[1] for f in data.fields]
        for k, text in enumerate(self.hexes):
            shown = first + k < len(packet)
            kind = data.fields[int(np.searchsorted(ends, first + k, side="right"))][2] if shown else "header"
            text.set(text=f"{packet[first + k]:02x}" if shown else "", color=KINDS[kind])
        for k in range(ROWS):
            part = packet[first + k * COLUMNS : first + (k + 1) * COLUMNS]
            self.offsets[k].set_text(f"{first + k * COLUMNS}" if part else "")
            self.plain[k].set_text("".join(chr(b) if 32 <= b < 127 and b != 36 else "·" for b in part))
        value = packet[at]
        lines = textwrap.wrap(field[4], 29)[:2] + ["", ""]
        words = (field[3], f"{value:08b} in binary, of", *lines)
        for text, shown in zip(self.what, words, strict=False):
            text.set_text(shown)


class Rates(Picture):
    """Squared error against bits a weight: the two clip rules at fixed length and entropy coded, and this packet."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        curves: Mapping[tuple[str, str], tuple[Sequence[float], Sequence[float]]]  # (rule, way) -> rates, errors
        rates: Mapping[str, float]  # way -> bits a weight
        mse: float
        gain: tuple[float, ...]

    width, height = 338, 194

    def build(self, fig: FigureBase) -> None:
        """One axis with four curves, and a marker for each way to count this packet."""
        self.title = self.live(title(fig))
        limits = {"xlim": (0, 10), "ylim": (1e-5, 3)}
        ax = axes(
            fig,
            56,
            40,
            270,
            118,
            xlabel="bits a weight",
            ylabel="squared error (σ²)",
            yscale="log",
            grid="both",
            **limits,
        )
        ax.minorticks_off()
        ax.set_xticks(range(0, 11, 2))
        ways = {"fixed": "bits", "coded": "bytes"}
        dashes = {"octav": "-", "max_abs": (0, (1.2, 1.4))}
        self.curves = {
            (rule, way): self.live(line(ax, ways[way], linestyle=dash, linewidth=1.6))
            for rule, dash in dashes.items()
            for way in ways
        }
        self.names = {key: self.live(note(ax, "", color=style_for(ways[key[1]]).color)) for key in self.curves}
        marks = {"fixed": ("bits", "s"), "zstd": ("bytes", "v"), "ANS": ("error", "D"), "Shannon": ("theory", "^")}
        self.marks = {
            name: self.live(line(ax, kind, markers=True, marker=mark, linestyle="", markersize=7, zorder=5))
            for name, (kind, mark) in marks.items()
        }
        colors = [style_for("bits").color, "#9a6a00", style_for("error").color, "#a1477a"]
        self.values = [self.live(note(ax, "", x=0.15, y=6e-4 / 3.3**k, color=c)) for k, c in enumerate(colors)]

    def update(self, data: Data, ghost: Data | None = None) -> str:
        for key, curve in self.curves.items():
            curve.set_data(*data.curves[key])
        self._name_curves(data.curves)
        mse = min(max(data.mse, 1.3e-5), 2.5)
        symbols = {"fixed": "■", "zstd": "▼", "ANS": "◆", "Shannon": "▲"}
        for (name, rate), text in zip(data.rates.items(), self.values, strict=True):
            self.marks[name].set_data([rate], [mse])
            text.set_text(f"{symbols[name]} {'fixed length' if name == 'fixed' else name} {rate:.2f}")
        self.title.set_text(self._finding(data))
        listed = ", ".join(f"{name} {rate:.2f}" for name, rate in data.rates.items())
        return f"Bits a weight of this packet's codes: {listed}; squared error {data.mse:.2g} σ²."

    def _name_curves(self, curves: Data) -> None:
        """Both rules are named at fixed length, where they differ; coded they are one."""
        for (rule, way), text in self.names.items():
            rates, mse = curves[rule, way]
            if way == "fixed":
                height = 3e-4 if rule == "octav" else 4e-3
                x = float(np.interp(-np.log(height), -np.log(mse), rates))
                left = rule == "octav"
                words = "OCTAV" if left else "max-abs"
                text.set(text=words, x=x + (-0.2 if left else 0.25), y=height, ha="right" if left else "left")
            elif rule == "octav":
                x = float(np.interp(np.log(1.5e-2), np.log(mse[::-1]), rates[::-1]))
                text.set(text="both, coded", x=x - 0.3, y=1.2e-2, ha="right")

    @staticmethod
    def _finding(data: Data) -> str:
        fixed, coded = data.gain
        if np.isfinite(fixed) and np.isfinite(coded):
            after = "nothing" if abs(coded) < 0.05 else f"still {coded:.1f}" if coded > 0 else f"it costs {-coded:.1f}"
            return f"The clip saves {fixed:.1f} bit; coded, {after}"
        rates = data.rates
        return f"Coding takes {max(rates['fixed'] - rates['zstd'], 0):.1f} of {rates['fixed']:.1f} bits"


class Overhead(Picture):
    """The header's share of a packet against the number of weights."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        networks: Sequence[tuple[str, int, float]]  # name, weights, share
        weights: int  # of this packet
        share: float

    width, height = 338, 194

    def build(self, fig: FigureBase) -> None:
        """One logarithmic axis, a dot a network."""
        self.title = self.live(title(fig))
        limits = {"xlim": (20, 1e6), "ylim": (1e-3, 1.3)}
        ax = axes(
            fig, 56, 40, 270, 118, xlabel="weights in the packet", ylabel="header's share", yscale="log", **limits
        )
        ax.set_xscale("log")
        ax.minorticks_off()
        ax.set_xticks([100, 1e4, 1e6], ["100", "10 000", "1 000 000"])
        ax.get_xticklabels()[-1].set_ha("right")
        ax.set_yticks([1e-3, 1e-2, 1e-1, 1], ["0.1 %", "1 %", "10 %", "100 %"])
        ax.yaxis.labelpad = -2
        self.dots = self.live(line(ax, "previous", markers=True, marker="o", linestyle="-", linewidth=1.2))
        self.names = [self.live(note(ax, "", color=MUTED, halo=True)) for _ in range(6)]
        self.here = self.live(line(ax, "bytes", markers=True, linestyle="", markersize=10, zorder=5))
        self.share = self.live(note(ax, "", color="#9a6a00", fontweight="bold"))

    def update(self, data: Data, ghost: Data | None = None) -> str:
        networks = data.networks
        self.dots.set_data([n for _, n, _ in networks], [s for _, _, s in networks])
        for text, (name, n, share) in zip(self.names, networks, strict=True):
            below = n > 5e4 or 100 < n < 1000  # the two largest side by side; the second keeps clear of the first
            x = 9.6e5 if n > 2e5 else n * (0.7 if below else 1.5)
            text.set(text=name, x=x, y=share * (0.62 if below else 1.3), ha="right" if below else "left")
        self.here.set_data([data.weights], [data.share])
        self.title.set_text(f"Header: {_percent(data.share)} of this packet")
        listed = ", ".join(f"{name} {_percent(share)}" for name, _, share in networks)
        return f"The header's share of a packet of {data.weights} weights is {_percent(data.share)}; others: {listed}."


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share < 0.0995 else f"{100 * share:.0f} %"
