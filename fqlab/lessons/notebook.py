"""What the file of a lesson keeps when it is built or saved: the same for everybody who ran the same cells.

Kept are the outputs that mean something to a reader without a kernel: *claims* (cells tagged
``nbval-check-output``, which the tests compare on every run) and the static pictures of *panels* (cells
tagged ``panel``). Live widgets, other outputs, run counters and a machine's own metadata are not.
"""

from __future__ import annotations

import re
from typing import Any

__all__ = ["CLAIM", "METADATA", "PANEL", "before_saving", "tidy"]

CLAIM = "nbval-check-output"
PANEL = "panel"
WIDGET = "application/vnd.jupyter.widget-view+json"
HOME = "mybinder.org/v2/gh/fqlab/fqlab/main?urlpath=lab/tree/notebooks/"
"""Where a lesson's Binder badge leads, before the lesson's own file name."""
STATIC = ("text/html", "image/svg+xml", "image/png")
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def tidy(book: dict[str, Any]) -> None:
    """Strip ``book``, the JSON tree of a notebook in format 4.5, in place; a second time changes nothing."""
    book["metadata"].clear()
    book["metadata"].update({key: dict(value) for key, value in METADATA.items()})
    for cell in book["cells"]:
        tags = cell["metadata"].get("tags")
        cell["metadata"].clear()
        cell["metadata"].update({"tags": tags} if tags else {})
    for number, cell in enumerate((cell for cell in book["cells"] if cell["cell_type"] == "code"), start=1):
        tags = cell["metadata"].get("tags", ())
        cell["outputs"] = _joined([output for output in cell["outputs"] if _kept(output, tags)])
        cell["execution_count"] = number if cell["outputs"] else None
        for output in cell["outputs"]:
            _strip(output, number)


def _kept(output: dict[str, Any], tags: list[str]) -> bool:
    data = output.get("data", {})
    has_picture = any(kind in data for kind in STATIC)
    return CLAIM in tags or (PANEL in tags and "data" in output and (has_picture or WIDGET not in data))


def _joined(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Pieces of one stream as one output: how many pieces a busy machine sends is chance."""
    whole: list[dict[str, Any]] = []
    for output in outputs:
        last = whole[-1] if whole else {}
        if output.get("name") and output.get("name") == last.get("name"):
            last["text"] = _text(last, "text") + _text(output, "text")
        else:
            whole.append(output)
    return whole


def _strip(output: dict[str, Any], number: int) -> None:
    output.get("data", {}).pop(WIDGET, None)
    output.get("metadata", {}).clear()
    if "execution_count" in output:
        output["execution_count"] = number


def before_saving(model: dict[str, Any], path: str, **_: Any) -> None:
    """Hook of the Jupyter server: a lesson one has played with is saved as the repository stores it.

    Only the course's own lessons are touched; what was typed into their cells stays. Whatever else lies in the folder,
    a copy under another name or a lesson that somebody made into an assignment, is saved as it is.
    """
    name = path.rpartition("/")[2]
    if model.get("type") == "notebook" and _is_lesson(model.get("content"), name):
        tidy(model["content"])


def _is_lesson(book: Any, name: str) -> bool:
    """Whether ``book`` is the lesson that the course stores as ``name``: its opening leads to that very file."""
    cells = book.get("cells") if isinstance(book, dict) else None
    if not cells or not re.fullmatch(r"\d\d_\w+\.ipynb", name):
        return False
    opening = next((_text(cell, "source") for cell in cells if cell.get("cell_type") == "markdown"), "")
    return f"{HOME}{name}" in opening and not any("nbgrader" in cell.get("metadata", {}) for cell in cells)


def _text(part: dict[str, Any], name: str) -> str:
    """The text of a cell or an output, which a file holds whole or as lines."""
    text = part.get(name, "")
    return text if isinstance(text, str) else "".join(text)
