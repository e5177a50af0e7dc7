"""Bit planes, δ(l) and MSB pruning against loops over single weights."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fqlab.errors import ConfigError
from fqlab.quant import (
    Codes,
    Grid,
    from_planes,
    group_lasso,
    max_abs,
    msb_density,
    narrow_bits,
    plane_density,
    prune_msb,
    quantize,
    to_planes,
    zero_bits,
)


def codes_of(values: list[int], bits: int, clip: float = 1.0) -> Codes:
    return Codes(torch.tensor(values, dtype=torch.int16), Grid(bits, "sign_magnitude"), torch.tensor(clip))


@st.composite
def layers(draw: Callable, lowest: int = 1) -> Codes:
    """Sign-magnitude codes of any width, small magnitudes likelier, so that pruning has something to do."""
    bits = draw(st.integers(lowest, 8))
    top = 2**bits - 1
    small = st.integers(-min(3, top), min(3, top))
    values = draw(st.lists(st.one_of(small, st.integers(-top, top)), min_size=1, max_size=30))
    return codes_of(values, bits, draw(st.sampled_from([0.25, 1.0, 3.7])))


epsilons = st.one_of(st.sampled_from([0.0, 0.02, 0.1, 0.25, 0.5, 1.0]), st.floats(0, 1))


def msb_share(magnitudes: list[int], bits: int) -> float:
    """δ(l) by counting."""
    return sum(1 for m in magnitudes if format(m, f"0{bits}b")[0] == "1") / len(magnitudes)


def prune_by_hand(values: list[int], bits: int, epsilon: float, saturate: bool, once: bool) -> tuple[list[int], int]:
    """FedMPQ's rule, one plane after the other and one weight after the other."""
    magnitudes = [abs(v) for v in values]
    limit = torch.tensor(epsilon).item()  # the library compares in float32
    while bits > 1 and torch.tensor(msb_share(magnitudes, bits)).item() <= limit:
        bits -= 1
        largest = 2**bits - 1
        magnitudes = [min(m, largest) if saturate else m % 2**bits for m in magnitudes]
        if once:
            break
    return [m if v >= 0 else -m for m, v in zip(magnitudes, values, strict=True)], bits


@given(layers())
def test_planes_are_the_binary_digits(codes):
    planes, sign = to_planes(codes)
    assert planes.shape == (codes.grid.bits, *codes.shape)
    assert planes.dtype == torch.bool
    for k, value in enumerate(codes.values.tolist()):
        digits = "".join("1" if planes[i, k] else "0" for i in reversed(range(codes.grid.bits)))
        assert digits == format(abs(value), f"0{codes.grid.bits}b")
        assert int(sign[k]) == (value > 0) - (value < 0)


@given(layers())
def test_round_trip_is_exact(codes):
    planes, sign = to_planes(codes)
    assert from_planes(planes, sign, codes.clip) == codes


def test_round_trip_of_every_eight_bit_code_in_more_dimensions():
    codes = Codes(torch.arange(-255, 256, dtype=torch.int16).reshape(7, 73), Grid(8, "sign_magnitude"), torch.ones(7))
    back = from_planes(*to_planes(codes), codes.clip)
    assert back == codes
    assert back.values.dtype == torch.int16


@given(layers())
def test_densities_by_counting(codes):
    values = codes.values.tolist()
    bits = codes.grid.bits
    share = [sum(abs(v) >> i & 1 for v in values) / len(values) for i in range(bits)]
    assert plane_density(codes).tolist() == pytest.approx(share)
    assert float(msb_density(codes)) == pytest.approx(msb_share([abs(v) for v in values], bits))
    assert zero_bits(codes) == pytest.approx(1 - sum(share) / bits, abs=1e-6)


@given(layers(), epsilons, st.booleans(), st.booleans())
def test_pruning_by_hand(codes, epsilon, saturate, once):
    pruned, bits = prune_msb(codes, epsilon, saturate=saturate, once=once)
    want, left = prune_by_hand(codes.values.tolist(), codes.grid.bits, epsilon, saturate, once)
    assert int(bits) == left
    assert pruned.values.tolist() == want
    assert pruned.grid == codes.grid
    assert torch.equal(pruned.clip, codes.clip)


def test_pruning_on_a_case_done_by_hand():
    """Ten weights of 4 bits: one uses bit 3 (δ = 0.1), after saturation that one alone uses bit 2."""
    codes = codes_of([12, 1, -1, 2, 0, 3, -3, 1, 2, 0], 4)
    pruned, bits = prune_msb(codes, 0.1)
    assert (int(bits), pruned.values.tolist()) == (2, [3, 1, -1, 2, 0, 3, -3, 1, 2, 0])
    pruned, bits = prune_msb(codes, 0.1, once=True)
    assert (int(bits), pruned.values.tolist()) == (3, [7, 1, -1, 2, 0, 3, -3, 1, 2, 0])
    pruned, bits = prune_msb(codes, 0.1, saturate=False)  # 12 = 1100₂ loses both upper bits
    assert (int(bits), pruned.values.tolist()) == (2, [0, 1, -1, 2, 0, 3, -3, 1, 2, 0])
    assert int(prune_msb(codes, 0.09)[1]) == 4


@given(layers(), epsilons)
def test_weights_without_a_dropped_bit_keep_their_value_after_the_trim(codes, epsilon):
    """Δ is unchanged, so as real numbers nothing moves but the saturated few."""
    pruned, bits = prune_msb(codes, epsilon)
    small = narrow_bits(pruned, int(bits))
    assert small.grid == Grid(int(bits), "sign_magnitude")
    kept = codes.values.abs() <= 2 ** int(bits) - 1
    before, after = codes.dequantize(), small.dequantize()
    torch.testing.assert_close(after[kept], before[kept], rtol=1e-6, atol=0)
    assert bool((after[~kept].abs() < before[~kept].abs()).all())
    assert bool((after.sign() == before.sign()).all())


@given(layers(lowest=2))
def test_epsilon_zero_drops_only_empty_planes(codes):
    pruned, bits = prune_msb(codes, 0.0)
    assert torch.equal(pruned.values, codes.values)
    assert int(bits) == max(1, int(codes.values.abs().max()).bit_length())


@given(layers(), st.booleans())
def test_epsilon_one_leaves_one_bit(codes, saturate):
    pruned, bits = prune_msb(codes, 1.0, saturate=saturate)
    assert int(bits) == 1
    assert set(pruned.values.abs().tolist()) <= {0, 1}


@given(layers(), st.lists(epsilons, min_size=2, max_size=2))
def test_a_larger_epsilon_never_leaves_more_bits(codes, pair):
    low, high = sorted(pair)
    assert int(prune_msb(codes, high)[1]) <= int(prune_msb(codes, low)[1])


@given(st.integers(1, 8), epsilons, st.booleans(), st.booleans(), st.integers(0, 2**32 - 1))
def test_every_member_of_a_batch_is_pruned_alone(bits, epsilon, saturate, once, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, 3, 4, 5, generator=generator) ** 3
    for dims in (1, 2):
        codes = quantize(x, max_abs(x, batch_dims=dims), Grid(bits, "sign_magnitude"), batch_dims=dims)
        pruned, left = prune_msb(codes, epsilon, saturate=saturate, once=once, batch_dims=dims)
        density = msb_density(codes, batch_dims=dims)
        every = plane_density(codes, batch_dims=dims)
        assert left.shape == density.shape == x.shape[:dims]
        assert every.shape == (bits, *x.shape[:dims])
        for index in torch.cartesian_prod(*map(torch.arange, x.shape[:dims])).reshape(-1, dims).tolist():
            alone = Codes(codes.values[tuple(index)], codes.grid, codes.clip[tuple(index)])
            want, bits_left = prune_msb(alone, epsilon, saturate=saturate, once=once)
            assert torch.equal(pruned.values[tuple(index)], want.values)
            assert int(left[tuple(index)]) == int(bits_left)
            assert float(density[tuple(index)]) == pytest.approx(float(msb_density(alone)))


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize(
    "weights, delta, after",
    [(432, 0.11, 0.43), (2304, 0.07, 0.36), (9216, 0.047, 0.32), (36864, 0.033, 0.28)],
)
def test_gaussian_layers_have_the_published_density(bits, weights, delta, after):
    """δ of untrained max-abs layers, whatever the bit-width, and what one prune makes of it (0.43-0.28)."""
    x = torch.randn(40, weights, generator=torch.Generator().manual_seed(weights))
    codes = quantize(x, max_abs(x, batch_dims=1), Grid(bits, "sign_magnitude"), batch_dims=1)
    assert float(msb_density(codes, batch_dims=1).mean()) == pytest.approx(delta, rel=0.15)
    if bits > 2:
        pruned, left = prune_msb(codes, 1.0, once=True, batch_dims=1)
        assert left.unique().tolist() == [bits - 1]
        again = msb_density(narrow_bits(pruned, bits - 1), batch_dims=1)
        assert float(again.mean()) == pytest.approx(after, rel=0.12)


@given(st.integers(1, 8), st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_trim_keeps_step_and_codes_or_refuses(bits, width, seed):
    x = torch.randn(10, generator=torch.Generator().manual_seed(seed))
    codes = quantize(x, 1.3, Grid(bits, "sign_magnitude"))
    needed = int(codes.values.abs().max()).bit_length()
    if width < needed:
        with pytest.raises(ConfigError, match=rf"^bits is {width}, but must be enough for the magnitude \d+\.$"):
            narrow_bits(codes, width)
    else:
        small = narrow_bits(codes, width)
        assert torch.equal(small.values, codes.values)
        assert float(small.grid.step(small.clip)) == pytest.approx(float(codes.grid.step(codes.clip)), rel=1e-6)


def test_group_lasso_by_hand():
    """Two planes, positive and negative parts in one group: √(9 + 16) + √(0 + 0), and 1e−4 by the guard."""
    planes = torch.tensor([[[3.0, 0.0], [0.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]]])
    assert float(group_lasso(planes)) == pytest.approx(5 + 1e-4, rel=1e-6)
    assert float(group_lasso(planes, guard=0)) == 5


def test_group_lasso_gradient():
    """∂/∂B = B/‖B_i‖ of its plane, and 0, not NaN, where a plane is empty."""
    planes = torch.randn(3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    planes[1] = 0
    planes.requires_grad_()
    group_lasso(planes).backward()
    norm = (planes.detach().square().sum((1, 2), keepdim=True) + 1e-8).sqrt()
    torch.testing.assert_close(planes.grad, planes.detach() / norm)
    assert not planes.grad[1].any()
    assert torch.autograd.gradcheck(group_lasso, planes.detach()[[0, 2]].requires_grad_())


def test_group_lasso_of_binary_planes_counts_ones():
    planes, _ = to_planes(codes_of([5, -4, 1, 7], 3))  # ones in planes 0, 1, 2: 3, 1, 3
    want = math.sqrt(3) + math.sqrt(1) + math.sqrt(3)
    assert float(group_lasso(planes.float())) == pytest.approx(want, rel=1e-6)


@pytest.mark.parametrize("kind", ["midrise", "octav", "twos_complement", "narrow"])
@pytest.mark.parametrize(
    "what", [to_planes, msb_density, zero_bits, lambda c: prune_msb(c, 0.1), lambda c: narrow_bits(c, 2)]
)
def test_other_grids_have_no_planes(kind, what):
    with pytest.raises(ConfigError, match=rf"^grid is '{kind}', but bit planes need 'sign_magnitude'\.$"):
        what(quantize(torch.ones(2), 1.0, Grid(3, kind)))


@pytest.mark.parametrize("epsilon", [-0.01, 1.01, float("nan"), "0.1", None])
def test_epsilon_outside_0_to_1(epsilon):
    with pytest.raises(ConfigError, match=r"^epsilon is .*, but must be a number from 0 to 1\.$"):
        prune_msb(codes_of([1, 2], 3), epsilon)
