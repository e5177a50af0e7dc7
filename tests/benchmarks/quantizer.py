"""What the quantizer costs, beside a copy of the tensor and the code one would write first.

    python tests/benchmarks/quantizer.py [VALUES]

Milliseconds of processor time of one thread, the median of several runs: they hardly mind what else the machine does.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import torch

from fqlab import wire
from fqlab.quant import Grid, clip_for, clips_for, expected_mse, octav, octav_step, quantize, sweep

VALUES = 1_663_370  # weights of the CNN of McMahan et al. (2017)
Work = Callable[[], object]


def milliseconds(work: Work, runs: int = 9) -> float:
    """Median of ``runs``, or of fewer where one takes long."""
    spent: list[float] = []
    while len(spent) < runs and sum(spent) < 2:
        start = time.thread_time()
        work()
        spent.append(time.thread_time() - start)
    return 1e3 * statistics.median(spent)


def passes(x: torch.Tensor, grid: Grid, top: float = 1.0) -> torch.Tensor:
    """OCTAV with a pass over the values for each update."""
    clip = x.abs().sum() / x.count_nonzero()
    for _ in range(grid.bits + 6):
        clip = octav_step(x, clip, grid.noise(), top)
    return clip


def search(x: torch.Tensor, grid: Grid) -> torch.Tensor:
    """The best of a hundred clips by quantizing with each."""
    clips = [x.abs().max() * (k / 100) for k in range(1, 101)]
    return min(clips, key=lambda clip: float((x - rounded(x, clip, grid)).square().mean()))


def rounded(x: torch.Tensor, clip: torch.Tensor, grid: Grid, noise: torch.Tensor | None = None) -> torch.Tensor:
    """Quantize and dequantize in one line."""
    step = grid.step(clip)
    place = (x / step + grid.offset).clamp(grid.low, grid.high)
    code = torch.round(place) if noise is None else torch.floor(place) + (place - torch.floor(place) > noise)
    return (code.to(torch.int16) - grid.offset) * step


def large(values: int) -> dict[str, tuple[Work, Work | None]]:
    """The operations on one tensor of ``values`` weights, each with its naive form."""
    draws = torch.Generator().manual_seed(0)
    x = 0.05 * torch.randn(values, generator=draws, dtype=torch.float32)
    clip = torch.tensor(0.1)
    table: dict[str, tuple[Work, Work | None]] = {"copy": (x.clone, None)}
    for bits in (2, 4, 8):
        grid = Grid(bits, "octav")
        table[f"octav, {bits} bits"] = (lambda g=grid: octav(x, g), lambda g=grid: passes(x, g))
    low = Grid(4, "twos_complement")
    table["octav, two's complement"] = (lambda: octav(x, low), lambda: passes(x, low, low.high / -low.low))
    for bits in (2, 8):
        grid = Grid(bits)
        table[f"sweep, {bits} bits"] = (lambda g=grid: sweep(x, g), lambda g=grid: search(x, g))
    table["sweep, stochastic"] = (lambda: sweep(x, Grid(4), "stochastic"), None)
    table["percentile"] = (lambda: clip_for("percentile", x, Grid(4)), lambda: x.abs().sort().values[-values // 1000])
    grid = Grid(4)
    rand = lambda: torch.rand(values, generator=draws, dtype=torch.float32)
    table["rand"] = (rand, None)
    stochastic = lambda: quantize(x, clip, grid, "stochastic", draws)
    table["stochastic"] = (stochastic, lambda: rounded(x, clip, grid, rand()))
    table["nearest"] = (lambda: quantize(x, clip, grid), lambda: rounded(x, clip, grid))
    table["expected error"] = (
        lambda: expected_mse(x, clip, grid),
        lambda: (x - rounded(x, clip, grid)).square().mean(),
    )
    codes = quantize(x, clip, grid)
    packet = wire.pack({"w": codes})
    table["dequantize"] = (codes.dequantize, None)
    table["pack"] = (lambda: wire.pack({"w": codes}), None)
    table["unpack"] = (lambda: wire.unpack(packet), None)
    return table


def small(clients: int = 10) -> dict[str, tuple[Work, Work | None]]:
    """The two layers of the digits MLP of some clients, as a panel quantizes them; naive is one client after the other."""
    draws = torch.Generator().manual_seed(0)
    grid = Grid(4)
    layers = {"0": torch.randn(clients, 64, 64, generator=draws), "1": torch.randn(clients, 10, 64, generator=draws)}
    grids = dict.fromkeys(layers, grid)
    each = lambda work: [work(w) for layer in layers.values() for w in layer]
    clips = clips_for("octav", layers, grids, batch_dims=1)
    codes = lambda: [quantize(w, clips[n], grid, batch_dims=1) for n, w in layers.items()]
    return {
        "digits MLP: octav": (
            lambda: clips_for("octav", layers, grids, batch_dims=1),
            lambda: each(lambda w: passes(w, grid)),
        ),
        "digits MLP: sweep": (
            lambda: clips_for("sweep", layers, grids, batch_dims=1),
            lambda: each(lambda w: search(w, grid)),
        ),
        "digits MLP: nearest": (codes, lambda: each(lambda w: rounded(w, w.max(), grid))),
    }


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    values = int(sys.argv[1]) if len(sys.argv) > 1 else VALUES
    print(f"{values:,} values, one thread; ms     fqlab   x copy    naive  naive / fqlab")
    rows = {**large(values), **small()}
    copy = milliseconds(rows["copy"][0])
    for name, (work, naive) in rows.items():
        work()  # warm
        took = milliseconds(work)
        slow = milliseconds(naive) if naive else 0.0
        rest = f"{slow:9.2f} {slow / took:8.1f}" if naive else ""
        print(f"{name:30s} {took:9.2f} {took / copy:8.1f} {rest}")


if __name__ == "__main__":
    main()
