"""EDEN (Vargaftik et al., ICML 2022): the best levels for a normal law, and the scale that makes them unbiased.

For vectors whose entries look like draws of a normal law of mean 0, as after a random rotation
(:mod:`fqlab.quant.rotation`). One bit is DRIVE (NeurIPS 2021).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from scipy.special import ndtr, ndtri

from fqlab.errors import ConfigError, in_range
from fqlab.quant.codes import Codes
from fqlab.quant.grids import Grid
from fqlab.tensors import dense_real, expand_like

__all__ = ["eden_decode", "eden_encode", "eden_nmse", "lloyd_max"]


@lru_cache(maxsize=8)
def lloyd_max(bits: int) -> tuple[float, ...]:
    """The 2^bits levels of least mean squared error for N(0, 1), rising (Lloyd 1957; Max 1960).

    A level is the mean of its cell and a border the middle of two levels; the two are set in turn until they stay.
    """
    in_range("bits", bits, 1, 8, integer=True)
    # Many levels lie as dense as the cube root of the density, which is that of N(0, 3): start there.
    levels = math.sqrt(3) * ndtri((np.arange(2**bits) + 0.5) / 2**bits)
    for _ in range(20_000):
        new = _cell_means(levels)
        if np.abs(new - levels).max() < 1e-13:
            break
        levels = new
    return tuple(((levels - levels[::-1]) / 2).tolist())


def _borders(levels: np.ndarray) -> np.ndarray:
    return np.concatenate([[-np.inf], (levels[1:] + levels[:-1]) / 2, [np.inf]])


def _cell_means(levels: np.ndarray) -> np.ndarray:
    """E[X | X in cell] of a standard normal X, for each level's cell."""
    borders = _borders(levels)
    density = np.exp(-(borders**2) / 2) / math.sqrt(2 * math.pi)
    return -np.diff(density) / np.diff(ndtr(borders))


def eden_nmse(bits: int) -> float:
    """E‖x̂ − x‖²/‖x‖² of the unbiased estimate of a long vector: D/(1 − D), D the distortion of :func:`lloyd_max`.

    ⟨Rx, c⟩ tends to (1 − D)‖x‖²/S for levels that are the means of their cells, so that x̂ is 1/(1 − D) times the
    biased estimate of least error.
    """
    levels = np.array(lloyd_max(bits))
    power = float((np.diff(ndtr(_borders(levels))) * levels**2).sum())  # 1 − D
    return (1 - power) / power


def eden_encode(x: torch.Tensor, bits: int) -> Codes:
    """Codes of rotated vectors ``[..., n]``: the number of the nearest level, the clip being EDEN's scale.

    The scale S = ‖x‖²/⟨x, c⟩, with c the levels of the entries, makes S·c unbiased over random rotations (EDEN,
    Theorem 2.1); it is 0 for a vector of zeros. What the codes stand for is :func:`eden_decode`'s to say, not the
    grid's.
    """
    if not x.dim():
        raise ConfigError("x is a single number, but must be a vector, or vectors [..., n].")
    x = dense_real("x", x).detach().float().contiguous()
    levels = torch.tensor(lloyd_max(bits), dtype=torch.float32)
    # In double precision: the squares of 1e-22 and of 1e20 are 0 and infinite in single.
    length = torch.linalg.vector_norm(x, dim=-1, dtype=torch.float64)
    root = (length / math.sqrt(max(1, x.shape[-1]))).float()
    values = torch.bucketize(x / torch.where(root > 0, root, 1.0).unsqueeze(-1), (levels[1:] + levels[:-1]) / 2)
    along = (x * levels[values]).sum(-1)
    scale = torch.where(along > 0, length.square() / along, 0.0)
    return Codes(values.to(torch.int16), Grid(bits), scale.float())


def eden_decode(codes: Codes) -> torch.Tensor:
    """S·c: float32, shape of the codes, still rotated."""
    levels = torch.tensor(lloyd_max(codes.grid.bits), dtype=torch.float32)
    return levels[codes.values.long()] * expand_like(codes.clip, codes.values)
