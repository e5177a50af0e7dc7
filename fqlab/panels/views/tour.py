"""The whole pipeline in one panel: clip, bits and ε against error, sparsity, accuracy and bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from fqlab import methods
from fqlab.federation import Experiment, Federation
from fqlab.federation.engines import ClientTask
from fqlab.federation.engines.simulation import local_round
from fqlab.panels.frame import Frame, Panel, Settings, control
from fqlab.panels.grids import choices
from fqlab.plots.style import number_of
from fqlab.plots.tour import WIDEST, Levels, PlaneDensity, TrainingCurve
from fqlab.quant import (
    Grid,
    clip_for,
    msb_density,
    mse_parts,
    narrow_bits,
    plane_density,
    prune_msb,
    quantize,
    zero_bits,
)
from fqlab.seeds import torch_generator
from fqlab.tensors import Weights
from fqlab.wire import pack, unpack

__all__ = ["State", "Tour"]

ROUNDS = 30
CLIENTS = 10
SHOWN = 10
"""Rounds after which the pictures of one layer are taken."""
SPLITS = {"even": ("iid", {}), "mild": ("dirichlet", {"alpha": 0.5}), "strong": ("dirichlet", {"alpha": 0.1})}
METHODS = {
    "octav": "OCTAV clip",
    "max_abs": "max-abs range",
    "inverse": "OCTAV, inverse-error",
    "fedavg": "FedAvg, 32 bit",
}


SENDS = {"weights": "weights", "differences": "differences"}


def _quantized(state: Any) -> bool:
    return state.method != "fedavg"


def _planes(state: Any) -> bool:
    return _quantized(state) and state.grid == "sign_magnitude"


@dataclass(frozen=True)
class State(Settings):
    """Everything the tour's pictures depend on."""

    clip: float = control(
        1.0,
        label="Clip",
        unit="× the rule's",
        low=0.2,
        high=3.0,
        step=0.05,
        mark=1.0,
        group="Three numbers",
        when=_quantized,
        help="1 is the clip the method chooses; OCTAV's minimises the squared error",
    )
    bits: int = control(2, label="Bits per weight", unit="bit", low=1, high=8, when=_quantized)
    epsilon: float = control(
        0.0,
        label="Prune threshold ε",
        unit="share of weights",
        low=0.0,
        high=0.2,
        step=0.005,
        when=_planes,
        help="drop a layer's top plane while at most this share of its weights uses it; sign-magnitude grid only",
    )
    method: str = control("octav", label="Method", choices=METHODS, group="Three choices")
    rounding: str = control(
        "stochastic",
        label="Rounding",
        choices={"nearest": "nearest", "stochastic": "stochastic"},
        when=_quantized,
        help="stochastic: up or down by chance, so that the mean is right",
    )
    send: str = control(
        "weights",
        label="Send",
        choices=SENDS,
        when=_quantized,
        help="the trained weights, or what training changed in them; the server adds the mean change to its own",
    )
    grid: str = control(
        "sign_magnitude",
        label="Grid",
        choices=choices("sign_magnitude", "midrise", "narrow", "twos_complement", "octav"),
        group="More",
        when=_quantized,
        help="which levels b bits stand for; b bits and a sign with sign-magnitude, b bits in all with the others",
    )
    split: str = control(
        "even",
        label="Labels",
        choices={"even": "dealt evenly", "mild": "skewed, α = 0.5", "strong": "skewed, α = 0.1"},
        help="how the ten digits are dealt to the ten clients; α is Dirichlet's concentration",
    )
    seed: int = control(0, label="Seed", low=0, high=999, box=True)


_TWO = {"grid": "midrise"}
_ONE = {"grid": "midrise", "bits": 1}


class Tour(Panel):
    """Drag clip, bits and ε; a whole federation answers."""

    name, title = "tour", "The whole pipeline: 10 clients, 30 rounds, handwritten digits"
    version = 2
    State = State
    rows = ((TrainingCurve,), (Levels, PlaneDensity))
    presets = {
        "Float": {"method": "fedavg"},
        "2-bit max-abs": {**_TWO, "method": "max_abs", "rounding": "nearest"},
        "2-bit OCTAV": {**_TWO, "rounding": "nearest"},
        "Stochastic": _TWO,
        "Clip × 1.3": {**_TWO, "clip": 1.3},
        "1 bit": _ONE,
        "1 bit, clip × 1.5": {**_ONE, "clip": 1.5},
        "Differences": {**_ONE, "method": "max_abs", "send": "differences"},
        "ε = 0.1": {"bits": 4, "clip": 2.0, "epsilon": 0.1},
    }
    handles = ("clip", "bits", "epsilon")

    def instant(self, state: State) -> Frame:
        sent = layers(state.send)
        largest = max((x for _, x in sent), key=lambda x: x.numel())
        if not _quantized(state):
            pictures = {Levels: _untouched(largest), PlaneDensity: PlaneDensity.Data([], state.epsilon, on=False)}
            return Frame(pictures, "32 bits a weight: nothing is rounded.")
        levels = _levels(largest, state)
        planes = [_plane(name, x, state) for name, x in sent]
        message = f"Squared error {levels.mse:.2g} σ², best {levels.best:.2g} σ²."
        density = PlaneDensity.Data(planes, state.epsilon, _planes(state))
        return Frame({Levels: levels, PlaneDensity: density}, message)

    def run(self, state: State) -> Iterator[Frame]:
        full = reference(state.split, state.seed, self.stopping)
        rounds = []
        for record in Federation(replace(experiment(state), entropy=True), cancelled=self.stopping):
            rounds.append(record)
            rows = [
                dict(round=r.index, accuracy=r.accuracy, bytes_up=r.bytes_up, bytes_down=r.bytes_down, mse=r.mse)
                for r in rounds
            ]
            curve = TrainingCurve.Data(
                accuracy=[r.accuracy for r in rounds],
                full=[r.accuracy for r in full],
                up=record.bytes_up,
                coded=record.bytes_up_coded,
                down=record.bytes_down,
                full_up=full[0].bytes_up if full else 0,
            )
            message = f"Accuracy {record.accuracy:.1%} after {number_of(record.index, 'round')}, {record.bytes_up / 1000:.1f} kB up a round."
            yield Frame({TrainingCurve: curve}, message, rows, record.index / ROUNDS)

    @classmethod
    def experiment(cls, state: State) -> Experiment:
        return experiment(state)

    def seconds(self, state: State) -> float:
        return 0.9

    def megabytes(self, state: State) -> float:
        return ROUNDS * CLIENTS * 4 * 4810 / 1e6


def experiment(state: State) -> Experiment:
    """The federation that a state describes."""
    name, split = SPLITS[state.split]
    shared = dict(
        model="mlp", lr=0.3, partition=name, split=split, clients=CLIENTS, rounds=ROUNDS, batch_size=32, seed=state.seed,
        engine="vectorized",
    )  # fmt: skip
    if state.method == "fedavg":
        return Experiment(method="fedavg", **shared)
    options = {
        "bits": state.bits,
        "clip": _rule(state),
        "level_aware": True,
        "clip_factor": state.clip,
        "rounding": state.rounding,
        "grid": state.grid,
        "averaging": "inverse_error" if state.method == "inverse" else "size",
        "qat": False,
        "send": state.send,
        "epsilon": state.epsilon if _planes(state) else 0.0,
    }
    return Experiment(method="clipped", options=methods.acting("clipped", options), **shared)


@lru_cache(maxsize=64)
def _reference(split: str, seed: int) -> tuple[Any, ...]:
    return tuple(Federation(experiment(State(split=split, seed=seed, method="fedavg"))))


def reference(split: str, seed: int, stopping: Callable[[], bool] = lambda: False) -> tuple[Any, ...]:
    """The rounds of the same federation in full precision; empty if the wait is no longer wanted."""
    return () if stopping() else _reference(split, seed)


@lru_cache(maxsize=2)
def layers(send: str = "weights") -> list[tuple[str, torch.Tensor]]:
    """Layer names and weights after ten rounds in full precision on evenly dealt digits.

    For ``"differences"`` what one client's training changes in them in the round after.
    """
    federation = Federation(experiment(State(method="fedavg")))
    for _ in range(SHOWN):
        federation.step()
    trained: Weights = federation.server.weights
    if send == "differences":
        packet = pack(federation.method.download(federation.server, 0, torch_generator(0, "download", SHOWN + 1)))
        simulation = federation.simulation
        result = local_round(simulation, ClientTask(0, SHOWN + 1, packet), simulation.model)
        trained = {name: w - trained[name] for name, w in unpack(result.packet).tensors.items()}
    return [(name.removesuffix(".weight"), w) for name, w in trained.items() if w.dim() > 1]


def _rule(state: State) -> str:
    return "max_abs" if state.method == "max_abs" else "octav"


def _untouched(w: torch.Tensor) -> Levels.Data:
    """The histogram of one layer, which no grid touches."""
    none = np.zeros(0)
    return Levels.Data(
        histogram=_histogram(w), levels=(), clip=0.0, optimum=0.0, curves=(none, none, none), mse=0.0, parts=(0.0, 0.0),
        best=0.0, count=0, exact=True, sent="weights",
    )  # fmt: skip


def _histogram(w: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Counts of w/σ, the largest 1, and the edges of their bins."""
    counts, edges = np.histogram((w / w.std(correction=0)).numpy(), bins=120, range=(-WIDEST, WIDEST))
    return counts / counts.max(), edges


def _levels(w: torch.Tensor, state: State) -> Levels.Data:
    """Histogram, levels and error curves of one layer, in units of its standard deviation σ."""
    grid = Grid(state.bits, state.grid)
    sigma, optimum, curves = _curves(state.send, grid, state.rounding)
    clip = state.clip * float(clip_for(_rule(state), w, grid, state.rounding))
    draws = torch.Generator().manual_seed(state.seed)
    granular, clipping = mse_parts(w, quantize(w, clip, grid, state.rounding, draws))
    codes = torch.arange(grid.low, grid.high + 1)
    return Levels.Data(
        histogram=_histogram(w),
        levels=(grid.decode(codes, torch.tensor(clip)) / sigma).tolist(),
        clip=clip / sigma,
        optimum=optimum / sigma,
        curves=curves,
        mse=(granular + clipping) / sigma**2,
        parts=(granular / sigma**2, clipping / sigma**2),
        best=float((curves[1] + curves[2]).min()),
        count=grid.levels,
        exact=False,
        sent=state.send,
    )


@lru_cache(maxsize=256)
def _curves(send: str, grid: Grid, rounding: str) -> tuple[float, float, tuple[np.ndarray, ...]]:
    """σ of the largest layer, its optimal clip, and at many clips the granular and the clipping error."""
    w = max((w for _, w in layers(send)), key=lambda w: w.numel())
    sigma = float(w.std(correction=0))
    optimum = float(clip_for("octav", w, grid, rounding))
    parts = []
    clips = np.geomspace(0.2 * optimum, max(3 * optimum, WIDEST * sigma), 49)
    for clip in clips:
        draws = torch.Generator().manual_seed(0)
        parts.append(mse_parts(w, quantize(w, float(clip), grid, rounding, draws)))
    granular, clipping = np.array(parts).T / sigma**2
    return sigma, optimum, (clips / sigma, granular, clipping)


def _plane(name: str, w: torch.Tensor, state: State) -> dict[str, Any]:
    """δ(l), the bits left at ε and the share of zero bits of one layer on the sign-magnitude grid."""
    bits = state.bits
    grid = Grid(bits, "sign_magnitude")
    clip = state.clip * clip_for(_rule(state), w, grid, state.rounding)
    codes = quantize(w, clip, grid, state.rounding, torch.Generator().manual_seed(state.seed))
    pruned, left = prune_msb(codes, state.epsilon)
    kept = narrow_bits(pruned, int(left))
    size = codes.values.abs()
    return {
        "name": name,
        "size": w.numel(),
        "delta": float(msb_density(codes)),
        "bits": bits,
        "left": int(left),
        "rare": [float((size >= 2**i).float().mean()) for i in reversed(range(bits))],
        "ones": plane_density(pruned).tolist(),
        "zeros": zero_bits(kept),
    }
