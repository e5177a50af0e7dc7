"""So many claims, so many hold: counted from the rows, never typed."""

from __future__ import annotations

from fqlab.papers.claims.criteria import HOLDS, VERDICTS, Exact
from fqlab.papers.claims.results import ruling
from fqlab.papers.claims.rows import Claim, list_claims, list_observations

__all__ = ["PAGE", "by_verdict", "sentence", "sums"]

PAGE = "CLAIMS.md"
"""The page that lists every claim under its verdict, beside the lessons."""


def by_verdict(name: str | None = None) -> dict[str, list[Claim]]:
    """Verdict -> its claims, of one source or of all; every verdict has its list."""
    groups: dict[str, list[Claim]] = {verdict: [] for verdict in VERDICTS}
    for c in list_claims(name):
        groups[ruling(c).verdict].append(c)
    return groups


def sums(name: str | None = None) -> dict[str, int]:
    """Verdict -> how many claims have it."""
    return {verdict: len(claims) for verdict, claims in by_verdict(name).items()}


def sentence(page: str = "") -> str:
    """``N claims: n hold, ...; m observations of ours.`` in Markdown, each count a link to its part of ``page``.

    It says how many are counts and closed forms: that these hold is a check of the arithmetic, not of a method.
    """
    counted = sums()
    words = {HOLDS: "hold"}
    parts = [f"[{n} {words.get(verdict, verdict)}]({page}#{anchor(verdict)})" for verdict, n in counted.items()]
    exact = sum(isinstance(c.criterion, Exact) for c in list_claims())
    observations = f"[{len(list_observations())} observations]({page}#observations)"
    return (
        f"{sum(counted.values())} claims, {exact} of them counts and closed forms: {', '.join(parts)}. "
        f"Beside them {observations} of ours, without a verdict."
    )


def anchor(verdict: str) -> str:
    """The heading of a verdict as a link's target: ``not-seen``."""
    return verdict.replace(" ", "-")
