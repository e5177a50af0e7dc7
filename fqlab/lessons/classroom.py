"""What the class thinks: the guesses of all students, from the codes they pasted into the chat."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from fqlab.errors import ConfigError, shown
from fqlab.lessons import code
from fqlab.lessons.contents import LESSONS, lesson, prediction, truth

if TYPE_CHECKING:
    from fqlab.plots import Drawing

__all__ = ["classroom", "gather"]

NAMED = 3
"""So many unreadable codes are named; of more only the number is said."""
LONG = 20
"""Characters that are shown of each."""
MOST = 1000
"""So many codes are read: more than a lecture hall sends, and no flood of them keeps anybody waiting."""


def classroom(identity: str, pasted: str, *, result: bool = True) -> Drawing:
    """A histogram of all guesses whose codes stand in a text, with the true result marked.

    Args:
        identity: a prediction's name, ``"05-two-bits"``.
        pasted: the chat, or any text with codes such as ``FQ05-5TQ-9K2M`` in it; everything else is skipped. Codes
            that cannot be read, or answer another question, are named under the picture and not counted, and so is
            what follows the first 1,000.
        result: False leaves the result out, for before everybody has guessed.

    Raises:
        ConfigError: for an unknown prediction, or if ``pasted`` is no text.
    """
    from fqlab.plots import draw
    from fqlab.plots.guesses import Guesses, Poll

    p = prediction(identity)
    guesses, left_out = gather(identity, pasted)
    answer = truth(identity) if result else None
    return draw(Guesses, Poll(guesses, p.low, p.high, answer, p.close, p.unit, left_out))


def gather(identity: str, pasted: str) -> tuple[tuple[float, ...], str]:
    """The guesses in a pasted text, and a sentence about the codes that were not counted (empty if there are none).

    Raises:
        ConfigError: for an unknown prediction, or if ``pasted`` is no text.
    """
    p = prediction(identity)
    if not isinstance(pasted, str):
        raise ConfigError(f"pasted is {shown(pasted)}, but must be the text of a chat.")
    guesses = []
    bad = []
    others = 0
    found = (match[0] for match in code.LOOKS.finditer(pasted))
    for match in islice(found, MOST):
        guess = _read(identity, match)
        if guess is not None and p.low <= guess <= p.high:
            guesses.append(guess)
        elif _another(identity, match):
            others += 1
        else:
            bad.append(match)
    return tuple(guesses), _sentence(bad, others, flood=next(found, None) is not None)


def _read(identity: str, text: str) -> float | None:
    try:
        return code.read(identity, text)
    except ConfigError:
        return None


def _another(identity: str, text: str) -> bool:
    """Whether a code belongs to another prediction."""
    number = text[2:4]
    identities = [p.id for p in lesson(number).predictions] if number in LESSONS else []
    return any(_read(other, text) is not None for other in identities if other != identity)


def _sentence(bad: list[str], others: int, flood: bool) -> str:
    parts = []
    if bad:
        names = ", ".join(text if len(text) <= LONG else f"{text[:LONG]}…" for text in bad[:NAMED])
        names += f" and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
        parts.append(f"{len(bad)} mistyped ({names})")
    if others:
        parts.append(f"{others} for another question")
    if flood:
        parts.append(f"what follows the first {MOST:,} codes")
    return f"Not counted: {', '.join(parts)}." if parts else ""
