"""LotteryFL's Table 2 as a picture: accuracy on own classes against cost, beside the same on digits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from matplotlib.figure import FigureBase

from fqlab.plots.picture import Drawing, Picture, draw
from fqlab.plots.style import INK, axes, line, note, style_for, title

__all__ = ["PUBLISHED", "cost_and_accuracy", "our_runs"]

PUBLISHED = {
    "MNIST": {
        "alone": (0, 90.72),
        "FedAvg": (663.76, 96.46),
        "tickets 0.1": (163.57, 99.96),
        "tickets 0.5": (304.54, 99.96),
    },
    "CIFAR-10": {
        "alone": (0, 65.44),
        "FedAvg": (9425.35, 47.67),
        "tickets 0.1": (2439.56, 90.61),
        "tickets 0.5": (4501.36, 90.53),
    },
}
"""Method -> MB one way and accuracy in %: Table 2, 20 clients a round, two classes each."""


class Tradeoff(Picture):
    """Three axes: two of the paper, one of ours."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        panels: Mapping[str, Mapping[str, tuple[float, float]]]  # heading -> method -> (cost, accuracy in %)

    width, height = 686, 262

    def build(self, fig: FigureBase) -> None:
        """Accuracy against the share of FedAvg's cost."""
        self.title = self.live(title(fig))
        self.parts = []
        for k in range(3):
            ax = axes(fig, 52 + 218 * k, 42, 182, 160, xlabel="cost, share of FedAvg", ylim=(40, 103), xlim=(-0.08, 1.12),
                      ylabel="accuracy, own classes (%)" if k == 0 else "", grid="both")  # fmt: skip
            ax.set_xticks([0, 0.5, 1], ["0", "½", "1"])
            self.parts.append(ax)

    def update(self, data: Data, ghost: Data | None = None) -> str:
        for ax, (heading, rows) in zip(self.parts, data.panels.items(), strict=True):
            note(ax, heading, x=-0.08, y=107.5, color=INK, halo=False)
            whole = rows["FedAvg"][0]
            for k, (name, (cost, accuracy)) in enumerate(rows.items()):
                line(ax, k, markers=True, linestyle="", markersize=8).set_data([cost / whole], [accuracy])
                note(ax, name, x=0.42, y=62 - 6.2 * k, color=style_for(k).color)
                line(ax, k, markers=True, linestyle="", markersize=6).set_data([0.36], [62 - 6.2 * k])
        self.title.set_text("Tickets pay where clients cannot learn alone")
        ours = list(data.panels.values())[-1]
        listed = ", ".join(f"{name} {accuracy:.1f} %" for name, (_, accuracy) in ours.items())
        return (
            f"Accuracy on own classes against cost, for LotteryFL's Table 2 (MNIST, CIFAR-10) and for digits: {listed}."
        )


def our_runs() -> dict[str, tuple[float, float]]:
    """Method -> cost relative to FedAvg (one way) and accuracy in % on digits, from the stored results."""
    from fqlab.papers import result

    value = {
        name: result(f"lottery-{name}").value
        for name in ("alone", "fedavg", "tickets", "half", "one-way", "half-one-way")
    }
    return {
        "alone": (0.0, value["alone"]),
        "FedAvg": (1.0, value["fedavg"]),
        "tickets 0.1": (value["one-way"], value["tickets"]),
        "tickets 0.5": (value["half-one-way"], value["half"]),
    }


def cost_and_accuracy() -> Drawing:
    """Table 2 of LotteryFL (Li et al. 2020) beside our digits: 10 clients, 40 rounds, three seeds."""
    paper = {f"paper: {name}": rows for name, rows in PUBLISHED.items()}
    return draw(Tradeoff, Tradeoff.Data({**paper, "ours: digits": our_runs()}))
