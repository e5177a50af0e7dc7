"""Whole pages: the frame around a lesson, and the index with the map of the course."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fqlab.lessons.website.cells import Block
from fqlab.lessons.website.markup import Heading

__all__ = ["LessonPage", "about", "frame", "index", "lesson_page", "text_page"]

STORY = "How few bits can a federation speak, and who pays for the silence?"
ROUTES = (
    ("Five minutes", "00", "press the presets of the tour from left to right"),
    ("A 90-minute class", "00 02 03 05", "what bits are, where to clip, a whole federation"),
    ("Half a day", "00 02 03 04 05 06 08", "and rounding, robust training, unequal devices"),
    ("One paper: its lesson, then", "12", "to see where it lies among the others"),
)


@dataclass(frozen=True)
class LessonPage:
    """What the index and the neighbours of a lesson say about it; ``picture`` is a file name or empty."""

    stem: str
    number: str
    title: str
    promise: str
    minutes: str
    picture: str = ""
    alt: str = ""


def about(stem: str, book: Any, picture: str = "") -> LessonPage:
    """Title, promise and minutes of a lesson, from its opening; a notebook without them gets its file's name."""
    text = "\n".join(cell["source"] for cell in book["cells"][:3] if cell["cell_type"] == "markdown")
    title = re.search(r"^# +(?:\d\d *[·:.-]? *)?(.+)$", text, re.MULTILINE)
    promise = re.search(r"^# .+\n+[*_](.+?)[*_]$", text, re.MULTILINE)
    minutes = re.search(r"\*\*Minutes\*\*[^\d]*(\d+)", text)
    number = stem[:2] if stem[:2].isdigit() else ""
    name = title[1] if title else stem
    return LessonPage(
        stem,
        number,
        name,
        promise[1] if promise else "",
        minutes[1] if minutes else "",
        picture,
        f"The panel of {name}",
    )


def frame(title: str, body: str, *, others: Sequence[LessonPage] = (), here: str = "", description: str = "") -> str:
    """A page of the site: head, bar on top with the course and the ``others``, ``body``."""
    links = [("index", "Course"), *((page.stem, page.stem.capitalize()) for page in others)]
    bar = "".join(
        f'<a href="{stem}.html"{" aria-current=page" if stem == here else ""}>{words}</a>' for stem, words in links
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{html.escape(title)}</title>\n<meta name="description" content="{html.escape(description, quote=True)}">\n'
        '<link rel="icon" href="data:,">\n<link rel="stylesheet" href="style.css">\n</head>\n<body>\n'
        '<a class="skip" href="#main">Skip to the text</a>\n'
        f'<header><a class="home" href="index.html">fqlab</a><nav aria-label="Site">{bar}</nav></header>\n'
        f"{body}\n</body>\n</html>\n"
    )


def lesson_page(
    lesson: LessonPage,
    blocks: Sequence[Block],
    headings: Sequence[Heading],
    around: tuple[LessonPage | None, LessonPage | None],
    others: Sequence[LessonPage] = (),
) -> str:
    """The page of one lesson: its contents at the side, its cells, and the way on."""
    inner = "".join(f'<div class="{block.kind}">{block.html}</div>\n' for block in blocks if block.html)
    body = f'<div class="page">{_contents(headings)}<main id="main">{inner}{_way(*around)}</main></div>'
    name = f"{lesson.number} · {lesson.title}" if lesson.number else lesson.title
    return frame(f"{name} · fqlab", body, others=others, description=lesson.promise)


def text_page(page: LessonPage, inner: str, headings: Sequence[Heading], others: Sequence[LessonPage]) -> str:
    """The page of a Markdown file."""
    body = f'<div class="page">{_contents(headings)}<main id="main">{inner}</main></div>'
    return frame(f"{page.title} · fqlab", body, others=others, here=page.stem)


def _contents(headings: Sequence[Heading]) -> str:
    sections = "".join(f'<li><a href="#{h.anchor}">{h.text}</a></li>' for h in headings if h.level == 2)
    return f'<nav class="toc" aria-label="On this page"><ol>{sections}</ol></nav>' if sections else ""


def _way(before: LessonPage | None, after: LessonPage | None) -> str:
    links = []
    for other, rel, words in ((before, "prev", "Before"), (after, "next", "Next")):
        if other:
            name = html.escape(f"{other.number} · {other.title}")
            links.append(f'<a rel="{rel}" href="{other.stem}.html"><small>{words}</small>{name}</a>')
    return f'<nav class="way" aria-label="Lessons before and after">{"".join(links)}</nav>' if links else ""


def index(lessons: Sequence[LessonPage], others: Sequence[LessonPage]) -> str:
    """The map of the course: its story, ways through it, one card for each lesson, and the other pages."""
    cards = "".join(map(_card, lessons))
    stems = {lesson.number: lesson.stem for lesson in lessons}
    routes = "".join(f"<li><b>{name}</b> {_route(numbers, stems)} {words}</li>" for name, numbers, words in ROUTES)
    more = "".join(f'<li><a href="{page.stem}.html">{html.escape(page.title)}</a></li>' for page in others)
    also = f"<h2>Beside the lessons</h2><ul>{more}</ul>" if more else ""
    body = (
        f'<main id="main" class="map"><h1>See, touch and reproduce quantized federated learning</h1><p class="story">{STORY}'
        "</p><p>Every lesson goes from a guess through a live panel to the paper's own numbers. These pages show each panel "
        "in its default state. To move the controls, open the lesson in Binder or run <code>make lab</code>.</p>"
        f'<ol class="cards">{cards}</ol><h2>Ways through</h2><ul class="routes">{routes}</ul>{also}</main>'
    )
    return frame("fqlab: the course", body, others=others, here="index", description=STORY)


def _route(numbers: str, stems: dict[str, str]) -> str:
    shown = (f'<a href="{stems[n]}.html">{n}</a>' if n in stems else n for n in numbers.split())
    return f'<span class="route">{" → ".join(shown)}</span>'


def _card(lesson: LessonPage) -> str:
    image = (
        f'<img loading="lazy" src="{lesson.picture}" alt="{html.escape(lesson.alt, quote=True)}">'
        if lesson.picture
        else ""
    )
    minutes = f"<small>{lesson.minutes} minutes</small>" if lesson.minutes else ""
    return (
        f'<li><a href="{lesson.stem}.html"><span class="shot">{image}</span><b>{html.escape(lesson.number)} '
        f"{html.escape(lesson.title)}</b><span>{html.escape(lesson.promise)}</span>{minutes}</a></li>"
    )
