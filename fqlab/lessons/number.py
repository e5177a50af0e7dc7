"""What a learner typed as a guess, as a number: ``50``, ``"50"``, ``"60 %"``, ``"93,5"``."""

from __future__ import annotations

import math
import re
from numbers import Real
from typing import Any

from fqlab.errors import ConfigError, in_range, shown
from fqlab.lessons.model import Prediction

__all__ = ["understood"]

LONGEST = 40
MOST = 1e300
"""Characters of a guess, and what Python can still write as a number; NaN is below nothing."""
THOUSANDS = re.compile(r"-?\d{1,3}(,\d{3})+(\.\d*)?")
NUMBER = re.compile(r"-?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII)


def understood(p: Prediction, guess: Any) -> float:
    """The number that a guess for ``p`` means; a unit behind it may be there or not.

    Raises:
        ConfigError: if it is no number, one outside the question's range, or a share where percent are asked for.
    """
    text = isinstance(guess, str)
    number = _spelled(p, guess) if text else _plain(p, guess)
    if p.unit == "%" and 0 < number < 1 and not (text and "%" in guess):
        raise ConfigError(f"guess is {number:g}: do you mean {100 * number:g} %? Then write {100 * number:g}.")
    return float(in_range("guess", number, p.low, p.high))


def _plain(p: Prediction, guess: Any) -> float:
    """A number of any kind: Python's, NumPy's, a tensor of one element without axes."""
    one = getattr(guess, "item", None) if getattr(guess, "shape", None) == () else None
    value = one() if callable(one) else guess
    if isinstance(value, bool) or not isinstance(value, Real) or not abs(value) < MOST:
        raise ConfigError(f"guess is {shown(guess)}, but must be one number{_from(p)}.")
    return float(value)


def _spelled(p: Prediction, guess: str) -> float:
    text = guess[: LONGEST + 1].strip().replace("−", "-").casefold()
    unit = p.unit.casefold()
    for ending in {unit, unit.removesuffix("s"), "x" if unit == "×" else unit}:
        text = text.removesuffix(ending).strip() if ending else text
    text = text.replace(",", "") if THOUSANDS.fullmatch(text) else text.replace(",", ".")
    if len(guess) > LONGEST or not NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        raise ConfigError(f"guess is {shown(guess)}, but must be one number{_from(p)}.")
    return float(text)


def _from(p: Prediction) -> str:
    return f" from {p.low:g} to {p.high:g}"
