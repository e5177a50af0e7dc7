"""Numbers of OCTAV and ACIQ, from quantiles of the exact laws instead of random samples."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch

from fqlab.federation import Experiment, fit
from fqlab.quant import Grid, aciq_gauss, aciq_laplace, clip_for, expected_mse, octav, quantize, sweep
from fqlab.wire.entropy import entropy

__all__ = [
    "aciq_clip", "coded_bits", "coded_mse", "digits_layers", "excess", "gain_over_max_abs", "laplace",
    "layer_clip", "layer_mse", "layers_experiment",
    "level_aware_excess", "normal", "octav_clip", "sweep_over_octav",
]  # fmt: skip


@lru_cache(maxsize=4)
def normal(n: int = 1_000_000) -> torch.Tensor:
    """Midpoint quantiles of a standard normal law."""
    p = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    return torch.special.ndtri(p).float()


@lru_cache(maxsize=4)
def laplace(n: int = 1_000_000) -> torch.Tensor:
    """Midpoint quantiles of the Laplace law with b = 1."""
    p = (torch.arange(n, dtype=torch.float64) + 0.5) / n - 0.5
    return (-p.sign() * torch.log1p(-2 * p.abs())).float()


def layers_experiment(seed: int = 0) -> Experiment:
    """Ten federated rounds of the digits network in full precision."""
    shared: dict[str, Any] = dict(model="mlp", lr=0.3, batch_size=32, rounds=10, clients=10, engine="vectorized")
    return Experiment(method="fedavg", seed=seed, **shared)


@lru_cache(maxsize=4)
def digits_layers(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """The two layers that :func:`layers_experiment` ends with."""
    first, second = (w for w in fit(layers_experiment(seed)).weights.values() if w.dim() > 1)
    return first, second


def layer_mse(seed: int, layer: int, clip: float, bits: int = 4) -> float:
    """Squared error in σ² of a layer, 0 or 1, clipped at ``clip`` σ, on OCTAV's grid."""
    w = digits_layers(seed)[layer].flatten()
    return float(expected_mse(w / w.std(correction=0), torch.tensor(clip), Grid(bits, "octav")))


def layer_clip(seed: int, layer: int, bits: int = 4) -> float:
    """OCTAV's clip of a layer, in σ."""
    w = digits_layers(seed)[layer].flatten()
    return float(octav(w / w.std(correction=0), Grid(bits, "octav")))


LAWS = {"normal": normal, "laplace": laplace}


def octav_clip(law: str, bits: int = 4, iterations: int = 0) -> float:
    """OCTAV's clip of a standard normal or a Laplace law (b = 1) on its own grid; 0 iterations are enough of them."""
    return float(octav(LAWS[law](), Grid(bits, "octav"), iterations=iterations))


def aciq_clip(law: str) -> float:
    """ACIQ's clip of the same laws at 4 bits."""
    rule = {"normal": aciq_gauss, "laplace": aciq_laplace}[law]
    return float(rule(LAWS[law](), Grid(4, "octav")))


def excess(rounding: str, level_aware: bool) -> float:
    """Percent by which the MSE of OCTAV's clip exceeds the lowest, narrow grid, 2 bits."""
    x = normal(200_000)
    grid = Grid(2, "narrow")
    mse = lambda s: float(expected_mse(x, torch.as_tensor(s), grid, rounding))
    best = min(mse(s) for s in torch.linspace(0.9, 1.5, 121).tolist())
    return 100 * (mse(octav(x, grid, rounding, level_aware=level_aware)) / best - 1)


def level_aware_excess() -> float:
    """The same with the constant of the grid and the rounding; the worse of the two roundings."""
    return max(excess(rounding, level_aware=True) for rounding in ("nearest", "stochastic"))


def million(seed: int) -> torch.Tensor:
    """A million standard normal draws."""
    return torch.randn(10**6, generator=torch.Generator().manual_seed(seed))


def gain_over_max_abs(seed: int) -> float:
    """How many times smaller the 4-bit error of a million normal weights is with OCTAV's clip than with max-abs."""
    x = million(seed)
    grid = Grid(4)
    wide, tight = (expected_mse(x, clip_for(rule, x, grid), grid) for rule in ("max_abs", "octav"))
    return float(wide / tight)


def _coded(seed: int, rule: str, bits: int) -> tuple[float, float]:
    """Entropy of a mid-rise code of a million normal weights, in bits, and its MSE."""
    x = million(seed)
    grid = Grid(bits)
    clip = clip_for(rule, x, grid)
    return entropy(quantize(x, clip, grid)), float(expected_mse(x, clip, grid))


def coded_bits(seed: int, rule: str, bits: int) -> float:
    """Bits a weight of a code with that clip rule, entropy coded."""
    return _coded(seed, rule, bits)[0]


def coded_mse(seed: int) -> float:
    """MSE of the 4-bit max-abs code over that of the 3-bit OCTAV code."""
    return _coded(seed, "max_abs", 4)[1] / _coded(seed, "octav", 3)[1]


def sweep_over_octav() -> float:
    """Clip of lowest MSE over OCTAV's: normal weights, 1 % of them at 11 σ, three levels."""
    x = normal(10_000).clone()
    grid = Grid(2, "narrow")
    x[::100] = 11 * x[::100].sign()
    return float(sweep(x, grid) / octav(x, grid))
