"""The three pictures of lottery tickets: accuracy on own labels, three bills, and the masks of ten clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import FigureBase
from matplotlib.patches import Rectangle

from fqlab.plots.picture import Picture
from fqlab.plots.rounds import draw_curves
from fqlab.plots.style import COLORS, INK, MUTED, axes, line, note, style_for, title, untrained

__all__ = ["Costs", "Masks", "PersonalAccuracy"]

ROUNDS = 40
CLIENTS = 10


class PersonalAccuracy(Picture):
    """Mean accuracy of the clients' own models on their own labels, round by round."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        curves: Mapping[str, Sequence[float]]  # now, fedavg, alone
        kept: float  # share of the weights
        accuracy: float  # of the shared model on all digits

    width, height = 338, 238

    def build(self, fig: FigureBase) -> None:
        """One axes."""
        self.title = self.live(title(fig))
        ax = axes(fig, 56, 42, 186, 152, xlabel="communication round", ylabel="accuracy on own digits",
                  xlim=(0.5, ROUNDS + 0.5), ylim=(0, 1.03))  # fmt: skip
        ax.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
        looks = {"before": "previous", "alone": "theory", "fedavg": "full precision", "now": "accuracy"}
        inks = {"before": MUTED, "alone": "#a1477a", "fedavg": INK, "now": "#00704f"}
        self.lines = {kind: self.live(line(ax, quantity)) for kind, quantity in looks.items()}
        self.names = {kind: self.live(note(ax, "", x=ROUNDS * 1.03, color=c, halo=False)) for kind, c in inks.items()}

    def update(self, data: Data, ghost: Data | None = None) -> str:
        if data is None:
            return untrained(self.title)
        curves = dict(data.curves)
        if ghost and ghost.curves["now"] != curves["now"]:
            curves["before"] = ghost.curves["now"]
        words = {"now": "tickets", "fedavg": "FedAvg", "alone": "alone", "before": "before"}
        draw_curves(self.lines, self.names, curves, words, (0.085, 0.04, 1.02))
        now, alone = curves["now"][-1], curves["alone"][-1]
        self.title.set_text(f"{now:.1%} with {data.kept:.0%} of the weights")
        return (
            f"Mean accuracy on own digits by round: tickets end at {now:.1%} with {data.kept:.1%} of the weights, "
            f"FedAvg's one model at {curves['fedavg'][-1]:.1%}, training alone at {alone:.1%}."
        )


class Costs(Picture):
    """Three bills for the same run, tickets beside FedAvg."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        lottery: Mapping[str, float]  # bill -> megabytes
        fedavg: Mapping[str, float]

    width, height = 338, 238
    BILLS = (
        ("one way", "one way, weights only (paper)"),
        ("both ways", "both ways, masks and headers too"),
        ("broadcast", "a broadcast counted once"),
    )

    def build(self, fig: FigureBase) -> None:
        """One axes with a pair of bars a bill."""
        self.title = self.live(title(fig))
        ax = axes(
            fig,
            14,
            42,
            300,
            160,
            xlabel="megabytes, whole run",
            xlim=(0, 20),
            ylim=(-0.45, 2.75),
            grid="x",
            spines=("bottom",),
        )
        ax.set_yticks([])
        shade = {"linewidth": 0}
        place = [(k, 2 - k) for k in range(3)]
        for k, y in place:
            note(ax, self.BILLS[k][1], x=0.1, y=y + 0.52, color=INK, halo=False)
        tickets = {"color": style_for("bytes").color, **shade}
        whole = {"facecolor": "#c3c8ce", **shade}
        self.tickets = [self.live(ax.add_patch(Rectangle((0, y + 0.08), 0, 0.28, **tickets))) for _, y in place]
        self.whole = [self.live(ax.add_patch(Rectangle((0, y - 0.22), 0, 0.28, **whole))) for _, y in place]
        self.here = [self.live(note(ax, "", y=y + 0.22, halo=False)) for _, y in place]
        self.there = [self.live(note(ax, "", y=y - 0.08, color=MUTED, halo=False)) for _, y in place]

    def update(self, data: Data, ghost: Data | None = None) -> str:
        if data is None:
            return untrained(self.title)
        ratios = []
        for k, (bill, _) in enumerate(self.BILLS):
            ours, theirs = data.lottery[bill], data.fedavg[bill]
            ratios.append(ours / theirs)
            self.tickets[k].set_width(ours)
            self.whole[k].set_width(theirs)
            self.here[k].set(text=f"tickets {ours:.1f}: {ours / theirs:.0%}", x=min(ours, 13) + 0.2)
            self.there[k].set(text=f"FedAvg {theirs:.1f}", x=min(theirs, 16) + 0.2)
        self.title.set_text(f"The same run: {ratios[0]:.0%} or {ratios[2]:.0%} of FedAvg")
        listed = ", ".join(f"{words} {r:.0%}" for (_, words), r in zip(self.BILLS, ratios, strict=True))
        return f"Traffic of the tickets as a share of FedAvg's: {listed}."


class Masks(Picture):
    """Per client, which pixels its first layer still looks at; and how many clients share a weight."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        masks: np.ndarray  # bool [clients, hidden, pixels]
        labels: Sequence[str]  # what each client holds
        client: int  # that is marked

    width, height = 686, 228

    def build(self, fig: FigureBase) -> None:
        """Ten small pixel maps in two rows, and a histogram."""
        self.title = self.live(title(fig))
        ramp = LinearSegmentedColormap.from_list("kept", ["#ffffff", COLORS["blue"]])
        self.maps = []
        self.labels = []
        self.frames = []
        for c in range(CLIENTS):
            ax = axes(
                fig, 12 + 74 * (c % 5), 112 - 90 * (c // 5), 64, 58, grid="", spines=("left", "right", "top", "bottom")
            )
            ax.set(xticks=[], yticks=[])
            image = ax.imshow(np.zeros((8, 8)), cmap=ramp, vmin=0, vmax=1, extent=(0, 1, 0, 1), aspect="auto")
            self.maps.append(self.live(image))
            self.labels.append(self.live(note(ax, "", x=0.5, y=1.13, ha="center", halo=False)))
            frame = Rectangle((0, 0), 1, 1, fill=False, edgecolor=COLORS["vermilion"], linewidth=4)
            self.frames.append(self.live(ax.add_patch(frame)))
        words = "dark: pixels that the first layer still looks at; 3: client 3 and its digits"
        fig.text(12 / self.width, 2 / self.height, words, fontsize=11, color=MUTED, va="bottom")
        ax = axes(
            fig,
            446,
            42,
            226,
            136,
            xlabel="clients that keep the weight",
            ylabel="% of a ticket",
            xlim=(0.4, 10.6),
            ylim=(0, 100),
        )
        ax.set_xticks(range(1, 11))
        self.bars = [
            self.live(ax.add_patch(Rectangle((k - 0.38, 0), 0.76, 0, color=style_for("bits").color, linewidth=0)))
            for k in range(1, 11)
        ]
        self.chance = self.live(line(ax, "theory", markers=True, linestyle="", markersize=6))
        self.word = self.live(
            note(ax, "▲ if masks were drawn by chance", x=10.5, y=94, ha="right", color="#a1477a", halo=False)
        )

    def update(self, data: Data, ghost: Data | None = None) -> str:
        if data is None:
            return untrained(self.title)
        masks = data.masks
        chosen = data.client
        for c in range(CLIENTS):
            self.maps[c].set_data(masks[c].mean(0).reshape(8, 8) / max(masks[c].mean(0).max(), 1e-9))
            held = data.labels[c]
            self.labels[c].set_text(f"{c + 1}: {held}" if len(held) <= 5 else f"client {c + 1}")
            self.frames[c].set_visible(c == chosen)
        counts = np.bincount(masks.sum(0).ravel(), minlength=11).astype(float)
        law = np.array([1.0])
        for mask in masks:
            law = np.convolve(law, [1 - mask.mean(), mask.mean()])
        for bar, share in zip(self.bars, _of_a_ticket(counts), strict=True):
            bar.set_height(share)
        self.chance.set_data(range(1, 11), _of_a_ticket(law))
        kept = masks[chosen]
        common = float(masks.all(0).sum() / max(kept.sum(), 1))
        self.title.set_text(f"Client {chosen + 1}'s own small network: {common:.0%} of it is kept by all ten")
        return (
            f"Client {chosen + 1} ({data.labels[chosen]}) keeps {kept.mean():.1%} of the first layer; all ten clients "
            f"keep {common:.0%} of that, {_of_a_ticket(counts)[0]:.0f} % of an average ticket is kept by nobody else."
        )


def _of_a_ticket(counts: np.ndarray) -> np.ndarray:
    """Weights kept by 0, 1, ... clients -> % of an average ticket that 1, 2, ... clients keep."""
    held = counts * np.arange(len(counts))
    return 100 * held[1:] / max(held.sum(), 1e-30)
