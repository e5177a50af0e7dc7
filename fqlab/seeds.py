"""Every random draw has an address: (run seed, round, client, purpose). No draw depends on what ran before it."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.random.bit_generator import ISeedSequence

from fqlab.errors import in_range

__all__ = ["SERVER", "sequence", "numpy_generator", "numpy_generators", "torch_generator"]

SERVER = -1
"""Client number of draws that belong to no client."""

POOL = 4
BITS = 2**32 - 1


def sequence(seed: int, purpose: str, round_index: int = 0, client: int = SERVER) -> np.random.SeedSequence:
    """The seed sequence of one purpose of one client in one round.

    Raises:
        ConfigError: if ``seed`` is not a whole number of 0 or more.
    """
    words = np.array(_words(seed, purpose, round_index, client), np.uint32)
    return np.random.SeedSequence(words)  # as of a list of numbers, in half the time


def _words(seed: int, purpose: str, round_index: int, client: Any) -> list[Any]:
    """The address as numbers of 32 bits: four, or five for a seed that needs two. Of many clients theirs are an array."""
    in_range("seed", seed, 0, 2**63 - 1, integer=True)
    high = [seed >> 32] if seed >> 32 else []
    return [seed & BITS, *high, round_index, client + 1, zlib.crc32(purpose.encode())]


def numpy_generator(seed: int, purpose: str, round_index: int = 0, client: int = SERVER) -> np.random.Generator:
    """A NumPy generator for :func:`sequence`."""
    return np.random.default_rng(sequence(seed, purpose, round_index, client))


def numpy_generators(
    seed: int, purpose: str, round_index: int, clients: Sequence[int]
) -> Iterator[np.random.Generator]:
    """:func:`numpy_generator` of many clients, one after the other; their seed sequences are mixed as one array."""
    words = _words(seed, purpose, round_index, np.array(clients, np.int64))
    for state in _mixed([np.full(len(clients), word, np.uint32) for word in words]):
        known: Any = _Mixed(state)  # which NumPy takes, though its annotations do not say so
        yield np.random.Generator(np.random.PCG64(known))


class _Mixed(ISeedSequence):
    """A seed sequence whose state is known."""

    def __init__(self, state: np.ndarray) -> None:
        self.state = state

    def generate_state(self, n_words: int, dtype: object = np.uint64) -> np.ndarray:
        return self.state


def _mixed(words: Sequence[np.ndarray]) -> np.ndarray:
    """``SeedSequence(words).generate_state(4, np.uint64)`` of each client, ``[clients, 4]``.

    Args:
        words: uint32 ``[clients]`` each, :data:`POOL` or more.

    Source: M. E. O'Neill, "Developing a seed_seq alternative" (2015), with the constants of ``numpy.random.SeedSequence``.
    """
    factor = 0x43B0D7E5

    def hashed(value: np.ndarray) -> np.ndarray:
        nonlocal factor
        value = value ^ factor
        factor = factor * 0x931E8875 & BITS
        value *= factor
        return value ^ value >> 16

    def joined(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        value = x * 0xCA01F9DD - y * 0x4973F715
        return value ^ value >> 16

    pool = [hashed(word) for word in words[:POOL]]
    for source in range(POOL):
        for place in range(POOL):
            if place != source:
                pool[place] = joined(pool[place], hashed(pool[source]))
    for word in words[POOL:]:
        pool = [joined(value, hashed(word)) for value in pool]
    state = np.empty((len(words[0]), 2 * POOL), np.uint32)
    factor = 0x8B51F9DD
    for i in range(2 * POOL):
        value = pool[i % POOL] ^ factor
        factor = factor * 0x58F38DED & BITS
        value *= factor
        state[:, i] = value ^ value >> 16
    low, high = state[:, ::2].astype(np.uint64), state[:, 1::2].astype(np.uint64)
    return high << 32 | low


def torch_generator(seed: int, purpose: str, round_index: int = 0, client: int = SERVER) -> torch.Generator:
    """A torch generator (CPU) for :func:`sequence`."""
    state = sequence(seed, purpose, round_index, client).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0] >> np.uint64(1)))
