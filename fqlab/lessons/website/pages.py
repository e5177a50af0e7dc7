"""Whole pages: the frame around a lesson, and the index with the map of the course."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fqlab.lessons.website.markup import Heading

__all__ = ["Course", "LessonPage", "about", "frame", "index", "lesson_page", "text_page"]

HOME = "https://fqlab.github.io/fqlab/"
"""Where the site is published: the one address that links from elsewhere must spell out."""
SOCIAL = "social.png"
"""The picture that stands for a page where it is linked."""
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


@dataclass(frozen=True)
class Course:
    """What every page knows of the whole: the lessons in their order, and the pages beside them."""

    lessons: tuple[LessonPage, ...] = ()
    others: tuple[LessonPage, ...] = ()

    def around(self, lesson: LessonPage) -> tuple[LessonPage | None, LessonPage | None]:
        """The lessons before and after this one."""
        n = self.lessons.index(lesson)
        return (self.lessons[n - 1] if n else None, self.lessons[n + 1] if n + 1 < len(self.lessons) else None)


def frame(title: str, body: str, *, bar: str = "", description: str = "") -> str:
    """A page of the site: head, the bar on top with ``bar`` and search, ``body``."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{html.escape(title)}</title>\n<meta name="description" content="{html.escape(description, quote=True)}">\n'
        f'<meta property="og:title" content="{html.escape(title, quote=True)}">\n'
        f'<meta property="og:image" content="{HOME}{SOCIAL}">\n<meta name="twitter:card" content="summary_large_image">\n'
        '<link rel="icon" href="data:,">\n<link rel="stylesheet" href="style.css">\n'
        '<script defer src="fqlab.js"></script>\n</head>\n<body>\n<a class="skip" href="#main">Skip to the text</a>\n'
        f'<header><a class="home" href="index.html">fqlab</a>{bar}{SEARCH}</header>\n{body}\n</body>\n</html>\n'
    )


SEARCH = (
    '<form class="find" role="search" data-root=""><input type="search" placeholder="Search" aria-label="Search all pages" '
    'autocomplete="off"></form>'
)


def lesson_page(lesson: LessonPage, inner: str, headings: Sequence[Heading], course: Course) -> str:
    """The page of one lesson: all lessons at the side, its cells, and the way on."""
    name = f"{lesson.number} · {lesson.title}" if lesson.number else lesson.title
    also = f'<p class="also"><a href="slides/{lesson.stem}.html">This lesson as slides</a></p>'
    body = f"{inner}{_way(*course.around(lesson))}{also}"
    return _page(f"{name} · fqlab", body, course, lesson, headings, lesson.promise)


def text_page(page: LessonPage, inner: str, headings: Sequence[Heading], course: Course) -> str:
    """The page of a Markdown file."""
    return _page(f"{page.title} · fqlab", inner, course, page, headings, page.title)


def _page(
    title: str, inner: str, course: Course, here: LessonPage, headings: Sequence[Heading], description: str
) -> str:
    """A page with the list of lessons: at the side where there is room, else in a menu on top."""
    side = _side(course, here, _contents(headings))
    body = f'<div class="page"><nav class="side" aria-label="Lessons">{side}</nav><main id="main">{inner}</main></div>'
    return frame(title, body, bar=_menu(course, here), description=description)


def _menu(course: Course, here: LessonPage | None = None) -> str:
    return (
        f'<details class="menu"><summary>Lessons</summary><nav aria-label="Menu">{_side(course, here)}</nav></details>'
    )


def _side(course: Course, here: LessonPage | None, contents: str = "") -> str:
    """Links to all pages; under the one that is shown, its own sections."""
    groups = (group for group in (course.lessons, course.others) if group)
    lists = (f"<ol>{''.join(_entry(page, page == here, contents) for page in group)}</ol>" for group in groups)
    return f'<p><a href="index.html">The course</a></p>{"".join(lists)}'


def _entry(page: LessonPage, here: bool, contents: str) -> str:
    number = f"<small>{page.number}</small> " if page.number else ""
    current = ' aria-current="page"' if here else ""
    return (
        f'<li><a href="{page.stem}.html"{current}>{number}{html.escape(page.title)}</a>{contents if here else ""}</li>'
    )


def _contents(headings: Sequence[Heading]) -> str:
    sections = "".join(f'<li><a href="#{h.anchor}">{h.text}</a></li>' for h in headings if h.level == 2)
    return f'<ol class="toc">{sections}</ol>' if sections else ""


def _way(before: LessonPage | None, after: LessonPage | None) -> str:
    links = []
    for other, rel, words in ((before, "prev", "Before"), (after, "next", "Next")):
        if other:
            name = html.escape(f"{other.number} · {other.title}")
            links.append(f'<a rel="{rel}" href="{other.stem}.html"><small>{words}</small>{name}</a>')
    return f'<nav class="way" aria-label="Lessons before and after">{"".join(links)}</nav>' if links else ""


def index(course: Course, progress: str, claims: str = "") -> str:
    """The map of the course: its story, ways through it, one card for each lesson, and the other pages.

    Args:
        progress: the part that says what a learner did so far.
        claims: the sum of the ledger.
    """
    cards = "".join(map(_card, course.lessons))
    stems = {lesson.number: lesson.stem for lesson in course.lessons}
    routes = "".join(f"<li><b>{name}</b> {_route(numbers, stems)} {words}</li>" for name, numbers, words in ROUTES)
    more = "".join(f'<li><a href="{page.stem}.html">{html.escape(page.title)}</a></li>' for page in course.others)
    decks = " · ".join(
        f'<a href="slides/{lesson.stem}.html">{lesson.number or lesson.title}</a>' for lesson in course.lessons
    )
    also = f"<h2>Beside the lessons</h2><ul>{more}<li>Slides: {decks}</li></ul>"
    counted = f'<h2 id="claims">Does it hold?</h2>{claims}' if claims else ""
    body = (
        f'<main id="main" class="map"><h1>See, touch and reproduce quantized federated learning</h1><p class="story">{STORY}'
        "</p><p>Every lesson goes from a guess through a panel to the paper's own numbers. These pages play without a kernel: "
        "guess, answer, move. To run code of your own, open the lesson in Binder or run <code>make lab</code>.</p>"
        f'<ol class="cards">{cards}</ol><h2>Ways through</h2><ul class="routes">{routes}</ul>{counted}'
        f'<h2 id="progress">Your progress</h2>{progress}{also}</main>'
    )
    bar = "".join(f'<a href="{page.stem}.html">{page.stem.capitalize()}</a>' for page in course.others)
    return frame(
        "fqlab: the course",
        body,
        bar=f'{_menu(course)}<nav class="beside" aria-label="Site">{bar}</nav>',
        description=STORY,
    )


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
