"""Where to clip: rules for the threshold s.

All rules share one signature: a tensor, a grid, a rounding, and ``batch_dims`` leading dimensions that each
get a clip of their own. They return a float32 tensor of shape ``x.shape[:batch_dims]``: a positive clip, 1
for a tensor of zeros (where any clip is exact) and NaN for one that holds NaN or infinity. They look at no
value to decide anything in Python, so they run under ``torch.func.vmap``; :func:`clip_for` is the front door
that raises.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import torch
from scipy import optimize, special

from fqlab.errors import ConfigError, in_range, one_of
from fqlab.quant.codes import expand_like, grid_index
from fqlab.quant.grids import ROUNDINGS, Grid

__all__ = [
    "RULES", "clip_for", "expected_error", "max_abs", "percentile", "aciq_gauss", "aciq_laplace", "octav",
    "octav_step", "octav_update", "sweep",
]  # fmt: skip


def _rows(x: torch.Tensor, batch_dims: int) -> torch.Tensor:
    """``x`` as float32 of shape ``[*batch, n]``."""
    return x.detach().to(torch.float32).reshape(x.shape[:batch_dims] + (-1,))


def _usable(clip: torch.Tensor, peak: torch.Tensor) -> torch.Tensor:
    """``clip`` where positive and finite, else max|x|; 1 if all values are zero, NaN if one is not finite."""
    fallback = torch.where(peak == 0, 1.0, torch.where(peak.isfinite(), peak, math.nan))
    return torch.where((clip > 0) & clip.isfinite() & peak.isfinite(), clip, fallback)


def max_abs(
    x: torch.Tensor, grid: Grid | None = None, rounding: str = "nearest", *, batch_dims: int = 0
) -> torch.Tensor:
    """Never clip: s = max|x|."""
    peak = _rows(x, batch_dims).abs().amax(-1)
    return _usable(peak, peak)


def percentile(
    x: torch.Tensor,
    grid: Grid | None = None,
    rounding: str = "nearest",
    *,
    batch_dims: int = 0,
    share: float = 99.9,
) -> torch.Tensor:
    """The ``share``-th percentile of |x| (0-100); the sort-based rule of static calibration."""
    in_range("share", share, 0, 100)
    size = _rows(x, batch_dims).abs().sort(-1).values
    place = share / 100 * (size.shape[-1] - 1)
    low, high = math.floor(place), math.ceil(place)
    clip = torch.lerp(size[..., low], size[..., high], place - low)
    return _usable(clip, size[..., -1])


@lru_cache(maxsize=256)
def _gauss_constant(noise: float) -> float:
    """Minimiser of c·s² + E(|X|−s)₊² for a standard normal X: c·s = E(|X|−s)₊."""
    excess = lambda s: math.sqrt(2 / math.pi) * math.exp(-s * s / 2) - s * special.erfc(s / math.sqrt(2))
    return float(optimize.brentq(lambda s: noise * s - excess(s), 0.0, 20.0, xtol=1e-14))  # type: ignore[arg-type]


def aciq_gauss(x: torch.Tensor, grid: Grid, rounding: str = "nearest", *, batch_dims: int = 0) -> torch.Tensor:
    """ACIQ for a Gaussian (Banner et al. 2019): granular noise charged to every sample.

    On the ``octav`` grid these are the published constants (2.55913646 σ at 4 bits); σ is the standard
    deviation. The law is taken to be centred at 0, as weights are.
    """
    rows = _rows(x, batch_dims)
    # In double precision the spread of a constant tensor is exactly 0.
    scale = rows.double().std(-1, correction=0)
    return _usable((scale * _gauss_constant(grid.noise(rounding))).float(), rows.abs().amax(-1))


def aciq_laplace(x: torch.Tensor, grid: Grid, rounding: str = "nearest", *, batch_dims: int = 0) -> torch.Tensor:
    """ACIQ for a Laplace law: s = b·W(1/c) with W Lambert's function and b = E|X − E X|.

    With c = 4^−B/3 this is the closed form b·W(3·4^B) of the published constants (5.02864014 b at 4 bits).
    The law is taken to be centred at 0, as weights are.
    """
    rows = _rows(x, batch_dims)
    wide = rows.double()
    scale = (wide - wide.mean(-1, keepdim=True)).abs().mean(-1)
    constant = float(special.lambertw(1 / grid.noise(rounding)).real)
    return _usable((scale * constant).float(), rows.abs().amax(-1))


def octav_update(tail: torch.Tensor, outside: torch.Tensor, inside: torch.Tensor, noise: float) -> torch.Tensor:
    """OCTAV's Newton update from moments (Sakr et al. 2022, eq. 5): E[|x|; |x|>s] / (c·P(|x|≤s) + P(|x|>s)).

    Args:
        tail: sum (or expectation) of |x| over the values beyond s.
        outside, inside: number (or probability) of values beyond and within s.
        noise: c, granular noise variance over s².
    """
    return tail / (noise * inside + outside)


def octav_step(x: torch.Tensor, clip: torch.Tensor, noise: float, top: float = 1.0) -> torch.Tensor:
    """One step of OCTAV (eq. 6) on values ``x`` of shape ``[*batch, n]``; zeros are taken to be exact.

    On a grid whose top level is only ``top``·s (two's complement) a large positive value errs by x − top·s;
    the same Newton step then weighs that side with ``top`` and ``top``². This is our extension, with top = 1
    it is the paper's.
    """
    size = x.abs()
    return _step(x, size, size.sign().sum(-1), clip, noise, top)


def _step(
    x: torch.Tensor, size: torch.Tensor, noisy: torch.Tensor, clip: torch.Tensor, noise: float, top: float
) -> torch.Tensor:
    """:func:`octav_step`, given |x| and the number of values that carry noise unless they are clipped."""
    if top == 1.0:
        excess = (size - clip.unsqueeze(-1)).relu()
        beyond = excess.sum(-1)
        outside = excess.sign().sum(-1)  # quicker than a comparison: booleans are slow on CPUs
        return octav_update(beyond + clip * outside, outside, noisy - outside, noise)
    reach = torch.where(x > 0, top, 1.0)
    clipped = (size > reach * clip.unsqueeze(-1)).to(size.dtype)
    weight = clipped * reach
    return octav_update((size * weight).sum(-1), weight.square().sum(-1), noisy - clipped.sum(-1), noise)


def _noise_model(grid: Grid, rounding: str, level_aware: bool) -> tuple[float, float, float]:
    """What the recursion believes of the grid: c, the top level over s, a zero's squared error over c·s²."""
    if not level_aware:
        return 4.0**-grid.bits / 3, 1.0, 0.0
    if grid.kind == "midrise":
        noise = 1.0 if grid.bits == 1 else grid.noise(rounding)  # on ±s, stochastic rounding errs by s² − x²
        return noise, 1.0, (grid.step(1.0) / 2) ** 2 / noise
    return grid.noise(rounding), grid.high / -grid.low if grid.low else 1.0, 0.0


def octav(
    x: torch.Tensor,
    grid: Grid,
    rounding: str = "nearest",
    *,
    batch_dims: int = 0,
    iterations: int = 0,
    level_aware: bool = True,
) -> torch.Tensor:
    """MSE-optimal clip by OCTAV's fixed-point recursion (Sakr et al. 2022, Theorem 3.1).

    Starts at the mean of the nonzero |x|. The paper's constant c = 4^−B/3 belongs to the grid with step
    2s/2^B and nearest rounding; ``level_aware`` takes c from the grid and the rounding instead, and knows of
    two's complement's short upper side and of mid-rise having no zero. Its MSE is within 2 % of the best
    clip's on every grid at 2-8 bits, with either rounding, for Gaussian and Laplacian values. On the one-bit
    mid-rise grid ±s, where nothing is granular, nearest rounding has the optimum s = E|x| (BWN).

    Args:
        iterations: updates; 0 for bits + 6, which reaches the fixed point to 1e-6. The paper's 10 are 0.5 %
            short at 8 bits.
        level_aware: False for the textbook constant on any grid (E|x| on one-bit mid-rise).

    The recursion can end in a tiny 2-cycle on finite samples (one value flips in and out), hence the fixed
    count; for constant |x| it jumps between |x| and 0, and the guard returns max|x|. On two's complement the
    clip may exceed max|x|, because the top level is one step short of it.
    """
    in_range("iterations", iterations, 0, integer=True)
    rows = _rows(x, batch_dims)
    size = rows.abs()
    peak = size.amax(-1)
    if grid.kind == "midrise" and grid.bits == 1 and (rounding == "nearest" or not level_aware):
        return _usable(size.mean(-1), peak)
    noise, top, zero = _noise_model(grid, rounding, level_aware)
    nonzero, total = size.sign().sum(-1), size.sum(-1)
    noisy = nonzero + zero * (size.shape[-1] - nonzero)
    clip = total / nonzero
    for _ in range(iterations or grid.bits + 6):
        clip = _step(rows, size, noisy, clip, noise, top)
    constant = total >= nonzero * peak * (1 - 1e-6)
    return _usable(torch.where(constant, peak, clip), peak)


def sweep(
    x: torch.Tensor, grid: Grid, rounding: str = "nearest", *, batch_dims: int = 0, points: int = 100
) -> torch.Tensor:
    """Brute force: the best of ``points`` equally spaced clips in (0, max|x|], by measured (expected) MSE."""
    in_range("points", points, 1, integer=True)
    rows = _rows(x, batch_dims)
    peak = rows.abs().amax(-1)
    best, lowest = peak.clone(), torch.full_like(peak, math.inf)
    for k in range(1, points + 1):
        clip = peak * (k / points)
        error = expected_error(rows, clip, grid, rounding, batch_dims=batch_dims)
        better = error < lowest
        best, lowest = torch.where(better, clip, best), torch.where(better, error, lowest)
    return _usable(best, peak)


def expected_error(
    x: torch.Tensor, clip: torch.Tensor, grid: Grid, rounding: str = "nearest", *, batch_dims: int = 0
) -> torch.Tensor:
    """Mean squared quantization error, over the draws too if rounding is stochastic.

    Args:
        clip: thresholds of shape ``x.shape[:batch_dims]``, which is also the shape of the result.
    """
    one_of("rounding", rounding, ROUNDINGS)
    wide = expand_like(clip, x)
    place = grid_index(x, wide, grid)
    if rounding == "nearest":
        error = (x - grid.decode(torch.round(place), wide)).square()
    else:
        fraction = place - torch.floor(place)
        error = (x - grid.decode(place, wide)).square() + grid.step(wide).square() * fraction * (1 - fraction)
    return error.reshape(x.shape[:batch_dims] + (-1,)).mean(-1)


RULES: dict[str, Callable[..., torch.Tensor]] = {
    "max_abs": max_abs,
    "percentile": percentile,
    "aciq_gauss": aciq_gauss,
    "aciq_laplace": aciq_laplace,
    "octav": octav,
    "sweep": sweep,
}


def clip_for(
    rule: str,
    x: torch.Tensor,
    grid: Grid,
    rounding: str = "nearest",
    *,
    batch_dims: int = 0,
    level_aware: bool = True,
    check: bool = True,
) -> torch.Tensor:
    """The clip of ``x`` by the rule named ``rule`` (a key of :data:`RULES`).

    Args:
        level_aware: for ``"octav"``, see there.
        check: raise if ``x`` holds NaN or infinity; without it the clip is NaN there (for
            ``torch.func.vmap``, which allows no look at the data, and for training, where a client that
            diverges is the guard's business).

    Raises:
        ConfigError: for an unknown rule, or if ``x`` is empty or not finite.
    """
    one_of("clip", rule, RULES)
    if x.numel() == 0:
        raise ConfigError(f"x has shape {tuple(x.shape)}, but a clip needs at least one value.")
    extra = {"level_aware": level_aware} if rule == "octav" else {}
    clip = RULES[rule](x, grid, rounding, batch_dims=batch_dims, **extra)
    if check and not bool(clip.isfinite().all()):
        raise ConfigError("x holds NaN or infinity, but a clip needs finite values.")
    return clip
