"""A live picture: a persistent figure whose moving artists are drawn over a stored background and sent as PNG."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from fqlab.panels.sprites import Sprites
from fqlab.plots.picture import Picture
from fqlab.plots.style import figure, matplotlib_defaults

__all__ = ["Canvas", "png"]


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(pixels: np.ndarray) -> bytes:
    """PNG of uint8 pixels ``[height, width, 4]``: every line as difference to the one above, zlib level 1.

    On the flat areas of a plot this is three times as fast as a general encoder and about as small.
    """
    height, width, _ = pixels.shape
    lines = pixels.reshape(height, -1)
    raw = np.empty((height, 1 + 4 * width), np.uint8)
    raw[:, 0] = 2  # filter type "up"
    raw[0, 1:] = lines[0]
    np.subtract(lines[1:], lines[:-1], out=raw[1:, 1:])
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    body = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(raw, 1)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


class Canvas:
    """Draws one :class:`~fqlab.plots.Picture` again and again, quickly.

    The background is drawn anew only when an axis changes its limits, the picture its scenery, or the resolution changes.
    """

    def __init__(self, picture: Picture, zoom: float = 1.0) -> None:
        self.picture = picture
        with matplotlib_defaults():
            self.figure = figure(picture.width, picture.height, zoom)
            self._canvas = FigureCanvasAgg(self.figure)
            picture.build(self.figure)
            for artist in picture.artists:
                artist.set_animated(True)
        self._artists: list[Artist] = sorted(picture.artists, key=lambda a: a.get_zorder())
        self._sprites = Sprites()
        self._background: Any = None
        self._signature: tuple = ()

    def zoom(self, factor: float) -> None:
        """Draw with ``factor`` screen pixels per layout pixel from now on."""
        self.figure.set_dpi(72 * factor)

    def render(self, data: Any, ghost: Any = None) -> tuple[bytes, str]:
        """The picture of ``data`` as PNG, and its alt text."""
        pixels, alt = self.pixels(data, ghost)
        return png(pixels), alt

    def pixels(self, data: Any, ghost: Any = None) -> tuple[np.ndarray, str]:
        """The picture of ``data`` as uint8 pixels ``[height, width, 4]``, good until the next call, and its alt text."""
        with matplotlib_defaults():
            alt = self.picture.update(data, ghost)
            self._restore()
            renderer = self._canvas.get_renderer()
            for artist in self._artists:
                if isinstance(artist, Text):
                    self._sprites.draw(artist, renderer)
                else:
                    artist.draw(renderer)
            return np.asarray(self._canvas.buffer_rgba()), alt

    def _restore(self) -> None:
        """Bring back the background, drawn anew if its axes changed."""
        limits = [(*ax.get_xlim(), *ax.get_ylim(), ax.get_yscale()) for ax in self.figure.axes]
        signature = (self.figure.dpi, self.picture.scenery, *limits)
        if signature == self._signature:
            self._canvas.restore_region(self._background)
            return
        self._canvas.draw()
        self._background = self._canvas.copy_from_bbox(self.figure.bbox)
        self._signature = signature
