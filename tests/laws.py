"""Exact quantization errors of whole probability laws: the oracle that the tests of clips and grids share.

Everything follows from the partial moments ∫xᵏf(x)dx of a law, in double precision, and from the levels
written out once more by hand; nothing is taken from fqlab.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from scipy import optimize, special

__all__ = ["GAUSS", "LAPLACE", "LAWS", "Law", "levels", "mse", "best_clip", "mesh", "quantiles"]


@dataclass(frozen=True)
class Law:
    """A symmetric law with unit σ (Gauss) or unit b (Laplace)."""

    name: str

    def partial(self, x: np.ndarray) -> np.ndarray:
        """∫_{−∞}^x (1, t, t²) f(t) dt, shape ``[3, *x.shape]``; the limits are exact at ±∞."""
        x = np.asarray(x, dtype=np.float64)
        t = np.where(np.isinf(x), 0, x)
        if self.name == "gauss":
            density = np.where(np.isinf(x), 0, np.exp(-t * t / 2) / np.sqrt(2 * np.pi))
            below = special.ndtr(x)
            return np.stack([below, -density, below - t * density])
        tail = np.where(np.isinf(x), 0, np.exp(-np.abs(t)) / 2)
        up = np.stack([tail, tail * (t - 1), tail * (t * t - 2 * t + 2)])
        above = np.stack([tail, tail * (t + 1), tail * (t * t + 2 * t + 2)])
        whole = np.array([1.0, 0, 2]).reshape((3,) + (1,) * x.ndim)
        return np.where(x < 0, up, whole - above)

    def density(self, x: np.ndarray) -> np.ndarray:
        return np.exp(-x * x / 2) / np.sqrt(2 * np.pi) if self.name == "gauss" else np.exp(-np.abs(x)) / 2

    def between(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Moments of order 0, 1, 2 on (a, b)."""
        return self.partial(b) - self.partial(a)

    def tail(self, s: float) -> tuple[float, float]:
        """``(E|X|·1[|X|>s], P(|X|>s))``."""
        count, mass, _ = 2 * self.between(np.array(s), np.array(np.inf))
        return float(mass), float(count)

    def quantile(self, p: np.ndarray) -> np.ndarray:
        if self.name == "gauss":
            return special.ndtri(p)
        return np.where(p < 0.5, np.log(2 * np.minimum(p, 0.5)), -np.log(2 * np.minimum(1 - p, 0.5)))


GAUSS, LAPLACE = Law("gauss"), Law("laplace")
LAWS = {"gauss": GAUSS, "laplace": LAPLACE}


def levels(kind: str, bits: int) -> np.ndarray:
    """The ladder of each convention for s = 1, written out independently of fqlab."""
    n = 2**bits
    return {
        "midrise": np.linspace(-1, 1, n),
        "octav": np.linspace(-1, 1, n + 1),
        "twos_complement": np.linspace(-1, 1, n + 1)[:-1],
        "narrow": np.linspace(-1, 1, n - 1) if n > 2 else np.zeros(1),
        "sign_magnitude": np.linspace(-1, 1, 2 * n - 1),
    }[kind]


def nearest_mse(law: Law, ladder: np.ndarray) -> float:
    """E(X − Q(X))² for rounding to the nearest of ``ladder``."""
    edges = np.concatenate([[-np.inf], (ladder[1:] + ladder[:-1]) / 2, [np.inf]])
    zero, one, two = law.between(edges[:-1], edges[1:])
    return float((two - 2 * ladder * one + ladder**2 * zero).sum())


def stochastic_mse(law: Law, ladder: np.ndarray) -> float:
    """E(X − Q(X))² for stochastic rounding: (x−a)(b−x) between neighbours, (x−end)² beyond the ends."""
    a, b = ladder[:-1], ladder[1:]
    zero, one, two = law.between(a, b)
    inside = (-two + (a + b) * one - a * b * zero).sum()
    outside = 0.0
    for low, high, end in ((-np.inf, ladder[0], ladder[0]), (ladder[-1], np.inf, ladder[-1])):
        zero, one, two = law.between(np.array(low), np.array(high))
        outside += two - 2 * end * one + end**2 * zero
    return float(inside + outside)


def mse(law: Law, kind: str, bits: int, clip: float, rounding: str = "nearest") -> float:
    """Exact MSE of a whole law on a grid with threshold ``clip``."""
    return (nearest_mse if rounding == "nearest" else stochastic_mse)(law, clip * levels(kind, bits))


@cache
def best_clip(law: Law, kind: str, bits: int, rounding: str = "nearest") -> tuple[float, float]:
    """Brute force: ``(clip, MSE)`` of the best threshold, by a scan and SciPy's bounded minimiser."""
    scan = np.linspace(0.3, 14, 60)
    k = int(np.argmin([mse(law, kind, bits, s, rounding) for s in scan]))
    least = optimize.minimize_scalar(
        lambda s: mse(law, kind, bits, s, rounding),
        bounds=(scan[max(k - 1, 0)], scan[min(k + 1, len(scan) - 1)]),
        method="bounded",
        options={"xatol": 1e-10},
    )
    return float(least.x), float(least.fun)


@cache
def mesh(law: Law, n: int = 200_001) -> tuple[torch.Tensor, torch.Tensor]:
    """Values −25 ... 25 and their weights: Σ weight·g(value) is ∫ g f, to some 10⁻⁴ at 8 bits."""
    x = np.linspace(-25, 25, n)
    return torch.from_numpy(x).float(), torch.from_numpy(law.density(x) * (x[1] - x[0]))


@cache
def quantiles(law: Law, n: int = 200_000) -> torch.Tensor:
    """``n`` float32 values at equal steps of probability: a sample without sampling noise."""
    return torch.from_numpy(law.quantile((np.arange(n) + 0.5) / n)).float()
