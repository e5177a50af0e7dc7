"""Quantize to integer codes and back. Codes are a type of their own: nobody averages them by accident."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch

from fqlab.errors import ConfigError, one_of
from fqlab.quant.grids import ROUNDINGS, Grid
from fqlab.tensors import dense_real, expand_like

__all__ = ["Codes", "stack_alike", "quantize", "stochastic_round", "mse_parts", "grid_index", "tiles"]

TILE = 3 * 2**13
"""Values worked on at a time: 96 KiB as float32, and too few for PyTorch to wake another thread for each operation."""


@dataclass(frozen=True, eq=False)
class Codes:
    """Integer codes on a grid.

    Attributes:
        values: int16 codes in ``[grid.low, grid.high]``, any shape.
        grid: the grid.
        clip: float32 clipping thresholds; its shape is the leading (batch) part of ``values.shape``.
    """

    values: torch.Tensor
    grid: Grid
    clip: torch.Tensor

    @property
    def shape(self) -> torch.Size:
        """Shape of the tensor the codes stand for."""
        return self.values.shape

    def dequantize(self) -> torch.Tensor:
        """The levels the codes stand for: float32, shape of ``values``."""
        return self.grid.decode(self.values, expand_like(self.clip, self.values))

    def __getitem__(self, index: int) -> Codes:
        """The codes of one member of the batch."""
        return Codes(self.values[index], self.grid, self.clip[index])

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Codes)
            and self.grid == other.grid
            and torch.equal(self.values, other.values)
            and torch.equal(self.clip, other.clip)
        )


def stack_alike(codes: Iterable[Codes]) -> list[Codes]:
    """Codes of equal shape on equal grids stacked into batches, in the order in which such a kind first comes."""
    kinds: dict[object, list[Codes]] = {}
    for one in codes:
        kinds.setdefault((one.grid, one.shape), []).append(one)
    stack = lambda some: Codes(torch.stack([c.values for c in some]), some[0].grid, torch.stack([c.clip for c in some]))
    return [stack(group) for group in kinds.values()]


def tiles(rows: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Parts of a matrix ``[rows, width]`` that stay in a core's cache from one operation to the next.

    Each is some whole rows or a piece of one. Elementwise work on a large tensor, done a part at a time, takes
    neither the memory of its intermediate results nor the time to fetch them.
    """
    tall = max(1, TILE // max(1, width))
    for top in range(0, rows, tall):
        for left in range(0, width, TILE):
            yield slice(top, top + tall), slice(left, left + TILE)


def grid_index(x: torch.Tensor, clip: torch.Tensor, grid: Grid) -> torch.Tensor:
    """Where ``x`` lies on the grid's ladder after clipping: a fractional code in ``[grid.low, grid.high]``.

    ``clip`` broadcasts against ``x``; where it is 0 every code stands for 0.
    """
    step = grid.step(clip)
    place = (x / torch.where(step == 0, 1.0, step)).add_(grid.offset)
    return torch.clamp(place, grid.low, grid.high)


def stochastic_round(x: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Round up with probability f = frac(x): E[result] = x, variance f(1−f) (QSGD; Suresh et al. 2017).

    Whole numbers stay as they are.

    Args:
        x: values in units of the step.
        noise: independent uniform draws from [0, 1), shape of ``x``.
    """
    below = torch.floor(x)
    # floor(x + noise) would not do: in float32 255 + 0.999999 is 256.
    return torch.ceil(x - below - noise).add_(below)


def quantize(
    x: torch.Tensor,
    clip: torch.Tensor | float,
    grid: Grid,
    rounding: str = "nearest",
    generator: torch.Generator | None = None,
    *,
    batch_dims: int = 0,
    noise: torch.Tensor | None = None,
) -> Codes:
    """Clip ``x`` to the grid's range and round it to codes.

    Nearest rounding breaks ties to even codes. Stochastic rounding is unbiased for the *clipped* value. On
    the two's-complement grid the top level is clip − Δ, one step short.

    Args:
        x: float tensor.
        clip: threshold s, a number or a tensor of shape ``x.shape[:batch_dims]``; 0 makes every value 0.
        grid: levels.
        rounding: ``"nearest"`` or ``"stochastic"``.
        generator: source of the stochastic draws; required for ``"stochastic"``.
        batch_dims: leading dimensions that have a clip of their own.
        noise: uniform [0, 1) draws that broadcast to the shape of ``x``, instead of a generator.

    Raises:
        ConfigError: for an unknown rounding, a missing generator, NaN in ``x``, or a clip that is negative,
            not finite or of another shape, or an ``x`` that is sparse, complex or without data.
    """
    one_of("rounding", rounding, ROUNDINGS)
    dense_real("x", x)
    if rounding == "stochastic" and generator is None and noise is None:
        raise ConfigError("generator is None, but stochastic rounding needs a torch.Generator.")
    clip = _checked(torch.as_tensor(clip, dtype=torch.float32), x.shape[:batch_dims])
    if rounding == "stochastic" and noise is None:
        noise = torch.rand(x.shape, dtype=torch.float32, generator=generator)
    shape = (clip.numel(), x.shape[batch_dims:].numel())
    rows = x.detach().reshape(shape)
    clips = clip.reshape(-1, 1)
    draws = noise.expand(x.shape).reshape(shape) if noise is not None and rounding == "stochastic" else None
    codes = torch.empty(shape, dtype=torch.int16, device=x.device)
    for rank, part in tiles(*shape):
        place = grid_index(rows[rank, part], clips[rank], grid)
        if math.isnan(place.sum().item()):
            raise ConfigError("x holds NaN, but no level stands for that.")
        codes[rank, part] = torch.round(place) if draws is None else stochastic_round(place, draws[rank, part])
    return Codes(codes.reshape(x.shape), grid, clip)


def _checked(clip: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """``clip`` of shape ``shape``, one number for all allowed."""
    if clip.dim() and clip.shape != shape:
        got = tuple(clip.shape)
        want = tuple(shape)
        raise ConfigError(f"clip has shape {got}, but must be one number or of shape {want}.")
    if not bool(((clip >= 0) & clip.isfinite()).all()):
        raise ConfigError(f"clip is {clip.tolist()}, but must be finite and 0 or more.")
    return clip.expand(shape)


def mse_parts(x: torch.Tensor, codes: Codes) -> tuple[float, float]:
    """Mean squared error split into its granular and clipping (overload) parts.

    A value counts as clipped when it lies beyond the outermost level. The two parts add up to the MSE.

    Returns:
        ``(granular, clipping)``, in squared units of ``x``; 0 where there are no values.
    """
    x = dense_real("x", x).detach().float()
    clip = expand_like(codes.clip, x)
    outside = (x < clip * codes.grid.bottom) | (x > clip * codes.grid.top)
    squares = (x - codes.dequantize()).double().square_()
    whole = float(squares.sum())
    clipping = float(squares.masked_fill_(~outside, 0).sum())
    return (whole - clipping) / max(1, x.numel()), clipping / max(1, x.numel())
