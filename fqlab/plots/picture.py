"""A picture is built once and updated in place; the same code serves the live panel, the page and the paper.

::

    class Curve(Picture):
        width, height = 680, 235

        @dataclass(frozen=True)
        class Data:
            rounds: Sequence[int]
            accuracy: Sequence[float]

        def build(self, fig):
            self.title = self.live(title(fig))
            ax = axes(fig, 52, 40, 600, 150, xlabel="communication round", ylim=(0, 1))
            self.accuracy = self.live(line(ax, "accuracy"))

        def update(self, data: Data, ghost: Data | None = None) -> str:
            self.accuracy.set_data(data.rounds, data.accuracy)
            self.title.set_text(f"{data.accuracy[-1]:.1%} after {len(data.rounds)} rounds")
            return f"Accuracy against round, ending at {data.accuracy[-1]:.1%}."

``live(artist)`` marks what ``update`` changes: in a panel only those artists are drawn again, over a stored background.
Change axis limits freely, but rarely: a changed limit redraws the whole picture. Marks that say something under the
pointer, or change something when clicked, are named by ``spots``; :mod:`fqlab.plots.spots` finds where they are drawn.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from matplotlib.artist import Artist
from matplotlib.figure import Figure, FigureBase

from fqlab.plots.spots import Drag, Spot
from fqlab.plots.style import PAPER, figure, matplotlib_defaults

__all__ = ["Drawing", "Picture", "PictureView", "draw", "mosaic", "to_png", "to_svg"]

A = TypeVar("A", bound=Artist)


class Picture:
    """One picture: fixed size, artists made in :meth:`build`, filled in :meth:`update`."""

    Data: ClassVar[type]
    """Frozen dataclass of what :meth:`update` shows."""
    width: ClassVar[int] = 340
    height: ClassVar[int] = 300
    drag: ClassVar[Mapping[str, Drag]] = {}
    """Side (``"x"``, ``"y"``) -> the setting that dragging along it changes."""
    scenery: Hashable = ()
    """What the background hangs on besides the limits of its axes; :meth:`update` may change it, but rarely."""

    def __init__(self) -> None:
        self.artists: list[Artist] = []

    def live(self, artist: A) -> A:
        """Mark an artist as one that :meth:`update` changes; returns it."""
        self.artists.append(artist)
        return artist

    def build(self, fig: FigureBase) -> None:
        """Make axes and artists in an empty figure of ``width`` x ``height`` pixels."""
        raise NotImplementedError

    def update(self, data: Any, ghost: Any = None) -> str:
        """Show ``data``, with ``ghost`` (data of the previous run, or None) behind it; returns the alt text."""
        raise NotImplementedError

    def spots(self) -> list[Spot]:
        """The marks of what :meth:`update` showed last that answer to the pointer."""
        return []


@dataclass(frozen=True)
class PictureView:
    """A picture with what it shows: the class, the data and the ghost."""

    picture: type[Picture]
    data: Any
    ghost: Any = None


@dataclass(frozen=True)
class Drawing:
    """A finished figure and its alt text."""

    figure: Figure
    alt: str

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The drawing in a notebook: a picture with its alt text, and the alt text alone where nothing can be shown.

        Drawn at twice its size, for sharp screens and for slides.
        """
        dpi = self.figure.dpi
        self.figure.set_dpi(144)
        picture = base64.b64encode(to_png(self)).decode()
        self.figure.set_dpi(dpi)
        width = round(self.figure.get_figwidth() * 72)
        shown = f'<img src="data:image/png;base64,{picture}" alt="{html.escape(self.alt)}" width="{width}">'
        size = {"width": width, "height": round(self.figure.get_figheight() * 72)}
        return {"text/html": shown, "image/png": picture, "text/plain": self.alt}, {"image/png": size}


def draw(picture: type[Picture], data: Any, ghost: Any = None, *, zoom: float = 1.0) -> Drawing:
    """One picture as a figure of its own."""
    return mosaic([[PictureView(picture, data, ghost)]], zoom=zoom)


@matplotlib_defaults()
def mosaic(rows: Sequence[Sequence[PictureView]], *, zoom: float = 1.0, gap: int = 10) -> Drawing:
    """Several pictures in one figure, row by row, ``gap`` pixels apart."""
    heights = [max(shown.picture.height for shown in row) for row in rows]
    widths = [sum(shown.picture.width for shown in row) + gap * (len(row) - 1) for row in rows]
    width = max(widths)
    height = sum(heights) + gap * (len(rows) - 1)
    whole = figure(width, height, zoom)
    alts = []
    top = height
    for row, tall in zip(rows, heights, strict=True):
        left = 0
        for shown in row:
            picture = shown.picture()
            place = (left, top - shown.picture.height)
            picture.build(_part(whole, place, shown.picture, (width, height)))
            alts.append(picture.update(shown.data, shown.ghost))
            left += shown.picture.width + gap
        top -= tall + gap
    return Drawing(whole, " ".join(alts))


def _part(whole: Figure, corner: tuple[float, float], picture: type[Picture], total: tuple[float, float]) -> FigureBase:
    """A subfigure of the picture's size with its lower left corner at ``corner`` (pixels)."""
    from matplotlib.gridspec import GridSpec

    left, bottom = corner
    width, height = total
    across = (left, picture.width, width - left - picture.width)
    down = (height - bottom - picture.height, picture.height, bottom)
    cell = GridSpec(3, 3, figure=whole, width_ratios=across, height_ratios=down)[1, 1]
    return whole.add_subfigure(cell, facecolor=PAPER)


def to_svg(drawing: Drawing) -> str:
    """The drawing as SVG text: no date, no random ids, the alt text as its description."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    page = io.StringIO()
    with matplotlib_defaults(svg__hashsalt="fqlab", svg__fonttype="path"):
        FigureCanvasSVG(drawing.figure).print_svg(page, metadata={"Date": None, "Description": drawing.alt})
    return page.getvalue()


def to_png(drawing: Drawing) -> bytes:
    """The drawing as a small PNG (256 colours): for pages, mails and notebooks."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    with matplotlib_defaults():
        canvas = FigureCanvasAgg(drawing.figure)
        canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3]).quantize(256, dither=Image.Dither.NONE)
    page = io.BytesIO()
    image.save(page, "PNG", optimize=True)
    return page.getvalue()
