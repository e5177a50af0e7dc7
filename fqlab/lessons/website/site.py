"""The pages of the site, written one by one; what they say is remembered for search."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fqlab.lessons.website import assets, cells, pages
from fqlab.lessons.website.learn import asking, finding
from fqlab.lessons.website.learn.words import Word, Words
from fqlab.lessons.website.markup import Markup
from fqlab.papers.claims.sums import PAGE, sentence

__all__ = ["Site"]

CLASSROOM = re.compile(r'<div class="classroom"></div>')
"""Where a text has the histogram of a class."""
CLAIM = re.compile(r'href="#(claim-[\w-]+)"')
"""A link of a lesson to a row, which stands in a table of the lesson itself or on the page of all claims."""
ROW = re.compile(r"<tr>(?=\s*<td>(?:(?!</td>).)*<code>([\w-]+)</code>(?: \(<a [^>]*>[^<]*</a>\))?</td>)", re.DOTALL)
"""A row of that page: its first cell ends with the row's name and, for a paper's claim, a link to the paper."""
INLINE = re.compile(r'src="data:image/png;base64,([^"]+)"')


@dataclass
class Site:
    """A folder that fills with pages.

    Attributes:
        out: the folder.
        course: all lessons and texts.
        truths: prediction -> true value.
        words: the glossary.
        plays: the panels whose states are stored.
        written: the pages so far.
        found: their sections, for search.
    """

    out: Path
    course: pages.Course
    truths: Mapping[str, float]
    words: Sequence[Word]
    plays: Collection[str] = ()
    written: list[Path] = field(default_factory=list)
    entries: list[dict[str, str]] = field(default_factory=list)

    def index(self) -> None:
        """The map of the course, with the sum of the claims where their page is one of the texts."""
        listed = any(f"{page.stem}.md" == PAGE for page in self.course.others)
        claims = Markup().html(sentence(PAGE)) if listed else ""
        self._write("index", pages.index(self.course, asking.progress(self.truths), claims))

    def lesson(self, lesson: pages.LessonPage, book: Any) -> None:
        """The page of a lesson, from its notebook.

        Raises:
            DataError: for a formula that cannot be read.
        """
        markup = Markup()
        words = Words(self.words)
        blocks = list(cells.blocks(book, markup, cells.Place(lesson.stem, self.truths, plays=self.plays)))
        parts = ((b.kind, words.mark(b.html) if b.kind == "text" else b.html) for b in blocks if b.html)
        inner = "".join(f'<div class="{kind}">{shown}</div>\n' for kind, shown in parts) + words.meanings()
        inner = CLAIM.sub(lambda link: self._cited(link, inner), inner)
        self._remember(lesson, inner)
        inner = INLINE.sub(self._apart, inner)
        self._write(lesson.stem, pages.lesson_page(lesson, inner, markup.headings, self.course))

    def text(self, page: pages.LessonPage, source: str) -> None:
        """The page of a Markdown text.

        Raises:
            DataError: for a formula that cannot be read.
        """
        markup = Markup()
        inner = CLASSROOM.sub(lambda _: asking.classroom(self.truths), markup.html(source))
        if f"{page.stem}.md" == PAGE:
            inner = ROW.sub(r'<tr id="claim-\1">', inner)
        self._remember(page, inner)
        self._write(page.stem, pages.text_page(page, inner, markup.headings, self.course))

    def finish(self) -> None:
        """What all pages share: style, script, and what search looks through."""
        assets.write(self.out)
        (self.out / "search.js").write_text(finding.script(self.entries), encoding="utf-8")

    def _cited(self, link: re.Match[str], page: str) -> str:
        """A link to a claim, to the page of all claims where this one has no such row."""
        return link[0] if f'id="{link[1]}"' in page else f'href="{Path(PAGE).stem}.html#{link[1]}"'

    def _apart(self, match: re.Match[str]) -> str:
        """A picture as a file of its own, stored once and loaded when it comes into sight."""
        body = base64.b64decode(match[1])
        name = f"pictures/{hashlib.sha256(body).hexdigest()[:12]}.png"
        (self.out / "pictures").mkdir(exist_ok=True)
        (self.out / name).write_bytes(body)
        return f'loading="lazy" src="{name}"'

    def _remember(self, page: pages.LessonPage, inner: str) -> None:
        name = f"{page.number} · {page.title}" if page.number else page.title
        self.entries += finding.sections(name, f"{page.stem}.html", inner)

    def _write(self, stem: str, text: str) -> None:
        target = self.out / f"{stem}.html"
        target.write_text(text, encoding="utf-8")
        self.written.append(target)
