"""A table of claims in pieces that each fit on a slide."""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["pieces"]

TABLE = re.compile(r'(<table class="claims[^"]*">.*?<tbody>)(.*?)</tbody></table>', re.DOTALL)
SOURCE = re.compile(r'<div class="source">.*?</div>', re.DOTALL)
ROW = re.compile(r"<tr.*?</tr>", re.DOTALL)
LINE = 60
"""Letters of the longest cell of a row in one line."""
LINES = 15
"""Lines of rows that fill a slide."""


def pieces(page: str) -> list[str]:
    """HTML of claims cut into tables of some rows, each under its head; the first says whose claims they are."""
    source = SOURCE.search(page)
    heads = [source[0] if source else ""]
    cut = []
    for head, body in TABLE.findall(page):
        for rows in _even(ROW.findall(body)):
            said = heads.pop() if heads else ""
            cut.append(f'<div class="out"><div class="statements">{said}{head}{rows}</tbody></table></div></div>\n')
    return cut or [page]


def _even(rows: list[str]) -> list[str]:
    """Rows joined to as few slides as hold them, each as full as the others: no row stands alone behind full slides."""
    fewest = len(list(_filled(rows, LINES)))
    least = next(lines for lines in range(1, LINES + 1) if len(list(_filled(rows, lines))) == fewest)
    return list(_filled(rows, least))


def _filled(rows: list[str], most: float) -> Iterator[str]:
    """Rows joined until they are so many lines."""
    joined = ""
    lines = 0.0
    for row in rows:
        height = _height(row)
        if joined and lines + height > most:
            yield joined
            joined = ""
            lines = 0.0
        joined += row
        lines += height
    if joined:
        yield joined


def _height(row: str) -> float:
    """How many lines a row takes: those of its longest cell, and the space between rows."""
    texts = (re.sub(r"<[^>]*>", "", cell) for cell in re.split(r"<td[^>]*>", row))
    return 0.5 + max(1 + len(text) // LINE for text in texts)
