"""Unequal devices train one model: who can still train when bits are dealt layer by layer (FedMPQ), or are not (AQFL)."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import torch

from fqlab.federation import Experiment
from fqlab.methods.fedmpq import common_base, history
from fqlab.panels.frame import Frame, Panel, Settings, control
from fqlab.panels.lru import LRUCache
from fqlab.plots.precision import Average, Matrix, Weakest
from fqlab.plots.style import number_of
from fqlab.quant import mean_bits, moves, parse_budgets
from fqlab.studies import weak_clients
from fqlab.studies.dealing import CLIENTS, FIXED, ROUNDS, SIZES, Step, experiment, watch
from fqlab.studies.weak_clients import BUDGETS, LAYERS

__all__ = ["LAST", "Precision", "State", "described", "options", "walk"]

LAST = 48
"""Moves that the slider goes through; no device of the lesson needs more."""
WORLDS = {"digits": "digits, trained now", "stored": "Fashion-MNIST, stored"}
FLEETS = {BUDGETS: "2 to 8 bits, mean 5", "2-4-8": "2, 4 and 8 bits", "2": "all 2 bits"}
SCHEMES = {
    "fixed": "all layers alike (AQFL)",
    "full": "dealt (FedMPQ)",
    "none": "pruned, not dealt",
    "dual": "a price (primal-dual)",
}
UPDATES = {
    "integer": "integer (public code)",
    "latent": "latent, keeps fractions",
    "frozen": "frozen, none moves",
}
ETAS = {0.001: "0.001", 0.01: "0.01", 0.05: "0.05", 0.2: "0.2"}
ROWS = tuple(f"{name}  {size:,}".replace(",", " ") for name, size in zip(LAYERS, SIZES, strict=True))


def _live(state: State) -> bool:
    return state.world == "digits"


@dataclass(frozen=True)
class State(Settings):
    """Everything the pictures depend on."""

    world: str = control("digits", label="Data", group="Devices", choices=WORLDS)
    budgets: str = control(BUDGETS, label="Budgets", choices=FLEETS, when=_live)
    scheme: str = control("fixed", label="Bits", group="At the server", choices=SCHEMES)
    cutting: str = control(
        "drain",
        label="Cut",
        choices={"drain": "one layer to 1 bit first", "round_robin": "a bit from each in turn"},
        when=lambda s: _live(s) and s.scheme == "full",
        help="first: the public code; second: ours",
    )
    eta: float = control(0.05, label="Step η", choices=ETAS, when=lambda s: _live(s) and s.scheme == "dual")
    update: str = control("integer", label="Update", group="On the device", choices=UPDATES, when=_live)
    penalty: float = control(
        0.001,
        label="Group lasso λ",
        low=0.0,
        high=0.03,
        step=0.001,
        mark=0.01,
        mark_label="harmful above, as reported",
        when=lambda s: _live(s) and s.scheme != "dual",
    )
    epsilon: float = control(
        0.02,
        label="Prune while δ < ε",
        unit="share",
        low=0.0,
        high=0.6,
        step=0.005,
        mark=0.03,
        mark_label="harmful above, as reported",
        when=lambda s: _live(s) and s.scheme != "fixed",
    )
    move: int = control(
        0,
        label="Show",
        low=0,
        high=LAST,
        group="Look and run",
        help="0: what the last round moved; 1: as sent; 2: common base; then bit by bit",
        when=_live,
    )
    seed: int = control(0, label="Seed", low=0, high=999, box=True, when=_live)


class Precision(Panel):
    """See who can still train: bits and moved weights of every layer on every device, and what comes of it."""

    name, title = "precision", "Mixed precision: ten unequal devices, one model"
    version = 2
    State = State
    rows = ((Matrix,), (Weakest, Average))
    presets = {
        "Fixed": {},
        "Dealt": {"scheme": "full"},
        "... move by move": {"scheme": "full", "move": LAST},
        "Fixed, latent": {"update": "latent"},
        "Dealt, latent": {"scheme": "full", "update": "latent"},
        "Stored: fixed": {"world": "stored"},
        "Stored: dealt": {"world": "stored", "scheme": "full"},
    }
    handles = ("scheme", "update", "move")
    trains = "default"

    def instant(self, state: State) -> Frame:
        if not _live(state):
            return stored(state)
        start = tuple((8 if state.scheme == "dual" else int(_budget(state, n)),) * len(SIZES) for n in range(CLIENTS))
        return Frame({Matrix: _matrix(state, start, "Before the first round: all layers of a device alike")})

    def run(self, state: State) -> Iterator[Frame]:
        if not _live(state):
            return
        steps: list[Step] = []
        for step in trained(described(state), self.stopping):
            steps.append(step)
            yield frame(state, steps)

    @classmethod
    def experiment(cls, state: State) -> Experiment | None:
        return described(state) if _live(state) else None

    @classmethod
    def training(cls, state: State) -> Hashable:
        return described(state).to_toml() if _live(state) else None

    def seconds(self, state: State) -> float:
        return 0.0 if not _live(state) else 0.1 if described(state).to_toml() in _RUNS else 10.0


def _budget(state: State, device: int) -> float:
    budgets = parse_budgets(state.budgets)
    return budgets[device % len(budgets)]


def options(state: State) -> dict[str, Any]:
    """The settings of :class:`~fqlab.methods.fedmpq_plus.FedMPQPlus` that a state means."""
    chosen: dict[str, Any] = {"budgets": state.budgets, "update": state.update, "penalty": state.penalty}
    if state.scheme == "fixed":
        return chosen | FIXED
    chosen |= {"epsilon": state.epsilon, "cutting": state.cutting, "growing": state.scheme == "full"}
    return chosen | ({"penalty": 0.0, "dual_step": state.eta} if state.scheme == "dual" else {})


def described(state: State) -> Experiment:
    """The federation that a state describes."""
    return experiment(options(state), seed=state.seed)


_RUNS: LRUCache[str, tuple[Step, ...]] = LRUCache(60)
"""The last runs, by their experiment as text: the moves train nothing."""


def trained(wanted: Experiment, stopping: Callable[[], bool] = lambda: False) -> Iterator[Step]:
    """The rounds of an experiment as they come, or from the last time; no more of them once it is stopped."""
    stored_steps = _RUNS.get(wanted.to_toml())
    if stored_steps is not None:
        yield from stored_steps
        return
    steps = []
    for step in watch(wanted, stopping):
        steps.append(step)
        yield step
    if len(steps) == wanted.rounds:
        _RUNS[wanted.to_toml()] = tuple(steps)


def frame(state: State, steps: list[Step]) -> Frame:
    """What a live run shows after its last round so far."""
    last = steps[-1]
    stages = walk(state, last)
    shown = min(state.move, len(stages) - 1)
    matrix = _matrix(
        state, stages[shown], _stage(last, shown, len(stages)),
        moved=last.moved if shown == 0 else (), own=last.own, before=stages[shown - 1] if shown > 2 else None,
    )  # fmt: skip
    pictures = {
        Matrix: matrix,
        Weakest: Weakest.Data([[step.own[_weakest(state)] for step in steps]], ROUNDS),
        Average: Average.Data([[step.record.accuracy for step in steps]], ROUNDS),
    }
    rows = [
        {"round": s.record.index, "accuracy": s.record.accuracy, "weakest": s.own[_weakest(state)],
         "moved": _moved(s), "sent_bits": s.record.extras["sent_bits"], "next_bits": s.record.extras["bits"],
         "lambda": s.record.extras["penalty"], "bytes_up": s.record.bytes_up, "bytes_down": s.record.bytes_down}
        for s in steps
    ]  # fmt: skip
    record = last.record
    message = (
        f"Digits, ResNet-8: accuracy {record.accuracy:.1%} after {number_of(record.index, 'round')}, the weakest device's own "
        f"model {last.own[_weakest(state)]:.1%}; {_moved(last):.0%} of its weights moved in the last round. "
        f"{(record.bytes_up + record.bytes_down) / 1000:.0f} kB a round."
    )
    return Frame(pictures, message, rows, record.index / ROUNDS)


def stored(state: State) -> Frame:
    """The study of weak clients, trained beforehand with the integer update: FedMPQ where bits are dealt, else AQFL."""
    method = "FedMPQ" if state.scheme == "full" else "AQFL"
    curves = weak_clients.curves("unequal", method.lower(), "integer")
    first = curves[0]
    stage = f"Stored: bits, and the share of weights moved, in round {len(first.accuracy)} (seed {first.seed})"
    pictures = {
        Matrix: _matrix(State(), first.widths, stage, moved=first.moved, own=first.own),
        Weakest: _beside(state, [c.weakest for c in curves], "weakest"),
        Average: _beside(state, [c.refreshed for c in curves], "refreshed"),
    }
    average = fmean(c.refreshed[-1] for c in curves)
    own = fmean(c.weakest[-1] for c in curves)
    message = (
        f"Stored, not trained here: {method} on Fashion-MNIST at 14 × 14, ResNet-8, "
        f"{len(curves)} seeds: accuracy {average:.1%}, the weakest device's own model {own:.1%}."
    )
    rows = [
        {
            "seed": c.seed,
            "round": k + 1,
            "accuracy": c.accuracy[k],
            "refreshed": c.refreshed[k],
            "weakest": c.weakest[k],
        }
        for c in curves
        for k in range(len(c.accuracy))
    ]
    return Frame(pictures, message, rows)


def _beside(state: State, seeds: list[tuple[float, ...]], kind: str) -> Any:
    """Stored curves, FedMPQ's beside the mean of AQFL's."""
    picture = Weakest if kind == "weakest" else Average
    if state.scheme != "full":
        return picture.Data(seeds, len(seeds[0]))
    fixed = [getattr(c, kind) for c in weak_clients.curves("unequal", "aqfl", "integer")]
    return picture.Data(seeds, len(seeds[0]), [sum(values) / len(fixed) for values in zip(*fixed, strict=True)], "AQFL")


def _weakest(state: State) -> int:
    return min(range(CLIENTS), key=lambda n: _budget(state, n))


def _moved(step: Step) -> float:
    """Share of the first device's weights that moved, over all layers."""
    return sum(m * share for m, share in zip(SIZES, step.moved[0], strict=True)) / sum(SIZES)


def _matrix(
    state: State,
    widths: tuple[tuple[int, ...], ...],
    stage: str,
    *,
    moved: tuple[tuple[float, ...], ...] = (),
    own: tuple[float, ...] = (math.nan,) * CLIENTS,
    before: tuple[tuple[int, ...], ...] | None = None,
) -> Matrix.Data:
    return Matrix.Data(
        widths=widths,
        before=before or widths,
        moved=moved,
        budgets=[_budget(state, n) for n in range(CLIENTS)],
        means=[mean_bits(SIZES, row) for row in widths],
        own=own,
        layers=ROWS,
        stage=stage,
    )


def walk(state: State, step: Step) -> list[tuple[tuple[int, ...], ...]]:
    """Widths of all devices: as trained, as sent, and where the server deals them, the base and after each move."""
    if state.scheme != "full":
        return [step.given, step.sent]
    budgets = [_budget(state, n) for n in range(CLIENTS)]
    shares = [budget * samples for budget, samples in zip(budgets, step.samples, strict=True)]
    given = torch.tensor(step.given)
    sent = torch.tensor(step.sent)
    base = common_base(sent, shares)
    reduced = [delta - 1 for delta in history((given - sent).clamp(min=0), shares)]
    paths = [list(moves(base, reduced, SIZES, budget, state.cutting)) for budget in budgets]
    longest = max(map(len, paths))
    return [step.given, step.sent, *(tuple(path[min(k, len(path) - 1)] for path in paths) for k in range(longest))]


def _stage(step: Step, shown: int, stages: int) -> str:
    """The picture's title."""
    number = step.record.index
    if shown == 0:
        return f"Round {number}: bits, and the share of weights that the device's training moved"
    if shown == 1:
        return f"Round {number}, as sent: without the planes that hardly any weight used"
    if shown == 2:
        return "The common base: the mean of what was sent, rounded, layer by layer"
    if shown == stages - 1:
        return f"After {shown - 2} moves every device is within its budget: the widths of round {number + 1}"
    return f"Move {shown - 2}: each device cuts or grows one bit (dark frames)"
