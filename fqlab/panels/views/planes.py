"""Weights as stacks of bits: a penalty empties whole planes, an adjustment cuts the empty ones off (BSQ)."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from fqlab.federation import Experiment, Federation
from fqlab.panels.frame import Frame, Panel, Settings, control
from fqlab.plots.planes import Stack, Tradeoff, Widths
from fqlab.plots.style import number_of
from fqlab.quant import Codes, mean_bits, to_planes
from fqlab.studies.bsq import PLANES, TUNING, WARMUP, experiment

__all__ = ["EPOCHS", "Planes", "Recording", "Snapshot", "State", "key", "recording", "start"]

EPOCHS = PLANES + TUNING
NAMES = {"fc1.weight": "layer 1", "fc1.bias": "bias 1", "fc2.weight": "layer 2", "fc2.bias": "bias 2"}


@dataclass(frozen=True)
class State(Settings):
    """Everything the pictures depend on."""

    penalty: float = control(
        0.02,
        label="Penalty α",
        low=0.0,
        high=0.1,
        step=0.001,
        group="Bit-level training",
        help="strength of the group lasso over whole bit planes; this α has nothing to do with Dirichlet's",
    )
    reweigh: bool = control(
        True,
        label="Layers pay",
        choices={True: "for their memory", False: "all alike"},
        help="memory: weights of the layer times its bits, over all weights",
    )
    interval: int = control(4, label="Adjust every", unit="epochs", low=1, high=8)
    strip: str = control(
        "both",
        label="Cut empty planes",
        choices={"both": "at both ends", "msb": "at the top only", "none": "never"},
        group="Precision adjustment",
    )
    threshold: float = control(
        0.0,
        label="Empty means at most",
        unit="% ones",
        low=0.0,
        high=10.0,
        step=0.5,
        mark=0.0,
        mark_label="as published",
        when=lambda s: s.strip != "none",
        help="above 0 a cut changes weights: those that used the plane saturate",
    )
    layer: str = control(
        "fc1.weight",
        label="Show",
        choices={"fc1.weight": "layer 1, 64 × 64", "fc2.weight": "layer 2, 10 × 64"},
        group="Look",
    )
    epoch: int = control(
        EPOCHS, label="Epoch shown", low=0, high=EPOCHS, help="0: the trained network at 8 bits; walk with the arrows"
    )
    seed: int = control(0, label="Seed", low=0, high=999, box=True, group="Run")


@dataclass(frozen=True)
class Snapshot:
    """The network after an epoch: codes and bits of every tensor, and test accuracy."""

    codes: dict[str, Codes]
    widths: dict[str, int]
    bits: float
    accuracy: float


class Recording:
    """A training run that is computed as far as somebody has looked, and never twice."""

    def __init__(self, run: Experiment) -> None:
        self._federation = Federation(run)
        self._lock = threading.Lock()
        self.snapshots: list[Snapshot] = []

    def at(self, epoch: int) -> Snapshot:
        """The network after ``epoch`` epochs of bit-level training; 0 is the trained network at 8 bits."""
        with self._lock:
            while len(self.snapshots) <= epoch:
                self._advance()
        return self.snapshots[epoch]

    def _advance(self) -> None:
        federation = self._federation
        record = federation.step()
        while record is not None and record.index < WARMUP:
            record = federation.step()
        method = federation.method
        server = federation.server
        widths = method.widths(server)
        bits = mean_bits([server.spec.numel[name] for name in widths], list(widths.values()))
        accuracy = record.accuracy if record is not None else float("nan")
        self.snapshots.append(Snapshot(method.codes(server), widths, bits, accuracy))


class Planes(Panel):
    """Watch bit planes empty and fall off."""

    name, title = "planes", "Bit planes: a penalty empties them, an adjustment cuts them off"
    State = State
    rows = ((Stack,), (Widths, Tradeoff))
    presets = {
        "At the start": {"epoch": 0},
        "A little penalty": {"penalty": 0.005},
        "Half the bits": {},
        "Two bits": {"penalty": 0.045},
        "Too much": {"penalty": 0.1},
        "Never cut": {"strip": "none"},
        "All layers alike": {"reweigh": False},
    }
    handles = ("penalty", "layer", "epoch")
    trains = "default"

    def instant(self, state: State) -> Frame:
        record = recording(*key(state))
        if len(record.snapshots) > EPOCHS:
            return replace(shown(state, record.snapshots), message="")
        first = start(state.seed)
        return Frame({Stack: stack(first, first, state.layer, 0)})

    def run(self, state: State) -> Iterator[Frame]:
        record = recording(*key(state))
        for epoch in range(min(len(record.snapshots), EPOCHS), EPOCHS + 1):
            record.at(epoch)
            yield shown(state, record.snapshots[: epoch + 1])

    @classmethod
    def training(cls, state: State) -> Hashable:
        return key(state)

    def seconds(self, state: State) -> float:
        return 0.0 if len(recording(*key(state)).snapshots) > EPOCHS else 3.0


def key(state: State) -> tuple[Any, ...]:
    """The settings that training depends on."""
    return state.penalty, state.reweigh, state.interval, state.strip, state.threshold, state.seed


@lru_cache(maxsize=12)
def recording(*settings: Any) -> Recording:
    """The run of these settings, see :func:`key`; nothing is computed yet."""
    return Recording(experiment(*settings))


@lru_cache(maxsize=8)
def start(seed: int) -> Snapshot:
    """The trained network at 8 bits, where every run of this seed begins."""
    return Recording(experiment(0.0, seed=seed)).at(0)


def shown(state: State, snapshots: list[Snapshot]) -> Frame:
    """The pictures of a run as far as it has come."""
    epoch = min(state.epoch, len(snapshots) - 1)
    now, last = snapshots[epoch], snapshots[-1]
    bits = {words: [s.widths[name] for s in snapshots] for name, words in NAMES.items()}
    mean = [s.bits for s in snapshots]
    trade = Tradeoff.Data(mean, [s.accuracy for s in snapshots], epoch, PLANES, key(state))
    rows = [
        {"epoch": k, "bits": s.bits, "accuracy": s.accuracy} | {name: s.widths[name] for name in NAMES}
        for k, s in enumerate(snapshots)
    ]
    pictures = {
        Stack: stack(now, snapshots[0], state.layer, epoch),
        Widths: Widths.Data(bits, mean, epoch, key(state)),
        Tradeoff: trade,
    }
    message = f"{last.bits:.2f} bits a weight and a sign, accuracy {last.accuracy:.1%} after {number_of(len(rows) - 1, 'epoch')}."
    return Frame(pictures, message, rows, (len(snapshots) - 1) / EPOCHS)


def stack(now: Snapshot, first: Snapshot, layer: str, epoch: int) -> Stack.Data:
    """Signed planes of a layer, LSB first, and the weights they add up to, relative to the largest at the start."""
    codes = now.codes[layer]
    planes, sign = to_planes(codes)
    largest = float(first.codes[layer].dequantize().abs().max())
    return Stack.Data(
        planes=[(plane * sign).numpy() for plane in planes],
        weights=(codes.dequantize() / largest).numpy(),
        ones=[float(plane.float().mean()) for plane in planes],
        bits=now.widths[layer],
        epoch=epoch,
        layer=NAMES[layer],
    )
