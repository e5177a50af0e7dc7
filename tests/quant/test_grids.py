"""The five ladders: levels, codes, constants and errors, against the conventions written out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fqlab.errors import ConfigError
from fqlab.quant import KINDS, ROUNDINGS, Codes, Grid, mse_parts, quantize
from fqlab.quant import grids as grids_module
from fqlab.quant.codes import TILE, tiles
from laws import levels

grids = st.builds(Grid, st.integers(1, 8), st.sampled_from(KINDS))
clips = st.floats(2**-10, 2**10, width=32)


def ladder(grid: Grid, clip: float = 1.0) -> torch.Tensor:
    """All levels, by decoding all codes."""
    return grid.decode(torch.arange(grid.low, grid.high + 1), torch.tensor(clip))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bits", range(1, 9))
def test_levels_are_those_of_the_convention(kind, bits):
    grid = Grid(bits, kind)
    want = levels(kind, bits)
    np.testing.assert_allclose(ladder(grid, 2.5), 2.5 * want, atol=1e-6)
    assert grid.levels == len(want)
    assert (grid.bottom, grid.top) == pytest.approx((want[0], want[-1]))
    if len(want) > 1:
        assert grid.step(2.5) == pytest.approx(2.5 * (want[1] - want[0]))


def named(kind: str) -> str:
    """Whose grid it is, in the table of the module."""
    return next(line for line in grids_module.__doc__.splitlines() if line.startswith(f"``{kind}``")).split("  ")[-1]


@pytest.mark.parametrize("bits", range(2, 9))
def test_kures_quantizer_is_the_octav_grid_and_not_the_narrow_one(bits):
    """KURE's supplement: multiples of Δ within ±τ for τ = 2^(M−1)·Δ, the nearest one, and ±τ beyond."""
    x = torch.linspace(-2, 2, 4001, dtype=torch.float64)
    tau = 1.3
    step = tau / 2 ** (bits - 1)
    want = (torch.sign(x) * torch.clamp(step * torch.floor(x.abs() / step + 0.5), max=tau)).float()
    same = [kind for kind in KINDS if matches(x, want, tau, Grid(bits, kind))]
    assert same == ["octav"]
    assert [kind for kind in KINDS if "KURE" in named(kind)] == same
    error = float((want.double() - x).square().mean())
    assert error == pytest.approx((2 - tau) ** 3 / 6 + 2**bits * step**3 / 48, rel=0.01)  # Lemma 2, uniform on ±2


def matches(x: torch.Tensor, want: torch.Tensor, clip: float, grid: Grid) -> bool:
    """Whether all but the values half-way between two levels go where they should."""
    got = quantize(x.float(), torch.tensor(clip, dtype=torch.float32), grid).dequantize()
    return float(((got - want).abs() > 1e-5).float().mean()) < 0.01


@pytest.mark.parametrize(
    "kind, count, code_bits",
    [
        ("narrow", 3, 2),
        ("midrise", 4, 2),
        ("twos_complement", 4, 2),
        ("octav", 5, 3),
        ("sign_magnitude", 7, 3),
    ],
)
def test_level_counts_at_two_bits(kind, count, code_bits):
    assert (Grid(2, kind).levels, Grid(2, kind).code_bits) == (count, code_bits)


@pytest.mark.parametrize("bits", range(1, 9))
def test_only_two_conventions_need_more_code_bits_than_they_say(bits):
    extra = {kind: Grid(bits, kind).code_bits - bits for kind in KINDS}
    assert extra == {"midrise": 0, "octav": 1, "twos_complement": 0, "narrow": 0, "sign_magnitude": 1}


@given(grids)
def test_code_bits_are_enough_and_not_too_many(grid):
    assert 2**grid.code_bits >= grid.levels
    assert grid.code_bits == 1 or 2 ** (grid.code_bits - 1) < grid.levels


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize(
    "kind, constant",
    [
        ("midrise", lambda b: 1 / (3 * (2**b - 1) ** 2)),
        ("octav", lambda b: 4.0**-b / 3),
        ("twos_complement", lambda b: 4.0**-b / 3),
        ("narrow", lambda b: 1 / (12 * (2 ** (b - 1) - 1) ** 2)),
        ("sign_magnitude", lambda b: 1 / (12 * (2**b - 1) ** 2)),
    ],
)
def test_noise_constants(kind, constant, bits):
    """§4.3 of the sources: Δ²/12 for nearest, twice that for stochastic rounding."""
    assert Grid(bits, kind).noise() == pytest.approx(constant(bits), rel=1e-12)
    assert Grid(bits, kind).noise("stochastic") == pytest.approx(2 * constant(bits), rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_noise_is_the_error_of_values_spread_evenly_over_the_range(kind):
    """Uniform values between the end levels: Δ²/12 measured, Δ²/6 by f(1−f)."""
    grid = Grid(4, kind)
    x = torch.linspace(grid.bottom, grid.top, 70_001)
    mse = float((x - quantize(x, 1.0, grid).dequantize()).square().mean())
    assert mse == pytest.approx(grid.noise(), rel=2e-3)
    generator = torch.Generator().manual_seed(0)
    mse = float((x - quantize(x, 1.0, grid, "stochastic", generator).dequantize()).square().mean())
    assert mse == pytest.approx(grid.noise("stochastic"), rel=2e-2)


@given(grids, clips, st.integers(0, 2**32 - 1))
def test_codes_stay_in_range_and_errors_within_half_a_step(grid, clip, seed):
    x = torch.randn(50, generator=torch.Generator().manual_seed(seed)) * clip
    codes = quantize(x, clip, grid)
    assert codes.values.dtype == torch.int16
    assert int(codes.values.min()) >= grid.low
    assert int(codes.values.max()) <= grid.high
    inside = (x >= clip * grid.bottom) & (x <= clip * grid.top)
    error = (x - codes.dequantize()).abs()[inside]
    assert bool((error <= grid.step(clip) / 2 + 1e-5 * clip).all())


@given(grids, clips)
def test_rounding_to_the_nearest_is_right_everywhere(grid, clip):
    """Against a search through all levels."""
    x = torch.linspace(-1.7, 1.7, 101) * clip
    all_levels = torch.from_numpy(clip * levels(grid.kind, grid.bits))
    want = (x[:, None].double() - all_levels).abs().amin(1)
    got = (x.double() - quantize(x, clip, grid).dequantize().double()).abs()
    torch.testing.assert_close(got, want, atol=3e-6 * clip, rtol=0)


@given(grids, clips)
def test_levels_are_fixed_points(grid, clip):
    codes = torch.arange(grid.low, grid.high + 1)
    values = grid.decode(codes, torch.tensor(clip))
    again = quantize(values, clip, grid)
    assert torch.equal(again.values.long(), codes)
    assert torch.equal(again.dequantize(), values)


@given(grids, clips)
def test_values_beyond_the_clip_land_on_the_end_levels(grid, clip):
    far = torch.tensor([-3.0, -1.0, 1.0, 3.0, -torch.inf, torch.inf]) * clip
    low, high = clip * levels(grid.kind, grid.bits)[[0, -1]]
    want = torch.tensor([low, low, high, high, low, high], dtype=torch.float32)
    torch.testing.assert_close(quantize(far, clip, grid).dequantize(), want, rtol=1e-6, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_ends_are_plus_and_minus_the_clip_except_where_twos_complement_stops_short(kind):
    got = quantize(torch.tensor([-9.0, 9.0]), 2.0, Grid(3, kind)).dequantize().tolist()
    assert got == pytest.approx([-2.0, 1.5 if kind == "twos_complement" else 2.0])


@pytest.mark.parametrize("bits, code", [(2, 2), (4, 8), (8, 128)])
def test_zero_on_mid_rise_goes_up(bits, code):
    """Half-to-even: 1.5 → 2, 7.5 → 8, 127.5 → 128, so zero becomes +Δ/2."""
    codes = quantize(torch.zeros(1), 1.0, Grid(bits))
    assert codes.values.tolist() == [code]
    assert float(codes.dequantize()) == pytest.approx(1 / (2**bits - 1))


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "midrise"])
@pytest.mark.parametrize("rounding", ["nearest", "stochastic"])
def test_zero_is_exact_elsewhere(kind, rounding):
    codes = quantize(torch.zeros(100), 1.0, Grid(3, kind), rounding, torch.Generator().manual_seed(0))
    assert not codes.dequantize().any()


@given(grids, clips, st.sampled_from(["nearest", "stochastic"]), st.integers(0, 2**32 - 1))
def test_mse_parts_add_up(grid, clip, rounding, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(200, generator=generator) * clip
    codes = quantize(x, clip, grid, rounding, generator)
    granular, clipping = mse_parts(x, codes)
    assert granular + clipping == pytest.approx(float((x - codes.dequantize()).square().mean()), rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_mse_parts_value_by_value(kind):
    """Beyond the outermost level, which on two's complement is not where the clip is, counts as clipping."""
    x = torch.linspace(-2, 2, 401)
    clip = 1.3
    low, high = clip * levels(kind, 2)[[0, -1]]
    squares = (x - quantize(x, clip, Grid(2, kind)).dequantize()).square().tolist()
    beyond = [v < low or v > high for v in x.tolist()]
    want = [sum(e for e, out in zip(squares, beyond, strict=True) if out == side) / 401 for side in (False, True)]
    assert mse_parts(x, quantize(x, clip, Grid(2, kind))) == pytest.approx(want, rel=1e-5)


def test_mse_parts_on_a_case_done_by_hand():
    """Ternary grid ±1, 0 at s = 1: 0.3 errs by 0.3 inside, 3 by 2 and −1.5 by 0.5 beyond."""
    x = torch.tensor([0.3, 1.0, 3.0, -1.5])
    assert mse_parts(x, quantize(x, 1.0, Grid(1, "octav"))) == pytest.approx((0.09 / 4, 4.25 / 4))


@pytest.mark.parametrize("kind", KINDS)
def test_each_member_of_a_batch_has_its_own_clip(kind):
    grid = Grid(3, kind)
    x = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(1))
    for clip in (torch.tensor([0.5, 2.0]), torch.tensor([[0.5, 1.0, 1.5], [2.0, 2.5, 3.0]])):
        codes = quantize(x, clip, grid, batch_dims=clip.dim())
        assert codes.shape == x.shape
        for index in np.ndindex(*clip.shape):
            alone = quantize(x[index], clip[index], grid)
            assert torch.equal(codes.values[index], alone.values)
            assert torch.equal(codes.dequantize()[index], alone.dequantize())


def test_codes_compare_by_content_and_have_no_hash():
    a = quantize(torch.tensor([[0.3, -0.8], [0.1, 0.2]]), torch.tensor([1.0, 2.0]), Grid(4), batch_dims=1)
    same = Codes(a.values.clone(), Grid(4), a.clip.clone())
    assert a == same
    assert a != Codes(a.values, Grid(4, "octav"), a.clip)
    assert a != Codes(a.values, Grid(4), a.clip * 2)
    assert a != Codes(a.values + 1, Grid(4), a.clip)
    assert a != "codes"
    assert a[1] == quantize(torch.tensor([0.1, 0.2]), 2.0, Grid(4))
    with pytest.raises(TypeError, match="unhashable"):
        hash(a)


@pytest.mark.parametrize("clip", [0.0, 1e-44])
@pytest.mark.parametrize("kind", KINDS)
def test_a_vanishing_clip_makes_everything_vanish(clip, kind):
    grid = Grid(8, kind)
    codes = quantize(torch.tensor([0.0, 1e-44, -3.0, 5.0]), clip, grid)
    assert bool(((codes.values >= grid.low) & (codes.values <= grid.high)).all())
    assert float(codes.dequantize().abs().max()) <= clip


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_float_types_come_back_as_float32(dtype):
    x = torch.tensor([0.25, -0.5, 1.0], dtype=dtype)
    codes = quantize(x, 1.0, Grid(3, "octav"))
    assert codes.dequantize().dtype == torch.float32
    assert codes.dequantize().tolist() == [0.25, -0.5, 1.0]


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_empty_tensors_are_fine(rounding):
    draws = torch.Generator().manual_seed(0)
    for shape in ((0,), (0, 3), (3, 0), (2, 0, 5)):
        codes = quantize(torch.zeros(shape), 1.0, Grid(4), rounding, draws)
        assert codes.dequantize().shape == shape
        assert mse_parts(torch.zeros(shape), codes) == (0, 0)
        clip = torch.ones(shape[:1])
        assert quantize(torch.zeros(shape), clip, Grid(4), rounding, draws, batch_dims=1).shape == shape


def in_one_go(x: torch.Tensor, clip: torch.Tensor, grid: Grid, noise: torch.Tensor | None) -> torch.Tensor:
    """The codes of a whole tensor at once."""
    place = (x / grid.step(clip) + grid.offset).clamp(grid.low, grid.high)
    return place.round() if noise is None else place.floor() + (place - place.floor() - noise).ceil()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("rows, width", [(1, TILE - 1), (1, 2 * TILE + 5), (3, TILE + 1), (TILE // 8 + 3, 9), (2, 0)])
def test_codes_do_not_depend_on_the_parts_in_which_they_are_made(kind, rounding, rows, width):
    """To the bit, with the draws of one call of ``torch.rand``."""
    parts = list(tiles(rows, width))
    covered = torch.zeros(rows, width)
    for part in parts:
        covered[part] += 1
    assert bool((covered == 1).all())
    x = torch.randn(rows, width, generator=torch.Generator().manual_seed(1))
    clip = torch.linspace(0.5, 2, rows)
    grid = Grid(3, kind)
    seeded = lambda: torch.Generator().manual_seed(7)
    noise = torch.rand(x.shape, generator=seeded()) if rounding == "stochastic" else None
    want = in_one_go(x, clip[:, None], grid, noise)
    got = quantize(x, clip, grid, rounding, seeded(), batch_dims=1)
    assert torch.equal(got.values, want.to(torch.int16))
    assert got == quantize(x, clip, grid, rounding, batch_dims=1, noise=noise, generator=seeded())


def test_nan_is_found_wherever_it_is():
    for place in (0, TILE, 2 * TILE + 3):
        x = torch.zeros(2 * TILE + 4)
        x[place] = torch.nan
        with pytest.raises(ConfigError, match="x holds NaN"):
            quantize(x, 1.0, Grid(4))


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_views_have_the_codes_of_the_values_they_show(rounding):
    x = torch.randn(12, 10, generator=torch.Generator().manual_seed(1))
    for view in (x.T, x[::2, 1::3], x[:, 3:5], x[0, 0].expand(5, 4)):
        seeded = lambda: torch.Generator().manual_seed(7)
        codes = quantize(view, 1.0, Grid(3), rounding, seeded())
        assert codes == quantize(view.contiguous(), 1.0, Grid(3), rounding, seeded())
        assert mse_parts(view, codes) == mse_parts(view.contiguous(), codes)


@pytest.mark.parametrize("scale", [1e-30, 1e-22, 1e19, 1e30])
def test_mse_parts_of_very_small_and_very_large_values(scale):
    x = torch.randn(500, generator=torch.Generator().manual_seed(1))
    want = [part * scale**2 for part in mse_parts(x, quantize(x, 1.5, Grid(3)))]
    assert mse_parts(x * scale, quantize(x * scale, 1.5 * scale, Grid(3))) == pytest.approx(want, rel=1e-4)


@pytest.mark.parametrize("bits", [0, 9, -1, 2.5, True, "4", None, float("nan")])
def test_bits_outside_1_to_8(bits):
    with pytest.raises(ConfigError, match=r"^bits is .*, but must be a whole number from 1 to 8\.$"):
        Grid(bits)


def test_unknown_kind():
    with pytest.raises(ConfigError, match=r"^grid is 'mid-rise', but must be one of midrise, octav, .*\.$"):
        Grid(4, "mid-rise")


@pytest.mark.parametrize("clip", [-1.0, float("nan"), float("inf")])
def test_bad_clips(clip):
    with pytest.raises(ConfigError, match=r"^clip is .*, but must be finite and 0 or more\.$"):
        quantize(torch.ones(3), clip, Grid(4))


def test_one_bad_clip_of_many():
    with pytest.raises(ConfigError, match=r"^clip is \[1.0, -2.0\], but must be finite"):
        quantize(torch.ones(2, 3), torch.tensor([1.0, -2.0]), Grid(4), batch_dims=1)


def test_clip_of_the_wrong_shape():
    with pytest.raises(ConfigError, match=r"^clip has shape \(3,\), but must be one number or of shape \(2,\)\.$"):
        quantize(torch.ones(2, 3), torch.ones(3), Grid(4), batch_dims=1)


def test_nan_has_no_level():
    """Cast to an integer it would silently become a code, and a diverged client a confident one."""
    with pytest.raises(ConfigError, match=r"^x holds NaN"):
        quantize(torch.tensor([0.5, float("nan")]), 1.0, Grid(4))


def test_unknown_rounding():
    with pytest.raises(ConfigError, match=r"^rounding is 'up', but must be one of nearest, stochastic\.$"):
        quantize(torch.ones(3), 1.0, Grid(4), "up")
    with pytest.raises(ConfigError, match="rounding is 'up'"):
        Grid(4).noise("up")


def test_clients_may_share_their_draws():
    x = torch.randn(3, 40, generator=torch.Generator().manual_seed(1))
    draws = torch.linspace(0, 0.99, 40)
    got = quantize(x, 1.0, Grid(3), "stochastic", noise=draws)
    assert got == quantize(x, 1.0, Grid(3), "stochastic", noise=draws.repeat(3, 1))
