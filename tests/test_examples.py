"""The example in each method's docstring runs, and says what comes out."""

from __future__ import annotations

import doctest
import importlib

import pytest

from fqlab import methods


@pytest.mark.parametrize("name", methods.METHODS.names)
def test_example(name):
    cls = methods.METHODS[name]
    module = importlib.import_module(cls.__module__)
    tests = [t for t in doctest.DocTestFinder().find(cls, cls.__name__, module=module) if t.examples]
    assert tests, f"{name} has no example"
    for test in tests:
        assert len(test.docstring.splitlines()) <= 80
        result = doctest.DocTestRunner().run(test)
        assert result.failed == 0
