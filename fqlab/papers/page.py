"""``python -m fqlab.papers.page``: the claims as a page, and its sum in the README. Both are derived; a test compares.

The page lists every claim under its verdict, so that a count is a link to what it counts.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from fqlab.errors import ConfigError
from fqlab.files import atomic_write
from fqlab.papers.claims import VERDICTS, Claim, Observation, by_verdict, list_observations, result, ruling, source
from fqlab.papers.claims.sums import PAGE, sentence
from fqlab.papers.claims.table import ARXIV, joined, number, value_text
from fqlab.studies import rivals

__all__ = ["main", "page", "with_sum"]

BEGIN = "<!-- sum of the claims: python -m fqlab.papers.page -->"
END = "<!-- end of the sum -->"
INTRODUCTION = """# Claims

*What the papers say, what we measure, and whether it holds.*

A claim is a statement of a source. What decides was written down, with the time, before the run. A verdict rests on the
largest scale that was run; a direction must be seen beyond two standard errors. An observation is ours and has no verdict.
`fqlab reproduce ID` recomputes a row. This page is derived from the claims: `python -m fqlab.papers.page`.
"""


def page() -> str:
    """The Markdown of ``notebooks/CLAIMS.md``."""
    parts = [INTRODUCTION, f"{sentence()}\n"]
    for verdict, claims in by_verdict().items():
        parts.append(f"## {verdict.capitalize()}\n\n{VERDICTS[verdict].capitalize()}.\n")
        if claims:
            parts.append(_table(CLAIM_HEAD, (_claim(c) for c in claims)))
    parts.append("## Observations\n")
    parts.append(_table(OBSERVATION_HEAD, (_observation(o) for o in list_observations())))
    parts.append(RIVALS)
    parts.extend(f"{told}\n\n{rivals.table(data)}\n" for data, told in RIVALS_DATA.items())
    return "\n".join(parts)


RIVALS = """## The rivals at equal packets

Same data, same model, same rounds; megabytes of all packets of a run, as sent and entropy-coded; three seeds, mean and
spread; seconds of one processor a run. AQFL and FedMPQ give device n the (n mod 10)-th of 2-2-4-4-4-6-6-6-8-8 bits a weight,
FP8 gives all of them 8. *integer* trains whole digits, as FedMPQ's public code does; this network has no norms, and nothing but
norms and scales trains there at few bits. *latent* trains planes that keep fractions. The learning rate of each of the two is the
best of three for AQFL, under a seed that is not in the table; FP8 has AQFL's.
"""
RIVALS_DATA = {
    "digits": "Digits, dealt evenly to ten devices, all of them in each of 30 rounds:",
    "mnist": "MNIST, labels dealt by Dirichlet (α = 0.5) to a hundred devices, ten of them drawn in each of 30 rounds, so that "
    "their budgets vary around 5 bits:",
}
CLAIM_HEAD = ("claim", "published", "ours", "what decides", "why")
OBSERVATION_HEAD = ("observation", "table", "ours", "set-up")


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    line = lambda cells: "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    return "\n".join([line(head), "|---" * len(head) + "|", *map(line, rows)]) + "\n"


def _claim(c: Claim) -> tuple[str, ...]:
    told = ruling(c)
    published = "" if c.published is None else f"{number(c.published)}{c.unit}, "
    badge = f"{c.provenance} ({c.whose})" if c.whose else c.provenance
    ours = f"{value_text(c, told.result)} ({told.scale})" if told.result else "-"
    why = joined(told.why, c.why)
    return (f"{c.says} `{c.id}` ({_papers(c)})", f"{published}*{badge}*, {c.where}", ours, str(c.criterion or "-"), why)


def _papers(c: Claim) -> str:
    """The papers of a claim's table as links."""
    papers = source(c.source).papers
    shown = [f"{p.authors.split(',')[0].split()[-1]} {p.year}" for p in papers]
    return ", ".join(f"[{s}]({ARXIV}{p.arxiv})" if p.arxiv else s for s, p in zip(shown, papers, strict=True))


def _observation(o: Observation) -> tuple[str, ...]:
    stored = result(o.id)
    ours = f"{value_text(o, stored)} ({stored.scale})" if stored else "not run"
    return (f"{o.says} `{o.id}`", o.source, ours, o.why)


def with_sum(readme: str, folder: str = "notebooks/") -> str:
    """A README with the sum between its two marks.

    Raises:
        ConfigError: if the marks are missing.
    """
    place = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    if not place.search(readme):
        raise ConfigError(f"readme has no place for the sum: it needs {BEGIN!r} and {END!r}.")
    return place.sub(lambda _: f"{BEGIN}\n{sentence(folder + PAGE)}\n{END}", readme)


def main(argv: Sequence[str] | None = None) -> int:
    """Write ``notebooks/CLAIMS.md`` and the sum in ``README.md`` of a checkout."""
    parser = argparse.ArgumentParser("python -m fqlab.papers.page", description="The claims as a page, and its sum.")
    parser.add_argument("--root", type=Path, default=Path(), help="the repository (default: here)")
    root = parser.parse_args(argv).root
    readme = root / "README.md"
    atomic_write(readme, with_sum(readme.read_text(encoding="utf-8")).encode())
    atomic_write(root / "notebooks" / PAGE, page().encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
