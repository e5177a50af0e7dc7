"""Pictures as small files: few colours, lossless WebP, named by what is in them, and only what differs from a base.

WebP was smaller than an optimised PNG of the same 256 colours for every picture of every panel, by a fifth.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

__all__ = ["COLOURS", "DIGITS", "Stored", "encode", "shade"]

COLOURS = 256
"""Colours of a palette; edges of lines and letters are the rare ones that move to a neighbour."""
DIGITS = 12
"""Hexadecimal digits of a name: 48 bits, so that among 10 000 pictures a clash has a chance of one in five million."""


@dataclass(frozen=True)
class Stored:
    """An encoded picture.

    Attributes:
        body: a WebP file.
        name: the first digits of the SHA-256 of ``body``.
    """

    body: bytes

    @property
    def name(self) -> str:
        return hashlib.sha256(self.body).hexdigest()[:DIGITS]


def encode(pixels: np.ndarray, base: np.ndarray | None = None) -> tuple[Stored, bool]:
    """Pixels uint8 ``[height, width, 3]`` in 256 colours, whole or as what differs from ``base``, whichever is smaller.

    Returns:
        The picture, and whether it is a layer over ``base``, transparent where both are the same.
    """
    few = _few(pixels)
    whole = _webp(Image.fromarray(few))
    if base is None or np.array_equal(base, pixels):
        return whole, False
    differs = (pixels != base).any(axis=2)
    part = _webp(Image.fromarray(np.dstack([few, np.where(differs, 255, 0).astype(np.uint8)])))
    return (part, True) if len(part.body) < len(whole.body) else (whole, False)


def shade(opacity: np.ndarray, colour: tuple[int, int, int]) -> Stored:
    """A layer of one colour with opacities uint8 ``[height, width]``, to be laid over a picture."""
    filled = np.empty((*opacity.shape, 4), np.uint8)
    filled[..., :3] = colour
    filled[..., 3] = opacity
    return _webp(Image.fromarray(filled))


def _few(pixels: np.ndarray) -> np.ndarray:
    """The same picture in few colours, without dither."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(image.quantize(COLOURS, dither=Image.Dither.NONE).convert("RGB"))


def _webp(image: Image.Image) -> Stored:
    page = io.BytesIO()
    image.save(page, "WEBP", lossless=True, quality=50, method=4, exact=False)
    return Stored(page.getvalue())
