"""Surrogate gradients: values by autograd, the same forward numbers as real codes, and safety under vmap."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.func import grad, vmap

from fqlab.errors import ConfigError
from fqlab.quant import GRADIENTS, KINDS, ROUNDINGS, RULES, Grid, clip_for, fake_quantize, quantize, slope
from fqlab.quant import straight_through as straight

grids = st.builds(Grid, st.integers(1, 8), st.sampled_from(KINDS))


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def uniform(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    "gradient, at_2, at_minus_4, inside", [("ste", 1, 1, 1), ("pwl", 0, 0, 1), ("mad", 0.5, 0.25, 1)]
)
@pytest.mark.parametrize("kind", KINDS)
def test_published_unit_values_by_autograd(kind, gradient, at_2, at_minus_4, inside):
    """s = 1: at x = 2 the slopes are 1, 0, 1/2; at −4 MAD gives 1/4; within |x| ≤ 1 all give 1."""
    x = torch.tensor([2.0, -4.0, 1.0, -1.0, 0.3, 0.0], requires_grad=True)
    fake_quantize(x, torch.tensor(1.0), Grid(4, kind), gradient=gradient).sum().backward()
    assert x.grad.tolist() == [at_2, at_minus_4, inside, inside, inside, inside]


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_the_slope_multiplies_what_comes_from_above(gradient):
    """Chain rule: d/dx Σ a·Q(x) = a·slope."""
    x = randn(50).mul(2).requires_grad_()
    a = randn(50, seed=5)
    (a * fake_quantize(x, torch.tensor(1.2), Grid(3), gradient=gradient)).sum().backward()
    factor = (1.2 / x.detach().abs()).clamp(max=1)  # the attenuation that clipping is
    want = {"ste": torch.ones(50), "pwl": (factor == 1).float(), "mad": factor}[gradient]
    torch.testing.assert_close(x.grad, a * want)
    torch.testing.assert_close(slope(x.detach(), torch.tensor(1.2), gradient), want)


def test_mad_at_zero_is_finite():
    x = torch.zeros(3, requires_grad=True)
    fake_quantize(x, torch.tensor(1.0), Grid(3), gradient="mad").sum().backward()
    assert x.grad.tolist() == [1, 1, 1]


def test_no_gradient_flows_into_the_clip():
    x = randn(20).requires_grad_()
    clip = torch.tensor(0.7, requires_grad=True)
    for gradient in GRADIENTS:
        value = fake_quantize(x, clip, Grid(3), gradient=gradient).sum()
        assert torch.autograd.grad(value, clip, allow_unused=True)[0] is None


@given(grids, st.sampled_from(ROUNDINGS), st.sampled_from(GRADIENTS), st.integers(0, 2**32 - 1))
def test_forward_is_what_real_codes_stand_for_to_the_bit(grid, rounding, gradient, seed):
    """The weights a client trains with are the weights it would send, at any ratio of value to clip."""
    x = randn(40, seed=seed) * torch.logspace(-6, 4, 40)
    clip = torch.tensor(0.8)
    noise = uniform(40, seed=seed) if rounding == "stochastic" else None
    got = fake_quantize(x.requires_grad_(), clip, grid, noise, gradient)
    want = quantize(x.detach(), clip, grid, rounding, noise=noise).dequantize()
    assert torch.equal(got.detach(), want)


@given(grids, st.integers(0, 2**32 - 1))
def test_forward_of_a_generator_s_draws_agrees_too(grid, seed):
    x = randn(6, 7, seed=seed)
    clip = torch.tensor(1.1)
    codes = quantize(x, clip, grid, "stochastic", torch.Generator().manual_seed(seed))
    assert torch.equal(fake_quantize(x, clip, grid, uniform(6, 7, seed=seed)), codes.dequantize())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("gradient", GRADIENTS)
def test_vmap_equals_the_loop_equals_the_batch(kind, rounding, gradient):
    """Values and gradients of stacked clients, each with its own clip."""
    grid = Grid(3, kind)
    x = randn(4, 5, 6)
    clips = torch.tensor([0.3, 0.8, 1.3, 2.0])
    noise = uniform(4, 5, 6) if rounding == "stochastic" else None

    def value(w: torch.Tensor, clip: torch.Tensor, u: torch.Tensor | None) -> torch.Tensor:
        return fake_quantize(w, clip, grid, u, gradient)

    def loss(w: torch.Tensor, clip: torch.Tensor, u: torch.Tensor | None) -> torch.Tensor:
        return value(w, clip, u).square().sum()

    dims = (0, 0, None if noise is None else 0)
    each = [None] * 4 if noise is None else noise
    loop = [value(w, c, u) for w, c, u in zip(x, clips, each, strict=True)]
    slopes = [grad(loss)(w, c, u) for w, c, u in zip(x, clips, each, strict=True)]
    assert torch.equal(vmap(value, in_dims=dims)(x, clips, noise), torch.stack(loop))
    assert torch.equal(fake_quantize(x, clips, grid, noise, gradient), torch.stack(loop))
    torch.testing.assert_close(vmap(grad(loss), in_dims=dims)(x, clips, noise), torch.stack(slopes))


@pytest.mark.parametrize("rule", RULES)
def test_every_clip_rule_works_inside_vmap(rule):
    """Quantization-aware training of stacked clients: clip and value from each client's own weights."""
    grid = Grid(3)
    x = randn(3, 40) * torch.tensor([0.1, 1.0, 5.0])[:, None]

    def value(w: torch.Tensor) -> torch.Tensor:
        return fake_quantize(w, clip_for(rule, w, grid, check=False), grid)

    torch.testing.assert_close(vmap(value)(x), torch.stack([value(w) for w in x]))


def test_a_diverged_client_spoils_itself_and_nobody_else():
    x = randn(3, 10)
    x[1, 4] = torch.nan
    got = fake_quantize(x, clip_for("octav", x, Grid(4), batch_dims=1, check=False), Grid(4))
    assert got.isnan().any(1).tolist() == [False, True, False]


@given(st.integers(0, 2**32 - 1))
def test_straight_through(seed):
    x = randn(9, seed=seed).requires_grad_()
    value = randn(9, seed=seed + 1) * 1e-4
    factor = randn(9, seed=seed + 2)
    result = straight(x, value, factor)
    assert torch.equal(result, value)
    torch.testing.assert_close(torch.autograd.grad(result.sum(), x)[0], factor)


def test_training_with_ste_moves_clipped_weights_and_with_pwl_freezes_them():
    """Prop. 4.2: under PWL a clipped weight never moves again; MAD moves it, by less than STE."""
    target = torch.tensor([0.2])
    moved = {}
    for gradient in GRADIENTS:
        w = torch.tensor([3.0], requires_grad=True)
        (fake_quantize(w, torch.tensor(1.0), Grid(8), gradient=gradient) - target).square().sum().backward()
        moved[gradient] = float(w.grad)
    assert moved["pwl"] == 0
    assert moved["mad"] == pytest.approx(moved["ste"] / 3)
    assert moved["ste"] == pytest.approx(2 * (1 - 0.2))


@pytest.mark.parametrize(
    "call", [lambda x: slope(x, x, "lsq"), lambda x: fake_quantize(x, x[0], Grid(2), gradient="lsq")]
)
def test_unknown_gradient(call):
    with pytest.raises(ConfigError, match=r"^gradient is 'lsq', but must be one of ste, pwl, mad\.$"):
        call(torch.ones(2))
