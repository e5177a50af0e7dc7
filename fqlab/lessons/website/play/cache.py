"""Visited states on disk: one small file for each state, one for each picture, thrown away when the code changes."""

from __future__ import annotations

import hashlib
import json
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fqlab.files import atomic_write
from fqlab.lessons.website.play.ghosts import Ghost
from fqlab.lessons.website.play.pictures import Stored
from fqlab.lessons.website.play.visit import SHARP, Visit, VisitedPicture

__all__ = ["Cache", "code_digest"]

PACKAGE = Path(__file__).parents[3]
LIBRARIES = ("torch", "numpy", "matplotlib", "pillow")


def code_digest() -> str:
    """What the pictures depend on besides the state: the library without its lessons, and what draws and stores them."""
    ours = [p for p in PACKAGE.rglob("*") if p.suffix in (".py", ".toml", ".json")]
    lessons = PACKAGE / "lessons"
    here = [Path(__file__).with_name(f"{name}.py") for name in ("ghosts", "pictures", "spots", "visit")]
    files = sorted(p for p in ours if lessons not in p.parents or p in here)
    digest = hashlib.sha256(repr([SHARP, *(version(name) for name in LIBRARIES)]).encode())
    for path in files:
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]


class Cache:
    """A folder ``home/DIGEST`` of visits, by ticket.

    Args:
        home: where all of them lie; folders of other code are removed by :meth:`prune`.
        digest: see :func:`code_digest`.
    """

    def __init__(self, home: Path, digest: str) -> None:
        self.home = home
        self.folder = home / digest

    def has(self, ticket: str) -> bool:
        """Whether the state of this ticket was visited."""
        return self._place(ticket).exists()

    def put(self, ticket: str, visit: Visit) -> None:
        """Keep a visit; its pictures first, so that a visit that is there is whole."""
        for shown in visit.pictures.values():
            for picture in (shown.picture, *([shown.ghost.picture] if shown.ghost else [])):
                self._write(self._picture(picture.name), picture.body)
        words = {
            "message": visit.message,
            "off": visit.off,
            "toml": visit.toml,
            "pictures": {k: _row(s) for k, s in visit.pictures.items()},
        }
        self._write(self._place(ticket), json.dumps(words, ensure_ascii=False).encode())

    def get(self, ticket: str) -> Visit:
        """The visit of a ticket.

        Raises:
            OSError: if there is none.
        """
        words = json.loads(self._place(ticket).read_bytes())
        pictures = {kind: self._shown(row) for kind, row in words["pictures"].items()}
        return Visit(pictures, words["message"], tuple(words["off"]), words["toml"])

    def prune(self) -> None:
        """Remove what other code has left."""
        for other in self.home.iterdir() if self.home.exists() else ():
            if other.is_dir() and other != self.folder:
                shutil.rmtree(other, ignore_errors=True)

    def _shown(self, row: list[Any]) -> VisitedPicture:
        name, layer, alt, axes, spots, *grey = row
        ghost = Ghost(self._stored(grey[0]), grey[1]) if grey else None
        return VisitedPicture(self._stored(name), layer, alt, axes, spots, ghost)

    def _stored(self, name: str) -> Stored:
        return Stored(self._picture(name).read_bytes())

    def _place(self, ticket: str) -> Path:
        return self.folder / ticket.partition("-")[0] / f"{ticket}.json"

    def _picture(self, name: str) -> Path:
        return self.folder / "pictures" / name[:2] / f"{name}.webp"

    def _write(self, path: Path, body: bytes) -> None:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(path, body)


def _row(shown: VisitedPicture) -> list[Any]:
    """A picture of a visit without its bytes."""
    grey = [shown.ghost.picture.name, shown.ghost.axes] if shown.ghost else []
    return [shown.picture.name, shown.layer, shown.alt, shown.axes, shown.spots, *grey]
