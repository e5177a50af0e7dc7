"""How large is the error at a clip, and which of many clips has the smallest?"""

from __future__ import annotations

import math
from functools import partial

import torch
from torch.nn.functional import pad

from fqlab.errors import in_range, one_of
from fqlab.quant.codes import grid_index, tiles
from fqlab.quant.grids import ROUNDINGS, Grid
from fqlab.quant.ranked import Ranked
from fqlab.quant.rows import detached, rows_of, usable

__all__ = ["expected_mse", "sweep"]

LOOK_UPS = 2**13
"""Thresholds looked up at a time: more would take memory."""
TIE = 1e-13
"""Errors that differ by less, as a share of Σx², are equal: that is what the sums are exact to."""


def sweep(
    x: torch.Tensor, grid: Grid, rounding: str = "nearest", *, batch_dims: int = 0, points: int = 100
) -> torch.Tensor:
    """The best of ``points`` equally spaced clips in (0, max|x|], by measured (expected) MSE; of equals the smallest.

    The error of every clip is exact: values that go to one level lie side by side once they are sorted, and
    Σ(x − l)² over them is Σx² − 2lΣx + nl².
    """
    in_range("points", points, 1, integer=True)
    one_of("rounding", rounding, ROUNDINGS)
    return detached(partial(_sweep, grid=grid, rounding=rounding, points=points), rows_of(x, batch_dims))


def _sweep(rows: torch.Tensor, grid: Grid, rounding: str, points: int) -> torch.Tensor:
    ranked = Ranked(rows.clone())
    peak = torch.maximum(-ranked.values[:, :1], ranked.values[:, -1:])
    clips = torch.stack([peak.squeeze(1) * (k / points) for k in range(1, points + 1)], 1)
    squares = partial(_nearest_squares if rounding == "nearest" else _stochastic_squares, ranked)
    at_once = max(1, LOOK_UPS // (len(rows) * grid.levels))
    totals = torch.cat([squares(_levels(grid, some)) for some in clips.split(at_once, 1)], 1)
    least = totals.amin(1, keepdim=True) + TIE * ranked.total(ranked.whole, power=2)
    best = torch.where(totals <= least, clips, math.inf).amin(1)
    return usable(best, peak.squeeze(1))


def _levels(grid: Grid, clips: torch.Tensor) -> torch.Tensor:
    """The levels of a grid at clips ``[rows, k]``: float64 ``[rows, k, levels]``, ascending."""
    codes = torch.arange(grid.low, grid.high + 1, dtype=torch.float64, device=clips.device)
    return clips.double().unsqueeze(-1) * ((codes - grid.offset) * grid.step(1.0))


def _cells(ranked: Ranked, edges: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What lies below each of ascending edges ``[rows, k, n]``, and Σ1 and Σx over the n + 1 cells that they cut."""
    below = torch.searchsorted(ranked.values, edges.float().flatten(1)).reshape(edges.shape)
    bounds = pad(below, (1, 1))
    bounds[..., -1] = ranked.size
    return below, bounds.diff(), ranked.total(bounds.flatten(1)).reshape(bounds.shape).diff()


def _nearest_squares(ranked: Ranked, levels: torch.Tensor) -> torch.Tensor:
    """Σ(x − l)² with l the nearest of ``levels`` ``[rows, k, n]``: ``[rows, k]``."""
    _, count, total = _cells(ranked, (levels[..., 1:] + levels[..., :-1]) / 2)
    return ranked.total(ranked.whole, power=2) + (levels * (levels * count - 2 * total)).sum(-1)


def _stochastic_squares(ranked: Ranked, levels: torch.Tensor) -> torch.Tensor:
    """Σ(h − x)(x − l) over the values between levels l and h, and Σ(x − l)² over those beyond the last."""
    below, count, total = _cells(ranked, levels)
    low, high = torch.cat([levels[..., :1], levels], -1), torch.cat([levels, levels[..., -1:]], -1)
    squares = (low + high) * total - low * high * count
    squares[..., [0, -1]] *= -1  # there l = h
    within = ranked.total(below[..., -1], power=2) - ranked.total(below[..., 0], power=2)
    return ranked.total(ranked.whole, power=2) - 2 * within + squares.sum(-1)


def expected_mse(
    x: torch.Tensor, clip: torch.Tensor, grid: Grid, rounding: str = "nearest", *, batch_dims: int = 0
) -> torch.Tensor:
    """Mean squared quantization error, over the draws too if rounding is stochastic: float64.

    In double precision neither values of 1e-30 nor of 1e30 get lost when they are squared.

    Args:
        clip: thresholds of shape ``x.shape[:batch_dims]``, which is also the shape of the result.

    Raises:
        ConfigError: for an unknown rounding, or if there is no value.
    """
    one_of("rounding", rounding, ROUNDINGS)
    rows = rows_of(x, batch_dims).reshape(-1, x.shape[batch_dims:].numel())
    wide = clip.expand(x.shape[:batch_dims]).reshape(-1, 1)
    total = torch.zeros(len(rows), dtype=torch.float64, device=x.device)
    for rank, part in tiles(*rows.shape):
        total[rank] += _squares(rows[rank, part], wide[rank], grid, rounding).sum(-1)
    return (total / rows.shape[1]).reshape(x.shape[:batch_dims])


def _squares(x: torch.Tensor, clip: torch.Tensor, grid: Grid, rounding: str) -> torch.Tensor:
    place = grid_index(x, clip, grid)
    if rounding == "nearest":
        return (x - grid.decode(torch.round(place), clip)).double().square()
    fraction = place - torch.floor(place)
    granular = grid.step(clip).double().square() * (fraction * (1 - fraction))
    return granular + (x - grid.decode(place, clip)).double().square()
