"""Averaging rules against hand-computed values, and the guard."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fqlab.aggregate import (
    AVERAGES,
    average,
    inverse_error,
    inverse_error_weights,
    masked_mean,
    mean,
    median,
    trimmed_mean,
    validate_update,
)
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
def test_inverse_error_weights_sum_to_one_even_at_zero_error(mse):
    weights = inverse_error_weights(mse)
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
     lambda: mean([torch.ones(1)], [math.nan]), lambda: mean([torch.ones(1)] * 2, [1, math.nan]),
     lambda: mean([torch.ones(1)], [math.inf]), lambda: median([]), lambda: trimmed_mean([]),
     lambda: trimmed_mean([torch.ones(1)], 0.5), lambda: trimmed_mean([torch.ones(1)], math.nan),
     lambda: average("mode", [torch.ones(1)], [1]),
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


# ------------------------------------------------------------------------------------------- median, trimmed mean


@st.composite
def clients(draw, most=9):
    """float32 values ``[clients, 6]``, ties and huge values included."""
    n = draw(st.integers(1, most))
    number = st.one_of(st.sampled_from([0.0, 1.0, -1.0, 1e30, -1e30]), st.floats(-1e3, 1e3, width=32))
    return torch.tensor(
        draw(st.lists(st.lists(number, min_size=6, max_size=6), min_size=n, max_size=n)), dtype=torch.float32
    )


@given(clients())
def test_median_is_numpys(values):
    assert median(values).tolist() == pytest.approx(np.median(values.double().numpy(), axis=0).tolist(), rel=1e-6)


@given(clients(), st.sampled_from([0.0, 0.1, 0.2, 0.25, 0.3, 0.4, 0.49]))
def test_trimmed_mean_is_scipys(values, share):
    """SciPy truncates 0.3 · 10 as it is in binary; here ⌊share · n⌋ is that of the decimal numbers."""
    values = values.clamp(-1e3, 1e3)
    drop = (int(100 * share + 0.5) * len(values)) // 100
    expected = np.sort(values.double().numpy(), axis=0)[drop : len(values) - drop].mean(axis=0)
    assert trimmed_mean(values, share).tolist() == pytest.approx(expected.tolist(), rel=1e-5, abs=1e-3)
    if int(share * len(values)) == drop:
        oracle = stats.trim_mean(values.double().numpy(), share, axis=0)
        assert trimmed_mean(values, share).tolist() == pytest.approx(oracle.tolist(), rel=1e-5, abs=1e-3)


@given(clients(), st.integers(0, 2**32 - 1))
def test_masks_say_who_counts(values, seed):
    values = values.clamp(-1e3, 1e3)
    masks = torch.rand(values.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float32) < 0.6
    for rule, oracle in (
        (median, np.median),
        (lambda v, m: trimmed_mean(v, 0.25, m), lambda x: np.mean(np.sort(x)[len(x) // 4 : len(x) - len(x) // 4])),
    ):
        result = rule(values, masks)
        for j in range(6):
            present = values[:, j][masks[:, j]].double().numpy()
            assert float(result[j]) == pytest.approx(oracle(present) if len(present) else 0.0, rel=1e-5, abs=1e-4)


@pytest.mark.parametrize("lie", [1e30, -1e30, 0.0, 3.0])
@pytest.mark.parametrize("liars, survivors", [(1, ("median", "trimmed_mean")), (2, ("median",)), (4, ("median",))])
def test_what_each_rule_survives(lie, liars, survivors):
    """Nine clients near 1, of which some send a lie: within the range of the honest ones, or not."""
    honest = 1 + 0.1 * torch.randn(9 - liars, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
    values = torch.cat([honest, torch.full((liars, 50), lie)])
    for rule in survivors:
        result = average(rule, values, [1] * 9, cut=0.12)
        assert bool(((honest.min(0).values <= result) & (result <= honest.max(0).values)).all()), rule
    for rule in set(AVERAGES) - set(survivors):
        result = average(rule, values, [1] * 9, cut=0.12)
        inside = (honest.min(0).values <= result) & (result <= honest.max(0).values)
        assert not bool(inside.all()), rule  # the others do not


def test_rules_by_name():
    values = torch.tensor([[0.0], [1.0], [5.0], [50.0]], dtype=torch.float32)
    samples = [1, 1, 1, 3]
    results = {rule: float(average(rule, values, samples, 0.25)) for rule in AVERAGES}
    assert results == {"size": 26.0, "equal": 14.0, "median": 3.0, "trimmed_mean": 3.0}


def test_another_default_dtype_changes_nothing():
    values = torch.randn(5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
    rules = (mean, median, trimmed_mean, lambda v: mean(v, [1, 2, 3, 4, 5]), lambda v: inverse_error(v, [1.0] * 5))
    expected = [rule(values) for rule in rules]
    torch.set_default_dtype(torch.float64)
    try:
        for rule, result in zip(rules, expected, strict=True):
            assert torch.equal(rule(values), result)
            assert rule(values).dtype == torch.float32
    finally:
        torch.set_default_dtype(torch.float32)
