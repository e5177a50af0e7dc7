"""QSGD's range and the majority of signs, against their closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fqlab.errors import ConfigError
from fqlab.quant import Grid, expected_mse, majority, norm, quantize
from fqlab.wire import pack, unpack

DRAWS = 40_000


def vector(entries: int, seed: int) -> torch.Tensor:
    return torch.randn(entries, generator=torch.Generator().manual_seed(seed))


def many(x: torch.Tensor, bits: int, draws: int = DRAWS) -> torch.Tensor:
    """Independent quantizations of one vector: float64 ``[draws, p]``."""
    grid = Grid(bits, "sign_magnitude")
    rows = x.expand(draws, -1)
    codes = quantize(rows, norm(x), grid, "stochastic", torch.Generator().manual_seed(bits))
    return codes.dequantize().double()


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_unbiased_with_qsgds_variance(bits):
    """(‖x‖/s)²·f(1 − f) for each entry, f the fraction of s|x|/‖x‖, s = 2^b − 1."""
    x = torch.tensor([3.0, -4.0, 0.0, 0.5, -0.01])
    s = 2**bits - 1
    length = math.sqrt(9 + 16 + 0.25 + 1e-4)
    got = many(x, bits)
    f = (x.abs().double() * s / length) % 1
    variance = (length / s) ** 2 * f * (1 - f)
    assert bool(((got.mean(0) - x).abs() <= 5 * (variance / DRAWS).sqrt() + 1e-6).all())
    assert got.var(0).tolist() == pytest.approx(variance.tolist(), rel=0.1, abs=1e-9)
    assert sorted((got[:, 0] / length * s).round().unique().tolist()) == [math.floor(f_ := 3 * s / length), int(f_) + 1]


@given(st.integers(1, 400), st.integers(1, 4), st.integers(0, 1000))
def test_the_expected_mse_keeps_alistarhs_bound(entries, bits, seed):
    """E‖Q(x) − x‖²/‖x‖² is at most min(p/s², √p/s) (Alistarh et al. 2017, Lemma 3.1)."""
    x = vector(entries, seed)
    s = 2**bits - 1
    squares = entries * float(expected_mse(x, norm(x), Grid(bits, "sign_magnitude"), "stochastic"))
    assert squares / float(x.double().square().sum()) <= min(entries / s**2, math.sqrt(entries) / s) * (1 + 1e-5)


def test_a_range_for_each_member_of_a_batch_and_for_no_vector_at_all():
    x = torch.stack([vector(30, 1), torch.zeros(30), torch.full((30,), float("inf"))])
    got = norm(x, batch_dims=1)
    assert float(got[0]) == pytest.approx(math.sqrt(sum(v * v for v in x[0].tolist())), rel=1e-6)
    assert float(got[1]) == 1.0
    assert bool(got[2].isnan())


def test_packets_carry_it_with_a_sign_and_b_bits_a_weight():
    x = vector(4096, 3)
    codes = quantize(x, norm(x), Grid(4, "sign_magnitude"), "stochastic", torch.Generator().manual_seed(0))
    packet = pack({"w": codes})
    assert unpack(packet)["w"] == codes
    assert len(packet) < 4096 * 5 / 8 + 500


@given(st.integers(1, 9), st.integers(0, 1000))
def test_majority_counts_heads(clients, seed):
    votes = torch.rand(clients, 20, generator=torch.Generator().manual_seed(seed)) < 0.5
    for entry, won in enumerate(majority(votes).tolist()):
        up = sum(votes[:, entry].tolist())
        assert won == (up > clients - up) - (up < clients - up)


def test_majority_needs_a_voter():
    with pytest.raises(ConfigError, match="at least one client"):
        majority(torch.zeros(0, 3, dtype=torch.bool))
