"""Subtractive dither: add noise that both sides know, quantize, and take the noise away again (UVeQFed).

The dither z is uniform on a cell of the lattice. Then x̂ = Q(x + z) − z errs by something uniform on the lattice's
nearest-point cell and **independent of x** (Schuchman 1964; Zamir & Feder 1992; UVeQFed, Shlezinger et al. 2021), for
every x that does not leave the range: Δ²/12 a value on the ``scalar`` lattice, where stochastic rounding, which keeps
its noise, has Δ²f(1 − f). On the ``hexagonal`` lattice two values share a point, and cells rounder than squares save
another 0.17 dB at equal density of points.

Codes count lattice points from the lower end, on the mid-rise grid of b bits: 2^b scalar levels over ±clip, or 2^b rows
of 2^b points each for pairs, every other row half a step to the right. Up to the clip nothing overloads. With rows
closer than columns that leaves columns without use, which costs nothing once codes are entropy-coded.
"""

from __future__ import annotations

import math

import torch

from fqlab.errors import one_of
from fqlab.quant.codes import Codes, grid_index
from fqlab.quant.grids import Grid
from fqlab.tensors import dense_real, expand_like

__all__ = ["LATTICES", "code_shape", "dithered", "lattice_mse", "lattice_step", "undithered"]

LATTICES = ("scalar", "hexagonal")
ROW = math.sqrt(3) / 2  # distance of two rows of the hexagonal lattice, in steps


def code_shape(lattice: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of the codes, and of the dither, of one tensor: its own, or ``[2, pairs]`` (columns, rows)."""
    one_of("lattice", lattice, LATTICES)
    return tuple(shape) if lattice == "scalar" else (2, -(-math.prod(shape) // 2))


def lattice_step(lattice: str, grid: Grid, clip: torch.Tensor) -> torch.Tensor:
    """Distance of neighbouring points with which nothing within ±clip overloads, whatever the dither.

    Hexagonal: x and its dither reach clip + a/2 along a row (the step a) and clip + a√3/4 across; the outermost cells
    are sure to hold up to a/2 beyond their points along (which start a/4 inward in every other row), a/(2√3) across.
    """
    if one_of("lattice", lattice, LATTICES) == "scalar":
        return grid.step(clip)
    n = 2**grid.bits
    return clip / min(n / 2 - 3 / 4, (n - 2) * ROW / 2 + 1 / (2 * math.sqrt(3)))


def lattice_mse(lattice: str, grid: Grid, clip: torch.Tensor) -> torch.Tensor:
    """Mean squared error of a value that does not overload: G·V^(2/L), Δ²/12 or 5/(36√3)·(a²√3/2) (Zamir & Feder)."""
    step = lattice_step(lattice, grid, clip)
    return step.square() / 12 if lattice == "scalar" else step.square() * (5 / 72)


def dithered(
    x: torch.Tensor,
    clip: torch.Tensor,
    grid: Grid,
    dither: torch.Tensor,
    lattice: str = "scalar",
    *,
    batch_dims: int = 0,
) -> Codes:
    """Codes of the lattice points next to x + z; what overloads goes to the outermost ones.

    Args:
        x: float tensor.
        clip: positive thresholds of shape ``x.shape[:batch_dims]``.
        grid: the mid-rise grid whose codes count the points.
        dither: uniform draws from [−1/2, 1/2) of shape ``[*batch, *code_shape(lattice, ...)]``.
        lattice: one of :data:`LATTICES`.
        batch_dims: leading dimensions that have a clip of their own.
    """
    x = dense_real("x", x).detach()
    batch = x.shape[:batch_dims]
    shape = x.shape[batch_dims:]
    if one_of("lattice", lattice, LATTICES) == "scalar":
        place = grid_index(x, expand_like(clip, x), grid) + dither
        return Codes(torch.round(place).clamp(0, grid.high).to(torch.int16), grid, clip)
    step = lattice_step(lattice, grid, clip)
    pairs = torch.nn.functional.pad(x.reshape(*batch, -1), (0, math.prod(shape) % 2)).unflatten(-1, (2, -1))
    across, up = (pairs / expand_like(step, pairs) + dither * _cell(x)).unbind(-2)
    columns, rows = _nearest(across + grid.high / 2, up / ROW + grid.high / 2)
    values = torch.stack((columns, rows), dim=-2).clamp(0, grid.high)
    return Codes(values.to(torch.int16), grid, clip)


def undithered(codes: Codes, dither: torch.Tensor, lattice: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The estimate Q(x + z) − z, float32 of shape ``[*batch, *shape]``; arguments as for :func:`dithered`."""
    grid = codes.grid
    step = lattice_step(lattice, codes.grid, codes.clip)
    if lattice == "scalar":
        return grid.decode(codes.values.float() - dither, expand_like(codes.clip, codes.values))
    columns, rows = codes.values.float().unbind(-2)
    points = torch.stack((columns - _inward(rows), rows * ROW), dim=-2)
    middle = torch.tensor([[grid.high / 2], [grid.high / 2 * ROW]], dtype=torch.float32)
    flat = ((points - middle - dither * _cell(dither)) * expand_like(step, points)).flatten(-2)
    return flat[..., : math.prod(shape)].reshape(*codes.clip.shape, *shape)


def _cell(like: torch.Tensor) -> torch.Tensor:
    """Sides of the bricks, a half-brick apart from row to row, that tile the plane as hexagonal cells do."""
    return torch.tensor([[1.0], [ROW]], dtype=like.dtype)


def _inward(rows: torch.Tensor) -> torch.Tensor:
    """Even rows start a quarter step to the left, odd ones to the right."""
    return 0.25 - 0.5 * (rows % 2)


def _nearest(across: torch.Tensor, up: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Column and row of the nearest hexagonal point: the nearer of the best in an even and in an odd row."""
    candidates = []
    for parity in (0, 1):
        row = 2 * torch.round((up - parity) / 2) + parity
        column = torch.round(across + _inward(row))
        far = (across + _inward(row) - column).square() + (ROW * (up - row)).square()
        candidates.append((far, column, row))
    (even, column, row), (odd, other_column, other_row) = candidates
    return torch.where(odd < even, other_column, column), torch.where(odd < even, other_row, row)
