"""The same error curves twice, by bits as papers say and by levels, and what "2 bit" does to a federation."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from fqlab.papers import stored_value
from fqlab.plots.picture import Drawing
from fqlab.plots.quantizer import LOOKS
from fqlab.plots.style import INK, MUTED, axes, figure, line, matplotlib_defaults, note, style_for, title
from fqlab.quant import Grid
from fqlab.studies.grids import least

__all__ = ["MAX", "bits_figure"]

MAX = (1.188461e-1, 3.743966e-2, 1.154288e-2, 3.495211e-3, 1.040045e-3, 3.043328e-4, 8.768619e-5)
"""Least squared mse of 4, 8, ..., 256 equally spaced levels for a normal law: the table of Max (1960), recomputed."""
NAMES = {
    "narrow": ("narrow", "grids-fed-narrow"),
    "twos_complement": ("two's complement", "grids-fed-twos"),
    "midrise": ("mid-rise", "grids-fed-midrise"),
    "octav": ("OCTAV", "grids-fed-octav"),
    "sign_magnitude": ("sign-magnitude", "grids-fed-bsq"),
}


@matplotlib_defaults()
def bits_figure() -> Drawing:
    """Least error of a normal law on five grids, against bits as said (left) and log₂ of the levels (middle).

    Rings are Max's table; the dashed line is Shannon's bound 4^−R, which no quantizer reaches. Right: accuracy of a
    federation on digits after 30 rounds with each grid at "2 bit", from stored results, three seeds.
    """
    fig = figure(960, 290)
    for x, text in (
        (10, "Bits as the papers say: one grid is ahead"),
        (362, "By levels: one line"),
        (646, "“2 bit” in a federation"),
    ):
        title(fig, text, x=x)
    common = {"ylim": (1e-5, 2.0), "xlim": (0, 9.3), "yscale": "log", "grid": "both"}
    said = axes(fig, 66, 46, 250, 196, xlabel="bits a weight", ylabel="least error (σ²)", **common)
    counted = axes(fig, 366, 46, 230, 196, xlabel="log₂ of the number of levels", **common)
    for ax in (said, counted):
        ax.set_yticks([1e-4, 1e-2, 1], ["0.0001", "0.01", "1"])
        ax.minorticks_off()
    ratio = _curves(said, counted)
    shown = _accuracies(
        axes(fig, 742, 46, 160, 196, xlabel="accuracy", xlim=(0, 1), ylim=(-0.6, 4.6), grid="x", spines=("left",))
    )
    return Drawing(
        fig,
        f"Least error against bits. At “2 bit” mid-rise errs {ratio:.2f} times as much as sign-magnitude; against the number "
        f"of levels all grids lie on one line, through Max's table and above Shannon's bound. Accuracy at “2 bit”: {shown}.",
    )


def _curves(said: Axes, counted: Axes) -> float:
    """Draw error against both ways of counting; returns mid-rise's error over sign-magnitude's at "2 bit"."""
    mse = {}
    for kind, series in LOOKS.items():
        grids = [Grid(bits, kind) for bits in range(1, 9)]
        mse[kind] = [least(grid)[1] for grid in grids]
        for ax, x in ((said, np.arange(1, 9)), (counted, np.log2([grid.levels for grid in grids]))):
            line(ax, series, linewidth=1.5, markers=True, markersize=4).set_data(x, mse[kind])
    rings = {"marker": "o", "markerfacecolor": "none", "markeredgecolor": INK, "markersize": 9, "linestyle": ""}
    line(counted, "full precision", **rings).set_data(range(2, 9), MAX)
    line(counted, "full precision").set_data([0, 8.4], [1, 4.0**-8.4])
    note(counted, "Shannon's bound", x=0.3, y=8e-4)
    note(counted, "rings: Max 1960", x=4.6, y=0.08)
    note(said, "sign-magnitude", x=0.3, y=7e-4, color=style_for(LOOKS["sign_magnitude"]).color)
    note(said, "the other four", x=4.6, y=0.03, color=MUTED)
    return mse["midrise"][1] / mse["sign_magnitude"][1]


def _accuracies(ax: Axes) -> str:
    """Stored accuracies as bars with their spread, coarsest grid on top; returns them in words."""
    words = []
    for row, (kind, (name, identity)) in enumerate(NAMES.items()):
        value, spread = stored_value(identity)
        ax.barh(4 - row, value, 0.6, color=style_for("accuracy").color, alpha=0.75)
        ax.errorbar(value, 4 - row, xerr=spread, color=INK, linewidth=1.2, capsize=3)
        note(ax, f"{Grid(2, kind).levels} levels", x=0.03, y=4 - row, color="#ffffff", halo=False)
        note(ax, f"{value:.2f}", x=1.03, y=4 - row, halo=False)
        words.append(f"{name} {value:.2f} ± {spread:.2f}")
    ax.set_yticks(range(4, -1, -1), [name for name, _ in NAMES.values()])
    ax.tick_params(axis="y", length=0, labelcolor=INK)
    ax.set_xticks([0, 0.5, 1])
    return ", ".join(words)
