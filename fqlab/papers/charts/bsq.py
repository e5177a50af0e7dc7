"""BSQ, Figures 2 and 3: bits of every layer, with and without reweighing, and by the penalty α."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from fqlab.papers.charts.model import Axis, Chart, Point
from fqlab.studies import bsq
from fqlab.studies.scale import bsq as fashion

__all__ = ["CHARTS"]

ALPHAS = (0.003, 0.005, 0.007, 0.01, 0.02)
"""Of the paper's Table 1, in its order."""
WEIGHED = {"with reweighing": True, "without": False}
ALPHA = 0.02
"""Of Figure 2 here; the paper takes two that compress alike."""
SETUP = (
    "Ours: digits, ResNet-8, 12 + 20 + 8 epochs, 3 seeds. In the paper: ResNet-20, CIFAR-10; bits by layer not public."
)
LONG = {"a005": 0.005, "a01": 0.01, "a02": 0.02}
"""Run on Fashion-MNIST -> its α."""
ALIKE = {"a01": "with reweighing", "a01-alike": "without"}
FASHION = (
    "Ours: Fashion-MNIST, ResNet-8, 4-bit activations, 8 + 24 + 12 epochs, 3 seeds. The paper's: CIFAR-10, ResNet-20."
)
CIFAR = {"a003": 0.003, "a005": 0.005, "a02": 0.02}
"""Run on CIFAR-10 -> its α."""
ALIKE_CIFAR = {"a005": "with reweighing", "a005-alike": "without"}
RESNET20 = (
    "Ours: CIFAR-10, two of five batches, 4-bit activations, 10 + 60 + 30 epochs, one seed. The paper's: 350 + 300."
)
DEEP = ("conv", *(f"stage{stage}.{block}.conv{k}" for stage in (1, 2, 3) for block in (0, 1, 2) for k in (1, 2)), "fc")
"""The quantized layers of ResNet-20, from the input on."""
LAYERS_20 = Axis.categories(
    "layer", "stem", *(f"{s}{letter}" for s in (1, 2, 3) for letter in "abcdef"), "fc", say="layer {}"
)
LAYERS = Axis.categories("layer", "stem", "1a", "1b", "2a", "2b", "3a", "3b", "fc", say="layer {}")
BITS = Axis("bits a weight", tuple((b, str(b)) for b in range(0, 9, 2)), 0, 8.9)


def _points(arm: str, claim: str, penalty: float, reweigh: bool) -> list[Point]:
    experiment = partial(bsq.residual, penalty, reweigh)
    return [
        Point(arm, k, "bsq:layer_bits", {"penalty": penalty, "layer": layer, "reweigh": reweigh}, experiment, claim)
        for k, layer in enumerate(bsq.LAYERS)
    ]


def _long(arm: str, run: str, claim: str) -> list[Point]:
    """The layers of a run on Fashion-MNIST; they run again on digits."""
    penalty = LONG[run.removesuffix("-alike")]
    twin = {"penalty": penalty, "reweigh": run in LONG}
    return [
        Point(arm, k, "scale.bsq:layer_bits", {"arm": run, "layer": layer}, fashion.ARMS["small", run].at, claim,
              ("bsq:layer_bits", {**twin, "layer": layer}))
        for k, layer in enumerate(bsq.LAYERS)
    ]  # fmt: skip


def _deep(arm: str, run: str) -> list[Point]:
    """The layers of a run on CIFAR-10, for which no machine has seconds."""
    row = f"bsq-resnet20-bits-{run.removeprefix('a')}"
    return [
        Point(arm, k, "scale.bsq:layer_bits", {"arm": run, "layer": layer}, fashion.ARMS["paper", run].at, row, seeds=1)
        for k, layer in enumerate(DEEP)
    ]


def _stage(values: Mapping[tuple[str, float], float], arm: str, stage: int) -> float:
    """Mean bits of the six layers of a stage of ResNet-20, which are alike in size but for the first."""
    return sum(values[arm, 6 * stage - 5 + k] for k in range(6)) / 6


def _stages(values: Mapping[tuple[str, float], float]) -> str:
    first, last = (_stage(values, "α = 0.005", stage) for stage in (1, 3))
    return f"Large layers pay: at α = 0.005 stage 1 keeps {first:.1f} bits on average, stage 3 {last:.1f}"


def _stages_weighed(values: Mapping[tuple[str, float], float]) -> str:
    first, last = ([_stage(values, arm, stage) for arm in ALIKE_CIFAR.values()] for stage in (1, 3))
    return f"Stage 1 keeps {first[0]:.1f} bits and stage 3 {last[0]:.1f}; without reweighing {first[1]:.1f} and {last[1]:.1f}"


def _lower(values: Mapping[tuple[str, float], float]) -> str:
    stem, low, high = (values[f"α = {alpha:g}", k] for alpha, k in ((0.02, 0), (0.005, 5), (0.02, 5)))
    return f"Large layers pay: 3a keeps {low:.1f} bits at α = 0.005 and {high:.1f} at 0.02, the stem {stem:.0f}"


def _largest(values: Mapping[tuple[str, float], float]) -> str:
    low, high = (values[f"α = {alpha:g}", 6] for alpha in (ALPHAS[0], ALPHAS[-1]))
    return f"Large layers pay: the last convolution keeps {low:.1f} bits at α = {ALPHAS[0]:g}, {high:.1f} at {ALPHAS[-1]:g}"


def _weighed(values: Mapping[tuple[str, float], float]) -> str:
    """The spans between the stem and the largest layer."""
    spans = [values[arm, 0] - values[arm, 6] for arm in WEIGHED]
    return f"With reweighing the stem keeps {spans[0]:.1f} bits more than the largest layer, without {spans[1]:.1f}"


CHARTS = {
    "07-layers": Chart(
        "07-layers", "BSQ, Figure 3: bits by layer, one line an α", "bsq", SETUP, LAYERS, BITS,
        tuple(f"α = {alpha:g}" for alpha in ALPHAS),
        tuple(p for alpha in ALPHAS for p in _points(f"α = {alpha:g}", "bsq-order", alpha, True)), _largest,
    ),
    "07-reweighing": Chart(
        "07-reweighing", f"BSQ, Figure 2: bits by layer with and without reweighing, α = {ALPHA:g}", "bsq", SETUP, LAYERS,
        BITS, tuple(WEIGHED),
        tuple(p for arm, weighed in WEIGHED.items() for p in _points(arm, "bsq-reweighing", ALPHA, weighed)), _weighed,
    ),
    "07-layers-fashion": Chart(
        "07-layers-fashion", "BSQ, Figure 3: bits by layer, one line an α, Fashion-MNIST", "bsq", FASHION, LAYERS, BITS,
        tuple(f"α = {alpha:g}" for alpha in LONG.values()),
        tuple(p for run, alpha in LONG.items() for p in _long(f"α = {alpha:g}", run, "bsq-resnet8-order")), _lower,
        scale="small",
    ),
    "07-reweighing-fashion": Chart(
        "07-reweighing-fashion", "BSQ, Figure 2: bits by layer with and without reweighing, α = 0.01, Fashion-MNIST", "bsq",
        FASHION, LAYERS, BITS, tuple(ALIKE.values()),
        tuple(p for run, arm in ALIKE.items() for p in _long(arm, run, "bsq-resnet8-reweighing")), _weighed, scale="small",
    ),
    "07-layers-cifar": Chart(
        "07-layers-cifar", "BSQ, Figure 3: bits by layer, one line an α, ResNet-20 on CIFAR-10", "bsq", RESNET20, LAYERS_20,
        BITS, tuple(f"α = {alpha:g}" for alpha in CIFAR.values()),
        tuple(p for run, alpha in CIFAR.items() for p in _deep(f"α = {alpha:g}", run)), _stages, scale="paper",
    ),
    "07-reweighing-cifar": Chart(
        "07-reweighing-cifar", "BSQ, Figure 2: bits by layer with and without reweighing, α = 0.005, ResNet-20 on CIFAR-10",
        "bsq", RESNET20, LAYERS_20, BITS, tuple(ALIKE_CIFAR.values()),
        tuple(p for run, arm in ALIKE_CIFAR.items() for p in _deep(arm, run)), _stages_weighed, scale="paper",
    ),
}  # fmt: skip
