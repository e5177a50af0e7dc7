"""McMahan et al. 2017, Figure 1, rebuilt: two networks and the line between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from matplotlib.figure import FigureBase

from fqlab.plots.picture import Drawing, Picture, draw
from fqlab.plots.style import MUTED, axes, line, note, style_for, title

__all__ = ["Between", "between_two"]


class Between(Picture):
    """Loss along the line through two networks, from two starts and from one."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        own: Any  # each θ, losses and accuracies
        shared: Any

    width, height = 686, 250

    def build(self, fig: FigureBase) -> None:
        """Two axes of one scale."""
        self.title = self.live(title(fig))
        self.lines = []
        self.means = []
        for left, name in ((60, "two starts"), (388, "one start")):
            limits = {"xlim": (-0.2, 1.2), "ylim": (0, 0.65)}
            ax = axes(fig, left, 56, 270, 134, xlabel="θ", ylabel="training loss", **limits)
            ax.set_xticks([0, 0.5, 1], ["0: network B", "½", "1: network A"])
            ax.text(0, 1.06, name, transform=ax.transAxes, fontsize=12, color=MUTED)
            for end in (0, 1):
                ax.axvline(end, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)))
            self.lines.append(self.live(line(ax, "error")))
            self.means.append(self.live(note(ax, "", ha="center", color=style_for("error").color)))
        words = "Ours: digits, 64-64-10, 30 epochs on half of the images each. In the paper: MNIST, 600 images each."
        fig.text(60 / 686, 8 / 250, words, fontsize=11, color=MUTED)

    def update(self, data: Data, ghost: Data | None = None) -> str:
        halfway = []
        for drawn, word, name in zip(self.lines, self.means, ("own", "shared"), strict=True):
            thetas, losses, accuracies = getattr(data, name)
            drawn.set_data(thetas, losses)
            middle = len(thetas) // 2
            halfway.append((losses[middle], accuracies[middle]))
            word.set(text=f"average: {accuracies[middle]:.0%} right", x=0.5, y=losses[middle] + 0.06)
        (hill, wrong), (valley, right) = halfway
        self.title.set_text(
            f"From two starts a hill of loss {hill:.2f} lies between them; from one a valley of {valley:.2f}"
        )
        return (
            f"Training loss on the line through two networks: halfway {hill:.2f} ({wrong:.1%} test accuracy) if each started "
            f"from its own random weights, {valley:.2f} ({right:.1%}) if both started from the same."
        )


def between_two() -> Drawing:
    """Figure 1 of the paper, from two pairs of digit networks trained here."""
    from fqlab.studies.fedavg import between

    return draw(Between, Between.Data(own=between(True, 0, 30), shared=between(False, 0, 30)))
