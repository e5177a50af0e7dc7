"""A short coloured answer under a cell; the same words as plain text where there is no browser."""

from __future__ import annotations

import html
import os
from dataclasses import dataclass

__all__ = ["Card", "counted", "fold", "listing", "reading"]

MARKS = {"right": ("✓", "#009E73"), "wrong": ("✗", "#D55E00"), "open": ("…", "#777777"), "note": ("i", "#0072B2")}


@dataclass(frozen=True)
class Card:
    """A verdict and its text.

    Attributes:
        mood: ``right``, ``wrong``, ``open`` or ``note``.
        text: what to say, in lines.
        code: Python below the text; keeps its indentation.
        figure: HTML below both, shown in a browser only.
    """

    mood: str
    text: str
    code: str = ""
    figure: str = ""

    @property
    def right(self) -> bool:
        """Whether the answer was right."""
        return self.mood == "right"

    def __repr__(self) -> str:
        return f"{MARKS[self.mood][0]} {self.text}" + (f"\n\n{self.code}" if self.code else "")

    def _repr_html_(self) -> str:
        mark, colour = MARKS[self.mood]
        body = html.escape(self.text).replace("\n", "<br>") + (listing(self.code) if self.code else "")
        return (
            f'<div role="status" style="border-left:4px solid {colour};padding:6px 12px;max-width:920px">'
            f'<b style="color:{colour}" aria-hidden="true">{mark}</b> {body}{self.figure}</div>'
        )


def reading() -> bool:
    """Whether nobody is at the keyboard: on the static site answers are folded away instead of asked for."""
    return os.environ.get("FQLAB_READING") == "1"


def listing(code: str) -> str:
    """HTML of Python code, line by line as it is."""
    return f"<pre>{html.escape(code)}</pre>"


def fold(summary: str, text: str) -> str:
    """HTML that shows ``text`` when one opens it."""
    body = html.escape(text).replace("\n", "<br>")
    return f"<details><summary>{html.escape(summary)}</summary>{body}</details>"


def counted(number: int, thing: str) -> str:
    """``1 exercise``, ``2 exercises``."""
    return f"{number} {thing}" + ("" if number == 1 else "es" if thing.endswith("s") else "s")
