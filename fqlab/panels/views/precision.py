"""Unequal devices train one model: MSB pruning on the device, pruning-growing at the server (FedMPQ)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from fqlab.federation import Experiment, Federation, Round
from fqlab.methods.fedmpq import common_base, history
from fqlab.panels.frame import Frame, Panel, Settings, control
from fqlab.panels.lru import LRUCache
from fqlab.plots.precision import Federated, Matrix, Prune
from fqlab.plots.style import number_of
from fqlab.quant import mean_bits, moves, msb_density, narrow_bits, parse_budgets, prune_msb
from fqlab.studies.fedmpq import BUDGETS, CLIENTS, ROUNDS, SIZES, bell, experiment, fresh

__all__ = ["LAST", "Precision", "State", "local_widths", "options", "walks"]

LAST = 32
"""Moves that the slider goes through; no device of the lesson needs more."""
FLEETS = {BUDGETS: "2 to 8 bits, mean 5", "2-4-8": "sensor 2, watch 4, phone 8", "2": "all 2 bits"}
SCHEMES = {"full": "kept by the server", "none": "not kept", "dual": "a price (primal-dual)"}
ETAS = {0.001: "0.001", 0.005: "0.005", 0.02: "0.02", 0.05: "0.05", 0.2: "0.2", 1.0: "1"}
LAYERS = tuple(f"{size:,}".replace(",", " ") for size in SIZES)


@dataclass(frozen=True)
class State(Settings):
    """Everything the pictures depend on."""

    budgets: str = control(BUDGETS, label="Devices", group="Devices", choices=FLEETS)
    penalty: float = control(
        0.003,
        label="Group lasso λ",
        low=0.0,
        high=0.03,
        step=0.001,
        group="On the device",
        mark=0.01,
        mark_label="harmful above, as reported",
        when=lambda s: s.scheme != "dual",
    )
    pruning: bool = control(True, label="Pruning")
    epsilon: float = control(
        0.05,
        label="Prune while δ ≤ ε",
        unit="share",
        low=0.0,
        high=0.6,
        step=0.005,
        mark=0.03,
        mark_label="harmful above, as reported",
        when=lambda s: s.pruning,
    )
    scheme: str = control("full", label="Budgets", group="At the server", choices=SCHEMES)
    cutting: str = control(
        "drain",
        label="Cut",
        choices={"drain": "one layer to 1 bit first", "round_robin": "a bit from each in turn"},
        when=lambda s: s.scheme == "full",
        help="first: the public code; second: ours",
    )
    eta: float = control(0.05, label="Step η", choices=ETAS, when=lambda s: s.scheme == "dual")
    move: int = control(
        LAST, label="Move shown", low=0, high=LAST, group="Look", help="0: as sent; 1: common base; then bit by bit"
    )
    seed: int = control(0, label="Seed", low=0, high=999, box=True, group="Run")


class Precision(Panel):
    """Give every device its bits, one move at a time."""

    name, title = "precision", "Mixed precision: ten unequal devices, one model"
    State = State
    rows = ((Matrix,), (Prune, Federated))
    presets = {
        "As sent": {"move": 0},
        "Common base": {"move": 1},
        "Budgets": {},
        "Pruning only": {"penalty": 0.0, "epsilon": 0.5, "scheme": "none"},
        "... and growing": {"penalty": 0.0, "epsilon": 0.5},
        "Too much λ": {"penalty": 0.03},
        "Primal-dual": {"scheme": "dual"},
    }
    handles = ("budgets", "epsilon", "move")
    trains = "default"

    def instant(self, state: State) -> Frame:
        sent = [local_widths(state, n) for n in range(CLIENTS)]
        paths = walks(state, sent)
        tables = [path[min(state.move, len(path) - 1)] for path in paths]
        moving = [1 < state.move < len(path) for path in paths]
        before = [path[state.move - 1] if on else now for path, now, on in zip(paths, tables, moving, strict=True)]
        table = Matrix.Data(
            widths=tables,
            before=before,
            budgets=[_budget(state, n) for n in range(CLIENTS)],
            means=[mean_bits(SIZES, row) for row in tables],
            layers=LAYERS,
            stage=_stage(state, max(map(len, paths)) - 1),
            kept=state.scheme == "full",
        )
        deltas = [(name, *densities(k, 8, state.seed)[:2]) for k, name in enumerate(LAYERS)]
        prune = Prune.Data([*deltas, ("digits", *fresh())], state.epsilon, state.pruning)
        return Frame({Matrix: table, Prune: prune})

    def run(self, state: State) -> Iterator[Frame]:
        rounds: list[Round] = []
        for record in trained(described(state), self.stopping):
            rounds.append(record)
            yield self._frame(state, rounds)

    @staticmethod
    def _frame(state: State, rounds: list[Round]) -> Frame:
        sent = [r.extras["sent_bits"] for r in rounds]
        budget = sum(_budget(state, n) for n in range(CLIENTS)) / CLIENTS
        data = Federated.Data([r.accuracy for r in rounds], sent, budget, ROUNDS)
        rows = [
            {"round": r.index, "accuracy": r.accuracy, "personal": r.personal, "sent_bits": r.extras["sent_bits"],
             "next_bits": r.extras["bits"], "lambda": r.extras["penalty"], "bytes_up": r.bytes_up, "bytes_down": r.bytes_down} for r in rounds
        ]  # fmt: skip
        last = rounds[-1]
        message = (
            f"Digits: accuracy {last.accuracy:.1%} after {number_of(last.index, 'round')}, {sent[-1]:.2f} bits a weight sent (budget "
            f"{budget:.1f}), λ {last.extras['penalty']:.3f}, {(last.bytes_up + last.bytes_down) / 1000:.0f} kB a round."
        )
        return Frame({Federated: data}, message, rows, last.index / ROUNDS)

    @classmethod
    def experiment(cls, state: State) -> Experiment:
        return described(state)

    @classmethod
    def training(cls, state: State) -> Hashable:
        return described(state).to_toml()

    def seconds(self, state: State) -> float:
        return 0.1 if described(state).to_toml() in _RUNS else 5.0


def _budget(state: State, device: int) -> float:
    budgets = parse_budgets(state.budgets)
    return budgets[device % len(budgets)]


def options(state: State) -> dict[str, Any]:
    """The settings of :class:`~fqlab.methods.fedmpq_plus.FedMPQPlus` that a state means."""
    chosen = {
        "budgets": state.budgets,
        "pruning": state.pruning,
        "epsilon": state.epsilon,
        "cutting": state.cutting,
    }
    if state.scheme == "dual":
        return chosen | {"penalty": 0.0, "growing": False, "dual_step": state.eta}
    return chosen | {"penalty": state.penalty, "growing": state.scheme == "full"}


def described(state: State) -> Experiment:
    """The federation that a state describes."""
    return experiment(options(state), seed=state.seed)


_RUNS: LRUCache[str, tuple[Round, ...]] = LRUCache(60)
"""The last runs, by their experiment as text: the moves and what a device sends of the four layers train nothing."""


def trained(wanted: Experiment, stopping: Callable[[], bool] = lambda: False) -> Iterator[Round]:
    """The rounds of an experiment as they come, or from the last time; no more of them once it is stopped."""
    stored = _RUNS.get(wanted.to_toml())
    if stored is not None:
        yield from stored
        return
    rounds = []
    for record in Federation(wanted, cancelled=stopping):
        rounds.append(record)
        yield record
    if len(rounds) == wanted.rounds:
        _RUNS[wanted.to_toml()] = tuple(rounds)


@lru_cache(maxsize=256)
def densities(layer: int, bits: int, seed: int) -> tuple[float, ...]:
    """δ of a bell-shaped layer as it is, and after each plane that is cut, down to one bit."""
    codes = bell(layer, bits, seed)
    shares = []
    while codes.grid.bits > 1:
        shares.append(float(msb_density(codes)))
        fewer, left = prune_msb(codes, 1.0, once=True)
        codes = narrow_bits(fewer, int(left))
    return tuple(shares)


def _left(layer: int, bits: int, epsilon: float, seed: int) -> int:
    """Bits left once no top plane is as rare as ε."""
    return bits - sum(1 for _ in itertools.takewhile(lambda delta: delta <= epsilon, densities(layer, bits, seed)))


def local_widths(state: State, device: int) -> tuple[int, ...]:
    """What a device sends of the four bell-shaped layers: its budget, less the MSBs that are rare."""
    bits = 8 if state.scheme == "dual" else int(_budget(state, device))
    if not state.pruning:
        return (bits,) * len(SIZES)
    return tuple(_left(layer, bits, state.epsilon, state.seed) for layer in range(len(SIZES)))


def walks(state: State, sent: list[tuple[int, ...]]) -> list[list[tuple[int, ...]]]:
    """Every device's widths: as sent, at the common base, and after each move; as sent alone if budgets are not kept."""
    if state.scheme != "full":
        return [[widths] for widths in sent]
    budgets = [_budget(state, n) for n in range(CLIENTS)]
    widths = torch.tensor(sent)
    base = common_base(widths, budgets)
    lost = torch.tensor([[int(budget)] for budget in budgets]) - widths
    reduced = [delta - 1 for delta in history(lost, budgets)]
    return [[sent[n], *moves(base, reduced, SIZES, budgets[n], state.cutting)] for n in range(CLIENTS)]


def _stage(state: State, last: int) -> str:
    """The picture's title."""
    if state.scheme == "dual":
        return "A bit has a price, nobody enforces the budget: as sent from 8 bits"
    if state.scheme != "full":
        return "No server keeps the budgets: every device goes on with what it sent"
    if state.move == 0:
        return "As sent: each device at its budget, less the top planes that were rare"
    if state.move == 1:
        return "Common base: the mean of what was sent, rounded, layer by layer"
    if state.move >= last:
        return f"After {last - 1} moves every device is within its budget"
    return f"Move {state.move - 1}: each device cuts or grows one bit (dark frames)"
