"""QSGD's range (Alistarh et al. 2017): the length of the whole vector instead of its largest entry.

With ``clip = ‖x‖₂`` the ``sign_magnitude`` grid of b bits is QSGD's quantizer with s = 2^b − 1 levels, and stochastic
rounding makes it unbiased: Q(x)_i = ‖x‖·sign(x_i)·ξ_i with ξ_i one of the two neighbours of |x_i|/‖x‖ on the ladder
0, 1/s, ..., 1. Nothing is ever clipped; on a long vector most entries round to 0.
"""

from __future__ import annotations

import math

import torch

from fqlab.quant.rows import rows_of

__all__ = ["norm"]


def norm(x: torch.Tensor, *, batch_dims: int = 0) -> torch.Tensor:
    """s = ‖x‖₂ of shape ``x.shape[:batch_dims]``: 1 for zeros, where any clip is exact, NaN for what is not finite.

    Raises:
        ConfigError: if there is no value.
    """
    # In double precision: the squares of 1e-22 and of 1e20 are 0 and infinite in single.
    size = torch.linalg.vector_norm(rows_of(x, batch_dims), dim=-1, dtype=torch.float64).float()
    return torch.where(size == 0, 1.0, torch.where(size.isfinite(), size, math.nan))
