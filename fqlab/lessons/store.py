"""What a learner did, as a small JSON file that can be taken along (Binder forgets).

Nothing here stops a lesson: where the file cannot be read or written, facts are kept in this process, and whoever
stored one gets a sentence that says so. Two notebooks may store at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fqlab.errors import DataError, shown
from fqlab.files import atomic_write

__all__ = ["Progress", "empty", "load", "path", "read", "record", "replace"]

Progress = dict[str, dict[str, Any]]
KINDS: dict[str, type | tuple[type, ...]] = {
    "guesses": (int, float),
    "results": (int, float),
    "solved": bool,
    "answers": bool,
}
"""Table -> what it holds, by the name of a prediction, exercise or question."""
LONGEST = 100
"""Characters of a name: more is no progress file."""
LARGEST = 1_000_000
"""Bytes of a file: more is no progress file."""
PATIENCE = 1.0
"""Seconds to wait for another process that is storing."""

_here = threading.RLock()
_kept: Progress = {}


def empty() -> Progress:
    """Tables without facts."""
    return {name: {} for name in KINDS}


def path() -> Path:
    """The file: ``$FQLAB_PROGRESS``, or ``.fqlab-progress.json`` in the home folder.

    Raises:
        DataError: if there is no home folder to put it in.
    """
    try:
        named = os.environ.get("FQLAB_PROGRESS")
        return Path(named).expanduser() if named else Path.home() / ".fqlab-progress.json"
    except RuntimeError:
        raise DataError("there is no home folder for progress; name a file in FQLAB_PROGRESS.") from None


def load(source: Path) -> Progress:
    """The progress in a file; empty tables where there is no file.

    Raises:
        DataError: if it is not a progress file, or cannot be read.
    """
    try:
        if not source.exists():
            return empty()
        if not source.is_file() or source.stat().st_size > LARGEST:
            raise ValueError
        return _checked(json.loads(source.read_text(encoding="utf-8-sig")))
    except (OSError, ValueError, RecursionError):
        raise DataError(f"progress file {shown(str(source))} can't be read; delete it, or import another.") from None


def _checked(stored: Any) -> Progress:
    """The known tables of a decoded file; ValueError if one is missing or holds anything else than facts."""
    tables = {name: stored.get(name) if isinstance(stored, dict) else None for name in KINDS}
    for name, kind in KINDS.items():
        if not isinstance(tables[name], dict):
            raise ValueError(name)
        for key, value in tables[name].items():
            if len(key) > LONGEST or not isinstance(value, kind) or isinstance(value, bool) != (kind is bool):
                raise ValueError(key)
            if not -1e300 < value < 1e300:  # NaN and infinity are no guesses either
                raise ValueError(key)
    return tables


def read() -> Progress:
    """All facts that are known here: those of the file, as far as it can be read, and those kept in this process."""
    try:
        return _with_kept(load(path()))
    except DataError:
        return _with_kept(empty())


def _with_kept(progress: Progress) -> Progress:
    return {name: {**facts, **_kept.get(name, {})} for name, facts in progress.items()}


def record(table: str, key: str, value: Any, *, first: bool = False) -> str:
    """Store one fact, leaving the others as they are; with ``first`` only if there is none of that name.

    Returns:
        An empty string; or, if it could not be stored, a sentence that says why and for how long it is kept.
    """

    def change(progress: Progress) -> None:
        if not (first and key in progress[table]):
            progress[table][key] = value

    return _store(change, load)


def replace(progress: Progress) -> str:
    """Store these facts instead of all others; a damaged file is set aside. Returns what :func:`record` returns."""

    def aside(target: Path) -> Progress:
        try:
            return load(target)
        except DataError:
            os.replace(target, target.with_name(f"{target.name}.damaged"))
            return empty()

    return _store(lambda old: old.update(progress), aside)


def _store(change: Callable[[Progress], None], opened: Callable[[Path], Progress]) -> str:
    """Read, change and write the file while nobody else does."""
    with _here:
        try:
            target = Path(os.path.realpath(path()))
            with _alone(target.parent):
                progress = _with_kept(opened(target))
                change(progress)
                atomic_write(target, json.dumps(progress, indent=1, sort_keys=True).encode())
            _kept.clear()
            return ""
        except (OSError, DataError) as error:
            progress = read()
            change(progress)
            _kept.update(progress)
            return _sentence(error)


def _sentence(error: OSError | DataError) -> str:
    why = f"{str(path())!r} can't be written: {error.strerror or error}." if isinstance(error, OSError) else str(error)
    return f"Not stored: {why} It is kept until this kernel stops; export_progress('my-progress.json') takes it along."


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the lock of ``folder``, where the system has such locks; whoever waits too long goes on without."""
    try:
        import fcntl

        handle = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):
        yield
        return
    try:
        until = time.monotonic() + PATIENCE
        while not _locked(fcntl, handle) and time.monotonic() < until:
            time.sleep(0.01)
        yield
    finally:
        os.close(handle)


def _locked(fcntl: Any, handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True
