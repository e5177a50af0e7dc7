"""Where to clip: rules for the threshold s.

All rules share one signature: a tensor, a grid, a rounding, and ``batch_dims`` leading dimensions that each
get a clip of their own. They return a float32 tensor of shape ``x.shape[:batch_dims]``: a positive clip, 1
for a tensor of zeros (where any clip is exact) and NaN for one that holds NaN or infinity. They run under
``torch.func.vmap`` too; :func:`clip_for` is the front door that raises.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any

import torch
from scipy import optimize, special

from fqlab.errors import ConfigError, in_range, one_of, shown
from fqlab.quant.grids import Grid
from fqlab.quant.ranked import SMALL, ascending
from fqlab.quant.recursion import octav, octav_layers
from fqlab.quant.rows import detached, rows_of, usable
from fqlab.quant.searching import sweep

__all__ = ["RULES", "aciq_gauss", "aciq_laplace", "clip_for", "clips_for", "max_abs", "percentile"]


def max_abs(
    x: torch.Tensor, grid: Grid | None = None, rounding: str = "nearest", *, batch_dims: int = 0
) -> torch.Tensor:
    """Never clip: s = max|x|."""
    peak = rows_of(x, batch_dims).abs().amax(-1)
    return usable(peak, peak)


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
    return detached(partial(_percentile, share=share), rows_of(x, batch_dims))


def _percentile(rows: torch.Tensor, share: float) -> torch.Tensor:
    size = ascending(rows.abs())
    place = share / 100 * (size.shape[-1] - 1)
    low = math.floor(place)
    high = math.ceil(place)
    return usable(torch.lerp(size[:, low], size[:, high], place - low), size[:, -1])


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
    rows = rows_of(x, batch_dims)
    # In double precision the spread of a constant tensor is exactly 0.
    scale = rows.double().std(-1, correction=0)
    return usable((scale * _gauss_constant(grid.noise(rounding))).float(), rows.abs().amax(-1))


def aciq_laplace(x: torch.Tensor, grid: Grid, rounding: str = "nearest", *, batch_dims: int = 0) -> torch.Tensor:
    """ACIQ for a Laplace law: s = b·W(1/c) with W Lambert's function and b = E|X − E X|.

    With c = 4^−B/3 this is the closed form b·W(3·4^B) of the published constants (5.02864014 b at 4 bits).
    The law is taken to be centred at 0, as weights are.
    """
    rows = rows_of(x, batch_dims)
    wide = rows.double()
    scale = wide.sub_(wide.mean(-1, keepdim=True)).abs_().mean(-1)
    constant = float(special.lambertw(1 / grid.noise(rounding)).real)
    return usable((scale * constant).float(), rows.abs().amax(-1))


LITTLE = 3 * 2**14
"""A layer of all clients with up to so many values is done before the calls that it takes, so that stacking pays."""

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
    extra = {"level_aware": level_aware} if rule == "octav" else {}
    clip = RULES[rule](x, grid, rounding, batch_dims=batch_dims, **extra)
    if check and not bool(clip.isfinite().all()):
        raise ConfigError("x holds NaN or infinity, but a clip needs finite values.")
    return clip


def clips_for(
    rule: str,
    layers: Mapping[str, torch.Tensor],
    grids: Mapping[str, Grid],
    rounding: str = "nearest",
    *,
    batch_dims: int = 0,
    level_aware: bool = True,
    check: bool = True,
) -> dict[str, torch.Tensor]:
    """:func:`clip_for` each of ``layers``, with OCTAV of the small ones that share a grid in one call.

    Args:
        layers: tensors by name; the ``batch_dims`` leading dimensions are clients.
        grids: a grid for each name.

    Raises:
        ConfigError: as :func:`clip_for`, naming the layer.
    """
    one_of("clip", rule, RULES)
    stacks: dict[object, list[str]] = {}
    for name, x in layers.items():
        small = rule == "octav" and x.numel() <= LITTLE and x.shape[batch_dims:].numel() <= SMALL
        stacks.setdefault((grids[name], x.shape[:batch_dims]) if small else name, []).append(name)
    chosen: dict[str, torch.Tensor] = {}
    for names in stacks.values():
        members = [layers[name] for name in names]
        grid = grids[names[0]]
        if len(members) > 1:
            clips = octav_layers(members, grid, rounding, batch_dims=batch_dims, level_aware=level_aware)
        else:
            how: dict[str, Any] = dict(batch_dims=batch_dims, level_aware=level_aware, check=False)
            clips = [clip_for(rule, members[0], grid, rounding, **how)]
        chosen.update(zip(names, clips, strict=True))
    for name in layers if check else ():
        if not bool(chosen[name].isfinite().all()):
            raise ConfigError(f"layer {shown(name)} holds NaN or infinity, but a clip needs finite values.")
    return {name: chosen[name] for name in layers}
