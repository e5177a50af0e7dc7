"""The constraints of ``make test-lowest`` are the lower bounds of pyproject.toml."""

from __future__ import annotations

import re
import sys

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def test_lowest_versions_are_those_that_are_promised(root):
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    promised = dict(re.match(r"([\w-]+)>=([\d.]+)", line).groups() for line in project["dependencies"])
    lines = (root / "tests/lowest.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert pinned.keys() == promised.keys()
    for name, version in pinned.items():
        assert version.split(".")[: len(promised[name].split("."))] == promised[name].split("."), name
