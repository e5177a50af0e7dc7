"""What a round costs, as a table and a picture for the README: every method beside FedAvg, the best engine beside the loop.

    python tests/benchmarks/table.py [repeats] [folder]

Writes ``speed.md`` and ``speed.svg`` (``build/bench``). Not a test: figures depend on the machine. MNIST is read from
``FQLAB_DATA``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from matplotlib.figure import Figure
from methods import measure as methods_cost
from rounds import WORKS, sides
from rounds import measure as engines_seconds

from fqlab.errors import DataError
from fqlab.plots.style import COLORS, axes, figure, matplotlib_defaults, note, title

MODELS = ("mlp", "clipped_cnn")
HEIGHT = 22
"""Pixels of a bar."""

Ratios = Mapping[str, float]


def methods(repeats: int) -> dict[str, Ratios]:
    """Model -> method -> CPU time of a round, in rounds of FedAvg."""
    found = {}
    for model in MODELS:
        costs = methods_cost(repeats, model, [])
        found[model] = {name: cost.busy / costs["fedavg"].busy for name, cost in costs.items() if name != "fedavg"}
    return found


def engines(repeats: int) -> Ratios:
    """Work -> how many rounds the best engine runs in the time that the plain loop takes for one."""
    found = {}
    for work in WORKS:
        plain, engines = sides(engines_seconds(work, repeats))
        found[str(work)] = plain / min(engines.values())
    return found


def markdown(costs: Mapping[str, Ratios], speeds: Ratios) -> str:
    """Both tables."""
    lines = [f"| a round of | {' | '.join(MODELS)} |", "|---|" + "---|" * len(MODELS)]
    for name in costs[MODELS[0]]:
        lines.append(f"| {name} | {' | '.join(f'{costs[model][name]:.1f} ×' for model in MODELS)} |")
    lines += ["", "| rounds in the time of one of the plain loop | |", "|---|---|"]
    lines += [f"| {work} | {ratio:.1f} |" for work, ratio in speeds.items()]
    return "\n".join(lines) + "\n"


def picture(costs: Mapping[str, Ratios], speeds: Ratios) -> Figure:
    """A bar for every number of the tables."""
    longest = max(max(ratios.values()) for ratios in costs.values())
    groups = [
        (f"CPU time of a round on {model}, in rounds of FedAvg", costs[model], "orange", longest) for model in MODELS
    ]
    groups.append(("Rounds in the time of one of the plain loop", speeds, "bluish green", max(speeds.values())))
    height = sum(HEIGHT * len(ratios) + 46 for _, ratios, _, _ in groups) + 20
    fig = figure(640, height)
    top = 10
    for text, ratios, color, end in groups:
        title(fig, text, top=top)
        tall = HEIGHT * len(ratios)
        _bars(fig, (top + 22, tall, height), ratios, end, COLORS[color])
        top += tall + 46
    return fig


def _bars(fig: Figure, place: tuple[float, float, float], ratios: Ratios, end: float, color: str) -> None:
    """Bars from 0 to ``end``; their place is the top, how tall they are together, and the picture's height."""
    top, tall, height = place
    ax = axes(fig, 240, height - top - tall, 350, tall, xlim=(0, end), grid="", spines=("left",))
    places = range(len(ratios))
    ax.barh(places, list(ratios.values()), height=0.7, color=color)
    ax.set_yticks(places, list(ratios))
    ax.set_ylim(len(ratios) - 0.5, -0.5)
    ax.set_xticks([])
    ax.axvline(1, color="black", linestyle="--", linewidth=1)
    for place, value in zip(places, ratios.values(), strict=True):
        note(ax, f" {value:.1f}", x=value, y=place)


def main(repeats: int, folder: Path) -> None:
    costs = methods(repeats)
    speeds = engines(repeats)
    folder.mkdir(parents=True, exist_ok=True)
    text = markdown(costs, speeds)
    (folder / "speed.md").write_text(text, encoding="utf-8")
    with matplotlib_defaults(svg__hashsalt="fqlab"):
        picture(costs, speeds).savefig(folder / "speed.svg", metadata={"Date": None})
    print(text, end="")
    print(f"torch {torch.__version__}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; written to {folder}")


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 5, Path(sys.argv[2] if len(sys.argv) > 2 else "build/bench"))
    except DataError as missing:
        print(f"left out: {missing}")
