"""The pictures of federated averaging: who holds what, how clients drift apart, and what their average is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import FigureBase

from fqlab.plots.picture import Picture
from fqlab.plots.style import COLORS, MUTED, axes, line, note, number_of, separate_labels, style_for, title

__all__ = ["ClientDrift", "Holdings", "Progress"]

CLIENT = COLORS["sky blue"]
"""Clients' own models, in both pictures."""
CLIENT_INK = "#1f6f9f"
"""The same, darker, for words."""


class Holdings(Picture):
    """Above, each client's number of images; below, how many of each digit it holds, as areas."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        counts: np.ndarray  # int [clients, digits]
        skew: str  # in words

    width, height = 338, 254

    def build(self, fig: FigureBase) -> None:
        """Two axes over one scale of clients."""
        self.title = self.live(title(fig))
        top = axes(fig, 52, 172, 274, 48, xlim=(-0.6, 9.6), ylim=(0, 1), grid="", spines=("bottom",), ylabel="images")
        top.set_xticks([])
        top.set_yticks([])
        empty = (np.zeros(10), np.arange(11) - 0.5)
        self.bars = self.live(top.stairs(*empty, fill=True, color=style_for("weights").color))
        self.counts = [self.live(note(top, "", x=k, y=0.0, ha="center", va="bottom", halo=False)) for k in range(10)]
        ax = axes(
            fig, 52, 38, 274, 130, xlim=(-0.6, 9.6), ylim=(9.6, -0.6), grid="both", xlabel="client", ylabel="digit"
        )
        ax.set_xticks(range(10))
        ax.set_yticks(range(10))
        x, y = np.meshgrid(np.arange(10), np.arange(10), indexing="ij")
        self.areas = self.live(ax.scatter(x.ravel(), y.ravel(), s=0, marker="s", color=CLIENT, linewidths=0))

    def update(self, data: Data, ghost: Data | None = None) -> str:
        counts = np.asarray(data.counts)
        samples = counts.sum(axis=1)
        self.bars.set_data(0.62 * samples / samples.max(), np.arange(11) - 0.5)
        for word, size in zip(self.counts, samples, strict=True):
            word.set(text=str(size), y=0.03 + 0.62 * size / samples.max())
        self.areas.set_sizes(190 * counts.ravel() / counts.max())
        share = float((counts.max(axis=1) / samples).mean())
        self.title.set_text(f"{share:.0%} of a client's images show one digit")
        return (
            f"Labels {data.skew}: the commonest digit of a client makes {share:.0%} of its images on average; clients "
            f"hold from {samples.min()} to {samples.max()} images."
        )


class ClientDrift(Picture):
    """From the server's point every client goes its own way; their average is the next point. Seen in one plane."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        path: Sequence[Sequence[float]]  # [rounds + 1, 2]
        tips: Sequence[Sequence[Sequence[float]]]  # [rounds, clients, 2]
        own: bool  # own starts
        scatter: Sequence[float]  # by round
        moved: float

    width, height = 338, 254

    def build(self, fig: FigureBase) -> None:
        """One pair of axes with fixed limits, so that settings compare."""
        self.title = self.live(title(fig))
        names = {"xlabel": "along the first average step", "ylabel": "across: main disagreement"}
        self.axes = axes(fig, 52, 40, 274, 180, grid="both", xlim=(-1, 12), ylim=(-3.2, 3.2), **names)
        self.old = self.live(LineCollection([], colors="#d5dae0", linewidths=0.8))
        self.fan = self.live(LineCollection([], colors=CLIENT, linewidths=1.5))
        self.axes.add_collection(self.old)
        self.axes.add_collection(self.fan)
        self.tips = self.live(line(self.axes, 4, linestyle="", marker="v", markersize=5))
        self.path = self.live(line(self.axes, "accuracy", markers=True, markersize=3.5))
        self.start = self.live(line(self.axes, "accuracy", linestyle="", marker="s", markersize=7, markerfacecolor="w"))
        self.end = self.live(line(self.axes, "accuracy", linestyle="", marker="o", markersize=8))
        words = (
            ("● averages", style_for("accuracy").color),
            ("▼ clients, this round", CLIENT_INK),
            ("earlier rounds", MUTED),
        )
        for (word, ink), y in zip(words, (0.95, 0.88, 0.81), strict=True):
            note(self.axes, word, x=0.98, y=y, ha="right", color=ink, transform=self.axes.transAxes)

    def update(self, data: Data, ghost: Data | None = None) -> str:
        path = np.asarray(data.path)
        tips = data.tips
        fans = [[(path[t], tip) for tip in tips[t]] for t in range(len(tips))]
        if data.own:
            fans[0] = []  # these clients did not start where the server was
        self.old.set_segments([pair for fan in fans[:-1] for pair in fan])
        self.fan.set_segments(fans[-1])
        self.tips.set_data(np.asarray(tips[-1]).T)
        self.path.set_data(path.T)
        self.start.set_data(path[:1].T)
        self.end.set_data(path[-1:].T)
        self.title.set_text(self._finding(data))
        return (
            f"Weights in the plane of the first step, over {number_of(len(tips), 'round')}: in the first one the clients end "
            f"{data.scatter[0]:.2f} from their average (mean distance over all weights), in the last one "
            f"{data.scatter[-1]:.2f}; the server then moves by {data.moved:.2f}."
        )

    @staticmethod
    def _finding(data: Data) -> str:
        if len(data.tips[-1]) == 1:
            return "One client a round: nothing to average"
        first, last = data.scatter[0], data.scatter[-1]
        now = f", {last:.2f} in round {len(data.scatter)}" if len(data.scatter) > 1 else ""
        return f"Drift: {first:.2f} in round 1{now}"


class Progress(Picture):
    """Test accuracy round by round: of each client's model, and of their average."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        average: Sequence[float]  # accuracy by round, from 1
        clients: Sequence[Sequence[float]]  # [rounds, clients]

    width, height = 686, 212

    def build(self, fig: FigureBase) -> None:
        """One wide pair of axes."""
        self.title = self.live(title(fig))
        limits = {"xlim": (0.4, 20.4), "ylim": (0, 1.03)}
        ax = axes(fig, 64, 38, 472, 136, xlabel="communication round", ylabel="test accuracy", **limits)
        ax.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
        ax.set_xticks([1, 5, 10, 15, 20])
        self.spans = self.live(LineCollection([], colors="#cfe6f5", linewidths=5))
        ax.add_collection(self.spans)
        self.dots = self.live(line(ax, 4, linestyle="", marker="v", markersize=3.6))
        self.before = self.live(line(ax, "previous"))
        self.average = self.live(line(ax, "accuracy", markers=True, markersize=4.5))
        inks = (style_for("accuracy").color, CLIENT_INK, MUTED)
        self.ends = [self.live(note(ax, "", x=20.7, color=ink, halo=False)) for ink in inks]

    def update(self, data: Data, ghost: Data | None = None) -> str:
        average = data.average
        clients = data.clients
        at = np.arange(1, len(average) + 1)
        self.average.set_data(at, average)
        self.dots.set_data(np.repeat(at, [len(c) for c in clients]), np.concatenate(clients))
        self.spans.set_segments([[(t, min(c)), (t, max(c))] for t, c in zip(at, clients, strict=True)])
        before = ghost.average if ghost else []
        self.before.set_data(range(1, len(before) + 1), before)
        self._name(average[-1], float(np.mean(clients[-1])), before[-1] if before else None)
        self.title.set_text(self._finding(data))
        return (
            f"Accuracy after {number_of(len(average), 'round')}: clients {min(clients[-1]):.1%} to {max(clients[-1]):.1%}, their average "
            f"model {average[-1]:.1%}; after round 1 clients {min(clients[0]):.1%} to {max(clients[0]):.1%}, average model "
            f"{average[0]:.1%}."
        )

    def _name(self, average: float, clients: float, before: float | None) -> None:
        words = [f"● averaged {average:.1%}", f"▼ clients' mean {clients:.0%}", f"before {before or 0:.1%}"]
        places = [average, clients] if before is None else [average, clients, before]
        self.ends[2].set_visible(before is not None)
        for end, word, y in zip(self.ends, words, separate_labels(places, 0.12, 0.05, 0.98), strict=False):
            end.set(text=word, y=y)

    @staticmethod
    def _finding(data: Data) -> str:
        first, last = ((float(np.mean(data.clients[t])), data.average[t]) for t in (0, -1))
        text = f"Round 1: clients {first[0]:.0%}, averaged {first[1]:.0%}"
        if len(data.average) == 1:
            return text
        return f"{text}. Round {len(data.average)}: clients {last[0]:.0%}, averaged {last[1]:.0%}"
