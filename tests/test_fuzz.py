"""Two thousand damaged inputs for every decoder: it returns, or raises its own error. ``make fuzz`` tries many more."""

from __future__ import annotations

import random

import pytest

from fqlab.errors import FqlabError
from fuzz import TARGETS
from fuzz.mutate import damaged

INPUTS = 2000


@pytest.mark.parametrize("name", TARGETS)
def test_a_decoder_returns_or_raises_its_own_error(name):
    target = TARGETS[name]()
    rng = random.Random(name)
    refused = 0
    for _ in range(INPUTS):
        message = _refusal(target, damaged(target.seeds, rng))
        refused += message is not None
        assert len(message or "") < 600
    assert refused > INPUTS / 10  # the damage was damage


def _refusal(target, data: bytes) -> str | None:
    """What the decoder said, or None where it returned."""
    try:
        target.decode(data)
    except FqlabError as error:
        return str(error)
    except Exception as error:
        raise AssertionError(f"{data[:500]!r} raised {type(error).__name__}: {error}") from error
    return None


@pytest.mark.parametrize("name", [name for name in TARGETS if name != "cifar archive"])
def test_the_examples_are_good(name):
    target = TARGETS[name]()
    target.decode(target.seeds[0])
