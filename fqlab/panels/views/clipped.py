"""Unequal devices under one average: who has the say, and which digit the federation forgets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from fqlab import methods
from fqlab.aggregate import inverse_error_weights
from fqlab.federation import Experiment, Federation
from fqlab.methods.clipped import Clipped
from fqlab.panels.frame import Frame, Panel, Settings, control
from fqlab.panels.views.tour import layers
from fqlab.plots.clipped import Digits, Rounds, VoteShares
from fqlab.plots.style import number_of
from fqlab.quant import Grid, clip_for, expected_mse
from fqlab.training.sgd import infer

__all__ = ["ClippedFederation", "State", "experiment", "recalls", "shares"]

CLIENTS = 10
ROUNDS = 30
RARE = 7
EVERY = "0123456789"
OTHERS = EVERY.replace(str(RARE), "")
LAYERS = ("hidden", "output")


def _inverse(state: Any) -> bool:
    return state.averaging == "inverse_error"


@dataclass(frozen=True)
class State(Settings):
    """Devices, bits, quantizer and averaging rule."""

    fine: int = control(1, label="Fine devices", unit="of 10", low=1, high=9, group="Devices")
    seven: str = control(
        "coarse",
        label="Sevens at",
        choices={"all": "all devices", "coarse": "coarse devices", "fine": "fine devices"},
        help="who has seen a 7; all other digits are dealt evenly to all devices",
    )
    fine_bits: int = control(8, label="Bits, fine devices", unit="bit", low=1, high=8, group="Upload")
    hidden: int = control(2, label="Bits, coarse, hidden layer", unit="bit", low=1, high=8)
    output: int = control(2, label="Bits, coarse, output layer", unit="bit", low=1, high=8)
    clip: str = control("octav", label="Clip", choices={"octav": "OCTAV", "max_abs": "max-abs range"})
    rounding: str = control("stochastic", label="Rounding", choices={"nearest": "nearest", "stochastic": "stochastic"})
    averaging: str = control(
        "inverse_error", label="Average by", group="Server", choices={"inverse_error": "1 / error", "size": "samples"}
    )
    limit: int = control(
        0,
        label="Limit",
        choices={0: "none", 100: "100 others", 30: "30 others", 10: "10 others", 3: "3 others", 1: "1 other"},
        when=_inverse,
        help="no device counts more than so many others in a layer; our extension",
    )
    seed: int = control(0, label="Seed", low=0, high=999, box=True, group="Run")


class ClippedFederation(Panel):
    """Set the bits of fine and coarse devices, and say how the server averages them."""

    name, title = "clipped", "Clipped federated learning: 10 unequal devices, 30 rounds, handwritten digits"
    State = State
    rows = ((VoteShares, Digits), (Rounds,))
    presets = {
        "All 2 bit": {"fine_bits": 2, "seven": "all"},
        "One 8-bit device": {"seven": "all"},
        "... without a 7": {},
        "Average by samples": {"averaging": "size"},
        "At most 10": {"limit": 10},
        "8-bit output layer": {"output": 8},
        "Only it saw a 7": {"seven": "fine"},
    }
    handles = ("fine_bits", "hidden", "output")
    trains = "default"

    def instant(self, state: State) -> Frame:
        rows = shares(state)
        shown = VoteShares.Data(shares=rows, fine=state.fine, bits=bits(state), by=state.averaging)
        most = max(sum(row[: state.fine]) for row in rows.values())
        devices = "device has" if state.fine == 1 else "devices have together"
        message = f"{state.fine} fine {devices} up to {most:.1%} of a layer's average."
        table = [
            {"layer": name, "device": k + 1, "share": share}
            for name, row in rows.items()
            for k, share in enumerate(row)
        ]
        return Frame({VoteShares: shown}, message, table)

    def run(self, state: State) -> Iterator[Frame]:
        full, full_digits = reference(state.fine, state.seven, state.seed, self.stopping)
        federation = Federation(experiment(state), cancelled=self.stopping)
        curve = []
        sevens = []
        rows = []
        for record in federation:
            digits = recalls(federation)
            curve.append(record.accuracy)
            sevens.append(digits[RARE])
            rows.append(
                dict(round=record.index, accuracy=record.accuracy, sevens=digits[RARE], bytes_up=record.bytes_up)
            )
            shown = Rounds.Data(list(curve), list(sevens), full, **_sizes(federation, state.fine))
            pictures = {Digits: Digits.Data(digits, full_digits, RARE), Rounds: shown}
            message = (
                f"Accuracy {curve[-1]:.1%}, of the sevens {sevens[-1]:.0%} after {number_of(record.index, 'round')}."
            )
            yield Frame(pictures, message, list(rows), record.index / ROUNDS)

    @classmethod
    def experiment(cls, state: State) -> Experiment:
        return experiment(state)

    def seconds(self, state: State) -> float:
        return 2.0

    def megabytes(self, state: State) -> float:
        return ROUNDS * CLIENTS * 4 * 4810 * 1.1 / 1e6


def bits(state: State) -> dict[str, tuple[int, int]]:
    """Layer -> bits of a fine and of a coarse device."""
    return {"hidden": (state.fine_bits, state.hidden), "output": (state.fine_bits, state.output)}


def method(state: State) -> Clipped:
    """The method of a state; the clip's constant is the authors' textbook one."""
    fine = f"{state.fine_bits}-{state.fine_bits}"
    coarse = f"{state.hidden}-{state.output}"
    return Clipped(
        client_bits=", ".join([fine] * state.fine + [coarse] * (CLIENTS - state.fine)), clip=state.clip,
        rounding=state.rounding, averaging=state.averaging, limit=float(state.limit), qat=False,
    )  # fmt: skip


def experiment(state: State) -> Experiment:
    """The federation that a state describes."""
    clipped = method(state)
    names = ("client_bits", "clip", "rounding", "averaging", "limit", "qat")
    options = methods.acting("clipped", {name: getattr(clipped, name) for name in names})
    return Experiment(method="clipped", options=options, **_shared(state))


def _shared(state: State) -> dict[str, Any]:
    fine, coarse = {"all": (EVERY, EVERY), "coarse": (OTHERS, EVERY), "fine": (EVERY, OTHERS)}[state.seven]
    return dict(
        model="mlp", lr=0.3, batch_size=32, clients=CLIENTS, rounds=ROUNDS, seed=state.seed, engine="vectorized",
        partition="by_label", split={"holds": "-".join([fine] * state.fine + [coarse])},
    )  # fmt: skip


def recalls(federation: Federation) -> list[float]:
    """Share of each digit's test images that the global model reads right."""
    simulation = federation.simulation
    y = federation.simulation.dataset.test_y
    right = infer(simulation.model, federation.server.weights, simulation.dataset.test_x).argmax(1) == y
    return [float(right[y == digit].float().mean()) for digit in range(10)]


def _sizes(federation: Federation, fine: int) -> dict[str, int]:
    """Bytes of one packet of the last round: a fine device's, a coarse one's, and the way down."""
    last = {(e.client, e.direction): e.total for e in federation.ledger.entries[-2 * CLIENTS :]}
    return {"fine_up": last[0, "up"], "coarse_up": last[fine, "up"], "down": last[0, "down"]}


@lru_cache(maxsize=32)
def _reference(fine: int, seven: str, seed: int) -> tuple[list[float], list[float]]:
    federation = Federation(Experiment(method="fedavg", **_shared(State(fine=fine, seven=seven, seed=seed))))
    return [record.accuracy for record in federation], recalls(federation)


def reference(
    fine: int, seven: str, seed: int, stopping: Callable[[], bool] = lambda: False
) -> tuple[list[float], list[float]]:
    """Accuracy by round and final recalls of the same devices in full precision, averaged by samples."""
    return ([], []) if stopping() else _reference(fine, seven, seed)


def shares(state: State) -> dict[str, list[float]]:
    """Layer -> each device's share of the average, if all of them hold the same trained weights."""
    return {name: _share(state, layer) for layer, name in enumerate(LAYERS)}


def _share(state: State, layer: int) -> list[float]:
    if state.averaging == "size":
        samples = torch.tensor(_counts(state.fine, state.seven, state.seed), dtype=torch.float32)
        return (samples / samples.sum()).tolist()
    fine, coarse = (_mse(layer, b, state.clip, state.rounding) for b in bits(state)[LAYERS[layer]])
    mse = [fine] * state.fine + [coarse] * (CLIENTS - state.fine)
    return inverse_error_weights(method(state).floor_errors(mse)).tolist()


@lru_cache(maxsize=64)
def _counts(fine: int, seven: str, seed: int) -> tuple[int, ...]:
    """Training samples of each device."""
    from fqlab import data, partition

    deal = _shared(State(fine=fine, seven=seven, seed=seed))
    parts = partition.split("by_label", data.load("digits"), CLIENTS, seed, **deal["split"])
    return tuple(len(part) for part in parts)


@lru_cache(maxsize=256)
def _mse(layer: int, width: int, clip: str, rounding: str) -> float:
    """Expected squared error of a layer, trained in full precision, at ``width`` bits."""
    w = layers()[layer][1]
    grid = Grid(width)
    return float(expected_mse(w, clip_for(clip, w, grid, rounding, level_aware=False), grid, rounding))
