"""Clip rules against closed forms, published constants and brute force over exact laws (see ``laws.py``)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, special

from fqlab.errors import ConfigError
from fqlab.quant import (
    KINDS,
    ROUNDINGS,
    RULES,
    Grid,
    aciq_gauss,
    aciq_laplace,
    clip_for,
    expected_mse,
    max_abs,
    octav,
    octav_step,
    octav_update,
    percentile,
    quantize,
    sweep,
)
from laws import GAUSS, LAPLACE, LAWS, Law, best_clip, levels, mesh, mse, quantiles

# Verified tables for σ = 1 (Gauss) and b = 1 (Laplace); columns by bit-width 1, 2, ... 8.
FIXED_POINTS = {
    "gauss": (1.31249272, 1.73883525, 2.16111708, 2.56209026, 2.93707005, 3.28716171, 3.61518309, 3.92405435),
    "laplace": (
        1.96226077,
        2.87373440,
        3.91329297,
        5.03409031,
        6.20650454,
        7.41365767,
        8.64577763,
        9.89680549,
    ),
}
ACIQ = {
    "gauss": (1.23990527, 1.71063517, 2.15159274, 2.55913646, 2.93620061, 3.28691422, 3.61511422, 3.92403549),
    "laplace": (
        1.86281686,
        2.83068299,
        3.89722946,
        5.02864014,
        6.20476633,
        7.41312621,
        8.64561998,
        9.89675977,
    ),
}
PUBLISHED_ACIQ = {
    "gauss": (1.71063519, 2.15159277, 2.55913646, 2.93620062, 3.28691474, 3.6151146, 3.92403714),
    "laplace": (2.83068299, 3.89722946, 5.02864014, 6.20476633, 7.41312622, 8.64561995, 9.89675982),
}
# Optimal clip and MSE: bits | midrise | two's complement | octav | narrow.
OPTIMA = {
    "gauss": """
2 1.493530 1.188461e-1 2.096771 1.494311e-1 1.685973 8.217766e-2 1.224006 1.901740e-1
3 2.051068 3.743966e-2 2.407297 4.063825e-2 2.135289 3.069586e-2 1.952309 4.685997e-2
4 2.514005 1.154288e-2 2.708864 1.186404e-2 2.551225 1.040498e-2 2.473879 1.288939e-2
5 2.916151 3.495211e-3 3.020676 3.525959e-3 2.932959 3.313317e-3 2.898728 3.693220e-3
6 3.277985 1.040045e-3 3.333742 1.042853e-3 3.285718 1.012028e-3 3.270115 1.069289e-3
7 3.611097 3.043328e-4 3.640790 3.045785e-4 3.614703 3.001355e-4 3.607461 3.086218e-4
8 3.922203 8.768619e-5 3.937994 8.770692e-5 3.923901 8.707108e-5 3.920502 8.830803e-5""",
    "laplace": """
2 2.306708 3.926045e-1 3.434068 4.139893e-1 2.897849 2.659948e-1 2.000000 5.284822e-1
3 3.617935 1.434956e-1 4.313082 1.439891e-1 3.925696 1.159837e-1 3.486401 1.661730e-1
4 4.889594 5.070195e-2 5.290821 5.052055e-2 5.039545 4.543191e-2 4.819915 5.479044e-2
5 6.137436 1.742644e-2 6.364556 1.738135e-2 6.208657 1.649184e-2 6.098037 1.817026e-2
6 7.380700 5.826861e-3 7.508468 5.819651e-3 7.414445 5.669082e-3 7.358588 5.959030e-3
7 8.629929 1.897194e-3 8.701570 1.896240e-3 8.646050 1.871441e-3 8.617835 1.919886e-3
8 9.889106 6.028407e-4 9.929115 6.027284e-4 9.896894 5.987415e-4 9.882651 6.066034e-4""",
}
# Mid-rise: bits, MSE at textbook clip, matched clip; stochastic: best clip, best MSE, textbook MSE, matched.
MIDRISE = {
    "gauss": """
2 1.283644e-1 1.560807 1.269961 1.766215e-1 2.313496e-1 1.348138
3 3.796218e-2 2.081111 1.827665 6.137409e-2 6.876723e-2 1.870180
4 1.157231e-2 2.525841 2.308838 1.994415e-2 2.119639e-2 2.327307
5 3.496868e-3 2.920457 2.728545 6.225841e-3 6.479122e-3 2.735633
6 1.040139e-3 3.279464 3.104587 1.889276e-3 1.946707e-3 3.107106
7 3.043382e-4 3.611584 3.449182 5.605220e-4 5.743617e-4 3.450031
8 8.768650e-5 3.922359 3.769824 1.631830e-4 1.666144e-4 3.770099""",
    "laplace": """
2 4.376741e-1 2.476680 1.912921 5.335413e-1 7.219422e-1 2.033318
3 1.463335e-1 3.705507 3.114821 2.164847e-1 2.479007e-1 3.182121
4 5.088456e-2 4.927212 4.331126 8.142759e-2 8.811404e-2 4.361573
5 1.743819e-2 6.151949 5.549221 2.910020e-2 3.076368e-2 5.561434
6 5.827622e-3 7.385926 6.774504 9.990193e-3 1.043974e-2 6.779037
7 1.897244e-3 8.631721 8.011503 3.315939e-3 3.441678e-3 8.013094
8 6.028440e-4 9.889697 9.261616 1.069419e-3 1.104904e-3 9.262151""",
}
BITS = range(2, 9)


def table(text: str) -> dict[int, list[float]]:
    """Rows by bit-width."""
    return {int(line.split()[0]): [float(v) for v in line.split()[1:]] for line in text.split("\n") if line}


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def iterate(law: Law, noise: float, updates: int, start: float | None = None) -> list[float]:
    """The library's update on the exact moments of a law, from E|X|."""
    trace = [law.tail(0.0)[0] if start is None else start]
    for _ in range(updates):
        tail, outside = law.tail(trace[-1])
        trace.append(octav_update(tail, outside, 1 - outside, noise))
    return trace


# --- the recursion on whole laws ------------------------------------------------------------------


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("bits", range(1, 9))
def test_fixed_points_of_the_recursion(name, bits):
    """Within 1e-6 of the published ones after 15 updates up to 6 bits, 20 at 7 and 8; so with bits + 6."""
    trace = iterate(LAWS[name], 4.0**-bits / 3, 20)
    want = FIXED_POINTS[name][bits - 1]
    assert trace[15 if bits <= 6 else 20] == pytest.approx(want, rel=1e-6)
    assert trace[bits + 6] == pytest.approx(want, rel=1e-6 if bits > 1 else 1e-5)


@pytest.mark.parametrize("bits", range(1, 9))
def test_fixed_points_solve_their_equations(bits):
    """Laplace: c·s(eˢ−1) = 1. Gauss: c·s·erf(s/√2) = √(2/π)e^(−s²/2) − s·erfc(s/√2)."""
    c = 4.0**-bits / 3
    s = iterate(LAPLACE, c, 60)[-1]
    assert c * s * math.expm1(s) == pytest.approx(1, rel=1e-9)
    s = iterate(GAUSS, c, 60)[-1]
    excess = math.sqrt(2 / math.pi) * math.exp(-s * s / 2) - s * math.erfc(s / math.sqrt(2))
    assert c * s * math.erf(s / math.sqrt(2)) == pytest.approx(excess, rel=1e-9)


@pytest.mark.parametrize("bits, want", [(2, 0.830479), (3, 0.907390), (4, 0.951447), (8, 0.996821)])
def test_uniform_values(bits, want):
    """s = 1/(1 + √(2c)) on [−1, 1]."""
    assert want == pytest.approx(1 / (1 + math.sqrt(2 * 4.0**-bits / 3)), abs=1e-6)
    x = (torch.arange(100_000) + 0.5) / 50_000 - 1
    assert float(octav(x, Grid(bits, "octav"), iterations=30)) == pytest.approx(want, rel=2e-4)


@pytest.mark.parametrize(
    "law, bits, start, want",
    [
        (GAUSS, 4, None, "0.7978846 1.3633589 1.8119746 2.1702233 2.4227785 2.5410195 2.5617069 2.5620934 "
                         "2.5620902"),
        (GAUSS, 4, 5.0, "5 0.0022826 0.7993364 1.3644748"),
        (GAUSS, 2, None, "0.7978846 1.3283115 1.6422823 1.7367661 1.7389616 1.7388273 1.7388357 1.7388352"),
        (GAUSS, 8, None, "0.797885 1.365752 1.825233 2.219209 2.568253 2.883603 3.171047 3.431049 3.655518 "
                         "3.822599 3.906335 3.923454 3.924054"),
        (LAPLACE, 4, None, "1 1.9955353 2.9709471 3.8774915 4.5945053 4.9617573 5.0323205 5.0340987 "
                           "5.0340903"),
    ],
)  # fmt: skip
def test_iteration_traces(law, bits, start, want):
    want = [float(v) for v in want.split()]
    digits = 1.5e-6 if bits == 8 else 1.5e-7
    assert iterate(law, 4.0**-bits / 3, len(want) - 1, start) == pytest.approx(want, abs=digits)


def test_traces_on_tensors_are_those_of_the_law():
    x = quantiles(GAUSS)
    trace = [float(octav(x, Grid(4, "octav"), iterations=k)) for k in range(1, 9)]
    assert trace == pytest.approx(iterate(GAUSS, 4.0**-4 / 3, 8)[1:], rel=1e-3)


# --- samples --------------------------------------------------------------------------------------

VECTOR = torch.tensor([-1, -0.5, 0, 0.25, 0.5, 2])


@pytest.mark.parametrize(
    "bits, second, fixed",
    [
        (2, 1.45454545, 24 / 13),
        (3, 1.48837209, 1.95918367),
        (4, 1.49707602, 1.98963731),
        (8, 1.49998856, 1.99995931),
    ],
)
def test_a_vector_done_by_hand(bits, second, fixed):
    """Starts at 0.85, the mean of the five nonzero sizes; the zero carries no noise."""
    grid = Grid(bits, "octav")
    assert float(octav(VECTOR, grid, iterations=1)) == pytest.approx(second, rel=1e-6)
    for iterations in (2, 5, 0):
        assert float(octav(VECTOR, grid, iterations=iterations)) == pytest.approx(fixed, rel=1e-6)
    step = lambda s: float(octav_step(VECTOR, torch.tensor(s), grid.noise()))
    assert step(0.85) == pytest.approx(second, rel=1e-6)
    assert (step(2.0), step(0.0)) == pytest.approx((0, 0.85))


def test_the_start_is_the_mean_of_what_is_not_zero():
    """From 3 only the 6 lies outside; the mean of all seven, 9/7, would have left the 2 outside as well."""
    x = torch.tensor([0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 6.0])
    assert float(octav(x, Grid(2, "octav"), iterations=1)) == pytest.approx(6 / (2 / 48 + 1))


@pytest.mark.parametrize(
    "draw, head, want, ten",
    [
        (lambda n: np.random.default_rng(0).standard_normal(n), (0.12573022, -0.13210486, 0.64042265),
         (1.740257, 2.163994, 2.565960, 2.940113, 3.289069, 3.619138, 3.925567), 3.909175),
        (lambda n: np.random.default_rng(1).laplace(size=n), (0.02392724, 2.31190229),
         (2.872507, 3.907267, 5.012064, 6.169899, 7.346024, 8.579988, 9.865102), 9.797372),
    ],
)  # fmt: skip
def test_a_million_draws(draw, head, want, ten):
    x = draw(10**6)
    assert x[: len(head)] == pytest.approx(head, abs=1e-8)
    x = torch.from_numpy(x).float()
    got = [float(octav(x, Grid(bits, "octav"))) for bits in BITS]
    assert got == pytest.approx(want, rel=2e-5)
    assert float(octav(x, Grid(8, "octav"), iterations=10)) == pytest.approx(ten, rel=1e-6)


@pytest.mark.parametrize(
    "bits, want", [(2, 1.75539963), (3, 2.19616104), (4, 2.60523378), (6, 3.31376901), (8, 4.17669798)]
)
def test_ten_thousand_draws_ten_updates_and_the_error_they_leave(bits, want):
    x = torch.from_numpy(np.random.default_rng(42).standard_normal(10**4)).float()
    clip = octav(x, Grid(bits), level_aware=False, iterations=10)
    assert float(clip) == pytest.approx(want, rel=1e-6)
    least = {2: 0.13203967, 4: 0.01198111}.get(bits)
    if least:
        codes = quantize(x, clip, Grid(bits))
        assert float((x - codes.dequantize()).square().mean()) == pytest.approx(least, rel=1e-5)


# --- ACIQ -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", range(1, 9))
def test_aciq_constants(bits):
    """σ = b = 1 exactly: the constants to 5e-6, Lambert's W, and the published eight digits."""
    x = torch.tensor([-1.0, 1.0])  # standard deviation and mean distance are both 1
    grid = Grid(bits, "octav")
    assert float(aciq_gauss(x, grid)) == pytest.approx(ACIQ["gauss"][bits - 1], abs=5e-7)
    assert float(aciq_laplace(x, grid)) == pytest.approx(special.lambertw(3 * 4**bits).real, rel=1e-7)
    if bits >= 2:
        assert float(aciq_gauss(x, grid)) == pytest.approx(PUBLISHED_ACIQ["gauss"][bits - 2], abs=5e-6)
        assert float(aciq_laplace(x, grid)) == pytest.approx(PUBLISHED_ACIQ["laplace"][bits - 2], abs=5e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_aciq_minimises_its_model_on_every_grid(kind, rounding, bits):
    """c·s² + clipping MSE, minimised by SciPy."""
    grid = Grid(bits, kind)
    unit = torch.tensor([-1.0, 1.0])
    clipping = {
        aciq_gauss: lambda s: (
            (1 + s * s) * math.erfc(s / math.sqrt(2)) - math.sqrt(2 / math.pi) * s * math.exp(-s * s / 2)
        ),
        aciq_laplace: lambda s: 2 * math.exp(-s),
    }
    for rule, overload in clipping.items():
        model = lambda s, overload=overload: grid.noise(rounding) * s * s + overload(s)
        best = optimize.minimize_scalar(model, bounds=(0.1, 20), method="bounded", options={"xatol": 1e-9}).x
        assert float(rule(unit, grid, rounding)) == pytest.approx(best, rel=1e-5)


@pytest.mark.parametrize("name, rule", [("gauss", aciq_gauss), ("laplace", aciq_laplace)])
def test_aciq_reads_its_scale_off_the_sample(name, rule):
    x = 0.05 * quantiles(LAWS[name])
    assert float(rule(x, Grid(4, "octav"))) == pytest.approx(0.05 * ACIQ[name][3], rel=1e-3)


# --- brute force ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("bits", BITS)
def test_the_oracle_reproduces_the_verified_optima(name, bits):
    """Exact optimal clips and MSEs of four grids: what all else in this file leans on."""
    row = table(OPTIMA[name])[bits]
    for i, kind in enumerate(("midrise", "twos_complement", "octav", "narrow")):
        clip, least = best_clip(LAWS[name], kind, bits)
        assert clip == pytest.approx(row[2 * i], abs=2e-5)
        assert least == pytest.approx(row[2 * i + 1], rel=1e-6)
    clip, least = best_clip(LAWS[name], "midrise", bits, "stochastic")
    assert clip == pytest.approx(table(MIDRISE[name])[bits][2], abs=2e-5)
    assert least == pytest.approx(table(MIDRISE[name])[bits][3], rel=1e-6)


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("bits", BITS)
def test_measured_errors_at_given_clips(name, bits):
    """The library's own quantizer, integrated over the law, against the tables."""
    (x, weight) = mesh(LAWS[name])
    row = table(OPTIMA[name])[bits]

    def measured(clip: float, kind: str = "midrise", rounding: str = "nearest") -> float:
        each = expected_mse(x[:, None], torch.full(x.shape, clip), Grid(bits, kind), rounding, batch_dims=1)
        return float(weight @ each.double())

    for i, kind in enumerate(("midrise", "twos_complement", "octav", "narrow")):
        assert measured(row[2 * i], kind) == pytest.approx(row[2 * i + 1], rel=1e-3)
        squares = (x - quantize(x, row[2 * i], Grid(bits, kind)).dequantize()).square()
        assert float(weight @ squares.double()) == pytest.approx(row[2 * i + 1], rel=1e-3)
    textbook, _, clip, best, stochastic, _ = table(MIDRISE[name])[bits]
    at_octav = FIXED_POINTS[name][bits - 1]
    assert measured(at_octav) == pytest.approx(textbook, rel=1e-3)
    assert measured(at_octav, rounding="stochastic") == pytest.approx(stochastic, rel=1e-3)
    assert measured(clip, rounding="stochastic") == pytest.approx(best, rel=1e-3)


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("bits", BITS)
def test_matched_clips_on_mid_rise(name, bits):
    """Level-aware OCTAV: c = 1/(3(2^B−1)²), doubled for stochastic rounding."""
    _, nearest, _, _, _, stochastic = table(MIDRISE[name])[bits]
    x = quantiles(LAWS[name])
    coarse = 2e-3 if bits < 7 else 1e-2  # a sample of 200 000 has no farther tail
    assert float(octav(x, Grid(bits))) == pytest.approx(nearest, rel=coarse)
    assert float(octav(x, Grid(bits), "stochastic")) == pytest.approx(stochastic, rel=coarse)
    assert iterate(LAWS[name], Grid(bits).noise(), 20)[-1] == pytest.approx(nearest, rel=1e-6)
    assert iterate(LAWS[name], Grid(bits).noise("stochastic"), 20)[-1] == pytest.approx(stochastic, rel=1e-6)


def excess(law: Law, grid: Grid, rounding: str, level_aware: bool = True) -> float:
    """Exact MSE at the library's clip over the MSE of the best clip, minus 1."""
    sample = quantiles(law, 40_000 if grid.bits < 6 else 200_000)  # the clips of more bits lie farther out
    clip = float(octav(sample, grid, rounding, level_aware=level_aware))
    return mse(law, grid.kind, grid.bits, clip, rounding) / best_clip(law, grid.kind, grid.bits, rounding)[1] - 1


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_level_aware_clips_are_within_two_percent_of_brute_force(name, kind, rounding):
    """2-8 bits; one bit too, where a single level is not all there is."""
    for bits in range(2 if kind == "narrow" else 1, 9):
        assert -1e-9 <= excess(LAWS[name], Grid(bits, kind), rounding) <= 0.02


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_twos_complement_is_within_one_percent(name, rounding):
    """Its short upper side is weighed in."""
    assert max(excess(LAWS[name], Grid(bits, "twos_complement"), rounding) for bits in BITS) <= 0.009


@pytest.mark.parametrize("name, textbook", [("gauss", 0.077), ("laplace", 0.045)])
def test_twos_complement_by_the_plain_constant_is_off_by_more(name, textbook):
    got = excess(LAWS[name], Grid(2, "twos_complement"), "nearest", level_aware=False)
    assert got == pytest.approx(textbook, abs=0.002)


@pytest.mark.parametrize(
    "kind, rounding, textbook, aware",
    [
        ("narrow", "nearest", 0.38, 0.014),
        ("narrow", "stochastic", 0.86, 0.016),
        ("midrise", "nearest", 0.080, 0.0066),
        ("midrise", "stochastic", 0.310, 0.0102),
    ],
)
def test_what_the_textbook_constant_costs_at_two_bits(kind, rounding, textbook, aware):
    assert excess(GAUSS, Grid(2, kind), rounding, level_aware=False) == pytest.approx(textbook, abs=0.01)
    assert excess(GAUSS, Grid(2, kind), rounding) == pytest.approx(aware, abs=0.001)


@pytest.mark.parametrize("bits, tolerance", [(2, 0.032), (3, 0.013), (4, 0.005), (6, 0.005), (8, 0.005)])
def test_octav_on_its_own_grid_against_brute_force(bits, tolerance):
    clip = iterate(GAUSS, 4.0**-bits / 3, 20)[-1]
    assert clip == pytest.approx(best_clip(GAUSS, "octav", bits)[0], rel=tolerance)


@pytest.mark.parametrize("share", [0.3, 0.9])
@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("bits", [1, 2, 4])
def test_zeros_cost_something_on_mid_rise_and_the_level_aware_clip_knows(bits, rounding, share):
    """Pruned layers: a grid without a zero errs by Δ/2 at every zero; brute force by an exact mixture."""
    x = torch.cat([quantiles(GAUSS, 5000), torch.zeros(int(5000 * share / (1 - share)))])
    zeros = 1 - 5000 / len(x)
    gap = lambda s: (s / (2**bits - 1)) ** 2
    mixed = lambda s: zeros * gap(s) + (1 - zeros) * mse(GAUSS, "midrise", bits, s, rounding)
    best = min(mixed(s) for s in np.linspace(0.02, 4, 400))
    assert mixed(float(octav(x, Grid(bits), rounding))) <= 1.02 * best


# --- guards ---------------------------------------------------------------------------------------

every_rule = pytest.mark.parametrize("rule", RULES)


@every_rule
@pytest.mark.parametrize("kind", KINDS)
def test_zeros_get_a_harmless_clip(rule, kind):
    assert float(clip_for(rule, torch.zeros(9), Grid(3, kind))) == 1.0


@every_rule
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [0.1, 1.0, 1e-30, 1e30])
def test_constants_keep_their_size(rule, kind, size):
    """OCTAV would jump between |x| and 0, ACIQ divide what is only rounding error."""
    clip = float(clip_for(rule, torch.full((1001,), size), Grid(4, kind)))
    assert clip == pytest.approx(size, rel=0.15 if rule == "sweep" else 1e-6)


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("iterations", [1, 2, 9, 10])
def test_equal_magnitudes_and_ternary_weights(bits, iterations):
    for x in ([1.0, -1.0, 1.0, -1.0], [0.0, 0.5, -0.5, 0.0, 0.0], [-3.0]):
        clip = octav(torch.tensor(x), Grid(bits, "octav"), iterations=iterations)
        assert float(clip) == max(map(abs, x))


def test_a_two_cycle_ends_on_one_of_its_two_clips():
    """At one bit some small samples never settle: one value flips in and out (followed here in doubles)."""
    cycles = 0
    for seed in range(40):
        size = np.abs(np.random.default_rng(seed).standard_normal(100).astype(np.float32)).astype(np.float64)
        s = size.mean()
        seen = []
        for _ in range(60):
            outside = size > s
            s = size[outside].sum() / (4.0**-1 / 3 * (~outside).sum() + outside.sum())
            seen.append(s)
        if abs(seen[-1] - seen[-2]) < 1e-12:
            continue
        cycles += 1
        x = torch.from_numpy(size).float()
        clips = [float(octav(x, Grid(1, "octav"), iterations=k)) for k in (59, 60)]
        assert sorted(clips) == pytest.approx(sorted(seen[-2:]), rel=1e-5)
        mse = expected_mse(x.expand(2, -1), torch.tensor(clips), Grid(1, "octav"), batch_dims=1)
        assert float(mse.max() / mse.min()) < 1.02
    assert cycles >= 2


@every_rule
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_gives_nan_or_a_clear_sentence(rule, bad):
    x = randn(3, 20)
    x[1, 7] = bad
    clip = RULES[rule](x, Grid(4), batch_dims=1)
    assert clip.isnan().tolist() == [False, True, False]
    torch.testing.assert_close(clip_for(rule, x, Grid(4), batch_dims=1, check=False), clip, equal_nan=True)
    with pytest.raises(ConfigError, match=r"^x holds NaN or infinity, but a clip needs finite values\.$"):
        clip_for(rule, x, Grid(4), batch_dims=1)


def test_unknown_rule_empty_tensor_and_bad_numbers():
    with pytest.raises(ConfigError, match=r"^clip is 'lsq', but must be one of max_abs, percentile, .*\.$"):
        clip_for("lsq", torch.ones(3), Grid(4))
    with pytest.raises(ConfigError, match=r"^x has shape \(0, 3\), but a clip needs at least one value\.$"):
        clip_for("octav", torch.ones(0, 3), Grid(4))
    with pytest.raises(ConfigError, match=r"^iterations is -1, but must be a whole number 0 or more\.$"):
        octav(torch.ones(3), Grid(4), iterations=-1)
    with pytest.raises(ConfigError, match=r"^points is 0, but"):
        sweep(torch.ones(3), Grid(4), points=0)
    with pytest.raises(ConfigError, match=r"^share is 101, but must be a number from 0 to 100\.$"):
        percentile(torch.ones(3), share=101)
    with pytest.raises(ConfigError, match=r"^rounding is 'up', but"):
        expected_mse(torch.ones(3), torch.tensor(1.0), Grid(4), "up")
    with pytest.raises(ConfigError, match=r"^rounding is 'up', but"):
        octav(torch.ones(3), Grid(4), "up")


# --- the plain rules ------------------------------------------------------------------------------


@given(st.integers(1, 60), st.floats(0, 100), st.integers(0, 2**32 - 1))
def test_percentile_is_numpys(n, share, seed):
    x = randn(n, seed=seed)
    assert float(percentile(x, share=share)) == pytest.approx(float(np.percentile(np.abs(x.numpy()), share)), rel=1e-5)


def test_a_sparse_tensor_s_percentile_falls_back_on_its_largest_value():
    x = torch.zeros(10_000)
    x[5] = -4.0
    assert float(percentile(x)) == 4.0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_sweep_is_a_search_through_a_hundred_clips(kind, rounding):
    """Against a search that rounds to the listed levels value by value."""
    x = randn(60, seed=4).double().numpy()
    ladder = levels(kind, 3)
    peak = np.abs(x).max()

    def mean_square(clip: float) -> float:
        steps = clip * ladder
        held = np.clip(x, clip * ladder[0], clip * ladder[-1])
        if rounding == "nearest":
            return float(np.mean(np.abs(x[:, None] - steps).min(1) ** 2))
        k = np.clip(np.searchsorted(steps, held, side="right") - 1, 0, len(steps) - 2)
        return float(np.mean((x - held) ** 2 + (held - steps[k]) * (steps[k + 1] - held)))

    got = float(sweep(torch.from_numpy(x), Grid(3, kind), rounding))
    assert got / peak * 100 == pytest.approx(round(got / peak * 100), abs=1e-4)
    assert mean_square(got) == pytest.approx(min(mean_square(peak * k / 100) for k in range(1, 101)), rel=1e-5)


# --- properties -----------------------------------------------------------------------------------

# Multiples of 1/64 up to 64 add up exactly in float32, so equalities hold to the bit.
dyadic = st.lists(st.integers(-4096, 4096), min_size=2, max_size=40).map(lambda v: torch.tensor(v) / 64)
grids = st.builds(Grid, st.integers(1, 8), st.sampled_from(KINDS))
roundings = st.sampled_from(ROUNDINGS)
rules = st.sampled_from(sorted(RULES))


@given(rules, dyadic, grids, roundings, st.integers(-20, 20))
def test_clips_scale_with_the_values(rule, x, grid, rounding, power):
    small, large = (RULES[rule](v, grid, rounding) for v in (x, x * 2.0**power))
    assert float(large) == pytest.approx(float(small) * (2.0**power if x.any() else 1), rel=1e-6)


@given(rules, dyadic, grids, roundings)
def test_clips_do_not_mind_the_order(rule, x, grid, rounding):
    turned = RULES[rule](x.flip(0), grid, rounding)
    if rule == "sweep":  # ties between clips may break differently, their errors may not
        mse = [float(expected_mse(x, clip, grid, rounding)) for clip in (turned, RULES[rule](x, grid, rounding))]
        assert mse[0] == pytest.approx(mse[1], rel=1e-4, abs=1e-6)
    else:
        assert float(turned) == pytest.approx(float(RULES[rule](x, grid, rounding)), rel=1e-6)


@given(
    st.sampled_from(["max_abs", "percentile", "octav"]),
    dyadic,
    grids,
    roundings,
    st.randoms(use_true_random=False),
)
def test_clips_do_not_mind_the_signs(rule, x, grid, rounding, random):
    if grid.kind == "twos_complement" and rule == "octav":
        return
    signs = torch.tensor([random.choice([-1.0, 1.0]) for _ in x])
    assert torch.equal(RULES[rule](x * signs, grid, rounding), RULES[rule](x, grid, rounding))


def test_twos_complement_minds_the_signs_because_its_grid_does():
    x = randn(500).abs()
    down, up = octav(-x, Grid(2, "twos_complement")), octav(x, Grid(2, "twos_complement"))
    assert float(up) > 1.2 * float(down)
    for clip, values in ((down, -x), (up, x)):
        mse = torch.stack([expected_mse(values, clip * f, Grid(2, "twos_complement")) for f in (0.85, 1, 1.15)])
        assert int(mse.argmin()) == 1


@given(rules, dyadic, grids, roundings)
def test_clips_are_positive_and_no_larger_than_the_largest_value(rule, x, grid, rounding):
    clip = RULES[rule](x, grid, rounding)
    assert clip.dtype == torch.float32
    assert clip.shape == ()
    assert float(clip) > 0
    assert math.isfinite(float(clip))
    if x.any() and not rule.startswith("aciq"):
        reach = grid.top if rule == "octav" and grid.kind == "twos_complement" and grid.bits > 1 else 1.0
        assert float(clip) * reach <= float(x.abs().max()) * (1 + 1e-6)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "twos_complement"])
@pytest.mark.parametrize("rule", ["octav", "aciq_gauss", "aciq_laplace"])
def test_more_bits_clip_later(rule, kind, rounding):
    for seed, power in ((0, 1.0), (1, 2.0), (2, 0.5)):  # from light to heavy tails
        x = randn(3000, seed=seed)
        x = x.sign() * x.abs() ** power
        clips = [float(RULES[rule](x, Grid(bits, kind), rounding)) for bits in BITS]
        assert clips == sorted(clips)
        assert clips[0] < clips[-1]


@every_rule
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_a_batch_is_a_loop(rule, kind, rounding):
    """One and two leading dimensions, members of very different size, one of zeros."""
    x = randn(2, 3, 4, 5) * torch.tensor([[1.0, 0.01, 100.0], [0.0, 3.0, 1e-6]])[..., None, None]
    grid = Grid(3, kind)
    for dims in (1, 2) if rule != "sweep" else (2,):
        got = clip_for(rule, x, grid, rounding, batch_dims=dims)
        members = x.reshape(-1, *x.shape[dims:])
        want = torch.stack([clip_for(rule, member, grid, rounding) for member in members]).reshape(x.shape[:dims])
        assert got.shape == x.shape[:dims]
        torch.testing.assert_close(got, want, rtol=2e-6, atol=0)


@every_rule
@pytest.mark.parametrize("kind", KINDS)
def test_vmap_is_a_batch(rule, kind):
    x = randn(4, 30)
    grid = Grid(4, kind)
    got = torch.func.vmap(lambda row: RULES[rule](row, grid))(x)
    torch.testing.assert_close(got, RULES[rule](x, grid, batch_dims=1))


@every_rule
@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_other_float_types(rule, dtype):
    x = randn(100).half()
    got = RULES[rule](x.to(dtype), Grid(4))
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, RULES[rule](x.float(), Grid(4)))


@given(dyadic, grids, roundings, st.booleans())
def test_no_gradient_flows_through_a_clip(x, grid, rounding, level_aware):
    assert not octav(x.requires_grad_(), grid, rounding, level_aware=level_aware).requires_grad


def test_the_textbook_constant_is_blind_to_grid_and_rounding():
    x = randn(2000)
    clips = {
        float(clip_for("octav", x, Grid(3, kind), rounding, level_aware=False))
        for kind in KINDS
        for rounding in ROUNDINGS
    }
    assert len(clips) == 1
    assert clips == {float(octav(x, Grid(3, "octav")))}


def test_one_bit_mid_rise_is_the_binary_weight_network():
    """Nearest rounding to ±s: the optimum is E|x|, zeros included (they become ±s too)."""
    x = torch.cat([randn(200), torch.zeros(50)])
    for level_aware in (True, False):
        assert float(octav(x, Grid(1), level_aware=level_aware)) == pytest.approx(float(x.abs().mean()))


def test_max_abs():
    assert float(max_abs(torch.tensor([0.5, -2.0, 1.0]))) == 2.0
    assert max_abs(torch.tensor([[0.5], [-2.0]]), batch_dims=1).tolist() == [0.5, 2.0]
