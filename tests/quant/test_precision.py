"""Bit planes as variables, re-quantization, precision adjustment, budgets: digest of BSQ §A and FedMPQ §B."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fqlab.errors import ConfigError
from fqlab.models import ResNet, quantizable
from fqlab.quant import (
    CUTTINGS,
    Codes,
    Grid,
    adjust,
    bit_variables,
    compression,
    max_abs,
    mean_bits,
    parse_budgets,
    pruning_growing,
    quantize,
    requantize,
    requantize_net,
    requantize_to_step,
    signed_sum,
)


def codes(values: list[int], bits: int, clip: float = 1.0) -> Codes:
    return Codes(torch.tensor(values, dtype=torch.int16), Grid(bits, "sign_magnitude"), torch.tensor(clip))


@st.composite
def some_codes(draw) -> Codes:
    bits = draw(st.integers(1, 8))
    top = 2**bits - 1
    values = draw(st.lists(st.integers(-top, top), min_size=1, max_size=12))
    return codes(values, bits, draw(st.floats(0.0625, 4, width=32)))


@st.composite
def some_planes(draw) -> tuple[torch.Tensor, torch.Tensor]:
    bits = draw(st.integers(1, 8))
    count = draw(st.integers(1, 6))
    real = st.floats(0, 2, width=32, allow_subnormal=False)
    numbers = draw(st.lists(real, min_size=2 * bits * count, max_size=2 * bits * count))
    return torch.tensor(numbers).reshape(2, bits, count), torch.tensor(draw(st.floats(0.0625, 4, width=32)))


# ------------------------------------------------------------------------------------------------ digits


@given(some_codes())
def test_round_trip_from_codes_through_real_planes_is_exact(c):
    """A.13 (i): formula (A1)."""
    planes = bit_variables(c)
    assert torch.equal(signed_sum(planes), c.values.float())
    assert set(planes.unique().tolist()) <= {0.0, 1.0}
    assert float((planes[0] * planes[1]).sum()) == 0
    back = requantize(planes, c.clip)
    assert torch.equal(back.values, c.values)
    assert back.grid == c.grid


def test_room_for_more_planes_is_empty():
    planes = bit_variables(codes([3, -1], 2), 8)
    assert planes.shape == (2, 8, 2)
    assert float(planes[:, 2:].abs().sum()) == 0
    assert signed_sum(planes).tolist() == [3, -1]


# ---------------------------------------------------------------------------------------- re-quantization


@given(some_planes())
def test_requantization_rounds_the_net_value_and_keeps_the_step(pair):
    planes, scale = pair
    bits = planes.shape[1]
    power = 2.0 ** torch.arange(bits).reshape(-1, 1)
    net = (power * (planes[0] - planes[1])).sum(0)  # written out once more
    exact = scale / (2**bits - 1) * net.round()
    out = requantize(planes, scale)
    top = out.grid.high
    if bits < 8:
        assert torch.allclose(out.dequantize(), exact, rtol=1e-5, atol=1e-6)
        assert out.grid.bits == bits + bool(net.round().abs().max() > 2**bits - 1)
    else:
        assert out.grid.bits == 8
        assert torch.equal(out.values, net.round().clamp(-top, top).to(torch.int16))


def test_without_growth_overflow_is_clipped():
    planes = torch.full((2, 2, 1), 2.0) * torch.tensor([1.0, 0.0]).reshape(2, 1, 1)  # net value 6 on 2 bits
    assert requantize(planes, torch.tensor(1.0)).values.tolist() == [6]
    narrow = requantize(planes, torch.tensor(1.0), growth=False)
    assert (narrow.grid.bits, narrow.values.tolist()) == (2, [3])


def test_a_negative_scale_turns_the_signs():
    planes = bit_variables(codes([3, -1], 2))
    plus, minus = requantize(planes, torch.tensor(0.5)), requantize(planes, torch.tensor(-0.5))
    assert torch.equal(minus.dequantize(), -plus.dequantize())
    assert float(minus.clip) == 0.5
    net = torch.tensor([1.0, -0.4])
    assert torch.equal(requantize_net(net, torch.tensor(-0.5), 2).dequantize(), torch.tensor([-0.5, 0.5 / 3]))


def test_rounding_is_half_to_even():
    planes = torch.tensor([[[0.5, 1.5]], [[0.0, 0.0]]])
    assert requantize(planes, torch.tensor(1.0)).values.tolist() == [0, 2]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_diverged_is_refused_and_does_not_become_a_sound_code(bad):
    planes = torch.zeros(2, 3, 4)
    net = torch.zeros(4)
    one = torch.tensor(1.0)
    for scale in (bad, -bad):
        for call in (
            lambda s: requantize(planes, s),
            lambda s: requantize_net(net, s, 3),
            lambda s: requantize_to_step(net, s),
        ):
            with pytest.raises(ConfigError, match=r"^(scale|step) is -?(nan|inf), but must be finite\.$"):
                call(torch.tensor(scale))
    planes[0, 1, 2] = net[2] = torch.nan
    with pytest.raises(ConfigError, match=r"^planes holds NaN, but no code stands for that\.$"):
        requantize(planes, one)
    with pytest.raises(ConfigError, match=r"^net holds NaN, but no code stands for that\.$"):
        requantize_net(net, one, 3)
    with pytest.raises(ConfigError, match=r"^weights holds NaN, but no code stands for that\.$"):
        requantize_to_step(net, one)
    with pytest.raises(ConfigError, match=r"^step is -1\.0, but must be 0 or more\.$"):
        requantize_to_step(torch.ones(2), -1.0)
    far = torch.tensor([float("inf"), -1e30])  # beyond the grid is where clipping is for
    assert requantize_to_step(far, 1.0).values.tolist() == [255, -255]
    assert requantize_net(far, one, 2).values.tolist() == [3, -3]


@pytest.mark.parametrize("shape", [(0,), (3, 0)])
def test_a_layer_without_weights(shape):
    empty = Codes(torch.zeros(shape, dtype=torch.int16), Grid(5, "sign_magnitude"), torch.tensor(1.0))
    assert requantize(bit_variables(empty), empty.clip) == empty
    assert adjust(empty).shape == torch.Size(shape)
    assert requantize_to_step(torch.zeros(shape), 0.5).grid.bits == 1
    assert requantize_net(torch.zeros(shape), torch.tensor(1.0), 2).shape == torch.Size(shape)


# ------------------------------------------------------------------------------------ precision adjustment


@given(some_codes())
def test_adjustment_leaves_every_weight_where_it_was(c):
    """A.13 (ii), eq. 6."""
    out = adjust(c)
    assert torch.allclose(out.dequantize(), c.dequantize(), rtol=1e-5, atol=1e-7)
    assert int(out.values.abs().max()) <= out.grid.high


@given(some_codes())
def test_adjustment_finds_the_narrowest_width_by_brute_force(c):
    """From the binary strings: what lies between the highest and the lowest plane with a one, or one bit."""
    used = 0
    for v in c.values.tolist():
        used |= abs(v)
    digits = f"{used:b}"
    expected = len(digits.rstrip("0")) if used else 1
    assert adjust(c).grid.bits == expected
    assert adjust(c, lsb=False).grid.bits == max(1, used.bit_length())


def test_an_empty_plane_between_full_ones_stays():
    assert adjust(codes([5, -4], 3)).grid.bits == 3


@given(some_codes())
def test_no_plane_that_holds_a_one_is_stripped(c):
    """A.13 (v): the number of ones is the same before and after."""
    ones = lambda x: sum(bin(abs(v)).count("1") for v in x.values.tolist())
    assert ones(adjust(c)) == ones(c)


def test_a_layer_of_zeros_keeps_one_bit():
    assert adjust(codes([0, 0], 5)).grid.bits == 1


def test_threshold_cuts_rare_planes_and_saturates():
    c = codes([1, 1, 1, 1, 1, 1, 1, 1, 1, 5], 3)
    out = adjust(c, threshold=0.11, lsb=False)
    assert (out.grid.bits, out.values.tolist()) == (1, [1] * 10)
    assert torch.allclose(out.dequantize()[:9], c.dequantize()[:9])


@given(some_codes())
def test_regrid_of_weights_on_their_own_grid_is_exact(c):
    out = requantize_to_step(c.dequantize(), c.grid.step(c.clip))
    assert torch.equal(out.values, c.values)
    assert out.grid.bits == max(1, int(c.values.abs().max()).bit_length())
    assert requantize_to_step(c.dequantize(), c.grid.step(c.clip), c.grid.bits).grid == c.grid


def test_regrid_clips_what_does_not_fit_and_survives_a_step_of_zero():
    assert requantize_to_step(torch.tensor([9.0, -2.0]), 1.0, 2).values.tolist() == [3, -2]
    assert requantize_to_step(torch.tensor([300.0]), 1.0).values.tolist() == [255]
    assert requantize_to_step(torch.tensor([300.0]), 1.0, cap=4).grid.bits == 4
    empty = requantize_to_step(torch.tensor([0.0, 0.0]), 0.0)
    assert (empty.grid.bits, empty.dequantize().tolist()) == (1, [0, 0])


# ---------------------------------------------------------------------------------------------- accounting

HAWQ = {"conv": 8, "stage1": (6, 6, 6, 6, 8, 8), "stage2": 3, "stage3": 2, "fc": 3}


def test_resnet20_has_268346_parameters_and_hawq_compresses_it_13_107_times():
    """A.9: the scheme in BSQ's code, shortcuts and norms left out, the fc bias counted."""
    model = ResNet(3, 10, "batch")
    sizes = {name: model.get_parameter(name).numel() for name in quantizable(model, biases=True)}
    assert sum(sizes.values()) == 268_346
    first = iter(HAWQ["stage1"])
    widths = [next(first) if (part := name.split(".")[0]) == "stage1" else HAWQ[part] for name in sizes]
    bits = mean_bits(list(sizes.values()), widths)
    assert bits * 268_346 == pytest.approx(655_134, abs=1e-6)
    assert compression(bits) == pytest.approx(13.107, abs=5e-4)


def test_eight_bits_everywhere_compress_four_times():
    assert compression(mean_bits([100, 7], [8, 8])) == 4.0


def test_a_layer_may_count_nothing():
    assert mean_bits([10, 30], [4, 0]) == 1.0
    assert compression(0.0) == float("inf")


# ------------------------------------------------------------------------------------------------- budgets


def test_budgets_of_clients_in_turn():
    assert parse_budgets("2-2-4-4-4-6-6-6-8-8") == (2, 2, 4, 4, 4, 6, 6, 6, 8, 8)
    assert parse_budgets(5) == (5,)
    assert parse_budgets("2.5-8") == (2.5, 8)


@pytest.mark.parametrize("bad", [0.5, 9, "0-4", "2-9", "2-x", "", True, float("nan"), None])
def test_bad_budgets_in_one_sentence(bad):
    with pytest.raises(ConfigError, match=r"^budgets is .*\.$"):
        parse_budgets(bad)


def test_widths_must_match_layers():
    with pytest.raises(ConfigError, match="widths is"):
        mean_bits([1, 2], [8])


layers = st.lists(st.tuples(st.integers(1, 8), st.integers(0, 7), st.integers(1, 5000)), min_size=1, max_size=7)


@given(layers, st.floats(1, 8), st.sampled_from(CUTTINGS))
def test_a_budget_is_kept_and_spent(table, budget, cutting):
    """B.12: never above the budget, and no layer below 8 bits could still be given one more."""
    base, reduced, sizes = zip(*table, strict=True)
    widths = pruning_growing(base, reduced, sizes, budget, cutting)
    assert all(1 <= b <= 8 for b in widths)
    total = sum(sizes)
    spare = budget * total - sum(m * b for m, b in zip(sizes, widths, strict=True))
    assert spare >= -1e-6 * total
    assert all(spare < m + 1e-6 * total for m, b in zip(sizes, widths, strict=True) if b < 8)


def test_large_and_willing_layers_are_cut_first_small_ones_grow_first():
    assert pruning_growing([4, 4], [0, 0], [100, 10], 3.2, "drain") == (3, 5)
    assert pruning_growing([4, 4], [0, 9], [50, 50], 3.5, "drain") == (4, 3)
    assert pruning_growing([4, 4, 4], [0, 0, 0], [30, 20, 10], 2, "drain") == (1, 2, 5)
    assert pruning_growing([4, 4, 4], [0, 0, 0], [30, 20, 10], 2, "round_robin") == (2, 2, 2)
    assert pruning_growing([2, 2, 2], [0, 0, 0], [30, 20, 10], 3, "round_robin") == (3, 3, 3)
    assert pruning_growing([2, 2, 2], [0, 0, 0], [30, 20, 10], 3, "drain") == (2, 2, 8)


def test_every_small_table_by_brute_force():
    """No table of widths that keeps the budget is larger in every layer."""
    sizes = [3, 2, 1]
    for base in itertools.product((1, 4, 8), repeat=3):
        for budget in (1, 2.4, 5, 8):
            widths = pruning_growing(base, [0, 1, 0], sizes, budget)
            for layer in range(3):
                more = [b + (k == layer) for k, b in enumerate(widths)]
                assert max(more) > 8 or mean_bits(sizes, more) > budget


@pytest.mark.parametrize("budget", [0.9, 8.1])
def test_a_budget_out_of_range(budget):
    with pytest.raises(ConfigError, match="budget is"):
        pruning_growing([4], [0], [1], budget)


def test_cutting_is_one_of_two():
    with pytest.raises(ConfigError, match="cutting is 'even'"):
        pruning_growing([4], [0], [1], 4, "even")


def test_weights_on_max_abs_scale_always_use_their_msb():
    """B.12: where the scale is re-taken as max|W|, no MSB plane is ever empty."""
    w = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    grid = Grid(8, "sign_magnitude")
    assert adjust(quantize(w, max_abs(w, grid), grid), lsb=False).grid.bits == 8


def test_every_move_of_algorithm_2_is_one_bit_towards_the_budget():
    from fqlab.quant import moves

    sizes = [432, 2304, 9216, 36864]
    base = [5, 5, 5, 4]
    for budget in (2, 4, 6, 8):
        for cutting in ("round_robin", "drain"):
            walk = list(moves(base, [0, 1, 0, 1], sizes, budget, cutting))
            assert walk[0] == tuple(base)
            assert walk[-1] == pruning_growing(base, [0, 1, 0, 1], sizes, budget, cutting)
            for before, after in itertools.pairwise(walk):
                assert sum(abs(a - b) for a, b in zip(before, after, strict=True)) == 1
            over = [mean_bits(sizes, widths) > budget for widths in walk]
            assert over == sorted(over, reverse=True), "first cut, then grown, never above the budget again"
