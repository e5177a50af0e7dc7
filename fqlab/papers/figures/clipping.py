"""Two figures about the clip, rebuilt: OCTAV's walk down the error curve, and ACIQ's constants by bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes

from fqlab.plots.picture import Drawing
from fqlab.plots.style import COLORS, INK, MUTED, axes, figure, line, matplotlib_defaults, note, style_for, title
from fqlab.quant import Grid, aciq_gauss, aciq_laplace, expected_mse, octav, octav_step
from fqlab.studies.octav import digits_layers, laplace, normal

__all__ = ["ACIQ_GAUSS", "ACIQ_LAPLACE", "clip_figure"]

ACIQ_GAUSS = (1.71063519, 2.15159277, 2.55913646, 2.93620062, 3.28691474, 3.6151146, 3.92403714)
"""Best clips of a normal law over σ at 2 to 8 bits (Banner et al. 2019, public code)."""
ACIQ_LAPLACE = (2.83068299, 3.89722946, 5.02864014, 6.20476633, 7.41312622, 8.64561995, 9.89675982)
"""Best clips of a Laplace law over b at 2 to 8 bits (Banner et al. 2019, public code)."""
GRID = Grid(4, "octav")
STEPS = 6


@matplotlib_defaults()
def clip_figure() -> Drawing:
    """OCTAV's Fig. 1 (a) on two layers of the digits network at 4 bits; ACIQ's clips by bits, published and ours.

    Left and middle: measured squared error against the clip (line), OCTAV's steps (triangles) from the mean of |w|.
    Right: the constants of the authors' code (rings) on ours (lines). The layers are ours, not the paper's ResNet-50.
    """
    fig = figure(960, 300)
    title(fig, "OCTAV's Fig. 1 (a) on our own layers: a few steps reach the bottom")
    title(fig, "ACIQ's clips: published, and ours", x=640)
    ends = []
    for k, (name, w) in enumerate(zip(("first layer", "second layer"), digits_layers(), strict=True)):
        ax = axes(fig, 66 + 300 * k, 48, 230, 200, xlabel="clip (σ)", xlim=(0, 5), ylim=(0.005, 1), yscale="log")
        ends.append(_walk(ax, w.flatten() / w.std(correction=0), f"{name}, {w.numel()} weights"))
        ax.set_yticks([0.01, 0.1, 1], ["0.01", "0.1", "1"])
        ax.minorticks_off()
        if k == 0:
            ax.set_ylabel("squared error (σ²)", fontsize=11.5, color=INK, labelpad=3)
    gap = _constants(axes(fig, 666, 48, 250, 200, xlabel="bits a weight", xlim=(1.7, 8.3), ylim=(0, 11)))
    return Drawing(
        fig,
        f"Squared error against the clip of two layers at 4 bits: OCTAV stops at {ends[0]:.2f} and {ends[1]:.2f} σ, at "
        f"the bottom of both curves. Right: ACIQ's clips for normal and Laplace laws at 2 to 8 bits; ours differ from "
        f"the published constants by {gap:.1g} at most.",
    )


def _walk(ax: Axes, x: torch.Tensor, name: str) -> float:
    """One layer: the error curve, max|w|, and OCTAV's steps; returns its last clip."""
    clips = torch.linspace(0.1, 5, 99)
    mse = expected_mse(x.expand(99, -1), clips, GRID, batch_dims=1)
    line(ax, "error").set_data(clips.numpy(), mse.numpy())
    path = [x.abs().mean()]
    for _ in range(STEPS):
        path.append(octav_step(x, path[-1], GRID.noise()))
    heights = [float(expected_mse(x, s, GRID)) for s in path]
    line(ax, "theory", markers=True, markersize=7).set_data([float(s) for s in path], heights)
    purple = "#a1477a"
    note(ax, "mean |w|", x=float(path[0]) + 0.15, y=heights[0] * 1.15, color=purple)
    note(ax, f"OCTAV {float(path[-1]):.2f} σ", x=float(path[-1]), y=heights[-1] / 1.5, color=purple, ha="center")
    wide = min(float(x.abs().max()), 4.95)
    height = float(expected_mse(x, x.abs().max(), GRID))
    line(ax, "error", markers=True, linestyle="").set_data([wide], [height])
    note(ax, "max |w|", x=wide, y=1.6 * height, color=style_for("error").color, ha="right")
    note(ax, name, x=4.95, y=0.8, ha="right", color=MUTED)
    return float(path[-1])


def _constants(ax: Axes) -> float:
    """ACIQ's constants by bits, and OCTAV's fixed points; returns the largest distance of ours from the published."""
    bits = np.arange(2, 9)
    farthest = 0.0
    laws: Any = (
        ("Laplace, over b", ACIQ_LAPLACE, aciq_laplace, laplace(), COLORS["blue"]),
        ("normal, over σ", ACIQ_GAUSS, aciq_gauss, normal(), COLORS["bluish green"]),
    )
    for name, published, rule, x, color in laws:
        ours = [float(rule(x, Grid(int(b), "octav"))) for b in bits]
        fixed = [float(octav(x[::10], Grid(int(b), "octav"))) for b in (2, 4, 6)]
        line(ax, "error", color=color).set_data(bits, ours)
        line(ax, "error", color=color, linestyle="", marker="o", markerfacecolor="white", markersize=7).set_data(
            bits, published
        )
        line(ax, "theory", linestyle="", marker="^", markersize=5).set_data((2, 4, 6), fixed)
        note(ax, name, x=8, y=published[4] - 1.6, color=color, ha="right")
        farthest = max(farthest, *(abs(a - b) for a, b in zip(ours, published, strict=True)))
    note(ax, "rings: ACIQ's code", x=1.9, y=10.3)
    note(ax, "triangles: OCTAV's fixed point", x=1.9, y=9.3, color="#a1477a")
    return farthest
