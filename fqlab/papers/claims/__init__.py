"""Claims of the sources and observations of ours (TOML), stored results (JSON), verdicts and tables."""

from fqlab.papers.claims.criteria import VERDICTS, Direction, Estimate, Exact, Near
from fqlab.papers.claims.results import Result, Ruling, judge, read_result, result, ruling, rulings, stored_value
from fqlab.papers.claims.rows import (
    PROVENANCE,
    SCALES,
    Claim,
    Observation,
    Paper,
    Row,
    Source,
    claim,
    list_claims,
    list_observations,
    list_rows,
    row,
    source,
    sources,
)
from fqlab.papers.claims.sums import by_verdict, sums
from fqlab.papers.claims.table import Table, table

__all__ = [
    "PROVENANCE", "SCALES", "VERDICTS", "Claim", "Direction", "Exact", "Estimate", "Near", "Observation", "Paper",
    "Result", "Row", "Ruling", "Source", "Table", "by_verdict", "claim", "judge", "list_claims", "list_observations",
    "list_rows", "read_result", "result", "row", "ruling", "rulings", "source", "sources", "stored_value", "sums",
    "table",
]  # fmt: skip
