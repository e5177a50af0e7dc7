"""Derive a lesson's ``.ipynb`` from its ``.py``: ``python -m fqlab.lessons.build notebooks/00_tour.py``.

The percent-format ``.py`` is the source. The notebook is executed from the top and keeps what
:mod:`fqlab.lessons.notebook` keeps. Cell ids come from the cells' text, and nothing that differs between machines is
stored: building twice gives the same bytes.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fqlab.lessons.notebook import METADATA, tidy

if TYPE_CHECKING:
    from nbformat import NotebookNode

__all__ = ["build", "derive", "execute", "read_source"]


def read_source(path: Path) -> NotebookNode:
    """The notebook that a percent-format file describes; its ids and metadata never depend on the machine."""
    import jupytext
    import nbformat

    book = nbformat.from_dict(jupytext.read(path, fmt="py:percent"))
    book.metadata = nbformat.from_dict(METADATA)
    book.nbformat, book.nbformat_minor = 4, 5
    seen: dict[str, int] = {}
    for cell in book.cells:
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:8]
        seen[digest] = seen.get(digest, 0) + 1
        cell.id = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
    return book


def execute(
    book: NotebookNode, folder: Path, timeout: int = 600, *, environment: Mapping[str, str] | None = None
) -> NotebookNode:
    """Run every cell of ``book`` in this Python, from ``folder``, each within ``timeout`` seconds.

    Panels are stored with their results, however long those take. ``environment``: variables of the kernel, by default this
    process's own.

    Raises:
        nbclient.exceptions.CellExecutionError: if a cell fails; the message holds its source and traceback.
    """
    from nbclient import NotebookClient

    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(
        book, timeout=timeout, kernel_name="python3", resources=resources, store_widget_state=False,
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
    )  # fmt: skip
    variables = dict(os.environ if environment is None else environment) | {"FQLAB_UNHURRIED": "1"}
    return asyncio.run(client.async_execute(env=variables))


def derive(path: Path) -> str:
    """The text of the ``.ipynb`` that belongs to the source ``path``: read, executed, stripped.

    Raises:
        nbclient.exceptions.CellExecutionError: if a cell fails.
    """
    import nbformat

    book = execute(read_source(path), path.resolve().parent)
    tidy(book)
    nbformat.validate(book)
    return nbformat.writes(book) + "\n"


def build(path: Path) -> bool:
    """Write the ``.ipynb`` beside ``path``; return whether it changed. Nothing is written if a cell fails."""
    target = path.with_suffix(".ipynb")
    text = derive(path)
    if target.exists() and target.read_text(encoding="utf-8") == text:
        return False
    target.write_text(text, encoding="utf-8")
    return True


def main(argv: Sequence[str] | None = None) -> int:
    """Entry of ``python -m fqlab.lessons.build``."""
    parser = argparse.ArgumentParser(prog="python -m fqlab.lessons.build", description="Derive .ipynb from .py.")
    parser.add_argument("sources", nargs="+", type=Path, metavar="NN_topic.py")
    for path in parser.parse_args(argv).sources:
        print(f"{path.with_suffix('.ipynb')}: {'written' if build(path) else 'unchanged'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
