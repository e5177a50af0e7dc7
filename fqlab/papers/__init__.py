"""What was published beside what this library measures: claims, stored results, and how to get them again."""

from fqlab.papers.claims import Claim, Result, claim, claims, measured, result, sources, table, verdict
from fqlab.papers.reproduce import reproduce

__all__ = ["Claim", "Result", "claim", "claims", "measured", "reproduce", "result", "sources", "table", "verdict"]
