"""The whole pipeline in one panel: clip, bits and ε against error, sparsity, accuracy and bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from fqlab.federation import Experiment, Federation
from fqlab.panels.frame import Frame, Panel, Settings, control
from fqlab.panels.grids import choices
from fqlab.plots.style import number_of
from fqlab.plots.tour import Levels, PlaneDensity, TrainingCurve
from fqlab.quant import (
    Grid,
    clip_for,
    error_parts,
    msb_density,
    narrow_bits,
    plane_density,
    prune_msb,
    quantize,
    zero_bits,
)
from fqlab.tensors import Weights

__all__ = ["State", "Tour"]

ROUNDS, CLIENTS = 30, 10
SPLITS = {"even": ("iid", {}), "mild": ("dirichlet", {"alpha": 0.5}), "strong": ("dirichlet", {"alpha": 0.1})}
METHODS = {
    "octav": "OCTAV clip",
    "max_abs": "max-abs range",
    "inverse": "OCTAV, inverse-error",
    "fedavg": "FedAvg, 32 bit",
}
FACTORS = np.round(np.geomspace(0.2, 3, 41), 4)
"""Clips, as multiples of the optimum, at which the error curves are sampled."""


def _planes(state: Any) -> bool:
    return state.grid == "sign_magnitude" and state.method != "fedavg"


@dataclass(frozen=True)
class State(Settings):
    """Everything the tour's pictures depend on."""

    split: str = control(
        "even",
        label="Labels",
        group="Data and clients",
        choices={"even": "dealt evenly", "mild": "skewed, α = 0.5", "strong": "skewed, α = 0.1"},
        help="how the ten digits are dealt to the ten clients; α is Dirichlet's concentration",
    )
    method: str = control("octav", label="Method", group="Data and clients", choices=METHODS)
    clip: float = control(
        1.0,
        label="Clip",
        unit="× the rule's",
        low=0.2,
        high=3.0,
        step=0.05,
        mark=1.0,
        group="Quantizer",
        help="1 is the clip the method chooses; OCTAV's minimises the squared error",
    )
    bits: int = control(2, label="Bits per weight", unit="bit", low=1, high=8, when=lambda s: s.layers == "same")
    layers: str = control(
        "same",
        label="Layers",
        choices={"same": "all alike", "paper": "4-2-2-4 bits"},
        help="4-2-2-4 is a pattern of the clipped-quantization code, on its convolutional network; takes some seconds",
    )
    rounding: str = control("stochastic", label="Rounding", choices={"nearest": "nearest", "stochastic": "stochastic"})
    grid: str = control(
        "sign_magnitude",
        label="Grid",
        choices=choices("sign_magnitude", "midrise", "narrow", "twos_complement", "octav"),
    )
    epsilon: float = control(
        0.0,
        label="Prune threshold ε",
        unit="share of weights",
        low=0.0,
        high=0.2,
        step=0.005,
        group="Bit planes",
        when=_planes,
        help="drop a layer's top plane while at most this share of its weights uses it; sign-magnitude grid only",
    )
    seed: int = control(0, label="Seed", low=0, high=999, box=True, group="Run")


class Tour(Panel):
    """Drag clip, bits and ε; a whole federation answers."""

    name, title = "tour", "The whole pipeline: 10 clients, 30 rounds, handwritten digits"
    State = State
    rows = ((Levels, PlaneDensity), (TrainingCurve,))
    presets = {
        "Float": {"method": "fedavg"},
        "2-bit max-abs": {"method": "max_abs", "grid": "midrise", "rounding": "nearest"},
        "2-bit OCTAV": {"grid": "midrise", "rounding": "nearest"},
        "2-bit dithered": {"method": "max_abs", "grid": "midrise"},
        "1 bit": {"bits": 1, "grid": "midrise"},
        "ε = 0.1": {"bits": 4, "clip": 2.0, "epsilon": 0.1},
        "Label skew": {"split": "strong"},
        "4-2-2-4": {"layers": "paper", "grid": "midrise", "method": "inverse", "rounding": "nearest"},
    }

    def instant(self, state: State) -> Frame:
        layers = weights(state.layers)
        grids = _grids(state, len(layers))
        largest = max(range(len(layers)), key=lambda i: layers[i][1].numel())
        levels = _levels(layers[largest][1], grids[largest], state)
        planes = [_plane(name, w, grid.bits, state) for (name, w), grid in zip(layers, grids, strict=True)]
        message = f"Squared error {levels.error:.2g} σ², best {levels.best:.2g} σ²."
        density = PlaneDensity.Data(planes, state.epsilon, _planes(state))
        return Frame({Levels: levels, PlaneDensity: density}, message)

    def run(self, state: State) -> Iterator[Frame]:
        full = reference(state.split, state.layers, state.seed, self.stopping)
        rounds = []
        for record in Federation(replace(experiment(state), entropy=True), cancelled=self.stopping):
            rounds.append(record)
            rows = [
                dict(round=r.index, accuracy=r.accuracy, up=r.bytes_up, down=r.bytes_down, error=r.mse) for r in rounds
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
            yield Frame({TrainingCurve: curve}, message, rows, record.index / _rounds(state.layers))

    @classmethod
    def experiment(cls, state: State) -> Experiment:
        return experiment(state)

    def seconds(self, state: State) -> float:
        return 15.0 if state.layers == "paper" else 0.9

    def megabytes(self, state: State) -> float:
        return _rounds(state.layers) * CLIENTS * 4 * (11_000 if state.layers == "paper" else 4810) / 1e6


def _rounds(layers: str) -> int:
    return 10 if layers == "paper" else ROUNDS


def experiment(state: State) -> Experiment:
    """The federation that a state describes."""
    name, split = SPLITS[state.split]
    shared = dict(
        model="clipped_cnn" if state.layers == "paper" else "mlp", lr=0.1 if state.layers == "paper" else 0.3,
        partition=name, split=split, clients=CLIENTS, rounds=_rounds(state.layers), batch_size=32, seed=state.seed,
        engine="vectorized",
    )  # fmt: skip
    if state.method == "fedavg":
        return Experiment(method="fedavg", **shared)
    options = {
        "bits": "4-2-2-4" if state.layers == "paper" else state.bits,
        "clip": "max_abs" if state.method == "max_abs" else "octav",
        "level_aware": True,
        "clip_factor": state.clip,
        "rounding": state.rounding,
        "grid": state.grid,
        "averaging": "inverse_error" if state.method == "inverse" else "size",
        "qat": False,
        "epsilon": state.epsilon if _planes(state) else 0.0,
    }
    return Experiment(method="clipped", options=options, **shared)


@lru_cache(maxsize=64)
def _reference(split: str, layers: str, seed: int) -> tuple[Any, ...]:
    federation = Federation(experiment(State(split=split, layers=layers, seed=seed, method="fedavg")))
    return tuple(federation)


def reference(split: str, layers: str, seed: int, stopping: Callable[[], bool] = lambda: False) -> tuple[Any, ...]:
    """The rounds of the same federation in full precision; empty if the wait is no longer wanted."""
    return () if stopping() else _reference(split, layers, seed)


@lru_cache(maxsize=2)
def weights(layers: str) -> list[tuple[str, torch.Tensor]]:
    """Layer names and weights, trained in full precision on evenly dealt digits (two rounds for the large network)."""
    federation = Federation(experiment(State(layers=layers, method="fedavg")))
    for _ in range(2 if layers == "paper" else 10):
        federation.step()
    trained: Weights = federation.server.weights
    return [(name.removesuffix(".weight"), w) for name, w in trained.items() if w.dim() > 1]


def _grids(state: State, layers: int) -> list[Grid]:
    widths = (4, 2, 2, 4) if state.layers == "paper" else (state.bits,) * layers
    return [Grid(bits, state.grid) for bits in widths]


def _rule(state: State) -> str:
    return "max_abs" if state.method == "max_abs" else "octav"


def _levels(w: torch.Tensor, grid: Grid, state: State) -> Levels.Data:
    """Histogram, levels and error curves of one layer, in units of its standard deviation σ."""
    sigma, optimum, curves, histogram = _curves(state.layers, grid, state.rounding)
    clip = state.clip * float(clip_for(_rule(state), w, grid, state.rounding))
    draws = torch.Generator().manual_seed(state.seed)
    granular, clipping = error_parts(w, quantize(w, clip, grid, state.rounding, draws))
    codes = torch.arange(grid.low, grid.high + 1)
    return Levels.Data(
        histogram=histogram,
        levels=(grid.decode(codes, torch.tensor(clip)) / sigma).tolist(),
        clip=clip / sigma,
        optimum=optimum / sigma,
        curves=curves,
        error=(granular + clipping) / sigma**2,
        parts=(granular / sigma**2, clipping / sigma**2),
        best=float((curves[1] + curves[2]).min()),
        count=grid.levels,
        exact=state.method == "fedavg",
        layer="the largest layer",
    )


@lru_cache(maxsize=256)
def _curves(
    layers: str, grid: Grid, rounding: str
) -> tuple[float, float, tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """σ, the optimal clip, the granular and clipping error at many clips, and the histogram of w/σ."""
    w = max((w for _, w in weights(layers)), key=lambda w: w.numel())
    sigma = float(w.std(correction=0))
    optimum = float(clip_for("octav", w, grid, rounding))
    parts = []
    for factor in FACTORS:
        draws = torch.Generator().manual_seed(0)
        parts.append(error_parts(w, quantize(w, optimum * float(factor), grid, rounding, draws)))
    granular, clipping = np.array(parts).T / sigma**2
    counts, edges = np.histogram((w / sigma).numpy(), bins=100, range=(-5, 5))
    return sigma, optimum, (FACTORS * optimum / sigma, granular, clipping), (counts / counts.max(), edges)


def _plane(name: str, w: torch.Tensor, bits: int, state: State) -> dict[str, Any]:
    """δ(l), the bits left at ε and the share of zero bits of one layer on the sign-magnitude grid."""
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
