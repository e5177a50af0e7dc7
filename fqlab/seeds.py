"""Every random draw has an address: (run seed, round, client, purpose). No draw depends on what ran before it."""

from __future__ import annotations

import zlib

import numpy as np
import torch

from fqlab.errors import in_range

__all__ = ["SERVER", "sequence", "numpy_generator", "torch_generator"]

SERVER = -1
"""Client number of draws that belong to no client."""


def sequence(seed: int, purpose: str, round_index: int = 0, client: int = SERVER) -> np.random.SeedSequence:
    """The seed sequence of one purpose of one client in one round.

    Raises:
        ConfigError: if ``seed`` is not a whole number of 0 or more.
    """
    in_range("seed", seed, 0, 2**63 - 1, integer=True)
    high = [seed >> 32] if seed >> 32 else []
    words = [seed & 0xFFFFFFFF, *high, round_index, client + 1, zlib.crc32(purpose.encode())]
    return np.random.SeedSequence(np.array(words, np.uint32))  # as of a list of numbers, in half the time


def numpy_generator(seed: int, purpose: str, round_index: int = 0, client: int = SERVER) -> np.random.Generator:
    """A NumPy generator for :func:`sequence`."""
    return np.random.default_rng(sequence(seed, purpose, round_index, client))


def torch_generator(seed: int, purpose: str, round_index: int = 0, client: int = SERVER) -> torch.Generator:
    """A torch generator (CPU) for :func:`sequence`."""
    state = sequence(seed, purpose, round_index, client).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0] >> np.uint64(1)))
