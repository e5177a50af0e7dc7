"""Constraints of ``make test-lowest`` are the lower bounds of pyproject.toml, of ``make test-newest`` what Binder has."""

from __future__ import annotations

import re
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def pins(file: Path) -> dict[str, str]:
    """Name -> version, without the mark of a build."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return dict(line.partition("+")[0].split("==") for line in lines if line[0] not in "#-")


def promised(root: Path) -> dict[str, str]:
    """Name -> lower bound of what the package itself needs."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return dict(re.match(r"([\w-]+)>=([\d.]+)", line).groups() for line in project["dependencies"])


def test_lowest_versions_are_those_that_are_promised(root):
    lowest = pins(root / "tests/lowest.txt")
    assert lowest.keys() == promised(root).keys()
    for name, bound in promised(root).items():
        assert lowest[name].split(".")[: len(bound.split("."))] == bound.split("."), name


def test_newest_versions_are_those_of_binder(root):
    newest = pins(root / "tests/newest.txt")
    assert newest.keys() == promised(root).keys() - {"tomli"}  # Python has had it since 3.11
    binder = pins(root / "binder/requirements.txt")
    assert newest == {name: binder[name] for name in newest}
