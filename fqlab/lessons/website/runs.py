"""Every lesson run once from the top, for a reader: answers folded away instead of asked for; kept until code changes."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fqlab.errors import ConfigError, DataError, shown
from fqlab.files import atomic_write
from fqlab.lessons.contents import LESSONS, lesson, truth
from fqlab.lessons.notebook import without_views

__all__ = ["notebooks", "run_all", "stored", "truths"]

PACKAGE = Path(__file__).resolve().parents[2]
AT_ONCE = 2
"""Notebooks that run at the same time; each has a kernel of its own."""


def notebooks(folder: Path) -> list[Path]:
    """The notebooks of a folder, in the order of their names.

    Raises:
        ConfigError: if there are none.
    """
    paths = sorted(folder.glob("*.ipynb"))
    if not paths:
        raise ConfigError(
            f"folder is {shown(str(folder))}, but holds no notebook; run this inside a clone of the repository."
        )
    return paths


def stored(path: Path) -> Any:
    """The notebook as it is in its file: claims and panels have their outputs, other cells have none.

    Raises:
        DataError: if the file is no notebook.
    """
    import nbformat

    try:
        return nbformat.read(path, as_version=4)
    except Exception as wrong:
        raise DataError(f"notebook {path} can't be read: {wrong}.") from None


def run_all(paths: Sequence[Path], cache: Path) -> list[Any]:
    """Run notebooks, with a progress bar; those that ran before with the same code are taken from ``cache``.

    Raises:
        DataError: if a cell fails, with the notebook and the error.
    """
    from tqdm import tqdm

    code = _code()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        jobs = [pool.submit(_run, path, cache, code) for path in paths]
        return [job.result() for job in tqdm(jobs, unit="lesson", leave=False)]


def truths(numbers: Sequence[str], cache: Path) -> dict[str, float]:
    """The true value of every prediction of these lessons; kept in ``cache`` until code changes."""
    kept = cache / f"truths-{_code()[:12]}.json"
    earlier = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    wanted = [p.id for number in numbers if number in LESSONS for p in lesson(number).predictions]
    answers = {identity: earlier[identity] if identity in earlier else truth(identity) for identity in wanted}
    cache.mkdir(parents=True, exist_ok=True)
    atomic_write(kept, json.dumps(earlier | answers, indent=1).encode())
    return answers


def _code() -> str:
    """A digest of everything that a result depends on."""
    return _digest(sorted(p for p in PACKAGE.rglob("*") if p.suffix in (".py", ".toml", ".json")))


def _run(path: Path, cache: Path, code: str) -> Any:
    import nbformat

    book = stored(path)
    sources = json.dumps([(cell["cell_type"], cell["source"], cell["metadata"]) for cell in book["cells"]])
    kept = cache / f"{path.stem}-{hashlib.sha256((code + sources).encode()).hexdigest()[:12]}.ipynb"
    if kept.exists():
        return stored(kept)
    book = _execute(book, path)
    cache.mkdir(parents=True, exist_ok=True)
    for old in cache.glob(f"{path.stem}-*.ipynb"):
        old.unlink()
    nbformat.write(book, kept)
    return book


def _execute(book: Any, path: Path) -> Any:
    """Run in this Python, without the progress of whoever builds the site."""
    from nbclient.exceptions import CellExecutionError

    from fqlab.lessons.build import execute

    with tempfile.TemporaryDirectory() as home:
        settings = {"FQLAB_READING": "1", "FQLAB_PROGRESS": str(Path(home) / "progress.json")}
        try:
            book = execute(book, path.resolve().parent, environment=os.environ | settings)
        except CellExecutionError as wrong:
            raise DataError(f"notebook {path} fails: {wrong.ename}: {wrong.evalue}.") from None
    without_views(book)
    return book


def _digest(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()
