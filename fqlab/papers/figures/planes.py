"""BSQ's first table as a picture: what α does to bits, and to accuracy."""

from __future__ import annotations

from fqlab.papers import stored_value
from fqlab.plots.picture import Drawing
from fqlab.plots.style import INK, MUTED, axes, figure, line, matplotlib_defaults, note, style_for, title

__all__ = ["penalty"]

ALPHAS = {0.005: "005", 0.02: "02", 0.03: "03"}
PUBLISHED = 14.24
"""Compression of ResNet-20 at α = 0.005: Tables 1 and 2 of the paper, as public reading notes quote them."""


@matplotlib_defaults()
def penalty() -> Drawing:
    """Bits a weight and accuracy against α: stored results on digits, and the published ResNet-20 at α = 0.005."""
    fig = figure(686, 250)
    bits = [stored_value(f"bsq-bits-{name}") for name in ALPHAS.values()]
    tuned = [stored_value(f"bsq-accuracy-{name}") for name in ALPHAS.values()]
    before = stored_value("bsq-before-02")[0]
    published = 32 / PUBLISHED
    title(fig, f"A larger α, fewer bits; at {bits[1][0]:.1f} bits fine-tuning lifts {before:.0%} to {tuned[1][0]:.0%}")
    ax = axes(fig, 46, 42, 280, 168, xlabel="penalty α", ylabel="bits a weight", xlim=(0, 0.036), ylim=(0, 8.5))
    ax.set_xticks([0, 0.01, 0.02, 0.03], ["0", "0.01", "0.02", "0.03"])
    _points(ax, "bits", bits)
    ax.plot([0.005], [published], linestyle="", marker="*", markersize=13, color=INK)
    note(ax, f"published, ResNet-20: {PUBLISHED}×", x=0.0063, y=published)
    note(ax, "digits, 3 seeds", x=0.012, y=6.6, color=style_for("bits").color)
    ax = axes(fig, 400, 42, 272, 168, xlabel="penalty α", ylabel="accuracy, digits", xlim=(0, 0.036), ylim=(0.8, 1.0))
    ax.set_yticks([0.8, 0.9, 1], ["80 %", "90 %", "100 %"])
    ax.set_xticks([0, 0.01, 0.02, 0.03], ["0", "0.01", "0.02", "0.03"])
    _points(ax, "accuracy", tuned)
    ax.annotate(
        "", (0.02, tuned[1][0] - 0.006), (0.02, before + 0.006), arrowprops={"arrowstyle": "->", "color": MUTED}
    )
    ax.plot(
        [0.02], [before], linestyle="", marker="o", fillstyle="none", markersize=7, color=style_for("accuracy").color
    )
    note(ax, "before fine-tuning", x=0.0192, y=before, ha="right")
    note(ax, "after", x=0.0312, y=tuned[2][0] - 0.02, color="#00704f", ha="right")
    listed = "; ".join(
        f"α = {alpha:g}: {b:.2f} bits, accuracy {a:.3f}"
        for alpha, (b, _), (a, _) in zip(ALPHAS, bits, tuned, strict=True)
    )
    alt = (
        f"Bits a weight and accuracy after fine-tuning against α, digits network, mean of three seeds. {listed}. Before "
        f"fine-tuning at α = 0.02: {before:.3f}. Published: {published:.2f} bits at α = 0.005 for ResNet-20 on CIFAR-10."
    )
    return Drawing(fig, alt)


def _points(ax: object, quantity: str, values: list[tuple[float, float]]) -> None:
    drawn = line(ax, quantity, markers=True)
    drawn.set_data(list(ALPHAS), [v for v, _ in values])
    for alpha, (value, spread) in zip(ALPHAS, values, strict=True):
        ax.plot([alpha] * 2, [value - spread, value + spread], color=style_for(quantity).color, linewidth=1.2)
