"""LotteryFL's table as a picture: own accuracy against traffic, as published and as ours, counted in two ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import FigureBase

from fqlab.plots.frontier import LOOKS
from fqlab.plots.picture import Drawing, Picture, draw
from fqlab.plots.style import MUTED, axes, line, note, separate_labels, title

__all__ = ["Lottery", "PUBLISHED", "lottery"]

PUBLISHED = {
    "standalone": [("alone", 0.0, 0.9072)],
    "fedavg": [("FedAvg", 663.76, 0.9646)],
    "lg_fedavg": [("LG-FedAvg", 524.02, 0.9787)],
    "lottery": [("0.1", 163.57, 0.9996), ("LotteryFL 0.5", 304.54, 0.9996)],
}
"""LotteryFL (Li et al. 2021), Table 2, MNIST, 20 clients a round: label, megabytes, accuracy."""
Points = Mapping[str, list[tuple[str, float, float]]]


class Lottery(Picture):
    """Three axes: published, ours with the way up, ours with both ways."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        panels: Sequence[Mapping[str, Sequence[tuple[str, float, float]]]]  # family -> (label, traffic, accuracy)

    width, height = 686, 250

    def build(self, fig: FigureBase) -> None:
        """Traffic as a share of FedAvg's, accuracy from 85 %."""
        self.title = self.live(title(fig))
        self.axes = []
        for k, words in enumerate(("published: MNIST, one direction", "ours: digits, up", "ours: digits, up and down")):
            ax = axes(
                fig, 58 + 212 * k, 42, 190, 148, xlabel="traffic, FedAvg = 1", xlim=(-0.06, 1.12), ylim=(0.85, 1.012)
            )
            ax.set_xticks([0, 0.5, 1], ["0", "½", "1"])
            ax.set_yticks([0.85, 0.9, 0.95, 1.0], ["85 %", "90 %", "95 %", "100 %"] if k == 0 else [""] * 4)
            note(ax, words, x=-0.06, y=1.026, color=MUTED, halo=False)
            self.axes.append(ax)
        self.axes[0].set_ylabel("accuracy of own model", fontsize=11.5)

    def update(self, data: Mapping[str, Any], ghost: Any = None) -> str:
        """Data: ``panels``, three mappings family -> (label, traffic, accuracy) with traffic in shares of FedAvg's."""
        for ax, points in zip(self.axes, data.panels, strict=True):
            self._draw(ax, points)
        shares = [next(x for name, x, _ in p["lottery"] if "0.5" in name) for p in data.panels]
        self.title.set_text(
            f"LotteryFL(0.5): {shares[0]:.0%} of FedAvg's bytes as published; ours {shares[1]:.0%} up, {shares[2]:.0%} in all"
        )
        said = "; ".join(
            ", ".join(f"{name} {x:.2f} {y:.1%}" for rows in points.values() for name, x, y in rows)
            for points in data.panels
        )
        return f"Own accuracy against traffic as a share of FedAvg's. Published, ours up, ours both ways: {said}."

    @staticmethod
    def _draw(ax: Any, points: Points) -> None:
        rows = [(family, *row) for family, mine in points.items() for row in mine]
        heights = separate_labels([y for *_, y in rows], 0.015, 0.86, 1.006)
        for (family, name, x, y), height in zip(rows, heights, strict=True):
            color, marker = LOOKS[family]
            line(ax, 0, color=color, marker=marker, linestyle="", markersize=8).set_data([x], [max(y, 0.851)])
            right = x > 0.55
            text = note(ax, name, x=x + (-0.05 if right else 0.05), y=height, color=color)
            text.set_ha("right" if right else "left")


def lottery() -> Drawing:
    """The published points beside the stored ones on two digits a device."""
    from fqlab.studies.frontier import points

    names = {"standalone": "alone", "FedAvg": "FedAvg", "LG-FedAvg": "LG-FedAvg",
             "LotteryFL, 10% left": "0.1", "LotteryFL, 50% left": "LotteryFL 0.5"}  # fmt: skip
    long = ", 5 epochs"
    ends = [p for p in points() if p.round == 30 and (p.name.endswith(long) and p.name[: -len(long)] in names)]
    panels = [{f: [(n, x / 663.76, y) for n, x, y in rows] for f, rows in PUBLISHED.items()}]
    for cost in ("up", "both"):
        whole = next(p.cost(cost) for p in ends if p.family == "fedavg")
        ours: dict[str, list[tuple[str, float, float]]] = {}
        for p in ends:
            ours.setdefault(p.family, []).append((names[p.name.removesuffix(long)], p.cost(cost) / whole, p.own))
        panels.append(ours)
    return draw(Lottery, Lottery.Data(panels))
