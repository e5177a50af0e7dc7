"""Where to clip: the two kinds of error, OCTAV's descent step by step, and what a clip saves on the wire."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from fqlab.panels import grids
from fqlab.panels.frame import Frame, Panel, Settings, control
from fqlab.plots.clipping import Descent, Origin, Price
from fqlab.quant import Grid, clip_for, expected_mse, octav_step, quantize
from fqlab.studies.octav import digits_layers
from fqlab.wire.entropy import entropy

__all__ = ["Clipping", "State", "curves", "prices", "sample", "split_mse", "walk"]

SIZE = 10_000
STEPS = 14
WIDEST = 8.0
LAWS = {"normal": "normal", "laplace": "Laplace", "layer": "a trained layer", "outliers": "1 % outliers"}
RULES = {
    "hand": "by hand",
    "max_abs": "never, s = max |w|",
    "percentile": "99.9th percentile",
    "octav": "OCTAV, step by step",
    "aciq_gauss": "ACIQ for a normal",
    "aciq_laplace": "ACIQ for a Laplace",
    "sweep": "best of 100 tried",
}
GRIDS = grids.choices("midrise", "octav", "twos_complement", "narrow", "sign_magnitude")


def _by_octav(state: Any) -> bool:
    return state.rule == "octav"


@dataclass(frozen=True)
class State(Settings):
    """Everything the pictures depend on."""

    law: str = control("normal", label="Weights", group="Weights", choices=LAWS, help="all scaled to σ = 1")
    bits: int = control(4, label="Bits per weight", unit="bit", low=2, high=8, group="Grid")
    grid: str = control("midrise", label="Grid", choices=GRIDS)
    rounding: str = control("nearest", label="Rounding", choices={"nearest": "nearest", "stochastic": "stochastic"})
    rule: str = control("hand", label="Clip", group="Clip", choices=RULES)
    clip: float = control(
        4.0, label="Clip s", unit="σ", low=0.1, high=WIDEST, step=0.05, when=lambda s: s.rule == "hand"
    )
    step: int = control(
        0, label="Step of OCTAV", low=0, high=STEPS, when=_by_octav, help="walk through the steps with the arrow keys"
    )
    start: str = control("mean", label="Start at", choices={"mean": "mean |w|", "max": "max |w|"}, when=_by_octav)
    constant: str = control(
        "level",
        label="Constant c",
        choices={"level": "level-aware", "textbook": "textbook"},
        when=_by_octav,
        help="rounding noise over s²: this grid's and rounding's own, or 4^−b/3 of a grid with step 2s/2^b",
    )
    seed: int = control(0, label="Seed", low=0, high=999, box=True, group="Run", when=lambda s: s.law != "layer")


class Clipping(Panel):
    """Drag the clip to the lowest error; then let OCTAV find it."""

    name, title = "clipping", "Optimal clipping: throw away the largest weights and gain"
    State = State
    rows = ((Descent,), (Origin, Price))
    presets = {
        "Never clip": {"rule": "max_abs"},
        "Too tight": {"clip": 1.2},
        "OCTAV, step 2": {"rule": "octav", "step": 2},
        "Bad start": {"rule": "octav", "start": "max", "step": 0},
        "Textbook c": {"rule": "octav", "step": 10, "constant": "textbook", "grid": "narrow", "bits": 2},
        "Outliers": {"law": "outliers", "bits": 2, "grid": "narrow", "rule": "octav", "step": 10},
        "A trained layer": {"law": "layer", "rule": "octav", "step": 10},
    }
    handles = ("bits", "clip", "step")

    def instant(self, state: State) -> Frame:
        x = sample(state.law, state.seed)
        grid = Grid(state.bits, state.grid)
        where = (state.law, state.seed, grid, state.rounding)
        clip = _clip(state, where)
        granular, clipping = (float(part[0]) for part in split_mse(x, [clip], grid, state.rounding))
        now: dict[str, Any] = {"clip": clip, "mse": granular + clipping, "parts": (granular, clipping)}
        descent = Descent.Data(**now, **_descent(state, grid, curves(*where)))
        codes = quantize(x, clip, grid, state.rounding, torch.Generator().manual_seed(state.seed))
        price = Price.Data(
            bits=state.bits, fixed=grid.code_bits, coded=entropy(codes), mse=descent.mse,
            curves=prices(state.law, state.seed, state.grid, state.rounding),
        )  # fmt: skip
        message = (
            f"Clip {clip:.2f} σ, largest weight {descent.largest:.1f} σ: error {descent.mse:.3g} σ². A weight takes "
            f"{grid.code_bits} bit at fixed length, {price.coded:.2f} bit entropy coded."
        )
        pictures = {Descent: descent, Origin: Origin.Data(**now, **_origin(state, x, grid, clip)), Price: price}
        return Frame(pictures, message, _rows(*curves(*where)))


def _clip(state: State, where: tuple[Any, ...]) -> float:
    """The clip, in σ, that the state asks for."""
    if state.rule == "hand":
        return state.clip
    if state.rule == "octav":
        return walk(*where, state.constant, state.start).clips[state.step]
    return _ruled(state.rule, *where)


@lru_cache(maxsize=16)
def sample(law: str, seed: int) -> torch.Tensor:
    """Weights of a law, flat, of standard deviation 1: 10 000 draws, or the first layer of a trained network."""
    draws = torch.Generator().manual_seed(seed)
    if law == "layer":
        x = digits_layers()[0].flatten()
    elif law == "laplace":
        u = torch.rand(SIZE, generator=draws, dtype=torch.float64) - 0.5
        x = (-u.sign() * torch.log1p(-2 * u.abs())).float()
    else:
        x = torch.randn(SIZE, generator=draws)
        if law == "outliers":
            x[: SIZE // 100] = 11 * x[: SIZE // 100].sign()
    return x / x.std(correction=0)


def split_mse(x: torch.Tensor, clips: Any, grid: Grid, rounding: str) -> tuple[np.ndarray, np.ndarray]:
    """Granular and clipping part of the expected squared error of ``x`` [n], at every clip."""
    s = torch.as_tensor(clips, dtype=torch.float32)
    rows = x.expand(len(s), -1)
    whole = expected_mse(rows, s, grid, rounding, batch_dims=1)
    beyond = (rows - rows.clamp(grid.bottom * s[:, None], grid.top * s[:, None])).square().mean(-1)
    return (whole - beyond).clamp(min=0).numpy(), beyond.numpy()


@lru_cache(maxsize=256)
def curves(law: str, seed: int, grid: Grid, rounding: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Clips, denser around OCTAV's, with the granular and the clipping error at each."""
    around = np.linspace(0.85, 1.15, 13) * _ruled("octav", law, seed, grid, rounding)
    clips = np.sort(np.concatenate([np.geomspace(0.1, WIDEST, 51), around[around <= WIDEST]]))
    return clips, *split_mse(sample(law, seed), clips, grid, rounding)


@lru_cache(maxsize=256)
def _ruled(rule: str, law: str, seed: int, grid: Grid, rounding: str) -> float:
    return float(clip_for(rule, sample(law, seed), grid, rounding))


@dataclass(frozen=True)
class Walk:
    """OCTAV's clips from step 0 on; ``bends`` and ``floors``: the parabola b·(s − next clip)² + f it sees at each."""

    clips: list[float]
    mse: list[float]
    bends: list[float]
    floors: list[float]


@lru_cache(maxsize=256)
def walk(law: str, seed: int, grid: Grid, rounding: str, constant: str, start: str) -> Walk:
    """Run OCTAV. At a clip it holds fast who is clipped; the error is a parabola then, whose lowest point comes next."""
    x = sample(law, seed)
    noise, top = (4.0**-grid.bits / 3, 1.0) if constant == "textbook" else (grid.noise(rounding), grid.top)
    clips = [x.abs().mean() if start == "mean" else x.abs().max()]
    bends = []
    reach = torch.where(x > 0, top, 1.0)
    for _ in range(STEPS + 1):
        outside = (x.abs() > reach * clips[-1]).float()
        bends.append(float(noise * (1 - outside).mean() + (outside * reach.square()).mean()))
        clips.append(octav_step(x, clips[-1], noise, top))
    path = [float(s) for s in clips]
    granular, clipping = split_mse(x, path, grid, rounding)
    inside = [1 - float((x.abs() > s * reach).float().mean()) for s in clips[:-1]]
    floors = [
        noise * s * s * share + cut - bend * (s - after) ** 2
        for s, after, share, cut, bend in zip(path, path[1:], inside, clipping, bends, strict=False)
    ]
    return Walk(path, (granular + clipping).tolist(), bends, floors)


def _descent(state: State, grid: Grid, curve: tuple[np.ndarray, ...]) -> dict[str, Any]:
    """What the wide picture shows besides the present clip."""
    seen = walk(state.law, state.seed, grid, state.rounding, state.constant, state.start)
    total = curve[1] + curve[2]
    k = state.step
    parabola = seen.bends[k] * (curve[0] - seen.clips[k + 1]) ** 2 + seen.floors[k]
    lowest = int(total.argmin())
    return {
        "curves": curve,
        "best": (float(curve[0][lowest]), float(total[lowest])),
        "steps": (seen.clips[: k + 1], seen.mse[: k + 1]),
        "parabola": parabola if state.rule == "octav" else None,
        "rule": state.rule,
        "level_aware": state.constant == "level",
        "largest": float(sample(state.law, state.seed).abs().max()),
    }


def _origin(state: State, x: torch.Tensor, grid: Grid, clip: float) -> dict[str, Any]:
    """Histogram, levels, and the share of the error that the weights of each bin make."""
    widest = 5.0 if state.law in ("normal", "layer") else WIDEST
    each = expected_mse(x[:, None], torch.full(x.shape, clip), grid, state.rounding, batch_dims=1)
    bins = {"bins": 100, "range": (-widest, widest)}
    counts, edges = np.histogram(x.numpy(), **bins)
    shares, _ = np.histogram(x.numpy(), weights=each.numpy(), **bins)
    levels = grid.decode(torch.arange(grid.low, grid.high + 1), torch.tensor(clip)).tolist()
    beyond = (x < clip * grid.bottom) | (x > clip * grid.top)
    return {
        "histogram": (counts / x.numel(), edges),
        "shares": shares / max(shares.sum(), 1e-30),
        "levels": levels,
        "cut": float(beyond.float().mean()),
        "widest": widest,
    }


@lru_cache(maxsize=64)
def prices(law: str, seed: int, kind: str, rounding: str) -> dict[str, tuple[np.ndarray, ...]]:
    """Clip rule -> bits at fixed length, bits entropy coded and squared error, for 2 to 8 bits a weight."""
    x = sample(law, seed)
    curves = {}
    for rule in ("max_abs", "octav"):
        lines = []
        for grid in (Grid(bits, kind) for bits in range(2, 9)):
            clip = torch.tensor(_ruled(rule, law, seed, grid, rounding))
            codes = quantize(x, clip, grid, rounding, torch.Generator().manual_seed(seed))
            lines.append((grid.code_bits, entropy(codes), float(expected_mse(x, clip, grid, rounding))))
        curves[rule] = tuple(np.array(lines).T)
    return curves


def _rows(clips: np.ndarray, granular: np.ndarray, clipping: np.ndarray) -> list[dict[str, float]]:
    parts = zip(clips.tolist(), granular.tolist(), clipping.tolist(), strict=True)
    return [{"clip_sigma": s, "granular": g, "clipping": c, "mse": g + c} for s, g, c in parts]
