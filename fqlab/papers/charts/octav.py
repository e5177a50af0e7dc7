"""OCTAV, Figure 1 (a): squared error against the clip at 4 bits, two layers."""

from __future__ import annotations

from collections.abc import Mapping

from fqlab.papers.charts.model import Axis, Chart, Point, Published
from fqlab.studies import octav

__all__ = ["CHARTS"]

CLIPS = (0.5, 1.0, 1.5, 2.0, 2.25, 2.5, 2.75, 3.0, 3.5, 4.0, 4.5, 5.0)
ARMS = ("first layer", "second layer")
READ = {"ResNet-50, layer 17": (0.1025, 2.1e-5, 5.45e-4), "ResNet-50, layer 45": (0.035, 2.7e-6, 1.52e-4)}
"""Layer -> clip, squared error and power of the weights, read off a public reproduction of the figure, ± 3 %."""


def _lowest(values: Mapping[tuple[str, float], float]) -> str:
    best = [min((values[arm, clip], clip) for clip in CLIPS)[1] for arm in ARMS]
    return f"Half the best clip errs more than double: the valley lies at {best[0]:g} and {best[1]:g} σ"


CHARTS = {
    "03-mse": Chart(
        "03-mse", "OCTAV, Figure 1 (a): squared error against the clip, 4 bits", "octav",
        "Ours: both layers of the digits network, 3 seeds. Stars: where OCTAV stops on two layers of ResNet-50, in σ (derived).",
        Axis("clip (σ)", tuple((float(s), str(s)) for s in range(6)), 0, 5.2, say="clip {} σ"),
        Axis("squared error (σ²)", ((0.01, "0.01"), (0.1, "0.1"), (1.0, "1")), 0.008, 1.0, log=True),
        (*ARMS, *READ),
        tuple(
            Point(arm, clip, "octav:layer_mse", {"layer": k, "clip": clip}, octav.layers_experiment)
            for k, arm in enumerate(ARMS) for clip in CLIPS
        ),
        _lowest,
        tuple(
            Published(name, s / power**0.5, mse / power, "derived",
                      f"clip {s:g}, error {mse:g}, read off a public reproduction of the figure (± 3 %), over σ = {power**0.5:.3g}")
            for name, (s, mse, power) in READ.items()
        ),
    ),
}  # fmt: skip
