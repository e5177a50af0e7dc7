"""Every number that a text cites from the claims is the stored or the published one, with its spread and its verdict."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from fqlab import papers
from fqlab.papers.claims import Claim
from fqlab.papers.claims.criteria import HOLDS
from fqlab.papers.page import PAGE, page, with_sum

ROOT = Path(__file__).parents[2]
TEXTS = [*sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.py")), *sorted((ROOT / "notebooks").glob("*.md"))]
CITED = re.compile(r"\[([^\]]+)\]\(#claim-([\w-]+)\)")
NUMBER = re.compile(r"[-−]?\d[\d,]*(?:\.(\d+))?")


def problem(text: str, identity: str) -> str:
    """What is wrong with ``[text](#claim-identity)``; empty if nothing is."""
    row = papers.row(identity)
    stored = papers.result(identity)
    said, _, spread = text.partition(" ± ")
    number = NUMBER.search(said)
    if not number:
        return f"{text} cites {identity} without a number"
    value = float(number[0].replace(",", "").replace("−", "-"))
    digits = len(number[1] or "")
    near = lambda v: abs(value - v) <= 0.5000001 * 10**-digits
    published = getattr(row, "published", None)
    if published is not None and near(published) and not spread:
        return ""
    if stored is None or not near(stored.value):
        return f"{text}: {identity} has {stored and stored.value}, published {published}"
    told = round(stored.spread, digits)
    if not told:
        return "" if not spread else f"{text}: the spread of {identity} rounds to nothing"
    return "" if spread and math.isclose(float(spread), told) else f"{text}: the spread of {identity} is {told}"


def cells(text: str) -> list[str]:
    """The cells of a lesson's text, or the paragraphs of another one; lines joined."""
    parts = re.split(r"^# %%.*$" if "\n# %%" in text else r"\n\s*\n", text, flags=re.MULTILINE)
    return [" ".join(re.sub(r"^# ?", "", part, flags=re.MULTILINE).split()) for part in parts]


@pytest.mark.parametrize("path", TEXTS, ids=lambda p: p.stem)
def test_numbers_in_prose_are_those_of_the_ledger_with_their_spread(path):
    cited = CITED.findall(re.sub(r"\n# ?", " ", path.read_text(encoding="utf-8")))
    assert [wrong for text, identity in cited if (wrong := problem(text, identity))] == []


@pytest.mark.parametrize("path", TEXTS, ids=lambda p: p.stem)
def test_where_a_claim_does_not_hold_the_prose_says_so(path):
    for block in cells(path.read_text(encoding="utf-8")):
        for _, identity in CITED.findall(block):
            row = papers.row(identity)
            verdict = papers.ruling(row).verdict if isinstance(row, Claim) else HOLDS
            assert verdict == HOLDS or verdict in block, f"{identity} is {verdict!r}: {block[:80]} ..."


def test_the_rules_for_prose_can_fail():
    _, spread = papers.stored_value("octav-gain-4")
    assert problem(f"3.0 ± {round(spread, 1)}", "octav-gain-4") == ""
    assert "the spread" in problem("3.0", "octav-gain-4")
    assert "the spread" in problem("3.0 ± 0.9", "octav-gain-4")
    assert "has" in problem("3.3 ± 0.2", "octav-gain-4")
    assert problem("13.11", "bsq-hawq") == ""
    assert "without a number" in problem("many", "bsq-hawq")


def test_the_page_of_claims_and_the_sum_in_the_readme_are_derived():
    hint = "run python -m fqlab.papers.page"
    assert (ROOT / "notebooks" / PAGE).read_text(encoding="utf-8") == page(), hint
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert with_sum(readme) == readme, hint


def test_the_sum_counts_every_claim_once_and_links_what_it_counts():
    counted = papers.sums()
    assert sum(counted.values()) == len(papers.list_claims())
    text = page()
    for verdict, count in counted.items():
        part = re.search(rf"^## {verdict.capitalize()}\n(.*?)(?=^## )", text, re.MULTILINE | re.DOTALL)[1]
        assert len(re.findall(r"^\| .* `[\w-]+` \(\S.*\) \| ", part, re.MULTILINE)) == count
        assert f"[{count} {'hold' if verdict == HOLDS else verdict}](#{verdict.replace(' ', '-')})" in text
