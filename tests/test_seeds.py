"""Addresses of random draws."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fqlab import seeds
from fqlab.errors import ConfigError

WORD = 2**32 - 1


@given(st.integers(0, 2**63 - 1), st.text(), st.integers(0, WORD), st.integers(-1, WORD - 1))
def test_a_sequence_is_that_of_numpy_for_the_list_of_numbers(seed, purpose, round_index, client):
    listed = np.random.SeedSequence([seed, round_index, client + 1, zlib.crc32(purpose.encode())])
    ours = seeds.sequence(seed, purpose, round_index, client)
    assert ours.generate_state(8).tolist() == listed.generate_state(8).tolist()


@given(
    st.integers(0, 2**63 - 1),
    st.text(),
    st.integers(0, WORD),
    st.lists(st.integers(-1, WORD - 1), max_size=4),
)
def test_generators_of_many_are_those_one_by_one(seed, purpose, round_index, clients):
    together = list(seeds.numpy_generators(seed, purpose, round_index, clients))
    assert len(together) == len(clients)
    for client, ours in zip(clients, together, strict=True):
        alone = seeds.numpy_generator(seed, purpose, round_index, client)
        assert ours.bit_generator.state == alone.bit_generator.state
        assert ours.permutation(9).tolist() == alone.permutation(9).tolist()


@pytest.mark.parametrize("seed", [-1, 0.5, 2**63, None, True])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(ConfigError, match="seed"):
        seeds.sequence(seed, "batches")
