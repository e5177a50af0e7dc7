"""What was published beside what this library measures: claims, stored results, and how to get them again."""

from fqlab.papers.claims import (
    Claim,
    Observation,
    Result,
    claim,
    list_claims,
    list_observations,
    list_rows,
    result,
    row,
    ruling,
    sources,
    stored_value,
    sums,
    table,
)
from fqlab.papers.reproduce import reproduce

__all__ = [
    "Claim", "Observation", "Result", "claim", "list_claims", "list_observations", "list_rows", "reproduce", "result",
    "row", "ruling", "sources", "stored_value", "sums", "table",
]  # fmt: skip
