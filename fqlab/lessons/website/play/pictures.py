"""Pictures as small files: few colours, lossless WebP, named by what is in them, and only what differs from a base.

WebP was smaller than an optimised PNG of the same 256 colours for every picture of every panel, by a fifth.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

__all__ = ["COLOURS", "Stored", "encode", "over", "shade"]

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


def encode(pixels: np.ndarray) -> Stored:
    """Pixels uint8 ``[height, width, 3]`` in 256 colours."""
    return _webp(Image.fromarray(_few(pixels)))


def over(pixels: np.ndarray, base: np.ndarray) -> Stored:
    """What of ``pixels`` differs from ``base``, both uint8 ``[height, width, 3]``, the rest transparent."""
    differs = (pixels != base).any(axis=2)
    return _webp(Image.fromarray(np.dstack([_few(pixels), np.where(differs, 255, 0).astype(np.uint8)])))


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
