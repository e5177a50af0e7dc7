"""FedMPQ's ablation on digits, and primal-dual sparsity beside a fixed penalty."""

from __future__ import annotations

from typing import Any

from fqlab.papers import claim, stored_value
from fqlab.plots.picture import Drawing
from fqlab.plots.style import INK, MUTED, axes, figure, line, matplotlib_defaults, note, style_for, title
from fqlab.studies.fedmpq import ETAS

__all__ = ["ablation"]

ARMS = {
    "fixed widths": "fixed",
    "lasso": "lasso",
    "pruning": "pruning",
    "lasso, pruning": "both",
    "full method": "full",
}
GREEN = style_for("accuracy").color
BLUE = style_for("bits").color


@matplotlib_defaults()
def ablation() -> Drawing:
    """Accuracy of the five arms, and accuracy and bits against η; stored results, mean and spread of three seeds."""
    fig = figure(686, 290)
    arms = {name: stored_value(f"fedmpq-arm-{key}") for name, key in ARMS.items()}
    dual = {
        eta: (stored_value(f"fedmpq-dual-{name}"), stored_value(f"fedmpq-dual-{name}-bits"))
        for name, eta in ETAS.items()
    }
    published = float(claim("fedmpq-gain-growing").published or 0)
    ours = stored_value("fedmpq-gain-growing")[0]
    title(fig, f"Growing gives back {ours:.1f} points on digits, {published:g} as published on CIFAR-10")
    _arms(fig, arms)
    _prices(fig, dual, arms["full method"][0])
    listed = ", ".join(f"{name} {value:.3f} ± {spread:.3f}" for name, (value, spread) in arms.items())
    prices = "; ".join(f"η = {eta:g}: {a[0]:.3f} at {b[0]:.2f} bits" for eta, (a, b) in dual.items())
    alt = (
        f"Accuracy on digits after ten rounds, mean and spread of three seeds: {listed}. Primal-dual, accuracy and bits "
        f"sent for a budget of 5: {prices}."
    )
    return Drawing(fig, alt)


def _arms(fig: Any, arms: dict[str, tuple[float, float]]) -> None:
    """Bars of the five arms, bits sent beside them."""
    ax = axes(fig, 104, 42, 232, 196, xlabel="accuracy on digits (fixed λ)", xlim=(0, 1), ylim=(-0.6, 4.6), grid="x")
    ax.set_yticks(range(4, -1, -1), list(arms))
    ax.set_xticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
    ax.tick_params(axis="y", length=0, labelcolor=INK)
    bits = {
        "pruning": stored_value("fedmpq-bits-pruning")[0],
        "full method": stored_value("fedmpq-bits-full")[0],
        "fixed widths": 5.0,
    }
    for row, (name, (value, spread)) in enumerate(arms.items()):
        ax.barh(4 - row, value, height=0.62, color=GREEN, alpha=0.85)
        ax.plot([value - spread, value + spread], [4 - row] * 2, color=INK, linewidth=1.3)
        words = f"{value:.1%}" + (f", {bits[name]:.1f} bits sent" if name in bits else "")
        note(ax, words, x=0.02, y=4 - row, color="#ffffff", halo=False)


def _prices(fig: Any, dual: dict[float, Any], fixed: float) -> None:
    """Accuracy and bits against η."""
    spots = range(len(dual))
    top = axes(fig, 404, 156, 266, 82, ylabel="accuracy", xlim=(-0.4, 2.4), ylim=(0, 1.05))
    low = axes(fig, 404, 42, 266, 92, xlabel="step η of the price", ylabel="bits", xlim=(-0.4, 2.4), ylim=(0, 9))
    top.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
    top.set_xticks(spots, [""] * len(dual))
    low.set_xticks(spots, [f"{eta:g}" for eta in dual])
    low.set_yticks([0, 4, 8])
    top.plot([-0.4, 2.4], [fixed] * 2, color=INK, linestyle=(0, (6, 3)), linewidth=1.5)
    note(top, "λ fixed, budgets kept", x=2.4, y=fixed + 0.1, ha="right")
    low.plot([-0.4, 2.4], [5, 5], color=INK, linestyle=(0, (6, 3)), linewidth=1.5)
    note(low, "budget", x=-0.36, y=4.3, color=MUTED)
    for ax, quantity, k in ((top, "accuracy", 0), (low, "bits", 1)):
        line(ax, quantity, markers=True).set_data(spots, [pair[k][0] for pair in dual.values()])
        for spot, pair in zip(spots, dual.values(), strict=True):
            value, spread = pair[k]
            ax.plot([spot] * 2, [value - spread, value + spread], color=style_for(quantity).color, linewidth=1.3)
