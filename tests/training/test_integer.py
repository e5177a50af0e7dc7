"""The optimiser of FedMPQ's public code, against its formulas in plain Python numbers."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fqlab.training import integer
from fqlab.training.integer import (
    accumulate,
    binary_digits,
    integer_step,
    penalty_pull,
    power_of_two,
    quantize_step,
    reach,
)
from fqlab.training.integer_plain import plain_step


def by_hand(r, slope, lr, strength, uniform, bits, momentum, buffer):
    """One step of one layer as the formulas say it, weight by weight and digit by digit.

    Lists of whole magnitudes, slopes and draws; ``buffer[k][i]`` is digit i of weight k.
    """
    top = 2**bits - 1
    digits = [[(m >> i) & 1 for i in range(bits)] for m in r]
    norm = [math.sqrt(sum(weight[i] for weight in digits) + 1e-8) for i in range(bits)]
    g = [
        [momentum * buffer[k][i] + 2**i * slope[k] + strength * digits[k][i] / norm[i] for i in range(bits)]
        for k in range(len(r))
    ]
    c = max(abs(value) for weight in g for value in weight) / top
    magnitudes = []
    steps = []
    for k in range(len(r)):
        d = [2.0 ** round(math.log2(lr * abs(g[k][i]) / c)) * 2**i if g[k][i] else 0.0 for i in range(bits)]
        step = [math.copysign(c * d[i], g[k][i]) if 1 <= d[i] <= 2**bits else 0.0 for i in range(bits)]
        if uniform[k] < min(1.0, sum(value for value in d if value < 1)):
            step[0] += c if g[k][-1] > 0 else -c
        total = sum(2**i * step[i] for i in range(bits))
        magnitudes.append(min(top, max(0, round(r[k] - lr * total))))
        steps.append(step)
    return magnitudes, steps


CASES = [
    # magnitudes, slopes, bits, lr, strength, draws
    ([200, 3, 0, 91], [0.02, -0.01, 0.005, 0.03], 8, 0.1, 0.0, [0.5, 0.5, 0.5, 0.5]),
    ([200, 3, 0, 91], [0.02, -0.01, 0.005, 0.03], 8, 0.1, 0.004, [0.01, 0.9, 0.2, 0.99]),
    ([5, 7, 2, 1], [1.0, -3.0, 0.2, 5.0], 3, 0.5, 0.0, [0.3, 0.3, 0.3, 0.3]),
    ([1, 0, 1, 1], [0.4, -0.4, 2.0, 0.0], 1, 0.3, 0.1, [0.0, 0.0, 0.999, 0.1]),
    ([15, 8, 4, 0], [-2.0, 0.7, 1e-4, 0.0], 4, 1.0, 0.02, [0.05, 0.95, 0.5, 0.0]),
    ([1, 8], [-0.001, 1.0], 4, 0.1, 0.1, [0.0, 0.5]),  # the penalty turns the LSB's gradient, not the MSB's
]


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize(("r", "slope", "bits", "lr", "strength", "draws"), CASES)
def test_three_steps_by_hand(r, slope, bits, lr, strength, draws, momentum):
    magnitude = torch.tensor(r, dtype=torch.float32)
    buffer = torch.zeros(bits, len(r))
    theirs = r
    memory = [[0.0] * bits for _ in r]
    for _ in range(3):
        accumulate(buffer, magnitude, torch.tensor(slope), penalty_pull(magnitude, bits, strength), momentum)
        integer_step(magnitude, buffer, lr, torch.tensor(draws))
        theirs, memory = by_hand(theirs, slope, lr, strength, draws, bits, momentum, memory)
        assert magnitude.tolist() == theirs
        assert torch.allclose(buffer, torch.tensor(memory).T, rtol=1e-5, atol=1e-12)


def test_something_happens_in_the_cases():
    for r, slope, bits, lr, strength, draws in CASES:
        magnitudes, steps = by_hand(r, slope, lr, strength, draws, bits, 0.0, [[0.0] * bits for _ in r])
        assert any(any(step) for step in steps)
        assert bits in (1, 4) or magnitudes != r


@given(st.floats(-(2.0**99), 2.0**99, width=32).filter(lambda x: x == 0 or abs(x) > 1e-30))
def test_powers_of_two_are_those_of_the_logarithm(x):
    value = float(power_of_two(torch.tensor([x])))
    if x == 0:
        assert value == 0
    else:
        assert value in {math.copysign(2.0 ** round(math.log2(abs(x)) + off), x) for off in (-1e-7, 1e-7)}


def test_digits_are_those_of_binary_numbers():
    digits = binary_digits(torch.arange(256.0), 8)
    assert [int("".join(str(int(d)) for d in column), 2) for column in digits.flip(0).T.tolist()] == list(range(256))


@given(st.integers(1, 8), st.integers(0, 2**31), st.floats(1e-5, 1.0))
@settings(max_examples=60)
def test_the_gradient_of_loss_and_penalty_is_autograds(bits, seed, strength):
    generator = torch.Generator().manual_seed(seed)
    r = torch.randint(0, 2**bits, (13,), generator=generator).float()
    slope = torch.randn(13, generator=generator)
    buffer = torch.zeros(bits, 13)
    digits = binary_digits(r, bits).requires_grad_()
    net = (2.0 ** torch.arange(bits).unsqueeze(1) * digits).sum(0)
    ((net * slope).sum() + strength * (digits.square().sum(1) + 1e-8).sqrt().sum()).backward()
    accumulate(buffer, r, slope, penalty_pull(r, bits, strength))
    assert torch.allclose(buffer, digits.grad, rtol=1e-4, atol=1e-6)


def test_large_layers_go_piece_by_piece_with_the_same_result(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    r = torch.randint(0, 256, (1000,), generator=generator).float()
    slope = 0.02 * torch.randn(1000, generator=generator)
    uniform = torch.rand(1000, generator=generator)
    results = []
    for chunk in (1 << 17, 8 * 77):
        monkeypatch.setattr(integer, "CHUNK", chunk)
        buffer = torch.zeros(8, 1000)
        accumulate(buffer, r, slope, penalty_pull(r, 8, 0.01))
        results.append((integer_step(r.clone(), buffer, 0.1, uniform), buffer))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])
    assert not torch.equal(results[0][0], r)


@given(st.integers(1, 8), st.integers(0, 2**31), st.floats(1e-3, 10), st.sampled_from([0.01, 0.1, 0.25, 1.0]))
@settings(max_examples=100)
def test_no_step_goes_beyond_its_reach_and_none_leaves_the_grid(bits, seed, size, lr):
    generator = torch.Generator().manual_seed(seed)
    r = torch.randint(0, 2**bits, (50,), generator=generator).float()
    slope = size * torch.randn(50, generator=generator)
    buffer = torch.zeros(bits, 50)
    pull = penalty_pull(r, bits, 0.05)
    accumulate(buffer, r, slope, pull)
    moved = integer_step(r.clone(), buffer, lr, torch.rand(50, generator=generator))
    limit = reach(float(slope.abs().max()), bits, float(pull.max()), lr)
    assert float((moved - r).abs().max()) <= 0.5 + limit
    assert limit >= 0.499 or torch.equal(moved, r)
    assert torch.equal(moved, moved.round())
    assert 0 <= float(moved.min()) <= float(moved.max()) <= 2**bits - 1


@given(
    bits=st.integers(1, 8),
    seed=st.integers(0, 2**31),
    size=st.floats(-4, 1),
    strength=st.sampled_from([0.0, 1e-4, 0.05, 5.0]),
    lr=st.sampled_from([0.01, 0.1, 0.25, 1.0]),
)
@example(bits=4, seed=3, size=-2.0, strength=5.0, lr=0.25)
@settings(max_examples=200)
def test_a_plain_step_is_the_step_of_a_buffer_that_begins_at_zero(bits, seed, size, strength, lr):
    """To the bit, also where the penalty is far above the slopes and where digits leap over the whole grid."""
    generator = torch.Generator().manual_seed(seed)
    r = torch.randint(0, 2**bits, (50,), generator=generator).float()
    slope = 10.0**size * torch.randn(50, generator=generator)
    uniform = torch.rand(50, generator=generator)
    pull = penalty_pull(r, bits, strength)
    buffer = torch.zeros(bits, 50)
    accumulate(buffer, r, slope, pull, 0.9)
    expected = integer_step(r.clone(), buffer, lr, uniform)
    assert torch.equal(plain_step(r, slope, float(slope.abs().max()), pull, lr, uniform), expected)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_plain_step_hides_no_gradient_that_is_not_finite(bad):
    slope = torch.tensor([0.0, bad, 1.0])
    moved = plain_step(torch.ones(3), slope, float(slope.abs().max()), torch.zeros(4), 0.1, torch.rand(3))
    assert not moved.isfinite().all()


def share_moved(bits: int, noise: float = 0.02) -> float:
    """Share of weights that 60 steps change: gradients of the size of a small ResNet's, lr .1, momentum .9."""
    generator = torch.Generator().manual_seed(bits)
    w = torch.randn(2304, generator=generator).abs()
    first = torch.round(w / w.max() * (2**bits - 1))
    r = first.clone()
    buffer = torch.zeros(bits, 2304)
    drift = noise * torch.randn(2304, generator=generator)
    for _ in range(60):
        slope = 0.3 / (2**bits - 1) * (drift + noise * torch.randn(2304, generator=generator))
        accumulate(buffer, r, slope, penalty_pull(r, bits, 1e-3 * bits), 0.9)
        integer_step(r, buffer, 0.1, torch.rand(2304, generator=generator))
    return float((r != first).float().mean())


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_weights_of_few_bits_stand_still(bits):
    """What was seen in the authors' code: 0.0 % of the weights change in a local round."""
    assert share_moved(bits) == 0


def test_weights_of_eight_bits_move():
    assert share_moved(8) > 0.2


def test_small_gradients_act_in_expectation():
    """Σ d_i is the probability: the LSB of many equal weights moves that often, and by c."""
    n = 20_000
    lr = 0.01
    slope = torch.full([n], 1e-4)
    slope[0] = 1.0  # sets c
    buffer = torch.zeros(4, n)
    accumulate(buffer, torch.zeros(n), slope)
    c = float(buffer.max()) / 15
    expected = sum(2.0 ** round(math.log2(lr * 2**i * 1e-4 / c)) * 2**i for i in range(4))
    quantize_step(buffer, lr, torch.rand(n, generator=torch.Generator().manual_seed(0)))
    moved = buffer[0, 1:] != 0
    assert float(moved.float().mean()) == pytest.approx(expected, abs=4 * math.sqrt(expected / n))
    assert torch.allclose(buffer[0, 1:][moved], torch.tensor(c))


def test_a_gradient_that_is_not_finite_is_not_hidden():
    """The guard behind the training must see it."""
    for bad in (math.nan, math.inf):
        buffer = torch.zeros(4, 3)
        accumulate(buffer, torch.ones(3), torch.tensor([0.0, bad, 1.0]))
        assert not integer_step(torch.ones(3), buffer, 0.1, torch.rand(3)).isfinite().all()
