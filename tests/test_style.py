"""What no linter holds: one assignment does one thing, and what contributors are sent to is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = [path for folder in ("fqlab", "tests", "notebooks") for path in sorted((ROOT / folder).rglob("*.py"))]


def kind(value: ast.expr) -> str:
    """What sort of thing an expression makes: two values of one sort may be coordinates, ends, or one thing twice."""
    match value:
        case ast.Constant(value=constant):
            return type(constant).__name__
        case ast.Call(func=function):
            return ast.unparse(function).rpartition(".")[2]
        case ast.Name() | ast.Attribute() | ast.Subscript():
            return "held"
        case ast.BinOp() | ast.UnaryOp() | ast.Compare():
            return "reckoned"
        case ast.Tuple(elts=parts) if parts:
            return f"({', '.join(kind(part) for part in parts)})"
    return ast.dump(value) + str(value.lineno) + str(value.col_offset)  # like no other


def names(nodes: list[ast.expr]) -> set[str]:
    """What expressions name."""
    named = (ast.Name, ast.Attribute, ast.Subscript)
    return {ast.unparse(part) for node in nodes for part in ast.walk(node) if isinstance(part, named)}


def swaps(targets: list[ast.expr], values: list[ast.expr]) -> bool:
    """Whether a value reads what stands before it on the left: one after the other would be something else."""
    return any(names(targets[:k]) & names(values[k : k + 1]) for k in range(1, len(targets)))


def mixed(source: str) -> list[int]:
    """Lines that assign values of different sorts, or two containers, in one tuple; a swap is one thing."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple)):
            continue
        for target in node.targets:
            strangers = len({kind(value) for value in node.value.elts}) > 1
            if isinstance(target, ast.Tuple) and strangers and not swaps(target.elts, node.value.elts):
                lines.append(node.lineno)
    return lines


def test_a_tuple_assigns_what_belongs_together():
    mixtures = {path: mixed(path.read_text(encoding="utf-8")) for path in SOURCES}
    assert [f"{path.relative_to(ROOT)}:{line}" for path, lines in mixtures.items() for line in lines] == []


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("width, height = 686, 262\nx, y = data.x, data.y\na, b = b, a + 1\nfirst, last = pair()", []),
        ("one, two = scan(1), scan(2)\nlow, high = middle - 1, middle + 1", []),
        ("x, grid = torch.zeros(3), Grid(2)\ntotal, seen = 0, {}\nlines, means = [], []", [1, 2, 3]),
    ],
)
def test_the_rule_tells_pairs_from_strangers(source, lines):
    assert mixed(source) == lines


def unbounded(source: str) -> list[int]:
    """Lines of errors that repeat a value at any length: ``{value!r}``, where ``{shown(value)}`` has an end."""
    return [
        part.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and "Attribute" not in ast.unparse(node.exc)
        for part in ast.walk(node.exc)
        if isinstance(part, ast.FormattedValue) and part.conversion == ord("r") and not cut(part.value)
    ]


def cut(value: ast.expr) -> bool:
    """Whether it is a piece of something: ``text[:40]``."""
    return isinstance(value, ast.Subscript) and isinstance(value.slice, ast.Slice)


def test_no_error_repeats_what_somebody_gave_at_any_length():
    ours = [path for path in SOURCES if path.is_relative_to(ROOT / "fqlab")]
    found = {path: unbounded(path.read_text(encoding="utf-8")) for path in ours}
    assert [f"{path.relative_to(ROOT)}:{line}" for path, lines in found.items() for line in lines] == []
    assert unbounded('raise ConfigError(f"x is {x!r}")\nraise ConfigError(f"x is {shown(x)}, {x[:9]!r}")') == [1]


def test_what_contributors_are_sent_to_is_there():
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:fqlab|notebooks|tests)/[\w./]+)`", page)
    assert len(named) > 15
    assert [path for path in named if not re.search("NN|SOURCE", path) and not (ROOT / path).exists()] == []
    assert len(page.splitlines()) <= 80, "one page"
