"""Every figure of a paper that fqlab rebuilds, by name; ``fqlab figures`` writes them all."""

from __future__ import annotations

import importlib

from fqlab.errors import one_of
from fqlab.papers.charts import CHARTS
from fqlab.plots.picture import Drawing

__all__ = ["FIGURES", "figure"]

FIGURES: dict[str, str] = {
    "01-between": "drift:between_two",
    "02-bits": "quantizer:bits_figure",
    "03-clips": "clipping:clip_figure",
    "04-levels": "rounding:five_levels",
    "05-arms": "clipped:arms",
    "06-targets": "robustness:kurtosis_target",
    "07-penalty": "planes:penalty",
    "08-ablation": "precision:ablation",
    "09-cost": "lottery:cost_and_accuracy",
    "10-uplinks": "packet:uplinks",
    "10-hosts": "hosts:slow_lines",
    "11-fog": "fleet:fog",
    "12-lottery": "frontier:lottery",
}
"""Name -> ``module:function`` in this package; every function returns a :class:`~fqlab.plots.Drawing`."""
FIGURES |= dict.fromkeys(CHARTS, "rebuilt:drawn")
"""The charts, too: axis by axis as in the papers, from stored points; ``drawn`` takes the name."""


def figure(name: str) -> Drawing:
    """Rebuild one figure from data.

    Raises:
        ConfigError: for an unknown name.
    """
    module, _, function = FIGURES[one_of("figure", name, tuple(FIGURES))].partition(":")
    draw = getattr(importlib.import_module(f"fqlab.papers.figures.{module}"), function)
    return draw(name) if name in CHARTS else draw()
