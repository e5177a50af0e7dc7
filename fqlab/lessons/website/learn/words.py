"""The glossary beside the text: the first time that a page uses one of its words, the word says what it means."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fqlab.lessons.website.markup import Markup

__all__ = ["Word", "Words", "glossary"]

ROW = re.compile(r'^\| <a id="([\w-]+)"></a>([^|]+)\|[^|]*\| *(.+?) *\|$', re.MULTILINE)
EVERYDAY = {"client", "code", "difference", "level", "mask", "panel", "scale", "server", "step", "weights"}
"""Words of the glossary that a text also uses as everybody does: these are not marked."""
CLOSED = {"a", "code", "pre", "math", "h1", "h2", "h3", "summary", "button", "table", "svg", "script", "style"}
"""Elements in whose text nothing is marked."""


@dataclass(frozen=True)
class Word:
    """An entry of the glossary: its anchor, the names that it goes by, and its meaning as HTML."""

    anchor: str
    names: tuple[str, ...]
    meaning: str


def glossary(text: str) -> list[Word]:
    """The words of ``GLOSSARY.md``, from its tables."""
    entries = []
    for anchor, names, meaning in ROW.findall(text):
        said = re.sub(r"</?p>", "", Markup().html(meaning)).strip()
        entries.append(Word(anchor, tuple(name.strip() for name in names.split(",")), said))
    return entries


class Words:
    """Marks words of the glossary on one page, each the first time, and keeps the meanings of those it marked."""

    def __init__(self, words: Sequence[Word]) -> None:
        self.by_name = {name.lower(): word for word in words for name in word.names if name.lower() not in EVERYDAY}
        names = sorted(self.by_name, key=len, reverse=True)
        either = "|".join(map(re.escape, names))
        self.looks = re.compile(rf"(?<![\w-])({either})s?(?![\w-])", re.IGNORECASE) if names else None
        self.met: dict[str, Word] = {}

    def mark(self, page: str) -> str:
        """HTML of a text, with the words that are new on this page linked to their meaning."""
        if self.looks is None:
            return page
        return "".join(self.looks.sub(self._linked, piece) if free else piece for free, piece in _pieces(page))

    def _linked(self, match: re.Match[str]) -> str:
        word = self.by_name[match[1].lower()]
        if word.anchor in self.met:
            return match[0]
        self.met[word.anchor] = word
        return f'<a class="learn-word" href="GLOSSARY.html#{word.anchor}" aria-describedby="word-{word.anchor}">{match[0]}</a>'

    def meanings(self) -> str:
        """The meanings of all words that were marked, hidden at the end of the page."""
        told = (
            f'<div id="word-{word.anchor}"><b>{html.escape(word.names[0])}</b> {word.meaning}</div>'
            for word in self.met.values()
        )
        return f"<div hidden>{''.join(told)}</div>" if self.met else ""


def _pieces(page: str) -> Iterator[tuple[bool, str]]:
    """Tags and texts of a piece of HTML in turn; True for a text in which words may be marked."""
    closed = 0
    for number, piece in enumerate(re.split(r"(<[^>]*>)", page)):
        if number % 2:
            name = re.match(r"</?([a-z0-9]+)", piece)
            if name and name[1] in CLOSED:
                closed += -1 if piece.startswith("</") else 1
            yield False, piece
        else:
            yield not closed, piece
