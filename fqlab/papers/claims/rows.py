"""The rows: claims of a source and observations of ours, read from TOML, one file a source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timezone
from functools import cache
from importlib.resources import files
from typing import Any

from fqlab.errors import ConfigError, one_of, shown
from fqlab.files import tomllib
from fqlab.papers.claims.criteria import Criterion, criterion

__all__ = [
    "PROVENANCE", "SCALES", "Claim", "Observation", "Paper", "Row", "Source",
    "claim", "list_claims", "list_observations", "list_rows", "row", "source", "sources",
]  # fmt: skip

SCALES = {"demo": "seconds", "small": "minutes, the effect visible", "paper": "the set-up of the source"}
PROVENANCE = {
    "printed": "read in the paper",
    "code": "from the authors' public code",
    "second-hand": "somebody else quotes it",
    "derived": "by us from facts that we found",
    "not public": "no number could be read",
}
LEAST_SEEDS = 3


@dataclass(frozen=True)
class Paper:
    """What stands above a table: who wrote it, when, and where it can be read."""

    title: str
    authors: str
    year: int
    arxiv: str = ""
    venue: str = ""


@dataclass(frozen=True)
class Source:
    """One file of claims and observations.

    Attributes:
        title: of the table; the paper's where there is one.
        about: the set-up that its rows share.
        papers: what its claims are taken from, the main one first; none for rows that are all ours.
    """

    name: str
    title: str
    about: str
    papers: tuple[Paper, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Row:
    """What claims and observations share.

    Attributes:
        id: unique, as used in prose: ``[2.562](#claim-octav-gauss-4)``.
        says: the statement in our words.
        recipe: ``module:function`` under :mod:`fqlab.studies`, called as ``f(seed=..., scale=..., **args)``.
        seeds: how many runs a stored result averages: 0, 1, ...
        chance: False where the number has no chance in it, so that one seed is all.
        scales: those that the recipe really has.
        not_run: scale -> why there is no result.
        why: how our set-up differs, or what explains a difference; shown.
    """

    id: str
    source: str
    says: str
    recipe: str = ""
    args: Mapping[str, Any] = field(default_factory=dict)
    unit: str = ""
    seeds: int = 1
    chance: bool = True
    scales: tuple[str, ...] = ("demo",)
    not_run: Mapping[str, str] = field(default_factory=dict)
    why: str = ""


@dataclass(frozen=True)
class Claim(Row):
    """A statement of a source.

    Attributes:
        where: table, section or sentence.
        provenance: one of :data:`PROVENANCE`; ``whose`` says who quotes a second-hand one.
        published: the number, if one is.
        criterion: what decides, written at ``fixed`` (UTC), before the run.
        not_comparable: scale -> why there is no verdict.
    """

    where: str = ""
    provenance: str = "not public"
    whose: str = ""
    published: float | None = None
    criterion: Criterion | None = None
    fixed: datetime | None = None
    not_comparable: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Observation(Row):
    """Ours: no verdict. ``range`` is where the regression test expects the stored value."""

    range: tuple[float, float] = (float("-inf"), float("inf"))


@cache
def sources() -> dict[str, Source]:
    """Name -> source, one a TOML file of this folder.

    Raises:
        ConfigError: for a row that is not whole; it names file and row.
    """
    folder = files("fqlab.papers") / "claims"
    paths = sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    return {f.name[:-5]: parse(f.name[:-5], f.read_text(encoding="utf-8")) for f in paths}


def parse(name: str, text: str) -> Source:
    """A source from its TOML text.

    Raises:
        ConfigError: for an unknown key, a missing one, or a value that is not allowed.
    """
    head = tomllib.loads(text)
    main = {k: head[k] for k in ("title", "authors", "year", "arxiv", "venue") if k in head}
    told = [main] if "authors" in main else []
    papers = tuple(Paper(**paper) for paper in [*told, *head.get("also", [])])
    rows: list[Row] = [_claim(name, given) for given in head.get("claim", [])]
    rows += [_observation(name, given) for given in head.get("observation", [])]
    return Source(name, head["title"], head.get("about", ""), papers, tuple(rows))


def _claim(source: str, given: dict[str, Any]) -> Claim:
    judged = {"criterion": criterion(given["criterion"])} if "criterion" in given else {}
    claim = _row(Claim, source, {**given, **judged})
    spot = f"claim {claim.id!r}"
    one_of(f"provenance of {spot}", claim.provenance, PROVENANCE)
    open_scales = [s for s in claim.scales if s not in claim.not_comparable and s not in claim.not_run]
    if not claim.where or (open_scales and claim.criterion is None) or (claim.published is None and not claim.says):
        raise ConfigError(f"{spot} lacks where it is said, or a criterion for scale {', '.join(open_scales)}.")
    if claim.criterion and (claim.fixed is None or claim.fixed.tzinfo is None):
        raise ConfigError(f"fixed of {spot} is {shown(claim.fixed)}, but must be a time with its zone.")
    if (claim.provenance == "second-hand") != bool(claim.whose):
        raise ConfigError(f"whose of {spot} is {shown(claim.whose)}, but exactly a second-hand number has one.")
    if open_scales and claim.chance and claim.seeds < LEAST_SEEDS:
        raise ConfigError(f"seeds of {spot} is {claim.seeds}, but a verdict where chance plays needs {LEAST_SEEDS}.")
    return claim


def _by_scale(given: Any, scales: tuple[str, ...]) -> dict[str, str]:
    """``"why"`` for every scale, or ``{paper = "why"}``."""
    return dict(given) if isinstance(given, dict) else dict.fromkeys(scales or ("paper",), str(given))


def _observation(source: str, given: dict[str, Any]) -> Observation:
    seen = _row(Observation, source, {**given, "range": tuple(given.get("range", ()))})
    if len(seen.range) != 2 or not seen.range[0] <= seen.range[1]:
        raise ConfigError(f"range of observation {shown(seen.id)} is {seen.range}, but must be [low, high].")
    return seen


def _row(kind: Any, source: str, given: dict[str, Any]) -> Any:
    """A claim or an observation; both need a known scale for everything that is run, and a recipe for that."""
    names = {f.name for f in fields(kind)} - {"source"}
    for key in given:
        one_of(f"key of {given.get('id')!r} in {source}.toml", key, names)
    scales = tuple(given.get("scales", ("demo",)))
    reasons = {key: _by_scale(given[key], scales) for key in ("not_comparable", "not_run") if key in given}
    row = kind(source=source, **{**given, **reasons, "scales": scales})
    for scale in row.scales:
        one_of(f"scale of {row.id!r}", scale, SCALES)
    if ":" not in row.recipe and set(row.scales) - set(row.not_run):
        raise ConfigError(f"recipe of {shown(row.id)} is {shown(row.recipe)}, but must be module:function.")
    return row


def source(name: str) -> Source:
    """The source with this name.

    Raises:
        ConfigError: if there is none.
    """
    return sources()[one_of("source", name, sources())]


def list_rows(name: str | None = None) -> list[Row]:
    """All rows, or those of one source.

    Raises:
        ConfigError: for an unknown source.
    """
    chosen = sources().values() if name is None else [source(name)]
    return [r for s in chosen for r in s.rows]


def list_claims(name: str | None = None) -> list[Claim]:
    """All claims, or those of one source; raises as :func:`list_rows`."""
    return list(_of(Claim, name))


def list_observations(name: str | None = None) -> list[Observation]:
    """All observations, or those of one source; raises as :func:`list_rows`."""
    return list(_of(Observation, name))


def _of(kind: Any, name: str | None) -> Iterator[Any]:
    return (r for r in list_rows(name) if isinstance(r, kind))


def row(identity: str) -> Row:
    """The claim or observation with this id.

    Raises:
        ConfigError: if there is none.
    """
    rows = {r.id: r for r in list_rows()}
    return rows[one_of("claim", identity, rows)]


def claim(identity: str) -> Claim:
    """The claim with this id.

    Raises:
        ConfigError: if there is none, or it is an observation.
    """
    claims = {c.id: c for c in list_claims()}
    return claims[one_of("claim", identity, claims)]


def utc(moment: datetime) -> str:
    """``2026-11-26T00:45:00Z``."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
