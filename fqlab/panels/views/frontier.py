"""The frontier: every system's stored settings as accuracy against bytes, and the learner's own runs among them."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from fqlab import methods
from fqlab.errors import ConfigError
from fqlab.federation import Experiment
from fqlab.methods import METHODS, Method
from fqlab.panels.frame import Frame, Panel, Settings, control
from fqlab.panels.lru import LRUCache
from fqlab.panels.state import controls
from fqlab.plots.frontier import LOOKS, WAYS, Cheapest, Plane, size_words
from fqlab.plots.spots import Tip
from fqlab.studies.frontier import (
    COSTS,
    FAMILIES,
    SETTINGS,
    Point,
    cheapest,
    experiment,
    front,
    names,
    points,
    trace,
)

__all__ = ["Frontier", "State", "beaten", "own", "stored_front"]

CAPS = {0: "none", 250: "250 kB", 500: "500 kB", 1000: "1 MB", 2000: "2 MB", 5000: "5 MB"}
SLOW = ("aqfl", "fedmpq", "bsq")
MOST = 40
"""Own runs that stay in the picture."""
KEYS = ("labels", "method", "bits", "clip", "epochs", "participants", "rounds", "seed")
RIVALS = ("fedpaq", "uveqfed", "eden")
"""Methods with bits and differences of their own."""
CHOICES = {**FAMILIES, "own": "your own"}
"""Methods to run: ``"own"`` stands for the one that the panel was given. A ticket holds this word, not the method."""


YOURS = "Your run"
"""Name of a run by a method of the library."""
LONGEST = 18
"""Letters of a name that the legend has room for."""


def _coded(state: Any) -> bool:
    return state.method in ("clipped", "both")


def _wide(state: Any) -> bool:
    return _coded(state) or state.method in (*RIVALS, "own", "aqfl", "fedmpq")


@dataclass(frozen=True)
class State(Settings):
    """What is compared, how bytes are counted, and the learner's own run."""

    labels: str = control(
        "even", label="Labels", group="Compare", choices={"even": "dealt evenly", "two": "two digits each"}
    )
    metric: str = control(
        "everyone",
        label="Accuracy of",
        choices={"everyone": "the global model", "own": "each device's own"},
        help="one model on all digits; or each device's model on the digits it holds",
    )
    cost: str = control(
        "up",
        label="Bytes",
        choices={"up": "up", "up_coded": "up, coded", "both": "up and down", "both_coded": "up and down, coded"},
        help="packets of the whole run, as sent or entropy coded",
    )
    cap: int = control(0, label="Byte cap", choices=CAPS)
    target: int = control(90, label="Target accuracy", unit="%", low=50, high=98)
    method: str = control("both", label="Method", group="Your run", choices=CHOICES)
    bits: int = control(4, label="Bits a weight", low=1, high=8, half=True, when=_wide)
    clip: float = control(
        1.0, label="Clip", unit="× OCTAV", low=0.5, high=2.0, step=0.1, mark=1.0, half=True, when=_coded
    )
    epochs: int = control(1, label="Local epochs", low=1, high=5, half=True)
    participants: int = control(
        10, label="Devices, of 10", low=2, high=10, half=True, help="devices that take part in a round"
    )
    rounds: int = control(30, label="Rounds", low=2, high=60)
    seed: int = control(0, label="Seed", low=0, high=999, box=True)


class Frontier(Panel):
    """Every system in one plane; add a run of your own and beat the front.

    Args:
        method: a choice of the control, a method of one's own, or the name under which one is registered; the slider then
            sets its field ``bits``, if it has one, and presets start from it.
        settings: as of every panel.

    >>> from fqlab.methods.fedpaq import FedPAQ
    >>> panel = Frontier(method=FedPAQ(bits=1), rounds=2)
    >>> panel.state.method, panel.state.bits
    ('own', 1)
    """

    name, title = "frontier", "The frontier: accuracy against bytes, every system, your move"
    State = State
    rows = ((Plane,), (Cheapest,))
    presets = {
        "Bytes up": {},
        "Up and down": {"cost": "both"},
        "At least 94 %": {"target": 94, "cost": "both"},
        "Cap of 500 kB": {"cap": 500, "cost": "both"},
        "Two digits each": {"labels": "two", "cost": "both"},
        "... by their own": {"labels": "two", "metric": "own", "cost": "both"},
        "FedAvg again": {"method": "fedavg"},
        "FedPAQ, 1 bit": {"method": "fedpaq", "bits": 1},
    }
    handles = ("cost", "cap", "target")
    trains = "default"

    def __init__(self, *, method: str | Method = State.method, **settings: Any) -> None:
        self._runs: LRUCache[tuple[Any, ...], list[dict[str, float]]] = LRUCache(MOST)
        if isinstance(method, str) and method not in CHOICES and method in METHODS.names:
            method = methods.make(method)
        self._mine = None if isinstance(method, str) else method
        if self._mine is not None:
            methods.describe(self._mine)  # refuses what is no method
            settings = {"bits": getattr(self._mine, "bits", State.bits), **settings}
        self._bits = settings.get("bits", State.bits)
        super().__init__(method=method if self._mine is None else "own", **settings)

    @property
    def home(self) -> State:
        """With a method of one's own, that method at the bits it came with."""
        return State() if self._mine is None else State(method="own", bits=self._bits)

    def instant(self, state: State) -> Frame:
        done = self._runs.get(_key(state)) or []
        return self._frame(state, done)

    def run(self, state: State) -> Iterator[Frame]:
        if state.method == "own" and self._mine is None:
            return
        done: list[dict[str, float]] = []
        for measures in self._runs.get(_key(state)) or trace(own(state, self._mine), self.stopping):
            done = [*done, measures]
            yield self._frame(state, done, measures["round"] / state.rounds)
        if len(done) == state.rounds:
            self._runs[_key(state)] = done

    @classmethod
    def experiment(cls, state: State) -> Experiment:
        return own(state)

    @classmethod
    def training(cls, state: State) -> Hashable:
        return _key(state)

    def seconds(self, state: State) -> float:
        each = 0.1 if state.method in SLOW else 0.03
        return 0.5 + each * state.rounds * (0.4 + 0.6 * state.epochs)

    def megabytes(self, state: State) -> float:
        return 2 * state.rounds * state.participants * 4 * 4810 / 1e6

    def _frame(self, state: State, done: list[dict[str, float]], progress: float = 1.0) -> Frame:
        """The pictures with the rounds of the learner's run that are done so far."""
        path = [(_kilobytes(measures, state.cost), measures[state.metric]) for measures in done]
        edge = stored_front(state.labels, state.metric, state.cost)
        words = _judge(path[-1], edge, state.cap) if path else "no run of yours yet"
        who = self._who(state)
        plane = Plane.Data(
            points=_cloud(state.labels, state.metric, state.cost), families=FAMILIES, front=edge,
            cap=state.cap, own=path, earlier=self._earlier(state), finding=_finding(state, edge, path, who, words), who=who,
            tips=_tips(state.labels, state.metric, state.cost),
        )  # fmt: skip
        needs = {family: _needs(family, state.labels, state.metric, state.target / 100) for family in LOOKS}
        race = Cheapest.Data(needs, FAMILIES, state.target, state.cost)
        rows = [
            dict(setting=p.name, round=p.round, kilobytes=x, accuracy=y, spread=_spread(p, state.metric))
            for p in points()
            for x, y in [_place(p, state.metric, state.cost)]
            if p.labels == state.labels
        ]
        rows += [
            dict(setting=who.lower() if who == YOURS else who, round=f["round"], kilobytes=x, accuracy=y, spread="")
            for f, (x, y) in zip(done, path, strict=True)
        ]
        message = f"{who}: {path[-1][1]:.1%} for {path[-1][0]:.0f} kB, {words}." if path else ""
        if state.method == "own" and self._mine is None:
            message = "This panel has no method of yours yet: frontier(method=MyMethod()) makes one that has."
        return Frame({Plane: plane, Cheapest: race}, message, rows, progress)

    def _who(self, state: State) -> str:
        """Whose run it is: the class of a method of one's own, cut to what the legend holds."""
        mine = type(self._mine).__name__ if self._mine is not None and state.method == "own" else YOURS
        return mine if len(mine) <= LONGEST else f"{mine[: LONGEST - 1]}…"

    def _earlier(self, state: State) -> list[tuple[float, float]]:
        """The ends of the learner's other runs on the same labels."""
        others = [done for key, done in self._runs.items() if key[0] == state.labels and key != _key(state)]
        return [(_kilobytes(done[-1], state.cost), done[-1][state.metric]) for done in others]


def _key(state: State) -> tuple[Any, ...]:
    return tuple(getattr(state, name) for name in KEYS)


def own(state: State, mine: Method | None = None) -> Experiment:
    """The learner's run; ``mine`` is the method that the choice ``"own"`` stands for.

    Raises:
        ConfigError: for ``"own"`` without a method, as in a ticket, which holds settings and no classes.
    """
    if state.method == "own":
        return _owned(state, mine)
    options = dict(SETTINGS["clipped, 2 bit"][1], bits=state.bits, clip_factor=state.clip) if _coded(state) else {}
    options |= {"bits": state.bits} if state.method in RIVALS else {}
    options |= {"downlink": True} if state.method == "both" else {}
    options |= {"budgets": state.bits, "update": "latent"} if state.method in ("aqfl", "fedmpq") else {}
    return _race(state, state.method, options)


def _owned(state: State, mine: Method | None) -> Experiment:
    """The run of a method of one's own, at the bits of the slider if it has any."""
    if mine is None:
        raise ConfigError(
            "method is 'own', but a ticket holds no method: frontier(method=MyMethod()) runs one here; "
            'elsewhere name a class in a module, method = "package.module:Class".'
        )
    name, options = methods.describe(mine)
    if "bits" in methods.options(name):
        options["bits"] = state.bits
    return replace(_race(state, "fedavg", {}), method=name, options=options)


def _race(state: State, family: str, options: dict[str, Any]) -> Experiment:
    participants = 0 if state.participants == 10 else state.participants
    changes = {"epochs": state.epochs, "rounds": state.rounds, "participants": participants}
    return experiment(family, options, state.labels, state.seed, evaluate_every=state.rounds, **changes)


def _kilobytes(measures: dict[str, float], cost: str) -> float:
    """Bytes of a round of :func:`trace`, by one of the cost models, in kilobytes."""
    tail = "_coded" if cost.endswith("coded") else ""
    return (measures[f"bytes_up{tail}"] + (measures[f"bytes_down{tail}"] if cost.startswith("both") else 0)) / 1000


@lru_cache(maxsize=32)
def _cloud(labels: str, metric: str, cost: str) -> dict[str, list[tuple[float, float]]]:
    """Family -> its stored points as (kB, accuracy)."""
    return {
        family: [_place(p, metric, cost) for p in points() if (p.family, p.labels) == (family, labels)]
        for family in LOOKS
    }


@lru_cache(maxsize=32)
def _tips(labels: str, metric: str, cost: str) -> dict[str, list[Tip]]:
    """Family -> what its stored points say, in the order of :func:`_cloud`; a click runs the same setting once more."""
    mine = [p for p in points() if p.labels == labels]
    return {family: [_tip(p, metric, cost) for p in mine if p.family == family] for family in LOOKS}


def _tip(point: Point, metric: str, cost: str) -> Tip:
    """``FedPAQ, 2 bit, 10 rounds``, below it ``90.1 ± 0.8 %, 412 kB up``, and the settings that run it once more."""
    size = size_words(point.cost(cost) / 1000)
    measured = f"{100 * getattr(point, metric):.1f} ± {100 * _spread(point, metric):.1f} %, {size} {WAYS[cost]}"
    again = _again(point.name, point.labels)
    return Tip(f"{point.name}, {point.round} rounds\n{measured}", again | {"rounds": point.round} if again else {})


def _spread(point: Point, metric: str) -> float:
    """Standard deviation of an accuracy over seeds."""
    return point.spread[0 if metric == "everyone" else 1]


@lru_cache(maxsize=1024)
def _again(name: str, labels: str) -> dict[str, Any]:
    """The settings of *Your run* that run a stored setting once more; none if the controls cannot."""
    family, options, epochs = names(labels)[name]
    bits = options.get("bits", options.get("budgets", State.bits))
    if not isinstance(bits, int):
        return {}
    state = State(labels=labels, method=family, bits=bits, clip=options.get("clip_factor", State.clip), epochs=epochs)
    if not _alike(own(state), experiment(family, options, labels, epochs=epochs)):
        return {}
    return {c.name: getattr(state, c.name) for c in controls(State) if c.name in KEYS and (not c.when or c.when(state))}


def _alike(one: Experiment, other: Experiment) -> bool:
    """Whether two experiments are the same once every option that is left out has its default."""
    full = [replace(e, options=methods.describe(methods.make(e.method, e.options))[1]) for e in (one, other)]
    return full[0] == full[1]


def _place(point: Point, metric: str, cost: str) -> tuple[float, float]:
    return point.cost(cost) / 1000, getattr(point, metric)


@lru_cache(maxsize=32)
def stored_front(labels: str, metric: str, cost: str) -> list[tuple[float, float]]:
    """The stored points that nobody beats, as (kB, accuracy), by bytes."""
    places = [place for family in _cloud(labels, metric, cost).values() for place in family]
    return [places[i] for i in front(places)]


@lru_cache(maxsize=1024)
def _needs(family: str, labels: str, metric: str, target: float) -> list[float] | None:
    """Fewest kB by each cost model at which a family reaches the target; None if it never does."""
    cheapest_points = [cheapest(family, labels, metric, target, cost) for cost in COSTS]
    return (
        [p.cost(cost) / 1000 for p, cost in zip(cheapest_points, COSTS, strict=True)] if all(cheapest_points) else None
    )


def beaten(place: tuple[float, float], edge: list[tuple[float, float]]) -> bool:
    """Whether a stored point is at least as accurate for at most the bytes of ``place``, and better in one."""
    kilobytes, accuracy = place
    return any(x <= kilobytes and y >= accuracy and (x, y) != place for x, y in edge)


def _judge(place: tuple[float, float], edge: list[tuple[float, float]], cap: int) -> str:
    """Where a run stands, in words."""
    kilobytes, accuracy = place
    if cap and kilobytes > cap:
        return f"{kilobytes - cap:.0f} kB over the cap"
    if not beaten(place, edge):
        return "beyond the front"
    return f"{100 * (max(y for x, y in edge if x <= kilobytes) - accuracy):.1f} points below the front"


def _finding(
    state: State, edge: list[tuple[float, float]], path: list[tuple[float, float]], who: str, words: str
) -> str:
    """The headline: the learner's run, or the best of the stored points below the cap."""
    if path:
        return f"{who}: {path[-1][1]:.1%} for {size_words(path[-1][0])}, {words}"
    below = [place for place in edge if not state.cap or place[0] <= state.cap]
    if not below:
        return f"No stored run stays below {CAPS[state.cap]}"
    return f"The front reaches {below[-1][1]:.1%} at {size_words(below[-1][0])}"
