"""Planes that hardly any weight uses are cut off at both ends: the rule in the public code of BSQ and FedMPQ."""

from __future__ import annotations

import torch

from fqlab.errors import in_range
from fqlab.quant.codes import Codes
from fqlab.quant.grids import Grid
from fqlab.quant.planes import magnitudes

__all__ = ["adjust"]


def adjust(codes: Codes, *, msb: bool = True, lsb: bool = True, threshold: float = 0.0) -> Codes:
    """Precision adjustment: planes with few ones are cut at the top, then at the bottom, down to one bit.

    At the top a plane goes if it has no ones, or a share of ones *strictly below* ``threshold``; the first that
    is neither ends it. The shares are those before the first cut, and a weight that loses a one takes the
    largest magnitude left (it saturates). At the bottom planes with a share of at most ``threshold`` go, with
    shares counted after the cuts at the top; the step doubles each time. So the scale of n planes that were b
    becomes s' = s·2^k·(2^n − 1)/(2^b − 1), k of them cut at the bottom (BSQ, eq. 6), and without a threshold no
    weight moves. A plane between two that stay stays.

    Where the public code cuts two planes or more that held ones, only the last cut saturates and the weights of
    the others lose their top bits, a mistake that is not copied: [4, 2, 1 × 98] loses the 4 there.

    Args:
        codes: on the sign-magnitude grid.
        msb, lsb: which ends may be cut.
        threshold: share of ones in [0, 1]; the code counts in percent.
    """
    in_range("threshold", threshold, 0, 1)
    share = _shares(codes)
    bits = codes.grid.bits
    while msb and bits > 1 and (share[bits - 1] == 0 or share[bits - 1] < threshold):
        bits -= 1
    if bits < codes.grid.bits:
        codes = _without_top(codes, bits)
        share = _shares(codes)
    cut = 0
    while lsb and cut < bits - 1 and share[cut] <= threshold:
        cut += 1
    return _without_bottom(codes, cut) if cut else codes


def _shares(codes: Codes) -> list[float]:
    """Share of ones in every plane, plane 0 first; in double precision, so that 1 of 100 is not below .01."""
    magnitude = magnitudes(codes)
    count = torch.bincount(magnitude.flatten(), minlength=codes.grid.high + 1)
    digits = torch.arange(len(count)).unsqueeze(1) >> torch.arange(codes.grid.bits) & 1
    ones = (count.unsqueeze(1) * digits).sum(0).tolist()
    return [n / max(1, magnitude.numel()) for n in ones]


def _without_top(codes: Codes, bits: int) -> Codes:
    """The lower ``bits`` planes; what they cannot hold saturates."""
    grid = Grid(bits, "sign_magnitude")
    return Codes(codes.values.clamp(grid.low, grid.high), grid, codes.clip * (grid.high / codes.grid.high))


def _without_bottom(codes: Codes, cut: int) -> Codes:
    """All but the lowest ``cut`` planes, on a step of 2^cut."""
    grid = Grid(codes.grid.bits - cut, "sign_magnitude")
    values = torch.div(codes.values, 2**cut, rounding_mode="trunc")
    return Codes(values, grid, codes.clip * (2**cut * grid.high / codes.grid.high))
