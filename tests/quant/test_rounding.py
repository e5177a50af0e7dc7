"""Stochastic rounding: unbiased, with the variance of a coin, reproducible from its own generator."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fqlab.errors import ConfigError
from fqlab.quant import KINDS, Grid, expected_mse, quantize, stochastic_round

DRAWS = 100_000
grids = st.builds(Grid, st.integers(1, 8), st.sampled_from(KINDS))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def repeated(w: float, grid: Grid, clip: float = 1.0, draws: int = DRAWS) -> torch.Tensor:
    """Many independent quantizations of one value."""
    return quantize(torch.full((draws,), w), clip, grid, "stochastic", generator(7)).dequantize().double()


@pytest.mark.parametrize("w, variance", [(-0.83, 0.08443), (-0.4, 0.04), (0.0, 1 / 9), (0.11, 0.09901), (0.6, 0.10667)])
def test_published_check_points(w, variance):
    """Mid-rise, s = 1, 2 bits (Δ = 2/3): mean w, variance Δ²f(1−f), at most Δ²/4 = 1/9."""
    got = repeated(w, Grid(2))
    assert float(got.mean()) == pytest.approx(w, abs=5 * math.sqrt(variance / DRAWS))
    assert float(got.var()) == pytest.approx(variance, rel=0.03)
    exact = expected_mse(torch.tensor([w]), torch.tensor(1.0), Grid(2), "stochastic")
    assert float(exact) == pytest.approx(variance, abs=1e-5)


@pytest.mark.parametrize("w", [-7.0, -1.0, 1.0, 7.0])
def test_no_variance_at_and_beyond_the_ends(w):
    assert repeated(w, Grid(2), draws=1000).unique().tolist() == [math.copysign(1.0, w)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_unbiased_for_the_clipped_value_with_the_variance_of_a_coin(kind, bits):
    """Several values at once, each within 5 standard errors; on two's complement the upper end is s − Δ."""
    grid = Grid(bits, kind)
    clip = 1.5
    w = torch.tensor([-2.0, -1.1, -0.37, 0.02, 0.5, 0.99, 1.45, 2.0])
    draws = 20_000
    x = w.expand(draws, -1)
    got = quantize(x, clip, grid, "stochastic", generator(bits)).dequantize().double()
    held = w.double().clamp(clip * grid.bottom, clip * grid.top)
    step = grid.step(clip)
    f = (held / step + (0.5 if kind == "midrise" else 0)).remainder(1.0)
    f = torch.where((f < 1e-6) | (f > 1 - 1e-6), 0.0, f)
    variance = step**2 * f * (1 - f)
    assert bool(((got.mean(0) - held).abs() <= 5 * (variance / draws).sqrt() + 1e-6).all())
    fourth = step**4 * f * (1 - f) * (1 - 3 * f * (1 - f))
    wobble = ((fourth - variance**2).clamp(min=0) / draws).sqrt()
    assert bool(((got.var(0) - variance).abs() <= 6 * wobble + 1e-6).all())


@given(st.floats(-200, 200), st.integers(0, 2**32 - 1))
def test_result_is_one_of_the_two_neighbours(x, seed):
    value = torch.full((20,), x)
    got = stochastic_round(value, torch.rand(20, generator=generator(seed)))
    assert bool(((got == value.floor()) | (got == value.ceil())).all())


@given(st.integers(-255, 255), st.sampled_from([0.0, 0.5, 1 - 2.0**-24]))
def test_whole_numbers_stay_even_under_the_largest_draw(k, u):
    """In float32 255 + 0.99999994 is 256: adding the noise first would leave the grid once in 10⁵ draws."""
    assert stochastic_round(torch.tensor([float(k)]), torch.tensor([u])).tolist() == [k]


@pytest.mark.parametrize("kind", KINDS)
def test_no_draw_leaves_the_grid(kind):
    grid = Grid(8, kind)
    noise = torch.tensor([0.0, 1 - 2.0**-24])
    for x in (torch.full((2,), 9.0), torch.full((2,), -9.0)):
        codes = quantize(x, 1.0, grid, "stochastic", noise=noise)
        assert codes.values.unique().tolist() == [grid.high if x[0] > 0 else grid.low]


def test_rounding_up_happens_exactly_when_the_draw_is_below_the_fraction():
    got = stochastic_round(torch.full((4,), 2.25), torch.tensor([0.0, 0.24, 0.26, 0.99]))
    assert got.tolist() == [3, 3, 2, 2]
    assert stochastic_round(torch.tensor([-2.25, -2.25]), torch.tensor([0.74, 0.76])).tolist() == [-2, -3]


@given(grids, st.integers(0, 2**32 - 1))
def test_same_seed_same_codes_and_another_seed_others(grid, seed):
    x = torch.randn(500, generator=generator(seed))
    first = quantize(x, 1.0, grid, "stochastic", generator(seed))
    assert first == quantize(x, 1.0, grid, "stochastic", generator(seed))
    if grid.levels > 1:
        assert first != quantize(x, 1.0, grid, "stochastic", generator(seed + 1))


@given(grids, st.integers(0, 2**32 - 1))
def test_given_draws_are_those_a_generator_would_make(grid, seed):
    x = torch.randn(4, 9, generator=generator(seed))
    noise = torch.rand(x.shape, generator=generator(seed))
    assert quantize(x, 1.0, grid, "stochastic", generator(seed)) == quantize(x, 1.0, grid, "stochastic", noise=noise)


def test_the_global_generator_is_never_touched():
    before = torch.get_rng_state()
    quantize(torch.linspace(-1, 1, 100), 1.0, Grid(4), "stochastic", generator())
    assert torch.equal(torch.get_rng_state(), before)


def test_stochastic_rounding_needs_a_generator():
    with pytest.raises(ConfigError, match=r"^generator is None, but stochastic rounding needs a torch\.Generator\.$"):
        quantize(torch.ones(3), 1.0, Grid(4), "stochastic")


def test_averaging_over_clients_helps_stochastic_and_not_nearest_rounding():
    """M independent quantizations of a value: the mean's error falls as 1/M; nearest repeats one error."""
    x = torch.full((400, 64), 0.21)
    stochastic = quantize(x, 1.0, Grid(2), "stochastic", generator()).dequantize().mean(1) - 0.21
    nearest = quantize(x, 1.0, Grid(2)).dequantize().mean(1) - 0.21
    single = float(expected_mse(x[0], torch.tensor(1.0), Grid(2), "stochastic"))
    assert float(stochastic.square().mean()) == pytest.approx(single / 64, rel=0.3)
    assert float(nearest.square().mean()) == pytest.approx((1 / 3 - 0.21) ** 2, rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bits", [1, 3, 6])
def test_expected_mse_is_the_mean_over_draws(kind, bits):
    grid = Grid(bits, kind)
    x = torch.randn(60_000, generator=generator(3))
    drawn = quantize(x, 1.2, grid, "stochastic", generator(4)).dequantize()
    exact = float(expected_mse(x, torch.tensor(1.2), grid, "stochastic"))
    each = (x - drawn).square()
    assert float(each.mean()) == pytest.approx(exact, abs=5 * float(each.std()) / math.sqrt(len(x)))


def test_expected_mse_of_a_known_sample(normal_42):
    """10⁴ normal values, mid-rise, textbook clip: exact expected stochastic MSE 0.23633999 and 0.02196221."""
    for bits, clip, want in ((2, 1.75539963, 0.23633999), (4, 2.60523378, 0.02196221)):
        got = expected_mse(normal_42, torch.tensor(clip), Grid(bits), "stochastic")
        assert float(got) == pytest.approx(want, rel=1e-5)
        nearest = {2: 0.13203967, 4: 0.01198111}[bits]
        assert float(expected_mse(normal_42, torch.tensor(clip), Grid(bits))) == pytest.approx(nearest, rel=1e-5)


@pytest.fixture(scope="module")
def normal_42() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(42).standard_normal(10**4)).float()
