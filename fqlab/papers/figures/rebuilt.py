"""The charts of :mod:`fqlab.papers.charts` as figures: mean and spread over the seeds, and what was published."""

from __future__ import annotations

from fqlab.papers.charts import chart
from fqlab.papers.charts.drawing import data
from fqlab.plots.charts import Rebuilt
from fqlab.plots.picture import Drawing, draw

__all__ = ["drawn"]


def drawn(name: str) -> Drawing:
    """One chart, from stored points."""
    return draw(Rebuilt, data(chart(name)))
