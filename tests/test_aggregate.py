"""Averaging rules against hand-computed values, and the guard."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fqlab.aggregate import inverse_error, inverse_error_weights, masked_mean, mean, validate_update
from fqlab.errors import ConfigError
from fqlab.quant import Codes, Grid


def test_mean_weighs_by_samples():
    values = [torch.tensor([1.0, 2.0]), torch.tensor([4.0, 8.0])]
    assert mean(values, [30, 10]).tolist() == [1.75, 3.5]
    assert mean(values).tolist() == [2.5, 5.0]


def test_inverse_error_is_gauss_markov():
    """e = (1, 2, 4): weights (4, 2, 1)/7, variance 0.571429 against 7/9 for the plain mean (digest §1.7)."""
    weights = inverse_error_weights([1.0, 2.0, 4.0])
    assert weights.tolist() == pytest.approx([4 / 7, 2 / 7, 1 / 7])
    e = torch.tensor([1.0, 2.0, 4.0])
    assert float((weights**2 * e).sum()) == pytest.approx(0.571429, abs=1e-6)
    assert inverse_error([torch.tensor([7.0]), torch.tensor([0.0]), torch.tensor([14.0])], e).tolist() == pytest.approx(
        [6]
    )


@given(st.lists(st.floats(0, 1e3), min_size=1, max_size=8))
def test_inverse_error_weights_sum_to_one_even_at_zero_error(errors):
    weights = inverse_error_weights(errors)
    assert float(weights.sum()) == pytest.approx(1, abs=1e-5)
    assert bool(weights.isfinite().all())


def test_equal_errors_give_the_plain_mean():
    values = [torch.randn(5, generator=torch.Generator().manual_seed(i)) for i in range(4)]
    assert torch.allclose(inverse_error(values, [0.3] * 4), mean(values))
    assert torch.allclose(inverse_error(values, [0.0] * 4), mean(values))


def test_masked_mean_divides_by_holders_and_keeps_what_nobody_holds():
    values = [torch.tensor([2.0, 9.0, 0.0]), torch.tensor([4.0, 0.0, 0.0])]
    masks = [torch.tensor([True, True, False]), torch.tensor([True, False, False])]
    assert masked_mean(values, masks, torch.tensor([-1.0, -1.0, -1.0])).tolist() == [3.0, 9.0, -1.0]


@pytest.mark.parametrize(
    "call",
    [lambda: mean([]), lambda: mean([torch.ones(1)], [0]), lambda: mean([torch.ones(1)], [-1.0]),
     lambda: inverse_error_weights([-1.0]), lambda: inverse_error_weights([math.nan]), lambda: inverse_error_weights([])],
)  # fmt: skip
def test_bad_weights_are_refused(call):
    with pytest.raises(ConfigError, match=" is "):
        call()


def test_guard():
    expected = {"w": torch.Size([2])}
    assert validate_update({"w": torch.zeros(2)}, expected) is None
    assert "missing" in validate_update({}, expected)
    assert "shape (3,)" in validate_update({"w": torch.zeros(3)}, expected)
    assert "not finite" in validate_update({"w": torch.tensor([0.0, math.inf])}, expected)
    assert "not finite" in validate_update({"w": torch.tensor([0.0, math.nan])}, expected)
    codes = Codes(torch.tensor([0, 7], dtype=torch.int16), Grid(2), torch.tensor(1.0))
    assert "outside 0..3" in validate_update({"w": codes}, expected)
    codes = Codes(torch.tensor([0, 3], dtype=torch.int16), Grid(2), torch.tensor(math.nan))
    assert "not finite" in validate_update({"w": codes}, expected)
