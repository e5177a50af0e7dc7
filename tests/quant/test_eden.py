"""The random rotation and EDEN's quantizer, against SciPy, published tables and closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, linalg, stats

from fqlab.errors import ConfigError
from fqlab.quant import (
    eden_decode,
    eden_encode,
    eden_nmse,
    hadamard,
    lloyd_max,
    pieces,
    random_signs,
    rotate,
    rotate_back,
)

PUBLISHED = {  # Max (1960): positive levels, distortion
    1: ([0.7979], 0.3634),
    2: ([0.4528, 1.510], 0.1175),
    3: ([0.2451, 0.7560, 1.344, 2.152], 0.03454),
    4: ([0.1284, 0.3881, 0.6568, 0.9424, 1.256, 1.618, 2.069, 2.733], 0.009497),
}


def generators(count: int, seed: int = 0) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(1000 * seed + k) for k in range(count)]


def estimate(x: torch.Tensor, bits: int, rotations: int, seed: int = 0) -> torch.Tensor:
    """EDEN's estimates of one vector under independent rotations: ``[rotations, p]``."""
    signs = random_signs(sum(pieces(x.numel())), generators(rotations, seed))
    parts = [eden_decode(eden_encode(part, bits)) for part in rotate(x.expand(rotations, -1), signs)]
    return rotate_back(parts, signs, x.numel())


@pytest.mark.parametrize("n", [1, 2, 8, 64])
def test_hadamard_is_scipys_matrix(n):
    matrix = torch.tensor(linalg.hadamard(n), dtype=torch.float64) / math.sqrt(n)
    x = torch.randn(3, n, dtype=torch.float64, generator=torch.Generator().manual_seed(n))
    assert torch.allclose(hadamard(x), x @ matrix, atol=1e-12)


def test_a_batch_gives_the_bits_of_its_members():
    x = torch.randn(5, 256, generator=torch.Generator().manual_seed(0))
    assert all(torch.equal(hadamard(x)[i], hadamard(x[i])) for i in range(5))


@given(st.integers(1, 5000))
def test_pieces_are_powers_of_two_that_waste_little(entries):
    lengths = pieces(entries)
    assert all(n & (n - 1) == 0 for n in lengths)
    assert list(lengths) == sorted(lengths, reverse=True)
    assert 0 <= sum(lengths) - entries <= entries / 8
    assert sum(lengths[:-1]) < entries


def test_a_short_rest_is_padded_rather_than_cut_into_crumbs():
    assert pieces(1100) == (1024, 128)


@given(st.integers(1, 700), st.integers(0, 100))
def test_a_rotation_keeps_lengths_and_turns_back(entries, seed):
    x = torch.randn(2, entries, generator=torch.Generator().manual_seed(seed))
    signs = random_signs(sum(pieces(entries)), generators(2, seed))
    assert bool((signs.abs() == 1).all())
    parts = rotate(x, signs)
    assert [part.shape[-1] for part in parts] == list(pieces(entries))
    assert torch.allclose(torch.cat(parts, 1).norm(dim=1), x.norm(dim=1), rtol=1e-5)
    assert torch.allclose(rotate_back(parts, signs, entries), x, atol=1e-5)


def test_a_rotation_makes_any_vector_look_normal():
    """Kolmogorov and Smirnov find the rotated entries normal (0.030 would do so once in a thousand), the vector not."""
    x = torch.linspace(0, 1, 4096) ** 8
    (turned,) = rotate(x[None], random_signs(4096, generators(1)))
    distance = lambda v: stats.kstest((v / v.square().mean().sqrt()).numpy(), "norm").statistic
    assert distance(turned[0]) < 0.03
    assert distance(x) > 0.3


@pytest.mark.parametrize("bits", PUBLISHED)
def test_lloyd_max_is_the_published_table(bits):
    levels, distortion = PUBLISHED[bits]
    got = lloyd_max(bits)
    assert list(got[len(got) // 2 :]) == pytest.approx(levels, abs=1.2e-3)
    assert [-v for v in reversed(got)] == pytest.approx(list(got), abs=1e-12)
    density = lambda x: min((x - v) ** 2 for v in got) * stats.norm.pdf(x)
    borders = [-10, *((a + b) / 2 for a, b in zip(got, got[1:], strict=False)), 10]
    measured = sum(integrate.quad(density, a, b)[0] for a, b in zip(borders, borders[1:], strict=False))
    assert measured == pytest.approx(distortion, rel=1e-3)
    assert eden_nmse(bits) == pytest.approx(measured / (1 - measured), rel=1e-5)


@pytest.mark.parametrize(("bits", "nmse"), [(1, math.pi / 2 - 1), (2, 0.1331), (3, 0.0358), (4, 0.00959)])
def test_the_unbiased_estimate_errs_by_d_over_one_minus_d(bits, nmse):
    """On a vector that is anything but normal, within 3 %."""
    x = torch.linspace(0, 1, 4096) ** 8
    got = estimate(x, bits, 40)
    assert float((got - x).square().sum(1).mean() / x.square().sum()) == pytest.approx(nmse, rel=0.03)


@pytest.mark.parametrize("bits", [1, 2])
@pytest.mark.parametrize("entries", [256, 320])
def test_unbiased_over_rotations_even_where_few_entries_tower(bits, entries):
    """The mean of 4000 estimates errs by a 4000th of one's; a bias of 2 % would triple that at one bit."""
    x = torch.randn(entries, generator=torch.Generator().manual_seed(entries)) ** 5
    got = estimate(x, bits, 4000)
    share = float((got.mean(0) - x).square().sum() / x.square().sum())
    assert share < eden_nmse(bits) / 4000 * 1.3 + 0.01**2
    along = (got @ x) / x.square().sum()
    assert along.tolist() == pytest.approx([1.0] * 4000, abs=1e-4)  # what the scale is made for


def test_zeros_stay_zeros_and_rotations_of_nothing_are_refused():
    assert float(estimate(torch.zeros(10), 1, 2).abs().max()) == 0
    with pytest.raises(ConfigError, match="at least one"):
        rotate(torch.zeros(2, 0), torch.zeros(2, 2, 0))
    with pytest.raises(ConfigError, match="power of two"):
        hadamard(torch.zeros(6))
    with pytest.raises(ConfigError, match="bits is 9"):
        lloyd_max(9)
