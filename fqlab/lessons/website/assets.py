"""The one script and the one style sheet of the site, joined from small files; nothing is fetched from elsewhere."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

__all__ = ["SCRIPTS", "SLIDE_SCRIPTS", "SLIDE_STYLES", "STYLES", "joined", "write"]

SCRIPTS = (
    "base32.js",
    "play/states.js",
    "play/shelf.js",
    "play/inputs.js",
    "play/player.js",
    "learn/base.js",
    "learn/progress.js",
    "learn/codes.js",
    "learn/numbers.js",
    "learn/ask.js",
    "learn/quiz.js",
    "learn/belongings.js",
    "learn/classroom.js",
    "learn/claims.js",
    "learn/words.js",
    "learn/find.js",
)
STYLES = ("style.css", "play/player.css", "learn/learn.css")
"""In this order: a later file may use what an earlier one made."""
SLIDE_SCRIPTS = (*SCRIPTS, "slides.js")
SLIDE_STYLES = ("slides.css", *STYLES[1:])
"""What a deck holds inside itself."""


def joined(names: tuple[str, ...]) -> str:
    """The text of these files of this folder, one after the other."""
    folder = files("fqlab.lessons.website")
    return "\n".join(folder.joinpath(name).read_text(encoding="utf-8").rstrip() for name in names) + "\n"


def write(out: Path) -> None:
    """Put ``fqlab.js`` and ``style.css`` into a folder of pages."""
    (out / "fqlab.js").write_text(joined(SCRIPTS), encoding="utf-8")
    (out / "style.css").write_text(joined(STYLES), encoding="utf-8")
