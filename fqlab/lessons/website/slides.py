"""Slides of a lesson, cut by rule, so that nobody tags cells by hand; one HTML file each, arrow keys, no network.

The rules, in the order in which they apply:

* A heading starts a slide, also in the middle of a cell; the first slide is the opening with title and promise.
* A panel has a slide of its own, and so has a claims table. Their code is left out.
* Imports are left out, so is the sentence on links to a panel, and so is a single call that shows a figure or the library's
  own source. Other code stays on one slide with what it shows, and a figure with the paragraph before it and the one in
  italics behind it.
* What does not fit starts another slide under the same heading, and takes along the paragraph that leads to it ("Four things
  to find:"). A paragraph is never cut; the script draws what is too large smaller, and wraps a line of code that would be
  too small to read.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from fqlab.lessons.website import tables
from fqlab.lessons.website.assets import SLIDE_SCRIPTS, SLIDE_STYLES, joined
from fqlab.lessons.website.cells import Block
from fqlab.lessons.website.markup import Markup

__all__ = ["Slide", "cut", "deck"]

FULL = 1.0
SHRUNK = 1.5
"""What a slide holds, drawn smaller, where its paragraph leads to what comes next."""
SHORT = 0.3
"""A lead of so little never stands alone."""
LETTERS = 720
"""Letters of prose that fill a slide."""
LINES = 13
"""Lines of code that fill a slide."""
LINE = 60
"""Letters in a line."""

SIGN = "A link with ▸ sets the panel above"
"""How the sentence begins that explains such links, in every lesson; the panel is on another slide."""
CAPTION = re.compile(r"<p><em>(?:(?!</em>).)*</em></p>", re.DOTALL)
"""A paragraph in italics."""


@dataclass
class Slide:
    """One slide: the heading it stands under, its level, its parts, how full it is, and the weights of its leads.

    A lead is a last paragraph, or formula, that is no whole sentence without what follows.
    """

    heading: str
    level: int
    parts: list[str] = field(default_factory=list)
    filled: float = 0.0
    leads: list[float] = field(default_factory=list)
    again: bool = False

    def next(self) -> Slide:
        """Another one under the same heading; leads that are not all of this one move there."""
        other = Slide(self.heading, max(2, self.level), again=True)
        first = len(self.parts) - len(self.leads)
        if first:
            other.parts = self.parts[first:]
            other.leads = self.leads
            other.filled = sum(self.leads)
            self.parts = self.parts[:first]
            self.filled -= other.filled
        return other


def cut(blocks: Iterable[Block]) -> list[Slide]:
    """The blocks of a lesson as slides."""
    slides: list[Slide] = [Slide("", 1)]
    for piece in _together([piece for block in blocks for piece in _pieces(block)]):
        if piece.kind == "heading":
            level, _, text = piece.source.partition(" ")
            slides.append(Slide(text, len(level)))
            continue
        weight = FULL if _alone(piece) else _weight(piece)
        _put(slides, piece, weight)
    return [slide for slide in slides if slide.parts or slide.heading]


def _put(slides: list[Slide], piece: Block, weight: float) -> None:
    """A piece on the last slide, or on another one; what has a slide of its own takes no lead along."""
    here = slides[-1]
    if _alone(piece):
        here.leads = []
    room = max(SHRUNK, weight + SHORT) if len(here.leads) == len(here.parts) else FULL
    if here.parts and here.filled + weight > room:
        here = here.next()
        slides.append(here)
    here.parts.append(f'<div class="{piece.kind}">{piece.html}</div>')
    here.filled += weight
    here.leads = [*here.leads, weight] if _leads(piece) else []


def _leads(piece: Block) -> bool:
    """Whether it is a paragraph or a formula that goes on in what follows it."""
    if piece.kind != "text" or not piece.html.rstrip().endswith(("</p>", "</math></div>")):
        return False
    said = html.unescape(re.sub(r"<[^>]*>", "", piece.html)).strip()
    return said.endswith(",") if said and "</math></div>" in piece.html else not re.search(r"[.?!…][)\"”’]*$", said)


def _together(pieces: list[Block]) -> list[Block]:
    """Code joined with what it shows, a figure with the paragraph before it; code that says nothing more left out."""
    whole: list[Block] = []
    for piece in pieces:
        before = whole[-1] if whole else None
        if before and before.kind == "code" and piece.kind != "code" and piece.source == before.source:
            silent = _alone(piece) or _speaks(before, piece)
            whole[-1] = piece if silent else replace(before, kind="shown", html=before.html + piece.html)
        elif before and before.kind == "shown" and piece.source == before.source and not _alone(piece):
            whole[-1] = replace(before, html=before.html + piece.html)
        else:
            whole.append(piece)
        if len(whole) > 1 and whole[-2].kind == "text" and whole[-1].kind == "output" and _pictured(whole[-1]):
            figure = whole.pop()
            whole[-1] = replace(figure, kind="figure", html=whole[-1].html + figure.html)
        elif len(whole) > 1 and whole[-2].kind == "figure" and CAPTION.fullmatch(whole[-1].html.strip()):
            caption = whole.pop()
            whole[-1] = replace(whole[-1], html=f'{whole[-1].html}<div class="caption">{caption.html}</div>')
    return whole


def _pictured(piece: Block) -> bool:
    return "<img" in piece.html or "<svg" in piece.html


def _alone(piece: Block) -> bool:
    """Whether a piece has a slide of its own: a panel or a table of claims."""
    return piece.kind == "panel" or 'class="claims' in piece.html


def _speaks(code: Block, shown: Block) -> bool:
    """Whether an output needs no code above it: one call that shows a card, a figure or the library's own source."""
    call = re.fullmatch(r"[\w.]+\(.*\)", code.source.strip())
    return bool(call) and shown.kind == "output" and not shown.html.startswith("<pre")


def _pieces(block: Block) -> Iterator[Block]:
    """A text block paragraph by paragraph, headings apart; other blocks whole; imports not at all."""
    if block.kind == "code" and "<details><summary>Imports" in block.html:
        return
    if block.kind != "text":
        yield from (replace(block, html=part) for part in _parts(block))
        return
    markup = Markup()
    for part in _paragraphs(block.source):
        heading = re.fullmatch(r"(#{1,3}) +(.+)", part)
        if heading:
            text = re.sub(r"</?p>", "", markup.html(heading[2])).strip()
            yield Block("heading", "", f"{heading[1]} {text}")
        elif "badge_logo" not in part and not part.startswith(SIGN):
            yield replace(block, html=markup.html(part), source=part)


def _parts(block: Block) -> list[str]:
    """Questions one by one, a long table of claims in several."""
    if block.kind == "asking":
        return re.findall(r"<section.*?</section>\n", block.html, flags=re.DOTALL)
    return tables.pieces(block.html) if 'class="claims' in block.html else [block.html]


def _paragraphs(text: str) -> Iterator[str]:
    """Paragraphs, lists, formulas and fenced code of a Markdown text, each whole; a heading is one by itself."""
    fenced = re.split(r"(^```.*?^```|\$\$.*?\$\$)", text, flags=re.MULTILINE | re.DOTALL)
    for number, part in enumerate(fenced):
        if number % 2:
            yield part
            continue
        for chunk in re.split(r"\n\s*\n|(?<=\n)(?=#{1,3} )", part):
            head, _, rest = chunk.strip().partition("\n") if chunk.lstrip().startswith("#") else ("", "", chunk)
            yield from (piece.strip() for piece in (head, rest) if piece.strip())


def _weight(piece: Block) -> float:
    """Which share of a slide a piece fills."""
    if piece.kind == "asking":
        return 0.2 if "learn-reveal" in piece.html else 0.45
    if piece.kind == "code":
        return (piece.source.count("\n") + 2) / LINES
    if piece.kind == "shown":
        return (piece.source.count("\n") + piece.html.count("\n") / 2 + 3) / LINES
    if _pictured(piece):
        return FULL if piece.kind == "figure" else 0.75
    if "<pre" in piece.html:
        return (piece.html.count("\n") + 1) / LINES
    if "<table" in piece.html:
        return piece.html.count("<tr") / 8
    text = re.sub(r"<[^>]*>", "", re.sub(r"<math.*?</math>", "formula", piece.html, flags=re.DOTALL))
    lines = sum(1 + len(line) // LINE for line in text.splitlines() if line.strip())
    return (lines + 0.5 + 2 * piece.html.count('class="math"')) * LINE / LETTERS


def deck(title: str, slides: list[Slide]) -> str:
    """One HTML file that holds slides, style and script; states of panels are looked for beside it."""
    shown = "".join(_section(slide, n, len(slides)) for n, slide in enumerate(slides, 1))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<link rel="icon" href="data:,">\n'
        f"<title>{html.escape(title)}</title>\n<style>\n{joined(SLIDE_STYLES)}</style>\n</head>\n<body>\n{shown}"
        f"<script>\n{joined(SLIDE_SCRIPTS)}</script>\n</body>\n</html>\n"
    )


def _section(slide: Slide, number: int, count: int) -> str:
    heading = f"h{min(slide.level, 2)}"
    more = ' <span class="again">(more)</span>' if slide.again else ""
    head = f"<{heading}>{slide.heading}{more}</{heading}>" if slide.heading else ""
    kind = "title" if slide.level == 1 else "body"
    return (
        f'<section id="{number}" class="slide {kind}" aria-label="Slide {number} of {count}"><div class="fit">{head}'
        f'<div class="parts">{"".join(slide.parts)}</div></div><p class="number" aria-hidden="true">{number} / {count}</p></section>\n'
    )
