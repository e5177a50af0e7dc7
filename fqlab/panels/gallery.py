"""The pictures of a panel: canvases that paint them, images that show them, alt texts, spots, and the ghosts behind them."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets as w

from fqlab.panels.canvas import Canvas
from fqlab.plots.picture import Drawing, Picture, PictureView, mosaic
from fqlab.plots.spots import Spot

__all__ = ["GAP", "Gallery", "picture_class"]

GAP = 10
"""Pixels between two pictures."""


def picture_class(kind: type[Picture]) -> str:
    """The CSS class of a picture's image."""
    return f"fqlab-p-{kind.__name__.lower()}"


class Gallery:
    """Shows pictures in rows; whoever calls it holds the panel's lock.

    Args:
        rows: the pictures, row by row.
        zoom: screen pixels per layout pixel, before the browser has said how sharp its screen is.

    Attributes:
        images: picture class -> the widget that shows it as PNG.
        spots: picture class -> what answers to the pointer in what it shows.
        widget: all of them, in rows.
    """

    def __init__(self, rows: Sequence[Sequence[type[Picture]]], zoom: float = 1.0) -> None:
        self._rows = rows
        self._zoom = zoom
        self._canvases = {kind: Canvas(kind(), zoom) for row in rows for kind in row}
        self._views: dict[type[Picture], PictureView] = {}
        self._alts: dict[type[Picture], str] = {}
        self._painted: dict[type[Picture], bytes] = {}
        self._finished: dict[type[Picture], Any] = {}
        self._ghosts: dict[type[Picture], Any] = {}
        self._fresh: set[type[Picture]] = set()
        self.spots: dict[type[Picture], list[Spot]] = {}
        self.images = {kind: _image(kind) for kind in self._canvases}
        self.widget = self._hang()

    @property
    def views(self) -> Mapping[type[Picture], PictureView]:
        """What is shown now: picture class -> its data and its ghost."""
        return self._views

    @property
    def alts(self) -> dict[str, str]:
        """CSS class of a picture -> its alt text, in the order in which they hang; only pictures that show something."""
        return {picture_class(kind): self._alts[kind] for kind in self._canvases if kind in self._alts}

    @property
    def pointers(self) -> dict[str, list[Any]]:
        """CSS class of a picture -> its size, whether it can be dragged, and its spots, for the page.

        A spot is ``[x, y, label, whether a click acts]``; pictures that do not answer to the pointer are left out.
        """
        return {
            picture_class(kind): [kind.width, kind.height, bool(kind.drag), [_answer(spot) for spot in spots]]
            for kind, spots in self.spots.items()
            if spots or kind.drag
        }

    def named(self, css_class: str) -> type[Picture] | None:
        """The picture with a CSS class, if there is one."""
        return {picture_class(kind): kind for kind in self._canvases}.get(css_class)

    def picture(self, kind: type[Picture]) -> Picture:
        """The live picture of a class, with its artists as they are drawn now."""
        return self._canvases[kind].picture

    def next_run(self) -> None:
        """From now on, what the last complete run showed is the ghost, and what hangs there is old."""
        self._ghosts = dict(self._finished)
        self._fresh = set()

    def complete(self, pictures: Mapping[type[Picture], Any]) -> None:
        """A run ended with these pictures: they are the ghosts of the next one."""
        self._finished |= pictures

    def show(self, pictures: Mapping[type[Picture], Any]) -> None:
        """Paint these pictures; the others stay as they are."""
        self._fresh |= set(pictures)
        for kind, data in pictures.items():
            self._views[kind] = PictureView(kind, data, self._ghosts.get(kind))
            self._paint(kind)

    def dim(self, on: bool) -> None:
        """Pale the pictures that still show an earlier run, or give all of them their colours back."""
        for kind, image in self.images.items():
            (image.add_class if on and kind not in self._fresh else image.remove_class)("fqlab-stale")

    def sharpen(self, factor: float) -> None:
        """The browser's screen has ``factor`` pixels per CSS pixel: paint with as many."""
        for kind, canvas in self._canvases.items():
            canvas.zoom(factor * self._zoom)
            if kind in self._views:
                self._paint(kind)

    def drawing(self, zoom: float = 1.0) -> Drawing:
        """All pictures as they are now, in one figure with alt text."""
        rows = [[self._views[kind] for kind in row if kind in self._views] for row in self._rows]
        return mosaic([row for row in rows if row], zoom=zoom, gap=GAP)

    def _paint(self, kind: type[Picture]) -> None:
        """Paint one picture, unless it shows just this already."""
        view = self._views[kind]
        canvas = self._canvases[kind]
        content = pickle.dumps((view.data, view.ghost, canvas.figure.dpi))
        if self._painted.get(kind) != content:
            self.images[kind].value, self._alts[kind] = canvas.render(view.data, view.ghost)
            self.spots[kind] = canvas.picture.spots()
            self._painted[kind] = content

    def _hang(self) -> w.VBox:
        """The images in their rows; a narrow page breaks a row."""
        between = w.Layout(width="auto", grid_gap=f"{GAP}px", overflow="visible")
        lines = [w.HBox([self.images[kind] for kind in row], layout=between) for row in self._rows]
        for line in lines:
            line.add_class("fqlab-row")
        shelf = w.VBox(lines, layout=w.Layout(grid_gap=f"{GAP}px", overflow="visible"))
        shelf.add_class("fqlab-gallery")
        return shelf


def _answer(spot: Spot) -> list[Any]:
    return [spot.x, spot.y, spot.tip.label, bool(spot.tip.changes)]


def _image(kind: type[Picture]) -> w.Image:
    """An empty image of the picture's size."""
    layout = w.Layout(width=f"{kind.width}px", height=f"{kind.height}px", flex="0 0 auto")
    image = w.Image(value=b"", format="png", layout=layout)
    image.add_class("fqlab-picture")
    image.add_class(picture_class(kind))
    return image
