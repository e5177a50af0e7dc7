"""Sign-magnitude weights as stacks of bits (BSQ, Yang et al. 2021; FedMPQ, Chen & Vikalo 2024).

A b-bit code v of the ``sign_magnitude`` grid is a sign and b planes: |v| = Σ_i 2^i B_i, plane 0 the LSB,
plane b−1 the MSB. A plane that is zero for a whole layer can be cut off without changing a single weight.
"""

from __future__ import annotations

import torch

from fqlab.errors import ConfigError, in_range, shown
from fqlab.quant.codes import Codes
from fqlab.quant.grids import Grid

__all__ = [
    "magnitudes", "to_planes", "from_planes", "plane_density", "msb_density", "prune_msb", "narrow_bits", "group_lasso",
    "zero_bits",
]  # fmt: skip


def magnitudes(codes: Codes) -> torch.Tensor:
    """|v| of codes on the ``sign_magnitude`` grid: int32, their shape.

    Raises:
        ConfigError: for another grid.
    """
    if codes.grid.kind != "sign_magnitude":
        raise ConfigError(f"grid is {shown(codes.grid.kind)}, but bit planes need 'sign_magnitude'.")
    return codes.values.to(torch.int32).abs()


def to_planes(codes: Codes) -> tuple[torch.Tensor, torch.Tensor]:
    """Binary digits of the magnitudes and the signs.

    Returns:
        ``(planes, sign)``: bool planes ``[bits, *shape]`` with plane 0 the LSB, and int16 signs −1, 0, 1.
    """
    magnitude = magnitudes(codes)
    planes = torch.stack([(magnitude >> i) & 1 for i in range(codes.grid.bits)]).bool()
    return planes, codes.values.sign()


def from_planes(planes: torch.Tensor, sign: torch.Tensor, clip: torch.Tensor) -> Codes:
    """Inverse of :func:`to_planes`."""
    bits = planes.shape[0]
    weight = (2 ** torch.arange(bits, dtype=torch.int16)).reshape((bits,) + (1,) * sign.dim())
    return Codes((planes * weight).sum(0, dtype=torch.int16) * sign, Grid(bits, "sign_magnitude"), clip)


def _presence(codes: Codes, saturate: bool, batch_dims: int) -> torch.Tensor:
    """Share of weights that would use plane i once the planes above it are gone: ``[bits, *batch]``."""
    magnitude = magnitudes(codes)
    uses = [magnitude >= 2**i if saturate else ((magnitude >> i) & 1).bool() for i in range(codes.grid.bits)]
    return torch.stack([_share(u, batch_dims) for u in uses])


def _share(uses: torch.Tensor, batch_dims: int) -> torch.Tensor:
    """Share of true (or 1) entries of each member of the batch, float32 ``[*batch]``; 0 of none."""
    count = uses.shape[batch_dims:].numel()
    dims = tuple(range(batch_dims, uses.dim()))
    return (uses.sum(dims, dtype=torch.int64) if dims else uses.long()).to(torch.float32) / max(1, count)


def plane_density(codes: Codes, *, batch_dims: int = 0) -> torch.Tensor:
    """Share of ones in every plane: ``[bits, *batch]``, plane 0 the LSB."""
    return _presence(codes, False, batch_dims)


def msb_density(codes: Codes, *, batch_dims: int = 0) -> torch.Tensor:
    """δ(l), the share of a layer's weights whose most significant bit is 1 (FedMPQ); shape ``[*batch]``."""
    top = magnitudes(codes) >> codes.grid.bits - 1
    return _share(top, batch_dims)


def prune_msb(
    codes: Codes, epsilon: float, *, saturate: bool = True, once: bool = False, batch_dims: int = 0
) -> tuple[Codes, torch.Tensor]:
    """Drop the MSB plane while δ(l) ≤ ε and more than one bit is left (FedMPQ's pruning rule).

    The step size stays, so every weight that did not use a dropped plane keeps its value. The few that did
    saturate at the largest remaining magnitude (what BSQ's public threshold mode does); with
    ``saturate=False`` they lose the bit. The result is on the grid of the input, its upper planes empty:
    :func:`narrow_bits` makes it a narrower grid.

    Args:
        epsilon: ε in [0, 1].
        once: at most one plane.

    Returns:
        ``(codes, bits)``: pruned codes and the bit-width left, int64 of shape ``[*batch]``.
    """
    in_range("epsilon", epsilon, 0, 1)
    rare = (_presence(codes, saturate, batch_dims) <= epsilon).flip(0)
    dropped = rare.long().cumprod(0).sum(0).clamp(max=1 if once else codes.grid.bits - 1)
    bits = codes.grid.bits - dropped.clamp(max=codes.grid.bits - 1)
    largest = (2**bits - 1).reshape(bits.shape + (1,) * (codes.values.dim() - batch_dims))
    magnitude = magnitudes(codes)
    kept = torch.minimum(magnitude, largest) if saturate else magnitude & largest
    return Codes((kept * codes.values.sign()).to(torch.int16), codes.grid, codes.clip), bits


def narrow_bits(codes: Codes, bits: int) -> Codes:
    """The same weights on a grid of ``bits`` magnitude bits: s' = s(2^bits − 1)/(2^b − 1), so Δ is unchanged.

    Raises:
        ConfigError: if a code needs more than ``bits`` bits.
    """
    grid = Grid(bits, "sign_magnitude")
    largest = int(magnitudes(codes).max()) if codes.values.numel() else 0
    if largest > grid.high:
        raise ConfigError(f"bits is {shown(bits)}, but must be enough for the magnitude {largest}.")
    return Codes(codes.values, grid, codes.clip * (grid.high / codes.grid.high))


def group_lasso(planes: torch.Tensor, *, guard: float = 1e-8) -> torch.Tensor:
    """Σ_i ‖B_i‖₂ over the first dimension (BSQ, eq. 4); ``guard``, under the root, bounds the slope at 0.

    Args:
        planes: real-valued planes ``[bits, ...]``; BSQ stacks positive and negative part in one group.
    """
    return (planes.square().flatten(1).sum(1) + guard).sqrt().sum()


def zero_bits(codes: Codes) -> float:
    """Share of zeros among all magnitude bits of a tensor: the bit-level sparsity."""
    return 1.0 - float(plane_density(codes).mean())
