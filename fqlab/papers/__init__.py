"""What was published beside what this library measures: claims, stored results, and how to get them again."""

from fqlab.papers.claims import Claim, Result, claim, list_claims, result, sources, stored_value, table, verdict
from fqlab.papers.reproduce import reproduce

__all__ = [
    "Claim",
    "Result",
    "claim",
    "list_claims",
    "stored_value",
    "reproduce",
    "result",
    "sources",
    "table",
    "verdict",
]
