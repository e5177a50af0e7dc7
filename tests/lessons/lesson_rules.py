"""The skeleton of a lesson, as rules a test can hold. A lesson is ``notebooks/NN_topic.py``, percent format:

    # # 03 · Optimal clipping                            title, in the first cell
    # *Throw away the largest weights and gain*          promise: one line
    # [![Binder](...)](https://mybinder.org/v2/gh/fqlab/fqlab/main?urlpath=lab/tree/notebooks/03_optimal_clipping.ipynb)
    # **Goals**                                          a list of three
    # **Needs** ...   **Minutes** 25 ...                 what comes before; minutes to read, seconds and MB to run
    the import cell                                      the first code cell, and the only one that imports; it brings
                                                         check, hint, predict, quiz, reveal, solution, and else what is used
    ## Predict ... ## Play ... ## Explain ... ## Check ... ## Paper ... ## Quiz ... ## Remember ... ## Next

A second-level heading counts for the section whose name is its first word (``## Predict: how many?``), or
comes after "In the" or "The" (``## In the paper``); other headings may stand between. Code cells have at most
8 lines that are neither blank nor comment, a notebook at most 45 cells; nothing is defined in a notebook but what the
learner is to write: a cell tagged ``exercise`` holds one function with TODOs and its check, and lesson 13 has one class,
of at most 14 lines, tagged ``your-method``.
Cells whose output is a claim carry the tag ``nbval-check-output``, cells that show a panel the tag ``panel``,
and every lesson plays with a panel.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fqlab.lessons.notebook import shows

if TYPE_CHECKING:
    from nbformat import NotebookNode

__all__ = [
    "BADGE",
    "MAX_CELLS",
    "MAX_LINES",
    "MOST_MEMORY",
    "MOST_SECONDS",
    "OWN_LESSON",
    "SECTIONS",
    "TYPED",
    "bound",
    "problems",
    "seconds",
    "stored_problems",
]

SECTIONS = ("predict", "play", "explain", "check", "paper", "quiz", "remember", "next")
MAX_CELLS = 45
MOST_MEMORY = 800
"""Megabytes of a lesson's process at its peak: Binder promises 1000."""
MOST_SECONDS = 60
"""Of a lesson run from the top; all of them take five minutes at most."""
MAX_LINES = 8
MAX_OWN_LINES = 14
BADGE = "https://mybinder.org/v2/gh/fqlab/fqlab/main?urlpath=lab/tree/notebooks/{name}.ipynb"
CLAIM = "nbval-check-output"
PANEL = "panel"
OWN = "your-method"
TASK = "exercise"
OWN_LESSON = "13"
TYPED = frozenset({"check", "hint", "predict", "quiz", "reveal", "solution"})
"""What the cards tell a learner to type."""
OFFERED = frozenset({"np"})
"""What a learner needs to write an answer, used or not."""


def problems(book: NotebookNode, name: str) -> list[str]:
    """What is missing from, or wrong with, the lesson ``name``; empty for a good one."""
    return [*_head(book, name), *_sections(book), *_code(book), *_own(book, name)]


def _head(book: NotebookNode, name: str) -> Iterator[str]:
    head = book.cells[0].source if book.cells and book.cells[0].cell_type == "markdown" else ""
    lines = [line.strip() for line in head.splitlines() if line.strip()] + ["", ""]
    if not re.match(rf"# {name[:2]}\b.*\w", lines[0]):
        yield f"the first cell opens with a title that carries the lesson's number: # {name[:2]} · Topic"
    if not lines[1] or lines[1][0] in "#-[!|" or lines[1].startswith("**"):
        yield "below the title stands the promise, one line of its own"
    opening = "\n".join(cell.source for cell in _before(book, "code"))
    if BADGE.format(name=name) not in opening:
        yield f"the opening has a Binder badge to {BADGE.format(name=name)}"
    goals = re.search(r"goals?\b[^\n]*\n+((?:[ ]*(?:[-*]|\d\.)[ ].*\n?(?:[ ]{2,}\S.*\n?)*)+)", opening, re.IGNORECASE)
    if goals is None or len(re.findall(r"^ ?(?:[-*]|\d\.) ", goals[1], re.MULTILINE)) != 3:
        yield "the opening lists three goals"
    if not re.search(r"\bneeds\b", opening, re.IGNORECASE):
        yield "the opening says what the lesson needs"
    if not re.search(r"\bminutes\b", opening, re.IGNORECASE) or not re.search(
        r"\d", opening.lower().partition("minutes")[2]
    ):
        yield "the opening says how many minutes the lesson takes"
    if not 0 < seconds(opening) <= MOST_SECONDS:
        yield f"the opening says about how many seconds the run takes, at most {MOST_SECONDS}"
    memory = re.search(r"\b(\d+) MB of memory\b", opening)
    if memory is None or int(memory[1]) > MOST_MEMORY:
        yield f"the opening says how much memory the run takes, at most {MOST_MEMORY} MB"


def seconds(opening: str) -> int:
    """What a lesson's opening says its run takes; 0 if it says nothing."""
    said = re.search(r"\babout (\d+) seconds to run\b", opening)
    return int(said[1]) if said else 0


def _before(book: NotebookNode, kind: str) -> Iterator[NotebookNode]:
    for cell in book.cells:
        if cell.cell_type == kind:
            return
        yield cell


def _sections(book: NotebookNode) -> Iterator[str]:
    text = "\n".join(cell.source for cell in book.cells if cell.cell_type == "markdown")
    words = [word.lower() for word in re.findall(r"^## +(?:in the +|the +)?(\w+)", text, re.MULTILINE | re.IGNORECASE)]
    sections = [word for word in words if word in SECTIONS]
    missing = [section for section in SECTIONS if section not in sections]
    if missing:
        yield f"no section headed: {', '.join(missing)}"
    elif sections != list(SECTIONS):
        yield f"the sections come as {', '.join(sections)}; they belong in the order {', '.join(SECTIONS)}"


def _code(book: NotebookNode) -> Iterator[str]:
    cells = [cell for cell in book.cells if cell.cell_type == "code"]
    if len(book.cells) > MAX_CELLS:
        yield f"{len(book.cells)} cells; {MAX_CELLS} is the limit"
    if not any(PANEL in cell.metadata.get("tags", []) for cell in cells):
        yield f"no cell is tagged {PANEL}"
    yield from _imports(cells)
    for number, cell in enumerate(cells):
        tags = cell.metadata.get("tags", [])
        for problem in _cell(cell.source, first=number == 0, own=OWN in tags, task=TASK in tags):
            yield f"code cell {number}: {problem}"


def _own(book: NotebookNode, name: str) -> Iterator[str]:
    """The cell in which a learner writes a class: one in its lesson, none elsewhere."""
    count = sum(OWN in cell.metadata.get("tags", []) for cell in book.cells)
    if count != (name[:2] == OWN_LESSON):
        yield f"{count} cells are tagged {OWN}; lesson {OWN_LESSON} has one, the others none"


def _imports(cells: list[NotebookNode]) -> Iterator[str]:
    try:
        nodes = list(ast.walk(ast.parse("\n".join(cell.source for cell in cells))))
    except SyntaxError:
        return  # said where the cells are looked at one by one
    imports = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    brought = {alias.asname or alias.name.partition(".")[0] for node in imports for alias in node.names}
    used = {node.id for node in nodes if isinstance(node, ast.Name)}
    if missing := sorted(TYPED - brought):
        yield f"the import cell does not bring {', '.join(missing)}"
    if idle := sorted(brought - used - TYPED - OFFERED):
        yield f"imports {', '.join(idle)} and never uses it"


def bound(book: NotebookNode) -> set[str]:
    """Every name that a cell of ``book`` imports or assigns: running it again takes the name from a learner."""
    nodes = [n for cell in book.cells if cell.cell_type == "code" for n in ast.walk(ast.parse(cell.source))]
    imports = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    assigned = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return assigned | {alias.asname or alias.name.partition(".")[0] for node in imports for alias in node.names}


def _cell(source: str, *, first: bool, own: bool, task: bool) -> Iterator[str]:
    lines = [line for line in source.splitlines() if line.strip() and not line.strip().startswith("#")]
    if not lines:
        yield "is empty"
    if len(lines) > (most := MAX_OWN_LINES if own else MAX_LINES):
        yield f"{len(lines)} lines; {most} is the limit"
    try:
        tree = ast.parse(source)
    except SyntaxError:
        yield "is not plain Python"
        return
    if own:
        if [type(node) for node in tree.body] != [ast.ClassDef]:
            yield "is the learner's own and holds one class, and nothing else"
    elif task:
        if [type(node) for node in tree.body] != [ast.FunctionDef, ast.Expr] or "TODO" not in source:
            yield "is an exercise and holds one function with TODOs and its check, and nothing else"
    elif any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) for node in ast.walk(tree)):
        yield "defines a function or a class; helpers live in the package"
    imports = [isinstance(node, ast.Import | ast.ImportFrom) for node in ast.walk(tree) if isinstance(node, ast.stmt)]
    if first and not any(imports):
        yield "the first code cell is the import cell"
    if not first and any(imports):
        yield "imports; all imports stand in the first code cell"


def stored_problems(book: NotebookNode, size: int) -> list[str]:
    """What a derived ``.ipynb`` of ``size`` bytes stores that GitHub or git should not meet."""
    faults = [f"{size} bytes; 300 000 is the limit"] if size > 300_000 else []
    if "widgets" in book.metadata:
        faults.append("metadata.widgets is stored; GitHub then refuses the whole notebook")
    if book.metadata.get("kernelspec", {}).get("name") != "python3":
        faults.append("no kernelspec python3")
    for cell in book.cells:
        tags = cell.metadata.get("tags", [])
        for output in cell.get("outputs", []):
            if CLAIM not in tags and PANEL not in tags and not shows(cell):
                faults.append(f"cell {cell.id} stores an output, but is tagged neither {CLAIM} nor {PANEL}")
            if "application/vnd.jupyter.widget-view+json" in output.get("data", {}):
                faults.append(f"cell {cell.id} stores a live widget, which is nothing without its kernel")
            if output.output_type == "error":
                faults.append(f"cell {cell.id} stores an error")
        if cell.get("outputs") and cell.execution_count is None:
            faults.append(f"cell {cell.id} has outputs and no execution count")
        if CLAIM in tags and not cell.get("outputs"):
            faults.append(f"cell {cell.id} is tagged {CLAIM} and claims nothing")
        if (PANEL in tags or (cell.cell_type == "code" and shows(cell))) and not cell.get("outputs"):
            faults.append(f"cell {cell.id} is tagged {PANEL} and shows nothing without a kernel")
    return faults
