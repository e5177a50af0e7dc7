"""What a learner did, as a small JSON file that can be taken along (Binder forgets)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from fqlab.errors import DataError
from fqlab.files import atomic_write

__all__ = ["path", "read", "record"]

EMPTY: dict[str, dict[str, Any]] = {"guesses": {}, "results": {}, "solved": {}, "answers": {}}


def path() -> Path:
    """The file: ``$FQLAB_PROGRESS``, or ``.fqlab-progress.json`` in the home folder."""
    return Path(os.environ.get("FQLAB_PROGRESS") or Path.home() / ".fqlab-progress.json")


def read(source: Path | None = None) -> dict[str, dict[str, Any]]:
    """The stored progress; empty tables where there is no file.

    Raises:
        DataError: if the file is not a progress file.
    """
    source = source or path()
    if not source.exists():
        return {name: {} for name in EMPTY}
    try:
        stored = json.loads(source.read_text(encoding="utf-8"))
        if not isinstance(stored, dict) or any(not isinstance(stored.get(name), dict) for name in EMPTY):
            raise ValueError
    except (OSError, ValueError):
        raise DataError(f"progress file {str(source)!r} can't be read; delete it, or import another.") from None
    return {name: stored[name] for name in EMPTY}


def record(table: str, key: str, value: Any) -> None:
    """Store one fact, leaving the others as they are."""
    progress = read()
    progress[table][key] = value
    replace(progress)


def replace(progress: dict[str, dict[str, Any]]) -> None:
    """Store all facts."""
    atomic_write(path(), json.dumps(progress, indent=1, sort_keys=True).encode())
