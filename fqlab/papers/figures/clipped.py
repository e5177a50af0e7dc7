"""Clip rule, rounding and averaging rule of the clipped-quantization code, two by two by two, on digits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import FigureBase

from fqlab.plots.picture import Drawing, Picture, draw
from fqlab.plots.style import INK, axes, line, note, title

__all__ = ["Arms", "arms", "effects"]

CLIPS = {"octav": "OCTAV clip", "max-abs": "max-abs range"}
ROUNDINGS = {"nearest": "nearest", "stochastic": "stochastic"}
RULES = {"size": "by samples", "inverse": "by 1/error"}
Arm = tuple[str, str, str]


class Arms(Picture):
    """Accuracy of eight arms: a row for each clip and rounding, a marker for each averaging rule."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        arms: Mapping[tuple[str, str, str], tuple[float, float]]  # (clip, rounding, rule) -> accuracy and spread

    width, height = 686, 226

    def build(self, fig: FigureBase) -> None:
        """One axis of accuracy, four rows."""
        self.title = self.live(title(fig))
        ax = axes(fig, 170, 40, 420, 140, xlabel="test accuracy", xlim=(0.5, 1.0), ylim=(-0.5, 3.5), grid="x")
        ax.set_xticks([0.5, 0.6, 0.7, 0.8, 0.9, 1.0], ["50 %", "60 %", "70 %", "80 %", "90 %", "100 %"])
        rows = [(clip, rounding) for rounding in ROUNDINGS for clip in CLIPS]
        ax.set_yticks(range(4), [f"{CLIPS[c]}, {ROUNDINGS[r]}" for c, r in reversed(rows)])
        ax.tick_params(axis="y", length=0, labelcolor=INK)
        self.places = {
            (c, r, rule): 3 - k + (0.14, -0.14)[rule == "inverse"] for k, (c, r) in enumerate(rows) for rule in RULES
        }
        self.bars = {arm: self.live(line(ax, "accuracy", linestyle="-", linewidth=1.2)) for arm in self.places}
        looks = {"size": {"marker": "o"}, "inverse": {"marker": "D", "markerfacecolor": "#ffffff"}}
        style = {"markers": True, "linestyle": "", "markersize": 7}
        self.dots = {rule: self.live(line(ax, "accuracy", **style, **looks[rule])) for rule in RULES}
        self.names = {rule: self.live(note(ax, RULES[rule], x=0, y=0)) for rule in RULES}

    def update(self, data: Mapping[Arm, tuple[float, float]], ghost: Any = None) -> str:
        """Data: (clip, rounding, rule) -> mean and standard deviation of the accuracy over seeds."""
        for arm, (mean, spread) in data.arms.items():
            self.bars[arm].set_data([mean - spread, mean + spread], [self.places[arm]] * 2)
        for rule, dots in self.dots.items():
            arms = [arm for arm in data.arms if arm[2] == rule]
            dots.set_data([data.arms[arm][0] for arm in arms], [self.places[arm] for arm in arms])
        best = ("octav", "stochastic")
        right = max(sum(data.arms[(*best, rule)]) for rule in RULES) + 0.012
        for rule, text in self.names.items():
            text.set(x=right, y=self.places[(*best, rule)] + (0.1, -0.1)[rule == "inverse"])
        moved = sorted(effects(data).items(), key=lambda item: -item[1])
        (first, a), (second, b), (third, c) = moved
        self.title.set_text(
            f"{first} moves {100 * a:.0f} points, {second.lower()} {100 * b:.0f}, {third.lower()} {100 * c:.0f}"
        )
        listed = ", ".join(
            f"{CLIPS[c]}, {r}, {RULES[rule]} {mean:.3f}" for (c, r, rule), (mean, _) in data.arms.items()
        )
        return f"Accuracy of 2-bit quantization-aware federations on digits: {listed}."


def effects(data: Mapping[Arm, tuple[float, float]]) -> dict[str, float]:
    """How far each choice moves the accuracy: the distance of the means over its two values."""
    names = ("The clip rule", "Rounding", "The averaging rule")
    moved = {}
    for k, name in enumerate(names):
        sides = [
            [mean for arm, (mean, _) in data.arms.items() if arm[k] == value] for value in {arm[k] for arm in data.arms}
        ]
        moved[name] = abs(sum(sides[0]) / len(sides[0]) - sum(sides[1]) / len(sides[1]))
    return moved


def arms() -> Drawing:
    """Stored results of the eight arms; three seeds each. The paper's own tables could not be read."""
    from fqlab.papers import stored_value

    data = {}
    for clip in CLIPS:
        for rounding in ROUNDINGS:
            for rule in RULES:
                data[clip, rounding, rule] = stored_value(f"arm-{clip}-{rounding}-{rule}")
    return draw(Arms, Arms.Data(data))
