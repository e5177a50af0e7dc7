"""The floors of the design: a module imports from its own floor or below; heavy packages are lazy."""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "fqlab"


def table(text: str) -> dict[int, str]:
    """Floor -> its rooms, from the table in a text (reStructuredText or Markdown)."""
    rows = re.findall(r"^\|? ?(\d)[ |]+(.*)$", text, re.MULTILINE)
    return {int(floor): re.sub(r"\s+", " ", rest.replace("``", "`")).strip(" |") for floor, rest in rows}


DOOR = ast.get_docstring(ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))) or ""
FLOORS = {floor: tuple(re.findall(r"`(\w+)`", row)) for floor, row in table(DOOR).items()}
FLOOR = {"": -1} | {name: floor for floor, names in FLOORS.items() for name in names}  # "" is fqlab/__init__.py
LAST_WITHOUT_PICTURES = 6
PICTURES = {"matplotlib", "ipywidgets", "IPython", "anywidget"}  # never, on floors below the pictures
OPTIONAL = {
    "constriction",
    "flwr",
    "jupytext",
    "latex2mathml",
    "nbclient",
    "nbconvert",
    "nbformat",
    "pooch",
    "ray",
    "sklearn",
    "torchvision",
}  # inside the function that needs them, on every floor
MODULES = sorted(PACKAGE.rglob("*.py"))


class Import(NamedTuple):
    module: str
    line: int
    at_top: bool


def imports(source: str, package: str = "fqlab") -> Iterator[Import]:
    """Every module that a source imports, and whether it does so when it is itself imported."""
    inside = _lines_inside_functions(tree := ast.parse(source))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = ".".join(parts[: len(parts) + 1 - node.level]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            names = [f"fqlab.{alias.name}" for alias in node.names] if module == "fqlab" else [module]
        else:
            continue
        for name in names:
            yield Import(name, node.lineno, node.lineno not in inside)


def _lines_inside_functions(tree: ast.Module) -> set[int]:
    """Lines that do not run at import: function bodies and ``if TYPE_CHECKING``."""
    later = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    later += [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)]
    return {line for node in later for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}


def problems(name: str, source: str, package: str = "fqlab") -> list[str]:
    """What is wrong with the imports of ``name`` (a top-level module or sub-package of fqlab)."""
    floor = FLOOR[name]
    wrong = []
    for module, line, at_top in imports(source, package):
        root, _, rest = module.partition(".")
        target = rest.partition(".")[0]
        if root == "fqlab" and FLOOR.get(target, floor) > floor:
            wrong.append(f"line {line}: floor {floor} imports fqlab.{target} of floor {FLOOR[target]}")
        if root in PICTURES and floor <= LAST_WITHOUT_PICTURES:
            wrong.append(f"line {line}: floor {floor} imports {root}; pictures and controls live on floors 7 and 8")
        if root in OPTIONAL and at_top:
            wrong.append(f"line {line}: {root} belongs inside the function that needs it")
    return wrong


def part(path: Path) -> str:
    """``quant`` for fqlab/quant/grids.py, ``wire`` for fqlab/wire.py, "" for fqlab/__init__.py."""
    first = path.relative_to(PACKAGE).parts[0]
    return "" if first == "__init__.py" else first.removesuffix(".py")


def package_of(path: Path) -> str:
    """``fqlab.quant`` for fqlab/quant/grids.py."""
    return ".".join(("fqlab", *path.relative_to(PACKAGE).parts[:-1]))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_only_from_own_floor_or_below(path: Path) -> None:
    assert part(path) in FLOOR, f"fqlab.{part(path)} has no floor yet: add it to FLOORS and to the design"
    assert problems(part(path), path.read_text(encoding="utf-8"), package_of(path)) == []


@pytest.mark.parametrize(
    ("name", "source", "complaint"),
    [
        ("quant", "from fqlab.wire import pack", "floor 1 imports fqlab.wire of floor 2"),
        ("quant", "from fqlab import federation", "floor 1 imports fqlab.federation of floor 5"),
        ("methods", "from ..federation import engines", "floor 4 imports fqlab.federation of floor 5"),
        ("methods", "def f():\n    import fqlab.plots", "floor 4 imports fqlab.plots of floor 7"),
        ("data", "def f():\n    import matplotlib.pyplot", "pictures and controls"),
        ("studies", "import ipywidgets", "pictures and controls"),
        ("data", "import pooch", "inside the function"),
        ("papers", "from sklearn.datasets import load_digits", "inside the function"),
        ("errors", "import fqlab.quant", "floor 0 imports"),
    ],
)
def test_a_wrong_import_is_found(name: str, source: str, complaint: str) -> None:
    assert any(complaint in problem for problem in problems(name, source, f"fqlab.{name}"))


def test_a_right_import_is_not() -> None:
    source = "import torch\nfrom fqlab.quant import Grid\nfrom . import x\ndef f():\n    import pooch\n"
    assert problems("wire", source, "fqlab.wire") == []


def test_rooms_of_one_floor_do_not_run_in_circles() -> None:
    arrows = {
        (part(path), module.split(".")[1])
        for path in MODULES
        for module, _, _ in imports(path.read_text(encoding="utf-8"), package_of(path))
        if module.startswith("fqlab.") and part(path)
    }
    arrows = {(a, b) for a, b in arrows if a != b and FLOOR.get(a) == FLOOR.get(b)}
    rooms = {room for arrow in arrows for room in arrow}
    while leaves := {room for room in rooms if not any(a == room and b in rooms for a, b in arrows)}:
        rooms -= leaves
    assert rooms == set(), f"these import each other: {sorted((a, b) for a, b in arrows if {a, b} <= rooms)}"


def test_the_frame_of_the_panels_knows_no_panel() -> None:
    """Views import the frame; the frame and what it stands on import neither views nor what speaks of all of them."""
    for name in ("frame", "gallery", "runner", "status", "controls", "widgets", "stage", "state", "page", "ticket"):
        source = (PACKAGE / "panels" / f"{name}.py").read_text(encoding="utf-8")
        above = [
            m for m, _, _ in imports(source, "fqlab.panels") if re.match(r"fqlab\.panels($|\.views|\.teaching)", m)
        ]
        assert above in ([], ["fqlab.panels"]), (
            f"{name} imports {above}"
        )  # "from fqlab.panels import page" is a sibling


def test_the_readme_shows_the_same_floors() -> None:
    assert table((PACKAGE.parent / "README.md").read_text(encoding="utf-8").partition("| floor |")[2]) == {
        floor: re.sub(r"(`) (\w[^`]*)$", r"\1 | \2", row) for floor, row in table(DOOR).items()
    }


def modules_after(statement: str) -> set[str]:
    script = f"import sys\n{statement}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    warnings = ["-W", "error", "-W", "ignore::DeprecationWarning"]  # what old releases of others use of one another
    done = subprocess.run([sys.executable, *warnings, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_import_fqlab_pulls_in_nothing_heavy() -> None:
    heavy = {"torch", "numpy", "scipy", "sklearn", *PICTURES, *OPTIONAL}
    assert modules_after("import fqlab") & heavy == set()


def test_federation_needs_no_pictures() -> None:
    loaded = modules_after("import fqlab.federation, fqlab.methods, fqlab.federation.engines, fqlab.data")
    assert loaded & (PICTURES | OPTIONAL) == set()


def functions() -> Iterator[tuple[str, int]]:
    """Each function of the package and its length in lines, docstring and signature left out."""
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) is not None else node.body
                length = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
                yield f"{path.relative_to(PACKAGE)}:{node.lineno} {node.name}", length


def test_functions_and_modules_stay_short() -> None:
    lengths = dict(functions())
    assert {name: n for name, n in lengths.items() if n > 60} == {}
    assert statistics.quantiles(lengths.values(), n=10)[8] <= 25
    assert statistics.median(len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES) <= 200
