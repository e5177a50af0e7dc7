"""The ledger: what was really sent, packet by packet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fqlab.errors import one_of
from fqlab.wire.sizes import Size

__all__ = ["COLUMNS", "DIRECTIONS", "Entry", "Ledger"]

DIRECTIONS = ("up", "down")


class Entry(NamedTuple):
    """One packet: who, when, which way, and its size (bytes, but for ``code_bits``; see :class:`Size`)."""

    round_index: int
    client: int
    direction: str
    total: int
    fixed: int
    entropy: float
    code_bits: int
    float_bytes: int
    overhead: int

    def numbers(self) -> list[float]:
        """The entry as numbers, for a float64 tensor; :meth:`of` is the inverse."""
        return [*self[:2], DIRECTIONS.index(self.direction), *self[3:]]

    @classmethod
    def of(cls, numbers: Sequence[float]) -> Entry:
        """Inverse of :meth:`numbers`."""
        values: list[Any] = [n if math.isnan(n) else int(n) for n in numbers]
        return cls._make([*values[:2], DIRECTIONS[values[2]], *values[3:]])


COLUMNS = Entry._fields


@dataclass
class Ledger:
    """Every packet of a run, in the order in which they were recorded."""

    entries: list[Entry] = field(default_factory=list)

    def add(self, round_index: int, client: int, direction: str, size: Size) -> Entry:
        """Record a packet that went ``"up"`` to the server or ``"down"`` from it.

        Raises:
            ConfigError: for another direction.
        """
        one_of("direction", direction, DIRECTIONS)
        numbers = (
            size.total,
            size.fixed_bytes,
            size.entropy_bytes,
            size.code_bits,
            size.float_bytes,
            size.overhead_bytes,
        )
        self.entries.append(Entry(round_index, client, direction, *numbers))
        return self.entries[-1]

    def total(
        self,
        column: str = "total",
        *,
        round_index: int | None = None,
        client: int | None = None,
        direction: str | None = None,
    ) -> int:
        """Sum of a column over the packets of a round, a client, a direction, or all that are left ``None``.

        Raises:
            ConfigError: for an unknown column or direction.
        """
        one_of("column", column, COLUMNS[3:])
        one_of("direction", direction, (None, *DIRECTIONS))
        wanted = {
            k: v
            for k, v in (("round_index", round_index), ("client", client), ("direction", direction))
            if v is not None
        }
        chosen = (e for e in self.entries if all(getattr(e, k) == v for k, v in wanted.items()))
        return sum(getattr(e, column) for e in chosen)

    def rows(self) -> list[dict[str, int | str]]:
        """The entries as dictionaries with the keys :data:`COLUMNS`, ready for ``csv.DictWriter``."""
        return [e._asdict() for e in self.entries]
