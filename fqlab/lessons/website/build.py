"""``python -m fqlab.lessons.website``: the pages and the slides of all lessons, in a folder that can be copied anywhere."""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fqlab.errors import ConfigError, DataError, FqlabError, one_of, shown
from fqlab.lessons.website import cells, pages, runs, slides
from fqlab.lessons.website.learn.words import Word, glossary
from fqlab.lessons.website.markup import Markup
from fqlab.lessons.website.play.visits import build_store
from fqlab.lessons.website.site import Site
from fqlab.panels import PANELS

__all__ = ["build_website", "build_slides", "main"]

MARKER = ".fqlab-site"
"""A file in every folder that was built here: only such a folder is emptied before it is built again."""


def build_website(folder: Path, out: Path, *, run: bool = True, plays: Sequence[str] = ()) -> list[Path]:
    """All notebooks and Markdown pages of ``folder`` as HTML in ``out``, with an index; returns the pages.

    Args:
        run: run every lesson first; False shows the outputs that its file has (claims and panels).
        plays: panels whose states are stored, so that they can be played; the others are still pictures.

    Raises:
        ConfigError: if there is no notebook, or ``out`` holds something else.
        DataError: if a cell fails, a state cannot be shown, or a formula cannot be read.
    """
    paths = runs.notebooks(folder)
    books = _books(paths, out.parent / "executed", run)
    truths = runs.truths([path.stem[:2] for path in paths], out.parent / "executed")
    _emptied(out)
    texts = sorted(folder.glob("*.md"))
    lessons = tuple(_lesson(path, book, out) for path, book in zip(paths, books, strict=True))
    build_store(plays, out / "play", out.parent / "cache")
    site = Site(out, pages.Course(lessons, tuple(map(_about_text, texts))), truths, _words(folder), plays)
    if (folder / pages.SOCIAL).exists():
        shutil.copyfile(folder / pages.SOCIAL, out / pages.SOCIAL)
    site.index()
    for lesson, book in zip(lessons, books, strict=True):
        _named(lesson.stem, lambda lesson=lesson, book=book: site.lesson(lesson, book))
    for path, page in zip(texts, site.course.others, strict=True):
        _named(path.name, lambda path=path, page=page: site.text(page, path.read_text(encoding="utf-8")))
    site.finish()
    return site.written + _decks(paths, books, out / "slides", cells.Place("", truths, "../", plays))


def build_slides(folder: Path, out: Path, *, run: bool = True, plays: Sequence[str] = ()) -> list[Path]:
    """One HTML file of slides for each notebook of ``folder``; returns them.

    Args:
        run, plays: as for :func:`build_website`.

    Raises:
        ConfigError, DataError: as :func:`build_website`.
    """
    paths = runs.notebooks(folder)
    books = _books(paths, out.parent / "executed", run)
    truths = runs.truths([path.stem[:2] for path in paths], out.parent / "executed")
    _emptied(out)
    build_store(plays, out / "play", out.parent / "cache")
    return _decks(paths, books, out, cells.Place("", truths, "", plays))


def _decks(paths: Sequence[Path], books: Sequence[Any], out: Path, place: cells.Place) -> list[Path]:
    """The slides of every lesson in ``out``; ``place`` is that of each, but for its name."""
    out.mkdir(exist_ok=True)
    written = []
    for path, book in zip(paths, books, strict=True):
        here = replace(place, stem=path.stem)
        shown = _named(path.stem, lambda book=book, here=here: slides.cut(cells.blocks(book, Markup(), here)))
        written.append(_write(out, path.stem, slides.deck(pages.about(path.stem, book).title, shown)))
    return written


def _words(folder: Path) -> list[Word]:
    """The glossary of a folder of lessons, if it has one."""
    file = folder / "GLOSSARY.md"
    return glossary(file.read_text(encoding="utf-8")) if file.exists() else []


def _books(paths: Sequence[Path], cache: Path, run: bool) -> list[Any]:
    return runs.run_all(paths, cache) if run else [runs.stored(path) for path in paths]


def _named(stem: str, make: Callable[[], Any]) -> Any:
    """``make()``, with the page's name in front of what is wrong."""
    try:
        return make()
    except DataError as wrong:
        raise DataError(f"{stem}: {wrong}") from None


def _emptied(out: Path) -> None:
    """An empty folder, unless something is there that was not built here."""
    if out.exists():
        if not out.is_dir() or (any(out.iterdir()) and not (out / MARKER).exists()):
            raise ConfigError(
                f"out is {shown(str(out))}, but must be a new or empty folder, or one that was built here."
            )
        shutil.rmtree(out)
    out.mkdir(parents=True)
    (out / MARKER).touch()


def _lesson(path: Path, book: Any, out: Path) -> pages.LessonPage:
    """What is said about a lesson, after its picture was put beside the pages."""
    shown = cells.picture(book)
    if shown:
        (out / f"{path.stem}.png").write_bytes(shown)
    return pages.about(path.stem, book, f"{path.stem}.png" if shown else "")


def _about_text(path: Path) -> pages.LessonPage:
    """What the index says about a Markdown file: its first heading."""
    title = re.search(r"^# +(.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return pages.LessonPage(path.stem, "", title[1] if title else path.stem, "", "")


def _write(out: Path, stem: str, text: str) -> Path:
    target = out / f"{stem}.html"
    target.write_text(text, encoding="utf-8")
    return target


def main(argv: Sequence[str] | None = None) -> int:
    """Entry of ``python -m fqlab.lessons.website``; an error is one sentence on standard error, and status 2."""
    parser = argparse.ArgumentParser(
        prog="python -m fqlab.lessons.website", description="A static site of all lessons, or slides."
    )
    parser.add_argument("--slides", action="store_true", help="slides instead of pages")
    parser.add_argument("--notebooks", type=Path, default=Path("notebooks"), help="folder of the lessons")
    parser.add_argument("--out", type=Path, help="folder to build in (default: build/site or build/slides)")
    parser.add_argument("--stored", action="store_true", help="run nothing: show the outputs that the files have")
    parser.add_argument("--plays", nargs="*", help="panels that can be played (default: all); none: still pictures")
    chosen = parser.parse_args(argv)
    make, name = (build_slides, "slides") if chosen.slides else (build_website, "site")
    try:
        plays = [one_of("plays", name, PANELS) for name in (PANELS if chosen.plays is None else chosen.plays)]
        written = make(chosen.notebooks, chosen.out or Path("build") / name, run=not chosen.stored, plays=plays)
    except FqlabError as wrong:
        print(f"fqlab.lessons.website: {wrong}", file=sys.stderr)
        return 2
    print(f"{len(written)} pages; open {written[0]}")
    return 0
