"""The uplink of the clipped-quantization paper's MNIST network: its formula beside real packets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import FigureBase
from matplotlib.patches import Rectangle

from fqlab import wire
from fqlab.plots.packet import KINDS
from fqlab.plots.picture import Drawing, Picture, draw
from fqlab.plots.style import INK, MUTED, axes, line, note, title

__all__ = ["Uplinks", "uplinks"]

SCHEMES = {"2-2-2-2": (2, 2, 2, 2), "4-2-2-4": (4, 2, 2, 4), "4-4-4-4": (4,) * 4, "8-8-8-8": (8,) * 4}
"""Bits of conv1, conv2, fc1 and fc2; the first two are named in the authors' public code."""


class Uplinks(Picture):
    """A bar a scheme: codes, floats and header; a tick where the codes alone would end."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        packets: Mapping[str, Any]  # scheme -> fqlab.wire.Size
        whole: Any  # the size of a 32-bit packet

    width, height = 686, 226

    def build(self, fig: FigureBase) -> None:
        """One axis of bytes, a row a scheme."""
        self.title = self.live(title(fig))
        ax = axes(fig, 70, 44, 380, 136, xlabel="one client's upload (kB)", xlim=(0, 90), ylim=(-0.6, 3.6), grid="x")
        ax.set_yticks(range(4), list(SCHEMES)[::-1])
        ax.tick_params(axis="y", length=0, labelcolor=INK)
        kinds = ("plane", "numbers", "header")
        self.bars = [
            [self.live(ax.add_patch(Rectangle((0, y - 0.3), 0, 0.6, color=KINDS[k], linewidth=0))) for k in kinds]
            for y in (3, 2, 1, 0)
        ]
        self.formula = self.live(line(ax, "full precision", markers=True, marker="|", markersize=26, linestyle=""))
        self.words = [self.live(note(ax, "", x=93, y=y, halo=False)) for y in (3, 2, 1, 0)]
        note(ax, "codes alone", x=93, y=3.85, color=MUTED, halo=False)
        note(ax, "whole packet", x=120, y=3.85, color=MUTED, halo=False)
        self.more = [self.live(note(ax, "", x=120, y=y, halo=False)) for y in (3, 2, 1, 0)]
        for k, (kind, text) in enumerate(zip(kinds, ("codes", "floats", "header"), strict=True)):
            ax.add_patch(Rectangle((58, 3.28 - 0.42 * k), 2, 0.25, color=KINDS[kind], linewidth=0))
            note(ax, text, x=61, y=3.4 - 0.42 * k, halo=False)

    def update(self, data: Mapping[str, Any], ghost: Any = None) -> str:
        """Data: ``packets`` scheme -> :class:`~fqlab.wire.Size`, and ``whole``, the size of a 32-bit packet."""
        whole = data.whole
        packets = list(data.packets.values())
        weights = 32 * 81_848
        for bars, words, more, size in zip(self.bars, self.words, self.more, packets, strict=True):
            left = 0.0
            for bar, count in zip(bars, (size.code_bytes, size.float_bytes, size.overhead_bytes), strict=True):
                bar.set(x=left, width=count / 1000)
                left += count / 1000
            words.set_text(f"{weights / size.code_bits:.2f} ×")
            more.set_text(f"{whole.total / size.total:.2f} ×")
        self.formula.set_data([s.code_bits / 8000 for s in packets], [3, 2, 1, 0])
        first = packets[0]
        ratios = f"{weights / first.code_bits:.0f} × fewer bytes by the codes, {whole.total / first.total:.1f} × in the packet"
        self.title.set_text(f"2 bits a weight: {ratios}")
        listed = ", ".join(f"{n} {s.total} bytes, {s.code_bits // 8} of them codes" for n, s in data.packets.items())
        return (
            f"One upload of the paper's MNIST network as packets of this library: {listed}; 32 bit {whole.total} bytes."
        )


def uplinks() -> Drawing:
    """Sizes of real packets beside the paper's code bits (counted from the authors' public code)."""
    from fqlab.studies.wire import mnist_upload

    packets = {name: wire.measure(wire.pack(mnist_upload(bits))) for name, bits in SCHEMES.items()}
    whole = wire.measure(wire.pack(mnist_upload((32,) * 4)))
    return draw(Uplinks, Uplinks.Data(packets, whole), zoom=2)
