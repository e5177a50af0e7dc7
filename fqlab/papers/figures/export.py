"""Figures as files: SVG for a paper, PNG for a slide."""

from __future__ import annotations

from pathlib import Path

from fqlab.errors import one_of
from fqlab.papers.figures import figure
from fqlab.plots.picture import to_png, to_svg

__all__ = ["DPI", "FORMATS", "write"]

FORMATS = ("svg", "png")
DPI = 216
"""Dots per inch of a PNG: three times the layout's 72, sharp on a slide and in print at column width."""


def write(name: str, folder: Path, form: str = "svg") -> Path:
    """Rebuild the figure ``name`` of :data:`fqlab.papers.figures.FIGURES` as ``folder/name.svg`` or ``.png``.

    Raises:
        ConfigError: for an unknown name or format.
    """
    one_of("format", form, FORMATS)
    drawing = figure(name)
    target = folder / f"{name}.{form}"
    if form == "svg":
        target.write_text(to_svg(drawing), encoding="utf-8")
    else:
        drawing.figure.set_dpi(DPI)
        target.write_bytes(to_png(drawing))
    return target
