"""What "b bits" means: five grids on one histogram, one weight on its way to a level, and a fair comparison."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from fqlab.panels.frame import Frame, Panel, Settings, control
from fqlab.panels.grids import choices
from fqlab.panels.views.clipping import sample
from fqlab.plots.quantizer import Fair, Ladders, Staircase
from fqlab.quant import Grid, clip_for, expected_mse, mse_parts, quantize

__all__ = ["Quantizer", "State", "mse_curve", "ladder", "weights"]

WIDEST = 4.0
LAWS = {"normal": "normal", "laplace": "Laplace", "uniform": "uniform", "layer": "a trained layer"}
GRIDS = choices("narrow", "midrise", "twos_complement", "octav", "sign_magnitude")
COUNTS = {"said": "as the papers say", "stored": "as a code is stored", "levels": "as log₂ of the levels"}


@dataclass(frozen=True)
class State(Settings):
    """Everything the pictures depend on."""

    bits: int = control(2, label="Bits", unit="as the papers say", low=1, high=8, group="Grid")
    grid: str = control("midrise", label="Grid", choices=GRIDS, help="the one whose staircase is drawn")
    rule: str = control(
        "one",
        label="Clip",
        choices={"one": "one for all", "best": "each grid's best"},
        help="best: least squared error",
    )
    clip: float = control(
        2.0, label="Clip s", unit="σ", low=0.2, high=WIDEST, step=0.05, when=lambda state: state.rule == "one"
    )
    weight: float = control(1.25, label="One weight", unit="σ", low=-WIDEST, high=WIDEST, step=0.05, group="Weights")
    law: str = control("normal", label="All weights", choices=LAWS, help="all scaled to σ = 1")
    count: str = control("said", label="Count bits", choices=COUNTS, group="Comparison")
    seed: int = control(0, label="Seed", low=0, high=999, box=True, group="Run", when=lambda s: s.law != "layer")


class Quantizer(Panel):
    """Move the bits, then a weight; then count the bits in another way."""

    name, title = "quantizer", "Uniform quantization: what “b bits” means"
    State = State
    rows = ((Ladders,), (Staircase, Fair))
    presets = {
        "2 bit": {},
        "1 bit": {"bits": 1},
        "Out of reach": {"grid": "twos_complement", "weight": 1.8},
        "Own clips": {"rule": "best"},
        "As stored": {"rule": "best", "count": "stored"},
        "By levels": {"rule": "best", "count": "levels"},
        "Δ²/12": {"law": "uniform", "bits": 6, "grid": "octav", "clip": 1.75},
    }
    handles = ("bits", "clip", "weight")

    def instant(self, state: State) -> Frame:
        grids = {kind: ladder(kind, state) for kind in GRIDS}
        now = grids[state.grid]
        ladders = Ladders.Data(
            grids=grids,
            names=GRIDS,
            bits=state.bits,
            weight=state.weight,
            chosen=state.grid,
            histogram=_histogram(state.law, state.seed),
        )
        place = torch.linspace(-WIDEST, WIDEST, 801)
        levels = quantize(place, now["clip"], Grid(state.bits, state.grid)).dequantize()
        stairs = Staircase.Data(
            curve=(place.numpy(), levels.numpy()),
            weight=state.weight,
            lands=now["lands"],
            code=now["code"],
            step=now["step"],
            name=GRIDS[state.grid],
        )
        curves = {kind: mse_curve(kind, state.law, state.seed) for kind in GRIDS}
        fair = Fair.Data(curves, state.count, state.bits, GRIDS)
        message = (
            f"{GRIDS[state.grid][0].upper()}{GRIDS[state.grid][1:]}: step Δ = {now['step']:.3g} σ, Δ²/12 = "
            f"{now['twelfth']:.3g} σ². Measured: rounding {now['parts'][0]:.3g}, clipping {now['parts'][1]:.3g} σ²."
        )
        return Frame({Ladders: ladders, Staircase: stairs, Fair: fair}, message, _rows(grids))


@lru_cache(maxsize=16)
def weights(law: str, seed: int) -> torch.Tensor:
    """Weights of a law, flat, of standard deviation 1: 10 000 draws, or the first layer of a trained network."""
    if law != "uniform":
        return sample(law, seed)
    draws = torch.rand(10_000, generator=torch.Generator().manual_seed(seed))
    return (2 * draws - 1) * math.sqrt(3)


@lru_cache(maxsize=16)
def _histogram(law: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Counts over the largest of them, and edges."""
    counts, edges = np.histogram(weights(law, seed).numpy(), bins=80, range=(-WIDEST, WIDEST))
    return counts / counts.max(), edges


@lru_cache(maxsize=256)
def _best(law: str, seed: int, grid: Grid) -> float:
    """OCTAV's clip with the grid's own constant."""
    return float(clip_for("octav", weights(law, seed), grid))


@lru_cache(maxsize=512)
def _measured(law: str, seed: int, grid: Grid, clip: float) -> tuple[float, float]:
    """Rounding and clipping part of the mean squared error."""
    x = weights(law, seed)
    return mse_parts(x, quantize(x, clip, grid))


def ladder(kind: str, state: State) -> dict[str, Any]:
    """One grid at the state's bits and clip: its levels, what its code takes, its error, and where the weight goes."""
    grid = Grid(state.bits, kind)
    clip = state.clip if state.rule == "one" else _best(state.law, state.seed, grid)
    codes = quantize(torch.tensor([state.weight]), clip, grid)
    parts = _measured(state.law, state.seed, grid, clip)
    step = grid.step(clip)
    return {
        "clip": clip,
        "levels": grid.decode(torch.arange(grid.low, grid.high + 1), torch.tensor(clip)).tolist(),
        "code_bits": grid.code_bits,
        "code": (int(codes.values[0]), grid.low, grid.high),
        "lands": float(codes.dequantize()[0]),
        "parts": parts,
        "mse": sum(parts),
        "step": step,
        "twelfth": step**2 / 12,
    }


@lru_cache(maxsize=64)
def mse_curve(kind: str, law: str, seed: int) -> dict[str, np.ndarray]:
    """Error of a grid at its best clip for 1 to 8 bits as said, as stored, and as log₂ of the levels."""
    x = weights(law, seed)
    grids = [Grid(bits, kind) for bits in range(1, 9)]
    clips = torch.tensor([_best(law, seed, grid) for grid in grids])
    return {
        "said": np.arange(1, 9),
        "stored": np.array([grid.code_bits for grid in grids]),
        "levels": np.log2([grid.levels for grid in grids]),
        "mse": np.array([float(expected_mse(x, s, grid)) for s, grid in zip(clips, grids, strict=True)]),
    }


def _rows(grids: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    kept = ("clip", "code_bits", "step", "twelfth", "mse", "lands")
    return [{"kind": kind, "levels": len(g["levels"]), **{name: g[name] for name in kept}} for kind, g in grids.items()]
