"""Tickets: a short code that holds the settings of a panel, to read aloud, write on a board or paste.

``tour-0G4K8-1R2M``: the panel's name, then a number in base 32 (Crockford's alphabet: no I, L, O, U, any case) that
counts through all settings in mixed radix, then a checksum over it, the panel's version and its list of controls. A
mistyped ticket, or one made by a version with other controls, is refused in one sentence instead of restoring nonsense.
"""

from __future__ import annotations

import zlib
from typing import Any, TypeVar

from fqlab.errors import ConfigError
from fqlab.panels.state import Settings, controls

__all__ = ["bare", "read", "seal", "sealed", "spell", "value", "write"]

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CHECK = 4
LONGEST = 200
"""Characters that a ticket may have."""
SHOWN = 40
"""Characters of a wrong one that its refusal repeats."""
S = TypeVar("S", bound=Settings)


def seal(panel: str, version: int, kind: type[Settings], number: int) -> int:
    """20-bit checksum that also binds the ticket to the panel's version and to what its controls are."""
    return zlib.crc32(f"{sealed(panel, version, kind)}{number}".encode()) >> 12


def sealed(panel: str, version: int, kind: type[Settings]) -> str:
    """What a checksum binds a ticket's number to."""
    schema = [(c.name, c.count, c.at(0), c.at(c.count - 1)) for c in controls(kind)]
    return f"{panel}|{version}|{schema}|"


def spell(number: int, least: int = 1) -> str:
    """``number`` (0 or more) in base 32, with ``least`` digits or more."""
    text = ""
    while number or len(text) < least:
        number, digit = divmod(number, 32)
        text = ALPHABET[digit] + text
    return text


def write(panel: str, version: int, state: Settings) -> str:
    """The ticket of ``state``."""
    number = 0
    for control in controls(type(state)):
        number = number * control.count + control.index(getattr(state, control.name))
    return f"{panel}-{spell(number)}-{spell(seal(panel, version, type(state), number), CHECK)}"


def read(panel: str, version: int, kind: type[S], ticket: str) -> S:
    """The state that a ticket stands for; spaces, case and the look-alikes I, L and O do not matter.

    A link to a page that shows the state (``.../00_tour.html#TICKET``) is read as its ticket.

    Raises:
        ConfigError: if the ticket belongs to another panel, is damaged, or is from another version.
    """
    model = write(panel, version, kind())
    ticket = bare(ticket)
    if not isinstance(ticket, str) or len(ticket) > LONGEST:
        raise ConfigError(f"ticket is {_short(ticket)}, but must look like {model}.")
    name, _, code = "".join(ticket.split()).partition("-")
    if name.lower() != panel:
        raise ConfigError(f"ticket is {_short(ticket)}, but must start with '{panel}-': it belongs to another panel.")
    code = code.replace("-", "")
    number = value(code[:-CHECK])
    check = value(code[-CHECK:])
    if number is None or check is None:
        raise ConfigError(f"ticket is {_short(ticket)}, but must look like {model}.")
    settings = _settings(kind, number)
    if settings is None or check != seal(panel, version, kind, number):
        raise ConfigError(
            f"ticket is {_short(ticket)}, but its check digits do not fit: mistyped, or from another version."
        )
    return kind(**settings)


def bare(ticket: Any) -> Any:
    """The ticket of a link that ends in one (``.../00_tour.html#TICKET``); anything else as it is."""
    return ticket.rpartition("#")[2] if isinstance(ticket, str) else ticket


def _settings(kind: type[Settings], number: int) -> dict[str, Any] | None:
    """The values that a number counts to; None if it is beyond the last state."""
    values = {}
    for control in reversed(controls(kind)):
        number, index = divmod(number, control.count)
        values[control.name] = control.at(index)
    return None if number else values


def _short(ticket: Any) -> str:
    """What somebody pasted, cut where a sentence ends to be one."""
    text = ticket if isinstance(ticket, str) else repr(ticket)
    if len(text) <= SHOWN:
        return repr(ticket)
    return f"{text[:SHOWN]!r}... ({len(text):,} characters)"


def value(code: str) -> int | None:
    """The number that ``code`` spells, whatever its case and with I, L, O read as 1, 1, 0; None if it spells none."""
    number = 0
    for digit in code.upper().translate(str.maketrans("ILO", "110")):
        if digit not in ALPHABET:
            return None
        number = number * 32 + ALPHABET.index(digit)
    return number if code else None
