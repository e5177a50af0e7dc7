"""The grey shadow of an earlier state, cut out of the picture that draws it, so that any two states can be laid together.

A live picture draws the state before in grey. Stored pictures cannot hold every pair of states; the shadow is stored as
a layer of its own, and the page lays it over any picture with the same axes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.text import Text

from fqlab.lessons.website.play.pictures import Stored, shade
from fqlab.panels.canvas import Canvas
from fqlab.plots.style import matplotlib_defaults

__all__ = ["Ghost", "axes_of", "ghost"]

LEVELS = 17
"""Steps of opacity that are kept."""


@dataclass(frozen=True)
class Ghost:
    """A grey layer and the axes it belongs to, see :func:`axes_of`."""

    picture: Stored
    axes: str


def axes_of(canvas: Canvas) -> str:
    """A short name for the limits and scales of all axes of a picture: only equal ones can be laid over each other."""
    limits = [(*ax.get_xlim(), *ax.get_ylim(), ax.get_xscale(), ax.get_yscale()) for ax in canvas.figure.axes]
    return hashlib.sha256(repr([tuple(map(_plain, row)) for row in limits]).encode()).hexdigest()[:6]


def _plain(limit: Any) -> Any:
    return limit if isinstance(limit, str) else float(f"{limit:.6g}")


def ghost(canvas: Canvas, before: Any, now: Any) -> Ghost | None:
    """What a picture of ``now`` draws of ``before`` and not by itself: lines and areas, no words; None if it draws nothing.

    Words are left out: where they stand depends on both states.
    """
    with matplotlib_defaults():
        page = RendererAgg(canvas.figure.bbox.width, canvas.figure.bbox.height, canvas.figure.dpi)
        canvas.picture.update(now, None)
        canvas.figure.draw_without_rendering()
        alone = [_alone(artist, page) is not None for artist in _candidates(canvas)]
        canvas.picture.update(now, before)
        canvas.figure.draw_without_rendering()
        grey = [
            drawn
            for artist, always in zip(_candidates(canvas), alone, strict=True)
            if not always and (drawn := _alone(artist, page)) is not None
        ]
        axes = axes_of(canvas)
    if not grey:
        return None
    whole = grey[0]
    for drawn in grey[1:]:
        whole = np.where(drawn[..., 3:] > whole[..., 3:], drawn, whole)
    row, column = np.unravel_index(whole[..., 3].argmax(), whole.shape[:2])
    red, green, blue = (int(v) for v in whole[row, column, :3])
    opacity = np.round(whole[..., 3] / 255 * (LEVELS - 1)) * (255 / (LEVELS - 1))
    return Ghost(shade(np.round(opacity).astype(np.uint8), (red, green, blue)), axes)


def _candidates(canvas: Canvas) -> list[Artist]:
    return [artist for artist in canvas.picture.artists if not isinstance(artist, Text)]


def _alone(artist: Artist, page: RendererAgg) -> np.ndarray | None:
    """The pixels of one artist on an empty page, or None if it draws nothing."""
    if not artist.get_visible():
        return None
    page.clear()
    artist.draw(page)
    pixels = np.asarray(page.buffer_rgba())
    return pixels.copy() if pixels[..., 3].any() else None
