"""Show the library's own lines: a lesson explains what really runs, never a second implementation."""

from __future__ import annotations

import inspect
import textwrap
from typing import Any

__all__ = ["show_source"]


class Source(str):
    """Python source that a notebook shows highlighted."""

    def __repr__(self) -> str:
        return str(self)

    def _repr_markdown_(self) -> str:
        return f"```python\n{self}\n```"


def show_source(thing: Any, *, docstring: bool = False) -> Source:
    """The source of a function or class, without its docstring unless asked for."""
    text = textwrap.dedent(inspect.getsource(thing))
    if not docstring and (doc := thing.__doc__):
        before, quote, rest = text.partition('"""')
        body = rest.partition('"""')[2] if quote and doc else rest
        text = before.rstrip() + body if quote else text
    return Source(text.rstrip())
