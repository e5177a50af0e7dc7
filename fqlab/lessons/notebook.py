"""What the file of a lesson keeps when it is built or saved: the same for everybody who ran the same cells.

Kept are the outputs that mean something to a reader without a kernel: *claims* (cells tagged
``nbval-check-output``, which the tests compare on every run), the static pictures of *panels* (cells tagged ``panel``), and
what a cell *shows* by one call of ``predict``, ``quiz``, ``figure`` or ``show_source``. Live widgets, other outputs, run
counters and a machine's own metadata are not.
"""

from __future__ import annotations

import re
from typing import Any

from fqlab.panels.beside import VIEW

__all__ = ["CLAIM", "METADATA", "PANEL", "before_saving", "shows", "tidy", "without_views"]

CLAIM = "nbval-check-output"
PANEL = "panel"
HOME = "mybinder.org/v2/gh/fqlab/fqlab/main?urlpath=lab/tree/notebooks/"
"""Where a lesson's Binder badge leads, before the lesson's own file name."""
STATIC = ("text/html", "image/svg+xml", "image/png")
SHOWS = re.compile(
    r"""(?:\w+\.)*(?:predict\("[\w-]+"\)|quiz\("\d\d"\)|figure\("[\w-]+"\)|show_source\([^\n]+\))""", re.ASCII
)
"""A cell that asks or shows the same to everybody; a guess typed into it is the learner's own."""
RULE = re.compile(r'<style class="fqlab-still">.*?</style>', re.DOTALL)
"""What hides a still behind its widget; where there is no widget, nothing is hidden."""
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
        cell["outputs"] = _joined([output for output in cell["outputs"] if _kept(output, cell)])
        cell["execution_count"] = number if cell["outputs"] else None
        for output in cell["outputs"]:
            _strip(output, number)
            if shows(cell) and "image/png" in output["data"]:
                output["data"].pop("text/html", None)  # the same picture once more


def shows(cell: dict[str, Any]) -> bool:
    """Whether a code cell is one call that asks a question, rebuilds a figure or shows the library's source."""
    return SHOWS.fullmatch(_text(cell, "source").strip()) is not None


def _kept(output: dict[str, Any], cell: dict[str, Any]) -> bool:
    tags = cell["metadata"].get("tags", ())
    data = output.get("data", {})
    has_picture = any(kind in data for kind in STATIC)
    if _is_view(output):
        return False
    if PANEL in tags and "data" in output and (has_picture or VIEW not in data):
        return True
    return CLAIM in tags or (shows(cell) and (has_picture or "text/markdown" in data))


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
    _without_view(output)
    size = output.get("metadata", {}).get("image/png")
    output.get("metadata", {}).clear()
    if size:
        output["metadata"]["image/png"] = size
    if "execution_count" in output:
        output["execution_count"] = number


def without_views(book: dict[str, Any]) -> None:
    """Leave of every output of ``book``, in place, what is seen without a kernel; of a widget with its still, the still."""
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = [output for output in cell["outputs"] if not _is_view(output)]
            for output in cell["outputs"]:
                _without_view(output)


def before_saving(model: dict[str, Any], path: str, **_: Any) -> None:
    """Hook of the Jupyter server: a lesson one has played with is saved as the repository stores it.

    Only the course's own lessons are tidied; what was typed into their cells stays. Whatever else lies in the folder, a
    copy under another name or a lesson that somebody made into an assignment, is saved as it is.
    """
    name = path.rpartition("/")[2]
    if model.get("type") != "notebook" or not isinstance(model.get("content"), dict):
        return
    if _is_lesson(model["content"], name):
        tidy(model["content"])


def _is_view(output: dict[str, Any]) -> bool:
    """Whether an output is a widget and nothing else; its still is the next one."""
    return set(output.get("data", {})) == {VIEW}


def _without_view(output: dict[str, Any]) -> None:
    """Leave of an output what is seen without a kernel."""
    data = output.get("data", {})
    data.pop(VIEW, None)
    if RULE.search(text := _text(data, "text/html")):
        data["text/html"] = RULE.sub("", text)


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
