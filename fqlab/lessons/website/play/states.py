"""Which states of a panel are visited: the default, every preset, and one control moved at a time.

The cross product of all controls would be billions; a person moves one thing at a time from a place that has a name. From
the default every control is moved, from each preset the three that the panel calls its ``handles``. What a click on a
picture moves at once is added by :mod:`~fqlab.lessons.website.play.clicks`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from functools import cache

from fqlab.panels.frame import Panel
from fqlab.panels.state import Control, Settings, changed, controls

__all__ = [
    "MOST",
    "Sweep",
    "bases",
    "home",
    "moved",
    "opened",
    "places",
    "stops",
    "swept",
    "sweeps",
    "trained",
    "trains",
]

MOST = 25
"""Stops of a slider that are kept."""
BOX = 8
"""Values of a number box (a seed) that are kept: the first ones."""

Place = tuple[int, ...]
"""A state as the positions of its controls in their ranges."""


@dataclass(frozen=True)
class Sweep:
    """One control moved over its stops from a state with a name.

    Attributes:
        base: number of the state it starts from in :func:`bases`; 0 is the default.
        control: number of the control in the panel's state.
    """

    base: int
    control: int


def places(state: Settings) -> Place:
    """The position of every control of a state."""
    return tuple(c.index(getattr(state, c.name)) for c in controls(type(state)))


@cache
def bases(panel: type[Panel]) -> tuple[Settings, ...]:
    """The default state and that of every preset, in the order of the buttons."""
    default = panel.State()
    return (default, *(changed(default, changes) for changes in panel.presets.values()))


@cache
def stops(panel: type[Panel], number: int) -> tuple[int, ...]:
    """The positions of one control that are visited, ascending: all of a choice, at most :data:`MOST` of a slider.

    Both ends, the default, the recommended value and whatever a preset sets are among them; the others lie evenly.
    """
    control = controls(panel.State)[number]
    wanted = {places(state)[number] for state in bases(panel)} | _named(control)
    if control.choices is not None:
        return tuple(range(control.count))
    if control.box:
        return tuple(sorted(wanted | set(range(min(BOX, control.count)))))
    centre = control.index(control.default)
    for stride in range(1, control.count + 1):
        kept = wanted | set(range(centre % stride, control.count, stride))
        if len(kept) <= MOST:
            return tuple(sorted(kept))
    return tuple(sorted(wanted))


def _named(control: Control) -> set[int]:
    """The ends of a slider and the value that theory recommends."""
    if control.choices is not None or control.box:
        return set()
    return {0, control.count - 1} | ({control.index(control.mark)} if control.mark is not None else set())


@cache
def sweeps(panel: type[Panel]) -> tuple[Sweep, ...]:
    """Every control from the default, and the handles from every preset that is not the default itself."""
    names = [c.name for c in controls(panel.State)]
    alone = [Sweep(0, k) for k in range(len(names))]
    handles = [names.index(name) for name in panel.handles]
    others = [b for b, state in enumerate(bases(panel)) if state != bases(panel)[0]]
    everyone = (*alone, *(Sweep(base, k) for base in others for k in handles))
    return tuple(sweep for sweep in everyone if _movable(panel, sweep))


def _movable(panel: type[Panel], sweep: Sweep) -> bool:
    """Whether the control acts where the sweep starts; a hand cannot move one that does not."""
    control = controls(panel.State)[sweep.control]
    return control.when is None or bool(control.when(bases(panel)[sweep.base]))


def moved(panel: type[Panel], sweep: Sweep) -> Iterator[Settings]:
    """The states of a sweep, one for each stop."""
    control = controls(panel.State)[sweep.control]
    start = bases(panel)[sweep.base]
    for stop in stops(panel, sweep.control):
        yield changed(start, {control.name: control.at(stop)})


@cache
def opened(panel: type[Panel]) -> tuple[Settings, ...]:
    """The default state with each option of the choices that the panel ``opens``."""
    names = [c.name for c in controls(panel.State)]
    alone = [sweep for sweep in sweeps(panel) if not sweep.base and names[sweep.control] in panel.opens]
    return tuple(state for sweep in alone for state in moved(panel, sweep))


def home(panel: type[Panel], state: Settings) -> Settings:
    """The state with a name, or opened, that a state is nearest to: the first that differs in the fewest controls."""
    here = places(state)
    starts = (*bases(panel), *opened(panel))
    return min(starts, key=lambda base: sum(a != b for a, b in zip(here, places(base), strict=True)))


@cache
def trained(panel: type[Panel]) -> frozenset[Hashable]:
    """What the panel trains in the states with a name and, unless it trains at presets only, in those one move from the default."""
    found = {panel.training(state) for state in bases(panel)}
    if panel.trains != "presets":
        found |= {panel.training(state) for sweep in sweeps(panel) if not sweep.base for state in moved(panel, sweep)}
    return frozenset(found)


def trains(panel: type[Panel], state: Settings) -> bool:
    """Whether the long part of a state is computed."""
    return panel.trains == "everywhere" or panel.training(state) in trained(panel)


@cache
def swept(panel: type[Panel]) -> tuple[Settings, ...]:
    """Every state with a name and of every sweep, once, in the order in which pages need them."""
    states = [*bases(panel), *(state for sweep in sweeps(panel) for state in moved(panel, sweep))]
    return tuple(dict.fromkeys(states))
