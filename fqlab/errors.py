"""Errors a person can act on: one sentence that names the argument, its value and what is allowed."""

from __future__ import annotations

import difflib
import math
import numbers
from collections.abc import Iterable
from typing import Any

__all__ = [
    "FqlabError",
    "ConfigError",
    "DataError",
    "NetworkError",
    "StoreError",
    "WireError",
    "boolean",
    "in_range",
    "one_of",
    "shown",
]


MOST = 2**63 - 1
"""The largest whole number that tensors and files hold."""
LISTED = 700
"""Characters that a list of what is allowed may have ..."""
NEAREST = 6
"""... or else so many of them are named."""


class FqlabError(ValueError):
    """Base of every error that fqlab raises on purpose."""


class ConfigError(FqlabError):
    """An argument or a configuration value is not allowed."""


class DataError(FqlabError):
    """A data file is missing, truncated or not what its checksum says."""


class StoreError(FqlabError):
    """A result could not be written where it was meant to go; the message says where it is instead."""


class NetworkError(FqlabError):
    """Machines of a federation do not start, cannot be reached, or do not answer in time."""


class WireError(FqlabError):
    """A packet is damaged; the message names the client and the field."""


def shown(value: Any, most: int = 80) -> str:
    """``repr(value)`` for a sentence: on one line, of at most ``most`` characters, whatever the value is.

    Of a longer one the last third stays as well: it is where a path has the name of its file.
    """
    try:
        text = repr(value)
    except Exception:
        text = f"a {type(value).__name__}"
        if isinstance(value, int):
            text = f"a whole number of {value.bit_length()} bits"
    text = " ".join(text.split()) if "\n" in text else text
    end = most // 3
    return text if len(text) <= most else f"{text[: most - end - 5]} ... {text[-end:]}"


def one_of(name: str, value: Any, allowed: Iterable[Any]) -> Any:
    """Return ``value`` if it is one of ``allowed``.

    Raises:
        ConfigError: otherwise, naming the argument and the allowed values.
    """
    allowed = list(allowed)
    try:
        listed = value in allowed
    except Exception:
        listed = False
    if not listed:
        raise ConfigError(f"{name} is {shown(value)}, but must be one of {_listed(value, allowed)}.")
    return value


def _listed(value: Any, allowed: list[Any]) -> str:
    """All that is allowed; of a long list what looks most like ``value``, and how many more there are."""
    words = [str(one) for one in allowed]
    if sum(map(len, words)) <= LISTED:
        return ", ".join(words)
    near = difflib.get_close_matches(shown(value).strip("'"), words, n=NEAREST, cutoff=0) or words[:NEAREST]
    return f"{len(words)}, such as {', '.join(near)}"


def boolean(name: str, value: Any) -> bool:
    """Return ``value`` if it is True or False.

    Raises:
        ConfigError: otherwise; ``"no"`` would count as yes.
    """
    if not isinstance(value, bool):
        raise ConfigError(f"{name} is {shown(value)}, but must be true or false.")
    return value


def in_range(
    name: str, value: Any, low: float, high: float = math.inf, *, integer: bool = False, open_low: bool = False
) -> Any:
    """``value`` as Python's own int or float, if it is a number in ``[low, high]`` (``(low, high]`` with ``open_low``).

    NumPy's numbers are numbers. A whole number is written without a point: 4, not 4.0; 64 bits hold it.

    Raises:
        ConfigError: otherwise (NaN, a boolean or a non-number included).
    """
    number: Any = value if isinstance(value, numbers.Real) and not isinstance(value, bool) else math.nan
    within = (number > low if open_low else number >= low) and number <= high
    whole = isinstance(value, numbers.Integral)
    long = whole and abs(number) > MOST
    if not within or long or (integer and not whole):
        kind = "a whole number" if integer else "a number"
        hint = "; 64 bits must hold it" if long else f"; write {int(number)}" if within and number % 1 == 0 else ""
        raise ConfigError(f"{name} is {shown(value)}, but must be {kind} {_bounds(low, high, open_low)}{hint}.")
    return int(number) if whole else float(number)


def _bounds(low: float, high: float, open_low: bool) -> str:
    if math.isinf(high):
        return f"above {low:g}" if open_low else f"{low:g} or more"
    return f"above {low:g} and at most {high:g}" if open_low else f"from {low:g} to {high:g}"
