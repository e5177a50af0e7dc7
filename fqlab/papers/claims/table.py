"""Claims as people see them: one table of claims with verdicts, one of our observations without."""

from __future__ import annotations

import html
import math
from typing import NamedTuple

from fqlab.papers.claims.results import Result, Ruling, result, rulings
from fqlab.papers.claims.rows import PROVENANCE, Claim, Observation, Paper, Row, source

__all__ = ["Line", "Table", "value_text", "number", "table"]

ARXIV = "https://arxiv.org/abs/"


class Line(NamedTuple):
    """One claim at one scale, or one observation, in words; an observation has no verdict and nothing published.

    ``decides`` is the claim's criterion.
    """

    id: str
    source: str
    says: str
    published: str
    provenance: str
    where: str
    ours: str
    scale: str
    verdict: str
    why: str
    decides: str = ""

    @property
    def anchor(self) -> str:
        """Name of the row for links: ``claim-ID``."""
        return f"claim-{self.id}"


class Table:
    """Claims of a source beside our results, and what we observed; a table in a notebook, text elsewhere.

    Row ``#claim-ID`` is the claim or observation ``ID``.
    """

    def __init__(self, title: str, papers: tuple[Paper, ...], about: str, lines: list[Line]) -> None:
        self.title = title
        self.papers = papers
        self.about = about
        self.claims = [line for line in lines if line.verdict]
        self.observations = [line for line in lines if not line.verdict]

    def __repr__(self) -> str:
        head = [_cited(p) for p in self.papers] or [self.title]
        about = [self.about] if self.about else []
        tables = [*_text_table(CLAIMS, self.claims), *_text_table(OBSERVATIONS, self.observations)]
        return "\n".join([*head, *about, *tables])

    def _repr_html_(self) -> str:
        head = "".join(f"<p>{_linked(p)}</p>" for p in self.papers) or f"<p><cite>{html.escape(self.title)}</cite></p>"
        about = f"<p>{html.escape(self.about)}</p>" if self.about else ""
        tables = _html_table(CLAIMS, self.claims) + _html_table(OBSERVATIONS, self.observations)
        return f'{STYLE}<div class="statements"><div class="source">{head}{about}</div>{tables}</div>'


CLAIMS = ("What the source says", "published", "ours", "verdict", "why")
OBSERVATIONS = ("What we observed", "ours", "set-up")
STYLE = """<style>
.statements .source p { margin: .2em 0; }
table.claims td, table.claims th { text-align: left !important; vertical-align: top; white-space: normal !important; }
table.claims .number { white-space: nowrap !important; font-variant-numeric: tabular-nums; }
table.claims code { font-size: .9em; opacity: .7; background: none; white-space: nowrap; }
table.claims small { display: block; opacity: .75; }
table.claims .badge { display: inline-block; border: 1px solid; border-radius: 3px; padding: 0 .3em; font-size: .8em;
  white-space: nowrap; }
table.claims caption { caption-side: top; text-align: left; font-weight: 600; }
</style>"""


def table(name: str) -> Table:
    """The claims of one source beside the stored results, then its observations.

    Raises:
        ConfigError: for an unknown source.
    """
    chosen = source(name)
    lines = [line for r in chosen.rows for line in _lines(r)]
    return Table(chosen.title, chosen.papers, chosen.about, lines)


def _lines(r: Row) -> list[Line]:
    """One line a scale that has something to say, at least one."""
    if isinstance(r, Claim):
        told = rulings(r)
        said = [one for one in told if one.result or one.why != told[-1].why] or told[-1:]
        return [_claim_line(r, one) for one in said]
    if isinstance(r, Observation):
        stored = [result(r.id, scale) for scale in r.scales]
        return [_observation_line(r, one) for one in stored if one] or [_observation_line(r, None)]
    return []


def _claim_line(c: Claim, told: Ruling) -> Line:
    published = "not public" if c.published is None else f"{number(c.published)}{c.unit}"
    badge = f"second-hand: {c.whose}" if c.whose else c.provenance
    ours = value_text(c, told.result) if told.result else "-"
    why = joined(told.why, c.why)
    decides = str(c.criterion or "")
    return Line(c.id, c.source, c.says, published, badge, c.where, ours, told.scale, told.verdict, why, decides)


def _observation_line(o: Observation, stored: Result | None) -> Line:
    ours = value_text(o, stored) if stored else "not run"
    return Line(o.id, o.source, o.says, "", "", "", ours, stored.scale if stored else "", "", o.why)


def joined(*texts: str) -> str:
    """Sentences in a row, each with a capital; empty ones leave nothing."""
    return ". ".join(text[:1].upper() + text[1:].rstrip(".") for text in texts if text)


def number(value: float) -> str:
    """A published number with all the digits that it has."""
    return f"{value:.10g}"


TINY = 7
"""So many places behind the point are written out; beyond them there are powers of ten."""


def value_text(r: Row, stored: Result) -> str:
    """The value, and over several seeds its spread, with no more digits than the spread allows; few of a run that was long."""
    if len(stored.seeds) < 2 and stored.scale != "demo":
        return f"{stored.value:.3g}{r.unit} (one seed)"
    if len(stored.seeds) < 2 or not stored.spread:
        return f"{stored.value:.6g}{r.unit}"
    digits = max(0, 1 - math.floor(math.log10(stored.spread)))
    if digits > TINY:
        return f"{stored.value:.2g}{r.unit} ± {stored.spread:.1g}"
    return f"{stored.value:.{digits}f}{r.unit} ± {stored.spread:.{digits}f}"


def _cited(p: Paper) -> str:
    """Authors, title, year and arXiv id of a paper, in one line of text."""
    ends = [p.venue, f"arXiv {p.arxiv}" if p.arxiv else ""]
    return ", ".join([f"{p.authors}: {p.title} ({p.year})", *filter(None, ends)])


def _linked(p: Paper) -> str:
    """The same in HTML, the arXiv id as a link."""
    link = f'<a href="{ARXIV}{html.escape(p.arxiv)}">arXiv {html.escape(p.arxiv)}</a>' if p.arxiv else ""
    ends = ", ".join(filter(None, [html.escape(p.venue), link]))
    text = f"{html.escape(p.authors)}: <cite>{html.escape(p.title)}</cite> ({p.year})"
    return f"{text}, {ends}" if ends else text


def _text_table(columns: tuple[str, ...], lines: list[Line]) -> list[str]:
    """Cells in columns; where it is said and why stand on a line of their own."""
    if not lines:
        return []
    cells = [columns[:-1], *(_short(line) for line in lines)]
    widths = [max(len(row[k]) for row in cells) for k in range(len(columns) - 1)]
    head, *rows = ("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells)
    noted = [[row, f"    {_note(line)}"] if _note(line) else [row] for line, row in zip(lines, rows, strict=True)]
    return ["", head, *(text for pair in noted for text in pair)]


def _short(line: Line) -> tuple[str, ...]:
    says = f"{line.says} [{line.id}]"
    return (says, line.published, f"{line.ours} ({line.scale})", line.verdict) if line.verdict else (says, line.ours)


def _note(line: Line) -> str:
    return joined(f"{line.provenance}, {line.where}" if line.verdict else "", line.why)


def _html_table(columns: tuple[str, ...], lines: list[Line]) -> str:
    if not lines:
        return ""
    kind = "claims" if lines[0].verdict else "claims observations"
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    seen: set[str] = set()
    body = "".join(_html_row(line, seen) for line in lines)
    return f'<table class="{kind}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _html_row(line: Line, seen: set[str]) -> str:
    """A row; the first of a claim has its anchor, those of other scales have none."""
    data = {"source": line.source, "verdict": line.verdict, "scale": line.scale, "provenance": line.provenance}
    given = "".join(f' data-{key}="{html.escape(value, quote=True)}"' for key, value in data.items() if value)
    anchor = "" if line.id in seen else f' id="{line.anchor}"'
    seen.add(line.id)
    cells = "".join(f"<td{kind}>{text}</td>" for kind, text in _cells(line))
    return f"<tr{anchor}{given}>{cells}</tr>"


def _cells(line: Line) -> list[tuple[str, str]]:
    """Attributes and HTML of the cells of a row."""
    t = html.escape
    says = ("", f"{t(line.says)} <code>{line.id}</code>")
    scale = f"<small>{line.scale}</small>" if line.scale else ""
    ours = (' class="number"', t(line.ours) + scale)
    if not line.verdict:
        return [says, ours, ("", t(line.why))]
    title = PROVENANCE[line.provenance.partition(":")[0]]
    badge = f'<span class="badge" title="{t(title)}">{t(line.provenance)}</span>'
    published = ("", f'<span class="number">{t(line.published)}</span> {badge}<small>{t(line.where)}</small>')
    if line.published == line.provenance:
        published = ("", f"{badge}<small>{t(line.where)}</small>")
    decides = f' title="{t(line.decides, quote=True)}"' if line.decides else ""
    return [says, published, ours, (f' class="verdict"{decides}', f"<b>{line.verdict}</b>"), ("", t(line.why))]
