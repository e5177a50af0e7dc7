"""Open the lessons in JupyterLab: what ``make lab`` and ``fqlab lab`` do."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from fqlab.errors import FqlabError, shown

__all__ = ["command", "find_lesson", "launch"]

FIRST = "00_tour"


def find_lesson(name: str = FIRST) -> Path:
    """Path of a lesson: by its number (``3`` or ``03``), its name (``00_tour``, with or without ``.ipynb``) or what it begins with.

    Looks in ``notebooks/`` under the current folder, then beside the package's own source.

    Raises:
        FqlabError: if there is no ``notebooks`` folder, no such lesson in it, or several that begin like this.
    """
    places = (Path.cwd() / "notebooks", Path(__file__).resolve().parents[2] / "notebooks")
    lessons = next((paths for place in places if (paths := sorted(place.glob("[0-9][0-9]_*.ipynb")))), [])
    if not lessons:
        raise FqlabError(f"there are no lessons in {places[0]}; run this inside a clone of the fqlab repository.")
    matches = _matching(lessons, name.removesuffix(".ipynb"))
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise FqlabError(f"lesson is {shown(name)}, but that can be {' or '.join(path.stem for path in matches)}.")
    raise FqlabError(f"lesson is {shown(name)}, but must be one of {', '.join(path.stem for path in lessons)}.")


def _matching(lessons: Sequence[Path], name: str) -> list[Path]:
    """The lessons of that name; else of that number; else all that begin so."""
    number = int(name) if name.isascii() and name.isdigit() and len(name) <= 2 else None
    ways = (
        lambda path: path.stem == name,
        lambda path: number is not None and int(path.stem[:2]) == number,
        lambda path: path.stem.startswith(name),
    )
    return next((matches for way in ways if (matches := [path for path in lessons if way(path)])), [])


def command(args: Sequence[str] = ()) -> list[str]:
    """The command line that starts JupyterLab on a lesson.

    Args:
        args: first, if it is not an option, the lesson (``03``); the rest goes to JupyterLab.

    Raises:
        FqlabError: if JupyterLab is not installed or the lesson is unknown.
    """
    if find_spec("jupyterlab") is None:
        raise FqlabError("JupyterLab is not installed here; install it with: pip install 'fqlab[lab]'")
    named = bool(args) and not args[0].startswith("-")
    lesson = find_lesson(args[0] if named else FIRST)
    options = list(args[1:] if named else args)
    if hasattr(os, "geteuid") and os.geteuid() == 0 and "--allow-root" not in options:
        options.append("--allow-root")  # in a container there is nobody else to be
    # As default address, not as a file: so the address that --no-browser prints leads to the lesson too.
    opened = [f"--ServerApp.root_dir={lesson.parent}", f"--LabApp.default_url=/lab/tree/{lesson.name}"]
    # Playing with a lesson must not leave the repository changed.
    opened.append("--ContentsManager.pre_save_hook=fqlab.lessons.notebook.before_saving")
    return [sys.executable, "-m", "jupyterlab", *opened, *options]


def launch(args: Sequence[str] = ()) -> NoReturn:
    """Become JupyterLab, open on a lesson; this process is replaced and does not return.

    Raises:
        FqlabError: as :func:`command`.
    """
    line = command(args)
    os.execv(line[0], line)


def main() -> int:
    """Entry of ``python -m fqlab.lessons.launch``; an error is one sentence on standard error."""
    try:
        launch(sys.argv[1:])
    except FqlabError as error:
        print(f"fqlab lab: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
