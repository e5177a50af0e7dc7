"""Subtractive dither: errors uniform on the cell and independent of what is sent, against the closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fqlab.errors import ConfigError
from fqlab.quant import LATTICES, Grid, code_shape, dithered, lattice_mse, lattice_step, quantize, undithered

CLIP = 1.5


def draws(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def errors(x: torch.Tensor, bits: int, lattice: str, clip: float = CLIP, seed: int = 1) -> torch.Tensor:
    """Estimate minus value, for values ``[p]``."""
    clip = torch.tensor(clip)
    grid = Grid(bits)
    dither = draws(*code_shape(lattice, x.shape), seed=seed) - 0.5
    codes = dithered(x, clip, grid, dither, lattice)
    assert int(codes.values.min()) >= 0
    assert int(codes.values.max()) <= grid.high
    return undithered(codes, dither, lattice, x.shape) - x


@pytest.mark.parametrize("lattice", LATTICES)
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("value", [-1.5, -0.61, 0.0, 0.3, 1.5])
def test_every_value_errs_by_the_same_even_the_ends(lattice, bits, value):
    """G·V^(2/L): Δ²/12, or 5/(36√3) times the area of a hexagon; the mean is 0."""
    step = float(lattice_step(lattice, Grid(bits), torch.tensor(CLIP)))
    exact = step**2 / 12 if lattice == "scalar" else 5 / (36 * math.sqrt(3)) * step**2 * math.sqrt(3) / 2
    got = errors(torch.full((60_000,), value), bits, lattice).double()
    reach = got.abs() * 2 if lattice == "scalar" else got.reshape(2, -1).norm(dim=0) * math.sqrt(3)
    assert float(reach.max()) <= step * 1.001  # nothing overloads
    assert float(got.square().mean()) == pytest.approx(exact, rel=0.03)
    assert float(got.mean()) == pytest.approx(0, abs=5 * math.sqrt(exact / 60_000))
    assert float(lattice_mse(lattice, Grid(bits), torch.tensor(CLIP))) == pytest.approx(exact, rel=1e-5)


@pytest.mark.parametrize("lattice", LATTICES)
def test_the_error_knows_nothing_of_the_value(lattice):
    x = (2 * draws(100_000) - 1) * CLIP
    e = errors(x, 3, lattice)
    for of in (x, x.abs(), x.square()):
        for way in (e, e.abs(), e.square()):
            assert abs(float(torch.corrcoef(torch.stack([of, way]))[0, 1])) < 0.015


def test_stochastic_rounding_at_equal_bits_errs_by_four_times_as_much_in_the_middle_of_a_cell():
    """f(1 − f)Δ² is Δ²/4 at f = 1/2 against Δ²/12, and half as much more as that on average: Δ²/6."""
    x = torch.zeros(50_000)  # mid-rise: 0 lies between two levels
    grid = Grid(2)
    kept = quantize(x, CLIP, grid, "stochastic", torch.Generator().manual_seed(0)).dequantize()
    ratio = float(kept.square().mean() / errors(x, 2, "scalar").square().mean())
    assert ratio == pytest.approx(3.0, rel=0.03)


def test_hexagons_err_by_less_than_squares_of_the_same_area():
    area = lambda lattice, step: step**2 * (1 if lattice == "scalar" else math.sqrt(3) / 2)
    share = {}
    for lattice in LATTICES:
        step = float(lattice_step(lattice, Grid(5), torch.tensor(CLIP)))
        mse = float(errors((2 * draws(400_000) - 1) * CLIP, 5, lattice).square().mean())
        share[lattice] = mse / area(lattice, step)
    assert share["scalar"] == pytest.approx(1 / 12, rel=0.01)
    assert share["hexagonal"] == pytest.approx(0.0801875, rel=0.01)


@pytest.mark.parametrize(("bits", "ratio"), [(2, 1.41), (8, 1.11)])
def test_hexagons_without_overload_pay_for_the_rim(bits, ratio):
    """At equal bits: 5/72·(clip/reach)² against Δ²/12, the reach of 2^b rows being (2^b − 2)·√3/4 + √3/6."""
    mse_of = [float(lattice_mse(lattice, Grid(bits), torch.tensor(CLIP))) for lattice in LATTICES]
    reach = (2**bits - 2) * math.sqrt(3) / 4 + math.sqrt(3) / 6
    assert mse_of[1] / mse_of[0] == pytest.approx(ratio, rel=0.01)
    assert mse_of[1] == pytest.approx(5 / 72 * (CLIP / reach) ** 2, rel=1e-5)


@given(st.integers(1, 8), st.integers(1, 33), st.integers(0, 1000))
def test_no_error_reaches_beyond_the_hexagon(bits, entries, seed):
    """Brute force: no lattice point is nearer to the dithered pair than the one that was sent."""
    x = (2 * draws(entries, seed=seed) - 1) * CLIP
    clip = torch.tensor(CLIP)
    grid = Grid(bits)
    dither = draws(*code_shape("hexagonal", x.shape), seed=seed + 1) - 0.5
    codes = dithered(x, clip, grid, dither, "hexagonal")
    step = float(lattice_step("hexagonal", grid, clip))
    n = 2**bits
    sent = torch.nn.functional.pad(undithered(codes, dither, "hexagonal", (entries,)) - x, (0, entries % 2))
    far = (sent if entries % 2 == 0 else sent[: len(sent)]).reshape(2, -1)[:, : entries // 2].norm(dim=0) / step
    assert bool((far <= 1 / math.sqrt(3) + 1e-4).all())
    row, column = torch.meshgrid(torch.arange(-2, n + 2), torch.arange(-2, n + 2), indexing="ij")
    points = torch.stack([column - 0.25 + 0.5 * (row % 2) - (n - 1) / 2, (row - (n - 1) / 2) * math.sqrt(3) / 2])
    pairs = torch.nn.functional.pad(x, (0, entries % 2)).reshape(2, -1) / step
    noisy = pairs + dither * torch.tensor([[1.0], [math.sqrt(3) / 2]])
    best = torch.cdist(noisy.T.double(), points.flatten(1).T.double()).amin(1)
    assert far.tolist() == pytest.approx(best[: entries // 2].tolist(), abs=1e-3)


@pytest.mark.parametrize("lattice", LATTICES)
def test_a_batch_gives_what_its_members_give(lattice):
    x = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))
    clip = torch.tensor([1.0, 2.0, 0.5])
    dither = draws(3, *code_shape(lattice, (4, 5))) - 0.5
    codes = dithered(x, clip, Grid(3), dither, lattice, batch_dims=1)
    whole = undithered(codes, dither, lattice, (4, 5))
    for i in range(3):
        alone = dithered(x[i], clip[i], Grid(3), dither[i], lattice)
        assert alone == codes[i]
        assert torch.equal(undithered(alone, dither[i], lattice, (4, 5)), whole[i])


def test_what_overloads_goes_to_the_outermost_point():
    for lattice in LATTICES:
        got = errors(torch.tensor([9.0, -9.0, 9.0, -9.0]), 3, lattice)
        assert bool((got[::2] < -9 + 2 * CLIP).all())
        assert bool((got[1::2] > 9 - 2 * CLIP).all())


def test_an_unknown_lattice_is_named():
    with pytest.raises(ConfigError, match="lattice is 'cubic', but must be one of scalar, hexagonal"):
        code_shape("cubic", (3,))
