"""QSGD's Figure 1, drawn from data: where a value goes, how often, and with which variance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import FigureBase

from fqlab.plots.picture import Drawing, Picture, draw
from fqlab.plots.style import MUTED, axes, line, note, style_for, title

__all__ = ["Cells", "five_levels"]

PURPLE = "#a1477a"


class Cells(Picture):
    """Above, the mean of many roundings; below, their variance, both against the value."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        x: np.ndarray
        nearest: np.ndarray
        mean: np.ndarray
        variance: np.ndarray
        theory: np.ndarray

    width, height = 686, 300

    def build(self, fig: FigureBase) -> None:
        """Two axes over one scale of values."""
        self.title = self.live(title(fig))
        top = axes(fig, 62, 158, 600, 100, xlim=(0, 1), ylim=(-0.05, 1.05), ylabel="mean of codes", grid="both")
        low = axes(
            fig, 62, 60, 600, 78, xlim=(0, 1), ylim=(0, 0.3), xlabel="value", ylabel="variance (Δ²)", grid="both"
        )
        for ax in (top, low):
            ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "¼", "½", "¾", "1"])
        top.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "¼", "½", "¾", "1"])
        low.set_yticks([0, 0.25], ["0", "¼"])
        self.nearest = self.live(line(top, "error"))
        self.mean = self.live(line(top, "theory", linestyle="", marker="^", markersize=4))
        self.variance = self.live(line(low, "theory", linestyle="", marker="^", markersize=4))
        self.theory = self.live(line(low, "full precision", linewidth=1.2))
        note(top, "nearest: always the same level", x=0.02, y=0.9, color=style_for("error").color)
        note(top, "stochastic: on average the value itself", x=0.98, y=0.1, ha="right", color=PURPLE)
        note(low, "dashed: Δ² f (1 − f)", x=0.5, y=0.27, ha="center")
        words = (
            "Ours: 2 000 roundings of each of 81 values, five levels from 0 to 1. In the paper: a drawing without data."
        )
        fig.text(62 / 686, 8 / 300, words, fontsize=11, color=MUTED)

    def update(self, data: Data, ghost: Data | None = None) -> str:
        x = data.x
        self.nearest.set_data(x, data.nearest)
        self.mean.set_data(x, data.mean)
        self.variance.set_data(x, data.variance)
        self.theory.set_data(x, data.theory)
        off, far = (float(np.abs(y - x).max()) for y in (data.mean, data.nearest))
        self.title.set_text(f"The mean of stochastic codes is off by {off:.3f} at most, nearest by {far:.3f}")
        return (
            f"On five levels the mean of many stochastic roundings is within {off:.3f} of the value, nearest rounding up to "
            f"{far:.3f} away; the variance is zero on a level and a quarter of the squared step between two."
        )


def five_levels() -> Drawing:
    """Mean and variance of stochastic rounding on five levels, from draws."""
    import torch

    from fqlab.quant.codes import stochastic_round

    x = torch.linspace(0, 1, 81)
    draws = torch.rand(2000, 81, generator=torch.Generator().manual_seed(0))
    codes = stochastic_round((4 * x).expand(2000, -1), draws)
    f = 4 * x - (4 * x).floor()
    curves = {
        "nearest": (4 * x).round() / 4,
        "mean": codes.mean(0) / 4,
        "variance": codes.var(0),
        "theory": f * (1 - f),
    }
    return draw(Cells, Cells.Data(x=x.numpy(), **{name: value.numpy() for name, value in curves.items()}))
