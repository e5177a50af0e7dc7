"""Nearest or stochastic rounding: a picture that M clients re-draw with few grey levels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from fqlab import data
from fqlab.panels.frame import Frame, Panel, Settings, control
from fqlab.plots.rounding import MOST, Crossing, Redrawn, Shares
from fqlab.quant import Grid
from fqlab.studies.rounding import Parts, decoded, mse_parts_of_mean

__all__ = ["Rounding", "State", "picture"]

SIDE = 40
ROUNDINGS = ("nearest", "stochastic")
PICTURES = {"ball": "a ball", "wave": "a wave", "digit": "a digit"}
CLIENTS = np.unique(np.round(np.geomspace(1, MOST, 40), 3))


@dataclass(frozen=True)
class State(Settings):
    """Everything the pictures depend on."""

    picture: str = control(
        "ball", label="Picture", group="Values", choices=PICTURES, help="grey levels from −0.9 to 0.9"
    )
    deviation: float = control(
        0.0,
        label="Clients differ by",
        unit="Δ",
        low=0.0,
        high=1.5,
        step=0.05,
        help="standard deviation of the normal noise that each client adds to its picture; Δ is the step of the grid",
    )
    bits: int = control(1, label="Bits per value", unit="bit", low=1, high=5, group="Quantizer", help="mid-rise grid")
    clip: float = control(
        1.0, label="Clip s", low=0.4, high=1.6, step=0.05, mark=1.0, help="values beyond ±s are cut off first"
    )
    clients: int = control(1, label="Clients M", low=1, high=MOST, group="Clients")
    draws: str = control(
        "own",
        label="Draws",
        choices={"own": "each client its own", "same": "one for all clients"},
        help="stochastic rounding goes up where a random number lies below the fraction",
    )
    seed: int = control(0, label="Seed", low=0, high=999, box=True, group="Run")


class Rounding(Panel):
    """Add clients one by one and watch which picture clears up."""

    name, title = "rounding", "Stochastic rounding: wrong on purpose, together right"
    State = State
    rows = ((Redrawn,), (Crossing, Shares))
    presets = {
        "One client": {},
        "30 clients": {"clients": 30},
        "One draw for all": {"clients": 30, "draws": "same"},
        "Clients differ": {"clients": 30, "bits": 3, "deviation": 0.7},
        "Clip too tight": {"clients": 100, "bits": 2, "clip": 0.5},
        "A wave, 2 bits": {"clients": 10, "bits": 2, "picture": "wave"},
    }
    handles = ("bits", "clip", "clients")

    def instant(self, state: State) -> Frame:
        grid = Grid(state.bits)
        x = picture(state.picture)
        images, mse = _draw(state, grid, x)
        nearest, stochastic = (parts(state.picture, state.deviation, state.bits, state.clip, r) for r in ROUNDINGS)
        shared = state.draws == "same"
        lines = [part.mse(CLIENTS, shared) for part in (nearest, stochastic)]
        crossing = Crossing.Data(
            m=CLIENTS, nearest=lines[0], stochastic=lines[1], clients=state.clients, mse=mse[1:],
            cross=None if shared else _cross(nearest, stochastic),
        )  # fmt: skip
        bars = [
            (part.bias, part.mse(m, shared) - part.bias) for m in (1, state.clients) for part in (nearest, stochastic)
        ]
        pictures: dict[Any, Any] = {
            Redrawn: Redrawn.Data([x, *images], mse, state.clients, state.bits),
            Crossing: crossing,
            Shares: Shares.Data(bars, state.clients),
        }
        message = f"{grid.levels} grey levels, step Δ = {grid.step(state.clip):.3g}; {state.clients * state.bits} bit a value up."
        return Frame(pictures, message, _rows(*lines))


def _draw(state: State, grid: Grid, x: np.ndarray) -> tuple[list[np.ndarray], list[float]]:
    """One client's stochastic picture, the two means, and the squared errors of the three against the clients' values."""
    draws = torch.Generator().manual_seed(state.seed)
    flat = torch.from_numpy(x).flatten()
    values = flat.expand(state.clients, -1)
    if state.deviation:
        values = values + state.deviation * grid.step(state.clip) * torch.randn(values.shape, generator=draws)
    read = [decoded(values, state.clip, grid, rounding, draws, state.draws == "same") for rounding in ROUNDINGS]
    shown = (read[1][0], read[0].mean(0), read[1].mean(0))
    truth = (values[0], values.mean(0), values.mean(0))
    mse = [float((y - t).square().mean()) for y, t in zip(shown, truth, strict=True)]
    as_image = lambda y: y.reshape(x.shape).numpy()
    return [as_image(y) for y in shown], mse


@lru_cache(maxsize=8)
def picture(name: str) -> np.ndarray:
    """Grey levels [SIDE, SIDE], float32 within ±0.9."""
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    if name == "ball":
        light = 1.3 * np.sqrt(np.clip(1 - (x**2 + y**2) / 0.8, 0, None)) - 0.9 * (x + y) - 0.6
        grey = np.where(x**2 + y**2 < 0.8, light, -0.3 - 0.5 * y)
    elif name == "wave":
        grey = 0.9 * np.sin(7 * np.hypot(x + 0.6, y + 0.6))
    else:
        image = data.load("digits").train_x[3:4]
        grey = 1.8 * torch.nn.functional.interpolate(image, (SIDE, SIDE), mode="bicubic")[0, 0].numpy() - 0.9
    return np.clip(grey, -0.9, 0.9).astype(np.float32)


@lru_cache(maxsize=512)
def parts(name: str, deviation: float, bits: int, clip: float, rounding: str) -> Parts:
    """Bias and chance of a picture's mean; ``deviation`` in steps."""
    grid = Grid(bits)
    x = torch.from_numpy(picture(name)).flatten()
    return mse_parts_of_mean(x, clip, grid, rounding, deviation * grid.step(clip))


def _cross(nearest: Parts, stochastic: Parts) -> float | None:
    """The number of clients at which both errors are equal, if there is one."""
    more = stochastic.chance - nearest.chance
    less = nearest.bias - stochastic.bias
    return more / less if more * less > 0 and more > 0 else None


def _rows(nearest: np.ndarray, stochastic: np.ndarray) -> list[dict[str, float]]:
    lines = zip(CLIENTS.tolist(), nearest.tolist(), stochastic.tolist(), strict=True)
    return [{"clients": m, "nearest": n, "stochastic": s} for m, n, s in lines]
