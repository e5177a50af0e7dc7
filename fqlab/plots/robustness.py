"""The three pictures of robust training: accuracy by deployed width, weights on a chip's grid, kurtosis by round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import FigureBase

from fqlab.plots.picture import Picture
from fqlab.plots.rounds import draw_curves
from fqlab.plots.spots import Spot, Tip, spots_on
from fqlab.plots.style import INK, MUTED, axes, line, note, number_of, separate_labels, style_for, title, untrained

__all__ = ["CHIPS", "Deployed", "KurtosisPath", "Shape"]

CHIPS = (2, 3, 4, 5, 6, 7, 8, 32)
"""Deployed widths; 32 is full precision."""
NAMES = {"fedavg": "FedAvg", "kure": "KURE", "apqn": "APQN", "qat": "QAT", "mqat": "MQAT"}
ROUNDS = 20
PEAK = 6.5


def name_of(data: Deployed.Data | KurtosisPath.Data) -> str:
    """``QAT at 2 bit``."""
    extra = f" at {data.bits} bit" if data.method in ("qat", "apqn") else ""
    return NAMES[data.method] + extra


class Deployed(Picture):
    """Test accuracy of one trained model at every deployed width."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        accuracy: Sequence[float]  # at CHIPS
        fedavg: Sequence[float]
        method: str
        bits: int  # trained at
        chip: int

    width, height = 686, 234

    def build(self, fig: FigureBase) -> None:
        """One axes, the widths as categories."""
        self.title = self.live(title(fig))
        ax = axes(
            fig, 64, 42, 500, 152, xlabel="bits of the deployed weights", ylabel="test accuracy",
            xlim=(-0.35, len(CHIPS) - 0.65), ylim=(0, 1.03),
        )  # fmt: skip
        ax.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
        ax.set_xticks(range(len(CHIPS)), [*map(str, CHIPS[:-1]), "32"])
        self.chip = self.live(line(ax, "bits", linewidth=9, alpha=0.15))
        self.home = self.live(line(ax, "theory", linewidth=1.5))
        self.lines = {kind: self.live(line(ax, look_of, markers=kind == "now", linewidth=width)) for kind, look_of, width in
                      (("before", "previous", 1.8), ("fedavg", "full precision", 1.8), ("now", "accuracy", 2.4))}  # fmt: skip
        self.here = self.live(line(ax, "accuracy", markers=True, linestyle="", markersize=9))
        self.names = {
            kind: self.live(note(ax, "", x=len(CHIPS) - 0.8, color=color, halo=False))
            for kind, color in (("before", MUTED), ("fedavg", INK), ("now", "#00704f"))
        }
        self.trained = self.live(note(ax, "", y=0.06, color="#a1477a"))
        self._tips: list[Tip] = []

    def update(self, data: Data, ghost: Data | None = None) -> str:
        if data is None:
            return untrained(self.title)
        curves = {"now": data.accuracy, "fedavg": data.fedavg, "before": ghost.accuracy if ghost else []}
        words = {"now": name_of(data), "fedavg": "FedAvg", "before": "before"}
        shown = [k for k in curves if curves[k] and not (k == "fedavg" and data.method == "fedavg")]
        shown = [k for k in shown if k != "before" or ghost.accuracy not in (data.accuracy, data.fedavg)]
        curves = {kind: curves[kind] for kind in shown}
        draw_curves(self.lines, self.names, curves, words, (0.095, 0.05, 1.0), first=0)
        self._tips = [
            Tip(f"{name_of(data)} on {bits} bit: {accuracy:.1%}", {"chip": bits} if bits < CHIPS[-1] else {})
            for bits, accuracy in zip(CHIPS, data.accuracy, strict=True)
        ]
        at = CHIPS.index(data.chip)
        self.chip.set_data([at, at], [0, 1.03])
        self.here.set_data([at], [data.accuracy[at]])
        self._draw_home(data)
        self.title.set_text(self._finding(data, at))
        listed = ", ".join(f"{b} bit {a:.1%}" for b, a in zip(CHIPS, data.accuracy, strict=True))
        return (
            f"Accuracy of {name_of(data)} by deployed bits: {listed}; FedAvg at {CHIPS[at]} bit {data.fedavg[at]:.1%}."
        )

    def spots(self) -> list[Spot]:
        return spots_on(self.lines["now"], self._tips) if self._tips else []

    def _draw_home(self, data: Data) -> None:
        on = data.method in ("qat", "apqn")
        at = CHIPS.index(data.bits)
        self.home.set_data(*(([at, at], [0, 1.03]) if on else ([], [])))
        self.trained.set(visible=on, text="trained here", x=at + 0.08)

    @staticmethod
    def _finding(data: Data, at: int) -> str:
        now = data.accuracy
        plain = data.fedavg
        chip = CHIPS[at]
        if data.method == "fedavg":
            return f"FedAvg on a {chip}-bit chip: {now[at]:.1%}, in full precision {now[-1]:.1%}"
        if data.method == "qat":
            there = now[CHIPS.index(data.bits)]
            return f"QAT: {there:.1%} at its {data.bits} bit, {now[-1]:.1%} in full precision"
        return f"{NAMES[data.method]} on a {chip}-bit chip: {now[at]:.1%}, FedAvg {plain[at]:.1%}"


class Shape(Picture):
    """The weights of the largest layer and the chip's levels, with the share of weights that goes to each."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        histogram: tuple[np.ndarray, np.ndarray]
        levels: Sequence[float]  # in use
        grid: int  # levels there are
        shares: Sequence[float]
        zeros: float
        kurtosis: float

    width, height = 338, 232

    def build(self, fig: FigureBase) -> None:
        """One axes: histogram below, levels across, shares above."""
        self.title = self.live(title(fig))
        ax = axes(fig, 16, 42, 306, 150, xlabel="first layer: weight / largest weight", xlim=(-1.08, 1.08), ylim=(0, 1.25),
                  grid="", spines=("bottom",))  # fmt: skip
        ax.set_yticks([])
        ax.set_xticks([-1, -0.5, 0, 0.5, 1], ["−1", "−½", "0", "½", "1"])
        self.bars = self.live(
            ax.stairs(np.zeros(60), np.linspace(-1, 1, 61), fill=True, color=style_for("weights").color)
        )
        self.levels = self.live(LineCollection([], colors=style_for("bits").color, linewidths=1.4))
        ax.add_collection(self.levels)
        self.shares = [self.live(note(ax, "", y=1.2, ha="center", color=style_for("bits").color)) for _ in range(8)]

    def update(self, data: Data, ghost: Data | None = None) -> str:
        if data is None:
            return untrained(self.title)
        self.bars.set_data(*data.histogram)
        few = len(data.levels) <= 5
        self.levels.set_segments([[(v, 0), (v, 1.1 if few else 0.12)] for v in data.levels])
        for k, text in enumerate(self.shares):
            on = few and k < len(data.levels)
            text.set_visible(on)
            if on:
                text.set(text=f"{data.shares[k]:.0%}", x=data.levels[k])
        used = len(data.levels)
        many = f"{used} of {data.grid} levels are in use"
        self.title.set_text(f"{data.zeros:.0%} of the weights become 0" if few else many)
        return (
            f"Histogram of the first layer, kurtosis {data.kurtosis:.2f}, on the chip's grid: {number_of(used, 'level')} in use, "
            f"{data.zeros:.0%} of the weights become 0."
        )


class KurtosisPath(Picture):
    """Kurtosis of each layer of the aggregated model, round by round."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        curves: Mapping[str, Sequence[float]]  # layer -> kurtosis after 0, 1, ... rounds
        fedavg: Mapping[str, Sequence[float]]
        target: float
        method: str
        bits: int
        chip: int

    width, height = 338, 232

    def build(self, fig: FigureBase) -> None:
        """One axes with the kurtosis of the uniform and of the normal law marked."""
        self.title = self.live(title(fig))
        ax = axes(fig, 40, 42, 236, 150, xlabel="communication round", ylabel="kurtosis", xlim=(0, ROUNDS), ylim=(1, PEAK),
                  grid="")  # fmt: skip
        for height, law, up in ((1.8, "uniform", -0.25), (3.0, "normal", 0.2), (6.0, "Laplace", 0.2)):
            ax.axhline(height, color="#e4e7eb", linewidth=1)
            note(ax, law, x=0.4, y=height + up, color=MUTED, halo=False)
        dashes = ("-", (0, (1.5, 1.5)))
        self.plain = [self.live(line(ax, "full precision", linestyle=d, linewidth=1.3)) for d in dashes]
        self.lines = [self.live(line(ax, "bits", linestyle=d)) for d in dashes]
        self.names = [
            self.live(note(ax, "", x=ROUNDS * 1.02, color=style_for("bits").color, halo=False)) for _ in dashes
        ]
        self.other = self.live(note(ax, "FedAvg", x=ROUNDS * 1.02, halo=False))

    def update(self, data: Data, ghost: Data | None = None) -> str:
        if data is None:
            return untrained(self.title)
        same = data.method == "fedavg"
        layers = list(data.curves)
        ends = []
        for k, layer in enumerate(layers):
            curve = np.clip(data.curves[layer], 1, PEAK)
            self.lines[k].set_data(range(len(curve)), curve)
            self.plain[k].set_data(*(([], []) if same else (range(len(curve)), np.clip(data.fedavg[layer], 1, PEAK))))
            self.names[k].set_text(f"layer {k + 1}")
            ends.append(float(curve[-1]))
        middle = float(np.mean([c[-1] for c in data.fedavg.values()]))
        places = separate_labels([*ends, *([] if same else [middle])], 0.42, 1.1, PEAK)
        for text, y in zip([*self.names, self.other], places, strict=False):
            text.set_y(y)
        self.other.set_visible(not same)
        first = data.curves[layers[0]][-1]
        self.title.set_text(f"Kurtosis {first:.1f}: {_law(first)}")
        listed = ", ".join(f"{n} from {c[0]:.2f} to {c[-1]:.2f}" for n, c in data.curves.items())
        return f"Kurtosis of the aggregated layers by round: {listed}; FedAvg ends at {middle:.2f} on average."


def _law(kurtosis: float) -> str:
    if kurtosis < 2.6:
        return "nearly flat"
    return "a bell" if kurtosis < 3.8 else "a sharp peak"
