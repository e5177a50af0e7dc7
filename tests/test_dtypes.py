"""Nothing hangs on torch.set_default_dtype: what is made names its type, and a run under float64 is the same run."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import torch

from fqlab import methods
from fqlab.federation import Experiment, fit

PACKAGE = Path(__file__).resolve().parent.parent / "fqlab"
PICTURES = ("cli.py", "lessons", "panels", "papers", "plots", "studies")
MAKERS = {
    "as_tensor",
    "empty",
    "eye",
    "full",
    "linspace",
    "logspace",
    "normal",
    "ones",
    "rand",
    "randn",
    "tensor",
    "zeros",
}


def nameless(source: str) -> list[int]:
    """Lines that make a tensor without naming its type."""
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return [
        call.lineno
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "torch"
        and call.func.attr in MAKERS
        and "dtype" not in {keyword.arg for keyword in call.keywords}
    ]


def test_the_search_finds_what_it_should():
    assert nameless("x = torch.zeros(3)\ny = torch.ones(3, dtype=torch.bool)\nz = x.new_zeros(3)") == [1]


def test_every_tensor_names_its_type():
    files = [file for file in PACKAGE.rglob("*.py") if file.relative_to(PACKAGE).parts[0] not in PICTURES]
    assert len(files) > 50
    sites = [
        f"{file.relative_to(PACKAGE)}:{line}" for file in files for line in nameless(file.read_text(encoding="utf-8"))
    ]
    assert sites == []


@pytest.mark.parametrize("method", methods.METHODS.names)
def test_a_run_is_the_same_under_another_default_type(method):
    options = {"clipped": {"bits": 3, "rounding": "stochastic"}, "robust": {"variant": "apqn", "noise": "gauss"}}
    settings = dict(options=options.get(method, {}), rounds=2, clients=3, engine="vectorized", validation=0.1)
    expected = fit(Experiment(method=method, **settings))
    torch.set_default_dtype(torch.float64)
    try:
        ours = fit(Experiment(method=method, **settings))
    finally:
        torch.set_default_dtype(torch.float32)
    assert all(torch.equal(value, ours.weights[name]) for name, value in expected.weights.items())
    assert {value.dtype for value in ours.weights.values()} == {torch.float32}
    assert [r.bytes_up for r in ours.rounds] == [r.bytes_up for r in expected.rounds]
