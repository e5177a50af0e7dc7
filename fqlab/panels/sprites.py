"""Text as small images: laying out and rasterising words costs more than all the rest of a live picture.

A word is drawn once by Matplotlib into a scratch buffer and cut out; from then on it is one image blended at its anchor,
rounded to a whole pixel. Numbers on a dragged slider come back again and again, so most words are never drawn twice.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.text import Text
from matplotlib.transforms import IdentityTransform

from fqlab.panels.lru import LRUCache

__all__ = ["Sprites"]

MOST = 2000
"""Words kept."""
EDGE = 5
"""Pixels around a word's box that a halo or an overhanging letter may take."""


class Sprites:
    """The words of one picture as images."""

    def __init__(self) -> None:
        self._kept: LRUCache[tuple, tuple[np.ndarray, int, int] | None] = LRUCache(MOST)
        self._scratch: RendererAgg | None = None

    def draw(self, text: Text, renderer: RendererAgg) -> None:
        """Draw ``text`` as ``text.draw(renderer)`` would, to within half a pixel."""
        if not text.get_visible() or not text.get_text():
            return
        x, y = (round(v) for v in text.get_transform().transform(text.get_unitless_position()))
        key = _key(text, renderer.dpi)
        if key not in self._kept:
            self._kept[key] = self._cut(text, renderer, x, y)
        sprite = self._kept.get(key)
        if sprite is not None:
            pixels, dx, dy = sprite
            renderer.draw_image(renderer.new_gc(), x + dx, y + dy, pixels)

    def __len__(self) -> int:
        """Words that are kept."""
        return len(self._kept)

    def _cut(self, text: Text, like: RendererAgg, x: int, y: int) -> tuple[np.ndarray, int, int] | None:
        """Draw on the scratch buffer; the pixels of the word and where they lie from its anchor, or None if empty."""
        size = (like.width, like.height, like.dpi)
        if self._scratch is None or (self._scratch.width, self._scratch.height, self._scratch.dpi) != size:
            self._scratch = RendererAgg(*size)
        self._scratch.clear()
        with _anchored(text, x, y):
            text.draw(self._scratch)
            box = text.get_window_extent(self._scratch)
        page = np.asarray(self._scratch.buffer_rgba())
        left, low = max(0, int(box.x0) - EDGE), max(0, int(box.y0) - EDGE)
        right, high = int(box.x1) + EDGE + 1, int(box.y1) + EDGE + 1
        tall = page.shape[0]
        pixels = page[max(0, tall - high) : tall - low, left:right]
        if not pixels.size or left < 0:
            return None
        return np.ascontiguousarray(pixels[::-1]), left - x, low - y


@contextlib.contextmanager
def _anchored(text: Text, x: int, y: int) -> Iterator[None]:
    """Inside, the text stands at a whole pixel, so that its image does not hang on where it was first drawn."""
    place = text.get_position()
    transform = text.get_transform()
    text.set_transform(IdentityTransform())
    text.set_position((x, y))
    try:
        yield
    finally:
        text.set_transform(transform)
        text.set_position(place)


def _key(text: Text, dpi: float) -> tuple:
    """All that decides how the word looks; a box or an effect belongs to the artist it was given to."""
    artist = id(text) if text.get_bbox_patch() or text.get_path_effects() or text.get_clip_on() else 0
    style = (text.get_color(), text.get_alpha(), text.get_rotation(), text.get_ha(), text.get_va())
    return (text.get_text(), dpi, text.get_fontproperties(), *style, artist)
