"""The difference of two generations of codes: only bit planes that changed take bytes on the wire."""

from __future__ import annotations

import torch

from fqlab.errors import ConfigError, in_range, shown
from fqlab.quant.codes import Codes
from fqlab.quant.grids import Grid

__all__ = ["apply_changes", "changes"]


def _aligned(old: torch.Tensor, bits: int, width: int) -> torch.Tensor:
    """Magnitudes of ``old`` (int16, ``bits`` bits), shifted so that their MSB is that of ``width`` bits."""
    magnitude = old.to(torch.int64).abs()
    if magnitude.numel() and int(magnitude.max()) >= 1 << in_range("bits", bits, 1, 8, integer=True):
        raise ConfigError(f"bits is {shown(bits)}, but must be enough for the magnitude {int(magnitude.max())}.")
    return magnitude >> (bits - width) if bits > width else magnitude << (width - bits)


def changes(old: torch.Tensor, bits: int, new: Codes) -> tuple[Codes, torch.Tensor]:
    """What turns ``old`` into ``new``; :func:`apply_changes` is the inverse, exact to the bit.

    Planes are compared from the MSB down, so that codes that gained or lost LSBs still agree at the top. A
    packet leaves out planes without a change.

    Args:
        old: int16 values of earlier codes, shape of ``new``.
        bits: their bit-width.
        new: codes on the ``sign_magnitude`` grid.

    Returns:
        ``(planes, flips)``: non-negative codes, the exclusive or of the magnitudes, on the grid and clip of
        ``new``; bool, where the sign changed.

    Raises:
        ConfigError: for another grid, other shapes, or a magnitude of ``old`` that needs more than ``bits`` bits.
    """
    if new.grid.kind != "sign_magnitude" or old.shape != new.shape:
        shapes = f"{tuple(old.shape)} and {tuple(new.shape)} on {new.grid.kind!r}"
        raise ConfigError(f"codes are {shapes}, but changes need equal shapes on 'sign_magnitude'.")
    turned = new.values.to(torch.int64).abs() ^ _aligned(old, bits, new.grid.bits)
    flips = ((old < 0) ^ (new.values < 0)) & (new.values != 0)
    return Codes(turned.to(torch.int16), new.grid, new.clip), flips


def apply_changes(old: torch.Tensor, bits: int, planes: Codes, flips: torch.Tensor) -> Codes:
    """The codes that :func:`changes` was given; arguments as there."""
    grid = Grid(planes.grid.bits, "sign_magnitude")
    magnitude = planes.values.to(torch.int64) ^ _aligned(old, bits, grid.bits)
    negative = (old < 0) ^ flips
    return Codes(torch.where(negative, -magnitude, magnitude).to(torch.int16), grid, planes.clip)
