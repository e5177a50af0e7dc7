"""Claims (TOML, one file a source) and stored results (JSON, one file a claim)."""

from __future__ import annotations

import html
import json
import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from fqlab.errors import one_of
from fqlab.files import tomllib

__all__ = [
    "Claim",
    "Line",
    "Result",
    "Table",
    "claim",
    "list_claims",
    "stored_value",
    "result",
    "sources",
    "table",
    "verdict",
]

NOT_PUBLIC = "not public"


@dataclass(frozen=True)
class Claim:
    """One statement of a source.

    Attributes:
        id: unique, as used in prose: ``[2.562](#claim-octav-gauss-4)``.
        says: the statement in our words.
        published: the number, or ``"not public"`` where none could be read.
        where: table, equation or section; or why the number is not public.
        recipe: ``module:function`` under ``fqlab.studies``; takes ``seed`` and ``scale``.
        expect: what ours must be: a number, or ``">0"`` and the like for a statement about an order.
        tolerance: largest distance of ours from ``expect``, or from ``published``.
        why: why the tolerance is what it is, and how our set-up differs.
        seeds: how many runs the stored result averages.
        scale: at which it is stored.
    """

    id: str
    source: str
    says: str
    published: float | str
    where: str
    recipe: str
    tolerance: float = 0.0
    expect: float | str | None = None
    why: str = ""
    unit: str = ""
    seeds: int = 1
    scale: str = "demo"


@dataclass(frozen=True)
class Result:
    """A stored measurement: mean and standard deviation over seeds, and what it was measured with."""

    id: str
    scale: str
    value: float
    spread: float
    seeds: tuple[int, ...]
    values: tuple[float, ...]
    commit: str
    versions: dict[str, str]
    machine: str
    seconds: float


@cache
def sources() -> dict[str, dict[str, Any]]:
    """Source name → its TOML file: ``title``, ``reference`` and the list ``claim``."""
    folder = files("fqlab.papers") / "claims"
    paths = sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    return {f.name[:-5]: tomllib.loads(f.read_text(encoding="utf-8")) for f in paths}


def list_claims(source: str | None = None) -> list[Claim]:
    """All claims, or those of one source.

    Raises:
        ConfigError: for an unknown source.
    """
    if source is not None:
        one_of("source", source, sources())
    names = sources() if source is None else [source]
    return [Claim(source=name, **row) for name in names for row in sources()[name].get("claim", [])]


def claim(identity: str) -> Claim:
    """The claim with this id.

    Raises:
        ConfigError: if there is none.
    """
    claims = {c.id: c for c in list_claims()}
    return claims[one_of("claim", identity, claims)]


def result(identity: str, scale: str | None = None) -> Result | None:
    """The stored result of a claim, if there is one; at the claim's own scale unless another is named."""
    scale = claim(identity).scale if scale is None else scale
    file = files("fqlab.papers") / "results" / f"{identity}.{scale}.json"
    if not file.is_file():
        return None
    stored = json.loads(file.read_text(encoding="utf-8"))
    return Result(**{**stored, "seeds": tuple(stored["seeds"]), "values": tuple(stored["values"])})


def stored_value(identity: str, scale: str | None = None) -> tuple[float, float]:
    """Value and spread of a claim's stored result; NaN and 0 if there is none."""
    stored = result(identity, scale)
    return (stored.value, stored.spread) if stored else (math.nan, 0.0)


def verdict(c: Claim, value: float) -> bool:
    """Whether a measured value bears the claim out."""
    if isinstance(c.expect, str):
        relation = c.expect[0]
        bound = float(c.expect[1:])
        return value > bound if relation == ">" else value < bound
    target = c.published if c.expect is None else c.expect
    return isinstance(target, (int, float)) and abs(value - target) <= c.tolerance


class Line(NamedTuple):
    """One claim beside its result, in words."""

    id: str
    says: str
    published: str
    ours: str
    holds: str
    scale: str
    where: str


class Table:
    """Claims beside our results: a table in a notebook, text elsewhere. Row ``#claim-ID`` is the claim ``ID``."""

    COLUMNS = ("claim", "published", "ours", "holds", "scale", "where")

    def __init__(self, rows: list[Line]) -> None:
        self.rows = rows

    def __repr__(self) -> str:
        cells = [self.COLUMNS, *((f"{r.says} [{r.id}]", *r[2:]) for r in self.rows)]
        widths = [max(len(row[k]) for row in cells) for k in range(len(self.COLUMNS))]
        return "\n".join(
            "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in cells
        )

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{column}</th>' for column in self.COLUMNS)
        body = "".join(map(_html, self.rows))
        return f'{STYLE}<table class="claims"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


STYLE = """<style>
table.claims td, table.claims th { text-align: left !important; vertical-align: top; white-space: normal !important; }
table.claims td:nth-child(n+2):nth-child(-n+3) { white-space: nowrap !important; font-variant-numeric: tabular-nums; }
table.claims code { font-size: .9em; opacity: .7; background: none; white-space: nowrap; }
</style>"""


def _html(line: Line) -> str:
    says, *cells = (html.escape(text) for text in line[1:])
    rest = "".join(f"<td>{'<b>no</b>' if text == 'no' else text}</td>" for text in cells)
    return f'<tr id="claim-{line.id}"><td>{says} <code>{line.id}</code></td>{rest}</tr>'


def table(source: str, scale: str | None = None) -> Table:
    """The claims of one source beside the stored results, each at its own scale unless another is named.

    Raises:
        ConfigError: for an unknown source.
    """
    return Table([_line(c, result(c.id, scale)) for c in list_claims(source)])


def _line(c: Claim, r: Result | None) -> Line:
    published = c.published if isinstance(c.published, str) else f"{c.published:.6g}{c.unit}"
    if r is None:
        return Line(c.id, c.says, published, "not run", "", "", c.where)
    holds = "yes" if verdict(c, r.value) else "no"
    return Line(c.id, c.says, published, _measured(c, r), holds, r.scale, c.where)


def _measured(c: Claim, r: Result) -> str:
    """The value, and over several seeds its spread, with no more digits than the spread allows."""
    if len(r.seeds) < 2 or not r.spread:
        return f"{r.value:.6g}{c.unit}"
    digits = max(0, 1 - math.floor(math.log10(r.spread)))
    return f"{r.value:.{digits}f}{c.unit} ± {r.spread:.{digits}f}"
