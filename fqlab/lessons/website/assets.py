"""The one script and the one style sheet of the site, joined from small files; nothing is fetched from elsewhere."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

__all__ = ["SCRIPTS", "SLIDE_SCRIPTS", "SLIDE_STYLES", "STYLES", "joined", "write"]

SCRIPTS = (
    "panels/pointer.js",
    "base32.js",
    "base85.js",
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
"""In this order: a later file may use what an earlier one made. The lab and the pages share what lies in ``panels``."""
SLIDE_SCRIPTS = (*SCRIPTS, "slides.js")
SLIDE_STYLES = ("slides.css", *STYLES[1:])
"""What a deck holds inside itself."""


def joined(names: tuple[str, ...]) -> str:
    """The text of these files of this folder, and of ``fqlab/panels``, one after the other."""
    here = files("fqlab.lessons.website")
    places = [files("fqlab") if name.startswith("panels/") else here for name in names]
    texts = [place.joinpath(name).read_text(encoding="utf-8") for place, name in zip(places, names, strict=True)]
    return "\n".join(text.rstrip() for text in texts) + "\n"


def write(out: Path) -> None:
    """Put ``fqlab.js`` and ``style.css`` into a folder of pages."""
    (out / "fqlab.js").write_text(joined(SCRIPTS), encoding="utf-8")
    (out / "style.css").write_text(joined(STYLES), encoding="utf-8")
