"""KURE's ablation of the kurtosis target, rebuilt: accuracy by deployed bits, one curve a target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from matplotlib.figure import FigureBase

from fqlab.plots.picture import Drawing, Picture, draw
from fqlab.plots.style import INK, axes, line, note, style_for, title

__all__ = ["BITS", "PUBLISHED", "kurtosis_target", "trained"]

BITS = (2, 3, 4, 5, 8, 32)
PUBLISHED = {
    1.8: (40.2, 62.6, 68.1, 69.8, 70.2, 70.3),
    3.0: (20.9, 61.1, 68.2, 69.4, 70.6, 70.6),
    4.0: (7.5, 58.8, 66.3, 69.3, 70.6, 70.7),
    6.0: (4.1, 52.0, 65.6, 68.8, 70.7, 70.8),
}
"""Target -> accuracy in % at :data:`BITS`: ResNet-18 on ImageNet, weights only (KURE's notebook of experiments)."""


class Targets(Picture):
    """Two axes side by side: the paper's curves, and ours."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        published: Mapping[float, Sequence[float]]  # target -> accuracy in % at BITS
        ours: Mapping[float, Sequence[float]]

    width, height = 686, 270

    def build(self, fig: FigureBase) -> None:
        """Two axes with the same widths."""
        self.title = self.live(title(fig))
        places = (("KURE: ResNet-18, ImageNet", 50, 80), ("here: 64-64-10, digits, 10 clients", 392, 100))
        for name, left, top in places:
            ax = axes(fig, left, 42, 222, 168, xlabel="bits of the deployed weights", ylabel="accuracy (%)",
                      xlim=(-0.2, 5.2), ylim=(0, top))  # fmt: skip
            ax.set_xticks(range(len(BITS)), [str(b) for b in BITS])
            note(ax, name, x=-0.1, y=top * 1.07, color=INK, halo=False)
            self.parts = [*getattr(self, "parts", []), (ax, top)]

    def update(self, data: Data, ghost: Data | None = None) -> str:
        for (ax, top), rows in zip(self.parts, (data.published, data.ours), strict=True):
            for k, (target, row) in enumerate(rows.items()):
                line(ax, k, markers=True).set_data(range(len(BITS)), row)
                note(ax, f"target {target:g}", x=5.3, y=top * (0.42 - 0.09 * k), color=style_for(k).color, halo=False)
        ours = data.ours
        self.title.set_text("A flatter target survives fewer bits")
        listed = "; ".join(f"target {t:g}: {r[0]:.0f} % at 2 bit, {r[-1]:.0f} % in 32" for t, r in ours.items())
        return (
            f"Accuracy by deployed bits for four kurtosis targets. Left KURE's published values, right ours: {listed}."
        )


@lru_cache(maxsize=1)
def trained() -> dict[float, tuple[float, ...]]:
    """Target -> accuracy in % at :data:`BITS` on digits, 20 rounds, λ = 0.1, max-abs ranges, mean of two seeds."""
    from fqlab.federation import Experiment, fit
    from fqlab.federation.deployment import robustness

    accuracies = {}
    for target in PUBLISHED:
        rows = []
        for seed in (0, 1):
            options = {"variant": "kure", "penalty": 0.1, "target": target}
            shared = dict(lr=0.3, batch_size=32, rounds=20, evaluate_every=20, engine="vectorized", seed=seed)
            rows.append(robustness(fit(Experiment(method="robust", options=options, **shared)), BITS))
        accuracies[target] = tuple(100 * sum(r[b] for r in rows) / len(rows) for b in BITS)
    return accuracies


def kurtosis_target() -> Drawing:
    """KURE's ablation of the target (Shkolnik et al. 2020) beside the same on digits; a few seconds."""
    return draw(Targets, Targets.Data(PUBLISHED, trained()))
