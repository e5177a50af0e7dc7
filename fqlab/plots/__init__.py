"""Pictures: one look for every quantity, built once, updated in place, with alt text."""

from fqlab.plots.picture import Drawing, Picture, Shown, draw, mosaic, to_png, to_svg
from fqlab.plots.style import COLORS, LOOKS, Look, apart, axes, figure, line, look, note, size, title

__all__ = [
    "COLORS", "Drawing", "LOOKS", "Look", "Picture", "Shown", "apart", "axes", "draw", "figure", "line", "look", "mosaic", "note",
    "size", "title", "to_png", "to_svg",
]  # fmt: skip
