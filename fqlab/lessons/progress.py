"""What a learner has done so far, and files to take it along."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from fqlab.errors import ConfigError, DataError, shown
from fqlab.files import atomic_write, expand
from fqlab.lessons import store
from fqlab.lessons.card import Card, counted
from fqlab.lessons.contents import prediction
from fqlab.lessons.model import Prediction

__all__ = ["export_progress", "import_progress", "progress"]


def progress() -> Card:
    """What is solved, answered and guessed, and how well calibrated the guesses were."""
    return Card("note", "\n".join([*_lines(store.read()), "To take it along: export_progress('my-progress.json')."]))


def _lines(done: store.Progress) -> list[str]:
    answered = f"{sum(done['answers'].values())} of {counted(len(done['answers']), 'question')}"
    lines = [f"Solved {counted(len(done['solved']), 'exercise')}, answered {answered} right."]
    pairs = [
        (p, g, done["results"][k]) for k, g in done["guesses"].items() if k in done["results"] and (p := _known(k))
    ]
    if pairs:
        near = sum(abs(guess - truth) <= p.close for p, guess, truth in pairs)
        distance = math.fsum(abs(guess - truth) / (p.high - p.low) for p, guess, truth in pairs) / len(pairs)
        words = "was close" if near == 1 else "were close"
        lines.append(
            f"Of {counted(len(pairs), 'guess')} {near} {words}; on average {100 * distance:.0f} % of the scale away."
        )
    return lines


def _known(identity: str) -> Prediction | None:
    """A prediction; None for one that is not (or no longer) in the course."""
    try:
        return prediction(identity)
    except ConfigError:
        return None


def _file(name: str, value: Any) -> Path:
    """A path that somebody typed.

    Raises:
        ConfigError: if it is no path of a file.
    """
    try:
        path = expand(value, name)
        if not os.path.isdir(path):
            return path
    except (TypeError, ValueError, OSError):  # ours, a ConfigError, is a ValueError
        pass
    raise ConfigError(f"{name} is {shown(value)}, but must be the path of a file.")


def export_progress(target: str) -> Card:
    """Write the progress to a file of one's own; an older progress file there is replaced.

    Raises:
        ConfigError: if the file cannot be written, or holds something else.
    """
    path = _file("target", target)
    if os.path.isfile(path) and not _readable(path):
        raise ConfigError(f"target is {shown(target)}, but that file holds something else: choose another name.")
    try:
        atomic_write(path, json.dumps(store.read(), indent=1).encode())
    except OSError as error:
        raise ConfigError(f"target is {shown(target)}, but can't be written: {error.strerror or error}.") from None
    return Card("note", f"Saved to {target}. Later: import_progress({os.fspath(target)!r})")


def _readable(path: Path) -> bool:
    try:
        store.load(path)
    except DataError:
        return False
    return True


def import_progress(source: str) -> Card:
    """Read a file that :func:`export_progress` wrote; what is already here stays.

    Raises:
        ConfigError: if there is no such file.
        DataError: if it is not a progress file.
    """
    path = _file("source", source)
    if not os.path.exists(path):
        raise ConfigError(f"source is {shown(source)}, but no file is there.")
    new = store.load(path)
    old = store.read()
    trouble = store.replace({name: {**new[name], **old[name]} for name in old})
    return Card("note", "\n".join(filter(None, [*_lines(store.read()), trouble])))
