"""Pruning of planes at both ends, against hand-made layers and the rule written out on lists of digits."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fqlab.errors import ConfigError
from fqlab.quant import Codes, Grid, adjust


def codes(values: list[int], bits: int, clip: float = 1.0) -> Codes:
    return Codes(torch.tensor(values, dtype=torch.int16), Grid(bits, "sign_magnitude"), torch.tensor(clip))


@st.composite
def layers(draw) -> Codes:
    bits = draw(st.integers(1, 8))
    rare = draw(st.integers(0, 4))
    few = draw(st.lists(st.integers(1 - 2**bits, 2**bits - 1), min_size=1, max_size=6))
    low = 2 ** max(1, bits - rare) - 1
    many = draw(st.lists(st.integers(-low, low), min_size=0, max_size=30))
    return codes(few + many, bits, draw(st.floats(0.0625, 4, width=32)))


def by_hand(values: list[int], bits: int, clip: float, threshold: float) -> tuple[list[int], int, float]:
    """The authors' loops on lists of digits, MSB first, with saturation that survives."""
    digits = [[abs(v) >> i & 1 for i in reversed(range(bits))] for v in values]
    scale = clip
    left = bits
    share = [sum(weight[k] for weight in digits) / len(values) for k in range(bits)]
    for k in range(bits):
        if left == 1 or (share[k] != 0 and not share[k] < threshold):
            break
        digits = [[max(weight[0], d) for d in weight[1:]] for weight in digits]
        left -= 1
    share = [sum(weight[k] for weight in digits) / len(values) for k in range(left)]
    for k in reversed(range(left)):
        if left == 1 or not share[k] <= threshold:
            break
        digits = [weight[:-1] for weight in digits]
        left -= 1
        scale *= 2
    scale *= (2**left - 1) / (2**bits - 1)
    magnitudes = [int("".join(map(str, weight)), 2) for weight in digits]
    return [m if v > 0 else -m for m, v in zip(magnitudes, values, strict=True)], left, scale


@given(layers(), st.sampled_from([0.0, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0]))
def test_the_rule_by_hand(c, threshold):
    values, bits, scale = by_hand(c.values.tolist(), c.grid.bits, float(c.clip), threshold)
    out = adjust(c, threshold=threshold)
    assert (out.values.tolist(), out.grid.bits) == (values, bits)
    assert float(out.clip) == pytest.approx(scale, rel=1e-5)


@given(layers())
def test_without_a_threshold_no_weight_moves(c):
    out = adjust(c)
    assert torch.allclose(out.dequantize(), c.dequantize(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("values", "bits", "threshold", "left", "expected"),
    [
        ([5] + [1] * 99, 3, 0.02, 1, [1] * 100),  # 1 % and then an empty plane: two cuts, 5 saturates at 1
        ([4] + [3] * 99, 3, 0.01, 3, [4] + [3] * 99),  # exactly 1 % is not strictly below 1 %
        ([4, 2] + [1] * 98, 3, 0.02, 1, [1] * 100),  # two planes that hold ones: both saturate
        ([7, 2] + [1] * 8, 4, 0.0, 3, [7, 2] + [1] * 8),  # an empty top plane alone goes without a threshold
        ([6, 4, 2] * 3, 3, 0.0, 2, [3, 2, 1] * 3),  # an empty LSB goes, the step doubles
        ([5, 5, 5, 4], 3, 0.0, 3, [5, 5, 5, 4]),  # an empty plane in between stays
        ([0, 0, 0], 5, 0.0, 1, [0, 0, 0]),
        ([8, 8, 8, 9], 4, 0.3, 1, [1, 1, 1, 1]),  # the LSB is used by a quarter: cut, and with it two empty ones
        ([-5] + [-1] * 99, 3, 0.02, 1, [-1] * 100),
    ],
)
def test_hand_made_layers(values, bits, threshold, left, expected):
    out = adjust(codes(values, bits), threshold=threshold)
    assert (out.grid.bits, out.values.tolist()) == (left, expected)


def test_shares_are_those_before_the_first_cut():
    """Saturation after the first cut fills plane 1 up to 3 %; before it, 1 % used it."""
    values = [8, 8, 4] + [1] * 97
    assert adjust(codes(values, 4), threshold=0.025).values.tolist() == [1] * 100


def test_one_end_at_a_time():
    c = codes([4, 2, 2, 2], 5)
    assert adjust(c, lsb=False).values.tolist() == [4, 2, 2, 2]
    assert adjust(c, lsb=False).grid.bits == 3
    assert adjust(c, msb=False).values.tolist() == [2, 1, 1, 1]
    assert adjust(c, msb=False).grid.bits == 4


@pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan")])
def test_a_threshold_is_a_share(bad):
    with pytest.raises(ConfigError, match="^threshold is"):
        adjust(codes([1], 1), threshold=bad)
