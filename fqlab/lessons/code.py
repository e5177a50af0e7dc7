"""Codes of guesses: what a student pastes into the chat, so that the class sees all guesses at once.

``FQ05-5TQ-9K2M``: the lesson's number, the guess in base 32 (as in a panel's ticket, so that nobody copies a
neighbour's guess by eye), and four check digits over the guess and the name of the question.
"""

from __future__ import annotations

import re
import zlib
from decimal import Decimal

from fqlab.errors import ConfigError, in_range, shown
from fqlab.panels import ticket

__all__ = ["LOOKS", "read", "write"]

LOOKS = re.compile(r"\bFQ\d\d-\w+(?:-\w*)?", re.IGNORECASE)
"""What may be a code in a pasted text; :func:`read` then says whether it is one."""
LOWEST = -32
"""Power of ten of the last digit: the least."""
EXPONENTS = 64
"""So many powers from there on."""
SMALLEST, LARGEST = 1e-20, 1e20
"""A guess nearer to 0 is written as 0; one beyond has no code."""
DIGITS = 6
"""Significant digits of a guess."""
LONGEST = 40
"""Characters of a pasted code."""


def _seal(identity: str, number: int) -> str:
    return ticket.spell(zlib.crc32(f"{identity}|{number}".encode()) >> 12, ticket.CHECK)


def write(identity: str, guess: float) -> str:
    """The code of ``guess`` for the prediction ``identity`` (``"05-two-bits"``), to six significant digits.

    Raises:
        ConfigError: if the guess is no number, or beyond ±10²⁰.
    """
    in_range("guess", guess, -LARGEST, LARGEST)
    guess = guess if abs(guess) >= SMALLEST else 0.0
    sign, digits, exponent = Decimal(f"{guess:.{DIGITS}g}").normalize().as_tuple()
    mantissa = int("".join(map(str, digits)))
    number = ((mantissa * EXPONENTS) + int(exponent) - LOWEST) * 2 + sign
    return f"FQ{identity[:2]}-{ticket.spell(number)}-{_seal(identity, number)}"


def read(identity: str, code: str) -> float:
    """The guess that ``code`` holds; case and the look-alikes I, L and O do not matter.

    Raises:
        ConfigError: if the code is mistyped, or belongs to another question.
    """
    text = code[:LONGEST].strip() if isinstance(code, str) else ""
    head, _, rest = text.partition("-")
    body, _, seal = rest.partition("-")
    number = ticket.value(body)
    if head.upper() != f"FQ{identity[:2]}" or number is None or ticket.value(seal) is None or len(code) > LONGEST:
        raise ConfigError(f"code is {shown(code)}, but must look like {write(identity, 0.5)}.")
    rest_of, sign = divmod(number, 2)
    mantissa, exponent = divmod(rest_of, EXPONENTS)
    fits = ticket.value(seal) == ticket.value(_seal(identity, number)) and len(seal) == ticket.CHECK
    if not fits or mantissa >= 10**DIGITS:
        raise ConfigError(f"code is {shown(code)}, but its check digits do not fit: mistyped, or for another question.")
    return float(Decimal((sign, tuple(map(int, str(mantissa))), exponent + LOWEST)))
