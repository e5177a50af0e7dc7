"""States that a click on a picture leads to: a page must go where the mark says, not to a stored state beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from fqlab.lessons.website.play.states import bases, opened, swept, trains
from fqlab.lessons.website.play.visit import silent
from fqlab.panels.canvas import Canvas
from fqlab.panels.frame import Panel
from fqlab.panels.state import Settings, changed
from fqlab.plots.picture import Picture

__all__ = ["Clicks", "clicks", "visits"]


@dataclass(frozen=True)
class Clicks:
    """States that clicks lead to and no sweep does.

    Attributes:
        base: number of the state in :func:`~fqlab.lessons.website.play.states.bases` that they start from.
        states: where they lead, in the order of the marks.
    """

    base: int
    states: tuple[Settings, ...]


@cache
def clicks(panel: type[Panel]) -> tuple[Clicks, ...]:
    """Where the marks lead that a panel shows at once, from the states with a name and the options that it ``opens``.

    From the default all of them count; from elsewhere those that need no training of their own.
    """
    known = set(swept(panel))
    groups = []
    for base, start in _starts(panel) if any(_answers(kind) for row in panel.rows for kind in row) else ():
        reached = (state for state in _reached(panel, start) if not base or trains(panel, state))
        found = tuple(dict.fromkeys(state for state in reached if state not in known))
        known.update(found)
        groups += [Clicks(base, found)] if found else []
    return tuple(groups)


def visits(panel: type[Panel]) -> dict[Settings, bool]:
    """Every state to visit, once, and whether its long part is computed, in the order in which pages need them."""
    clicked = {state: True for group in clicks(panel) for state in group.states}
    return {state: trains(panel, state) for state in swept(panel)} | clicked


def _starts(panel: type[Panel]) -> Iterator[tuple[int, Settings]]:
    """The states whose marks count, and the state with a name that each belongs to."""
    yield from enumerate(bases(panel))
    yield from ((0, state) for state in opened(panel))


def _answers(kind: type[Picture]) -> bool:
    return kind.spots is not Picture.spots


def _reached(panel: type[Panel], start: Settings) -> Iterator[Settings]:
    """Where the marks of one state lead."""
    shown = silent(panel)()
    pictures = shown.instant(start).pictures
    shown.close()
    for kind, data in pictures.items():
        if _answers(kind):
            canvas = Canvas(kind())
            canvas.pixels(data)
            yield from (changed(start, spot.tip.changes) for spot in canvas.picture.spots() if spot.tip.changes)
