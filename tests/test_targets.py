"""What is promised about make and the workflows: every target is there, every Python is tried, clean removes what was made."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fqlab.data.sources import cache_folder
from fqlab.lessons import store

ROOT = Path(__file__).resolve().parent.parent
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
CI = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
SCRIPT = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
TARGETS = set(re.search(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE)[1].split())
make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def called(text: str) -> set[str]:
    """The targets that a script calls: ``make lint PYTHON=...``, ``target: "endure fuzz audit"``."""
    lines = re.findall(r"(?:^|[;&|]|run:|if|then)\s*make ((?:[a-z-]+\s?)+)", text, re.MULTILINE)
    lines += re.findall(r'target: "([^"]+)"', text)
    return {word for line in lines for word in line.split() if "=" not in word}


@pytest.mark.parametrize("file", [ROOT / ".ci" / "run", *WORKFLOWS], ids=lambda path: path.name)
def test_what_the_workflows_call_is_a_target(file):
    assert called(file.read_text(encoding="utf-8")) - {"make"} <= TARGETS


def test_the_scheduled_workflow_tries_every_python_and_both_ends_of_the_stack():
    assert re.search(r"schedule:\s+- cron:", CI)
    tried = set(re.findall(r'python: "(3\.\d+)", torch_args', CI))
    lowest = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))[1]
    assert tried == {"3.10", "3.11", "3.12", "3.13"}
    assert min(tried, key=lambda version: int(version[2:])) == lowest
    assert called(CI) >= {"test-lowest", "test-newest", "endure", "fuzz", "audit"}


def test_the_whole_of_ci_is_style_tests_and_the_lowest_kernels():
    assert {"lint", "test", "test-lowest-cpu"} <= called(SCRIPT)
    limit = int(re.search(r"timeout-minutes: (\d+)", CI)[1])
    assert 60 <= limit <= 90


@make
@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("test-lowest-cpu", "ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 MKL_ENABLE_INSTRUCTIONS=SSE4_2"),
        ("test-lowest", "--constraint tests/lowest.txt"),
        ("test-newest", "--constraint tests/newest.txt"),
        ("endure", "pytest -m long"),
        ("fuzz", "python -m fuzz"),
        ("audit", "-m pip_audit"),
    ],
)
def test_a_target_does_what_it_is_for(target, words):
    planned = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert words in planned.stdout


def test_the_readme_says_what_lies_outside_and_clean_removes_the_rest(monkeypatch):
    """What git is told to ignore is made here or by others; outside there are the two places of the README."""
    ignored = {line.strip("/") for line in (ROOT / ".gitignore").read_text(encoding="utf-8").split() if line[0] != "#"}
    recipe = MAKEFILE.partition("\nclean:\n")[2].partition("\n\n")[0].split()
    assert ignored - {".DS_Store", "dist"} - set(recipe) == set()
    monkeypatch.delenv("FQLAB_PROGRESS", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/somebody")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert store.path() == Path("/somebody/.fqlab-progress.json")
    assert "`.fqlab-progress.json` in the home folder" in readme
    if sys.platform == "linux":
        assert cache_folder() == Path("/somebody/.cache/fqlab")
    assert "`~/.cache/fqlab` on Linux" in readme
