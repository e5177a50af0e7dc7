"""Look-ups in sorted rows against passes over the values in double precision, and what the clip rules make of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.func import grad, vmap

from fqlab.errors import ConfigError
from fqlab.quant import (
    KINDS,
    ROUNDINGS,
    RULES,
    Grid,
    clip_for,
    clips_for,
    eden_encode,
    expected_mse,
    norm,
    octav,
    octav_layers,
    octav_step,
    sweep,
)
from fqlab.quant.ranked import SMALL, Ranked
from laws import levels

LONG = SMALL + 1003  # not a multiple of the stride


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float32)


def samples(n: int) -> dict[str, torch.Tensor]:
    """Tensors on which a clip rule could stumble."""
    x = randn(n)
    outlier = x.clone()
    outlier[n // 2] = 1e4
    return {
        "gauss": 0.05 * x,
        "heavy": x / randn(n, seed=1).abs().clamp(min=1e-3),
        "outlier": outlier,
        "sparse": x * (randn(n, seed=2) > 1),
        "ties": (8 * x).round() / 8,
        "positive": x.abs(),
        "bimodal": torch.cat([x[: n // 2] * 0.01, 3 + x[n // 2 :] * 0.01]),
    }


CASES = {f"{name}-{n}": x for n in (40, LONG) for name, x in samples(n).items()}
every_case = pytest.mark.parametrize("x", CASES.values(), ids=CASES)
every_grid = pytest.mark.parametrize("grid", [Grid(b, k) for k in KINDS for b in (1, 3, 8)], ids=str)
every_rounding = pytest.mark.parametrize("rounding", ROUNDINGS)


@pytest.mark.parametrize("n", [1, 2, 17, SMALL, SMALL + 1, LONG])
def test_counts_and_sums_beyond_a_threshold(n):
    rows = torch.stack([randn(n), (4 * randn(n, seed=1)).round() / 4, torch.zeros(n)])
    thresholds = torch.tensor([[-9.0, -0.25, 0.0, 0.25, 1.0, 9.0]]).repeat(3, 1)
    x = rows.double().unsqueeze(1)
    t = thresholds.double().unsqueeze(2)
    ranked = Ranked(rows.clone())
    for (count, total), beyond in ((ranked.below(thresholds), x < t), (ranked.above(thresholds), x > t)):
        assert torch.equal(count, beyond.sum(2))
        torch.testing.assert_close(total, (x * beyond).sum(2), rtol=1e-12, atol=1e-9)
    count, _ = ranked.below(thresholds)
    torch.testing.assert_close(ranked.total(count, power=2), (x.square() * (x < t)).sum(2), rtol=1e-12, atol=1e-9)


def recursion(x: np.ndarray, grid: Grid, rounding: str, level_aware: bool = True) -> float:
    """OCTAV, value by value in double precision; the clip is a float32 between two updates, as in the library."""
    top = 1.0
    zero = 0.0
    if not level_aware:
        noise = 4.0**-grid.bits / 3
    elif grid.kind == "midrise":
        step = 2 / (2**grid.bits - 1)
        noise = 1.0 if grid.bits == 1 else step**2 / (12 if rounding == "nearest" else 6)
        zero = (step / 2) ** 2 / noise
    else:
        ladder = levels(grid.kind, grid.bits)
        step = ladder[1] - ladder[0] if len(ladder) > 1 else 2.0
        noise = step**2 / (12 if rounding == "nearest" else 6)
        top = ladder[-1] / -ladder[0] if ladder[0] else 1.0
    size = np.abs(x)
    reach = np.where(x > 0, top, 1.0)
    s = np.float32(size[size > 0].mean())
    for _ in range(grid.bits + 6):
        clipped = size > np.where(x > 0, np.float32(top) * s, s)
        inside = (~clipped & (size > 0)).sum() + zero * (size == 0).sum()
        with np.errstate(invalid="ignore"):  # where nothing can be kept on a grid without a positive level
            s = np.float32((size * reach)[clipped].sum() / (noise * inside + (reach[clipped] ** 2).sum()))
    return float(s) if s > 0 else float(size.max())


@every_case
@every_grid
@every_rounding
def test_octav_is_the_recursion_value_by_value(x, grid, rounding):
    for level_aware in (True, False):
        if grid == Grid(1) and (rounding == "nearest" or not level_aware):
            continue  # the mean of |x| (test_clipping)
        want = recursion(x.double().numpy(), grid, rounding, level_aware)
        assert float(octav(x, grid, rounding, level_aware=level_aware)) == pytest.approx(want, rel=1e-6)


@given(st.integers(2, 60), st.floats(0.1, 3), st.integers(0, 99), st.sampled_from(KINDS), st.integers(2, 8))
def test_an_update_is_the_step_that_passes_over_the_values(n, clip, seed, kind, bits):
    """``octav_step`` is written out on its own; one update of ``octav`` begins at the mean of the nonzero |x|."""
    x = randn(n, seed=seed) * clip
    grid = Grid(bits, kind)
    top = grid.high / -grid.low if grid.low else 1.0
    once = octav_step(x, x.abs().mean(), grid.noise(), top)
    if float(once) > 0:
        assert float(octav(x, grid, iterations=1)) == pytest.approx(float(once), rel=1e-6)


def search(x: np.ndarray, grid: Grid, rounding: str, points: int) -> np.ndarray:
    """Σ of the expected squared errors at each clip, value by value, by searching the levels."""
    totals = []
    for k in range(1, points + 1):
        ladder = float(np.float32(np.abs(x).max()) * np.float32(k / points)) * levels(grid.kind, grid.bits)
        at = np.clip(np.searchsorted(ladder, x, side="right") - 1, 0, len(ladder) - 1)
        low, high = ladder[at], ladder[np.minimum(at + 1, len(ladder) - 1)]
        held = np.clip(x, ladder[0], ladder[-1])
        if rounding == "nearest":
            each = np.minimum((x - low) ** 2, (x - high) ** 2)
        else:
            each = (x - held) ** 2 + (held - low) * (high - held)
        totals.append(each.sum())
    return np.array(totals)


@every_case
@every_grid
@every_rounding
def test_sweep_finds_the_least_error_of_a_search_value_by_value(x, grid, rounding):
    wide = x.double().numpy()
    points = 25
    totals = search(wide, grid, rounding, points)
    at = round(float(sweep(x, grid, rounding, points=points)) / np.abs(wide).max() * points)
    assert totals[at - 1] <= totals.min() + 1e-9 * totals.min() + 1e-13 * (wide**2).sum()


# ------------------------------------------------------------------------------------------ any size, shape and scale


@pytest.mark.parametrize("rule", ["octav", "sweep", "percentile", "max_abs"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_is_one_by_one_to_the_bit(rule, kind):
    for n in (77, LONG):
        x = randn(3, n) * torch.tensor([[1.0], [1e-3], [40.0]])
        grid = Grid(3, kind)
        assert torch.equal(RULES[rule](x, grid, batch_dims=1), torch.stack([RULES[rule](row, grid) for row in x]))


@every_rounding
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bits", [1, 3])
def test_many_layers_are_one_by_one_to_the_bit(kind, bits, rounding):
    grid = Grid(bits, kind)
    layers = [randn(4, 7, 9), randn(4, 300, seed=1) * 5, randn(4, 2, seed=2), torch.zeros(4, 3)]
    got = octav_layers(layers, grid, rounding, batch_dims=1)
    assert all(torch.equal(a, octav(x, grid, rounding, batch_dims=1)) for a, x in zip(got, layers, strict=True))


@pytest.mark.parametrize("rule", RULES)
def test_a_model_s_clips_are_its_layers_clips(rule):
    layers = {"a": randn(2, 30), "big": randn(2, LONG), "b": randn(2, 5, 5), "c": randn(2, 8)}
    grids = {"a": Grid(2), "big": Grid(2), "b": Grid(2), "c": Grid(4)}
    got = clips_for(rule, layers, grids, batch_dims=1)
    assert list(got) == list(layers)
    for name, x in layers.items():
        assert torch.equal(got[name], clip_for(rule, x, grids[name], batch_dims=1))
    layers["b"][1, 2, 2] = torch.nan
    assert clips_for(rule, layers, grids, batch_dims=1, check=False)["b"].isnan().tolist() == [False, True]
    with pytest.raises(ConfigError, match=r"^layer 'b' holds NaN or infinity, but a clip needs finite values\.$"):
        clips_for(rule, layers, grids, batch_dims=1)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("scale", [1e-30, 1e-22, 1e19, 1e30])
@every_rounding
def test_very_small_and_very_large_values_have_the_same_clip_in_their_unit(rule, scale, rounding):
    """Squares of such numbers are 0 or infinite in single precision."""
    x = randn(2000)
    for kind in KINDS:
        grid = Grid(4, kind)
        want = float(RULES[rule](x, grid, rounding)) * scale
        assert float(RULES[rule](x * scale, grid, rounding)) == pytest.approx(want, rel=1e-5)
        clip = torch.tensor(2.0)
        want = float(expected_mse(x, clip, grid, rounding)) * scale**2
        assert float(expected_mse(x * scale, clip * scale, grid, rounding)) == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize("rule", RULES)
def test_tensors_that_are_not_contiguous(rule):
    x = randn(12, 10)
    grid = Grid(3)
    for view in (x.T, x[::2, 1::3], x[:, 3], x.expand(3, 12, 10), x.flip(0)[:5]):
        assert torch.equal(RULES[rule](view, grid), RULES[rule](view.contiguous(), grid))
        assert torch.equal(RULES[rule](view, grid, batch_dims=1), RULES[rule](view.contiguous(), grid, batch_dims=1))
        clip = torch.tensor(0.7)
        assert torch.equal(expected_mse(view, clip, grid), expected_mse(view.contiguous(), clip, grid))


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_leaves_its_tensor_as_it_was(rule):
    for x in (randn(300), randn(LONG), randn(2, 40)):
        before = x.clone()
        RULES[rule](x, Grid(3, "twos_complement"))
        assert torch.equal(x, before)


@pytest.mark.parametrize(
    "call", [*RULES.values(), lambda x, _: norm(x), lambda x, grid: expected_mse(x, torch.tensor(1.0), grid)]
)
def test_nothing_has_no_clip_and_no_error(call):
    for x in (torch.zeros(0), torch.zeros(3, 0)):
        with pytest.raises(ConfigError, match=r"^x has shape .*, but a clip needs at least one value\.$"):
            call(x, Grid(4))


@pytest.mark.parametrize("rule", RULES)
def test_nested_vmap_and_gradients_around_a_rule(rule):
    x = randn(2, 3, 50)
    grid = Grid(4)
    got = vmap(vmap(lambda w: RULES[rule](w, grid)), in_dims=1, out_dims=1)(x)
    torch.testing.assert_close(got, RULES[rule](x, grid, batch_dims=2))
    slope = grad(lambda w: (w * RULES[rule](w, grid)).sum())(x[0, 0])
    torch.testing.assert_close(slope, torch.full((50,), float(RULES[rule](x[0, 0], grid))))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kind", KINDS)
def test_one_bad_value_in_a_long_row_spoils_that_row_alone(bad, kind):
    x = randn(3, LONG)
    x[1, 500] = bad
    for rule in RULES:
        assert RULES[rule](x, Grid(2, kind), batch_dims=1).isnan().tolist() == [False, True, False]


@pytest.mark.parametrize("scale", [1e-30, 1e-22, 1e19, 1e30])
def test_lengths_of_very_small_and_very_large_vectors(scale):
    x = randn(3, 64)
    want = torch.linalg.vector_norm(x.double() * scale, dim=1).float()
    torch.testing.assert_close(norm(x * scale, batch_dims=1), want, rtol=1e-6, atol=0)
    small = eden_encode(x * scale, 2)
    plain = eden_encode(x, 2)
    assert torch.equal(small.values, plain.values)
    torch.testing.assert_close(small.clip, plain.clip * scale, rtol=1e-5, atol=0)
