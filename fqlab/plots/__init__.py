"""Pictures: one look for every quantity, built once, updated in place, with alt text."""

from fqlab.plots.picture import Drawing, Picture, PictureView, draw, mosaic, to_png, to_svg
from fqlab.plots.spots import Drag, Spot, Tip, spots_at, spots_on
from fqlab.plots.style import (
    COLORS,
    LOOKS,
    Look,
    axes,
    figure,
    line,
    note,
    number_of,
    separate_labels,
    size,
    style_for,
    title,
)

__all__ = [
    "COLORS", "Drag", "Drawing", "LOOKS", "Look", "Picture", "PictureView", "Spot", "Tip", "axes", "draw", "figure", "line",
    "mosaic", "note", "number_of", "separate_labels", "size", "spots_at", "spots_on", "style_for", "title", "to_png",
    "to_svg",
]  # fmt: skip
