"""Numbers of BSQ: its accounting, bit-level training of the digits network, and the layers of a ResNet-8 on digits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from fqlab import models
from fqlab.federation import Experiment, fit
from fqlab.methods import acting
from fqlab.models.resnet import ResNet
from fqlab.quant import compression, mean_bits

__all__ = [
    "LAYERS", "PLANES", "TUNING", "WARMUP", "experiment", "fewer_bits", "first_layer_gap", "found", "hawq", "layer_bits",
    "outcome", "residual", "reweighing",
]  # fmt: skip

WARMUP = 12
"""Epochs in full precision."""
PLANES = 16
"""Epochs in the bit representation."""
TUNING = 8
"""Epochs of fine-tuning at the widths that were found."""
LAYERS = (
    "conv", "stage1.0.conv1", "stage1.0.conv2", "stage2.0.conv1", "stage2.0.conv2", "stage3.0.conv1", "stage3.0.conv2", "fc",
)  # fmt: skip
"""The quantized layers of ResNet-8, from the input on."""


def experiment(
    penalty: float,
    reweigh: bool = True,
    interval: int = 4,
    strip: str = "both",
    threshold: float = 0.0,
    seed: int = 0,
) -> Experiment:
    """Central training of the digits network with BSQ: one client holds all data, a round is an epoch.

    Args:
        threshold: share of ones, in percent, up to which a plane counts as empty; the others as for
            :class:`~fqlab.methods.bsq.BSQ`.
    """
    options = {
        "penalty": penalty, "reweigh": reweigh, "interval": interval, "strip": strip, "threshold": threshold / 100,
        "warmup": WARMUP, "finetune_after": PLANES,
    }  # fmt: skip
    shared: dict[str, Any] = dict(
        model="mlp", clients=1, batch_size=64, lr=0.1, seed=seed, rounds=WARMUP + PLANES + TUNING
    )
    return Experiment(method="bsq", options=acting("bsq", options), **shared)


def hawq() -> float:
    """Compression of HAWQ's scheme for ResNet-20: quantized weights and the last bias, shortcuts left out."""
    model = ResNet(3, 10, "batch")
    tensors = models.weights_of(model)
    sizes = [tensors[name].numel() for name in (*models.quantizable(model), "fc.bias")]
    return compression(mean_bits(sizes, [8, 6, 6, 6, 6, 8, 8, *[3] * 6, *[2] * 6, 3, 3]))


@dataclass(frozen=True)
class Outcome:
    """Bits a weight, accuracy before and after fine-tuning, and the bits of every tensor."""

    bits: float
    before: float
    accuracy: float
    widths: dict[str, float]


@lru_cache(maxsize=32)
def outcome(penalty: float, seed: int, reweigh: bool = True) -> Outcome:
    """One run of :func:`experiment`."""
    rounds = fit(experiment(penalty, reweigh, seed=seed)).rounds
    last = rounds[-1].extras
    widths = {name[5:]: bits for name, bits in last.items() if name.startswith("bits/")}
    return Outcome(last["bits"], rounds[WARMUP + PLANES - 1].accuracy, rounds[-1].accuracy, widths)


def found(seed: int, penalty: float, what: str) -> float:
    """What a run ends with: ``what`` is ``"bits"`` a weight, accuracy ``"before"`` fine-tuning or ``"accuracy"`` after."""
    return getattr(outcome(penalty, seed), what)


def fewer_bits(seed: int, small: float, large: float) -> float:
    """Bits a weight at the ``small`` penalty less those at the ``large`` one."""
    return outcome(small, seed).bits - outcome(large, seed).bits


def first_layer_gap(seed: int, penalty: float, reweigh: bool) -> float:
    """Bits of the first layer less those of its bias; without ``reweigh`` all tensors are penalized alike."""
    widths = outcome(penalty, seed, reweigh).widths
    return widths["fc1.weight"] - widths["fc1.bias"]


def reweighing(seed: int, penalty: float) -> float:
    """How much larger that gap is without reweighing than with it."""
    return first_layer_gap(seed, penalty, False) - first_layer_gap(seed, penalty, True)


def residual(penalty: float, reweigh: bool = True, seed: int = 0) -> Experiment:
    """The same training of ResNet-8 on digits, four epochs more in the bit representation: layers of 144 to 36 864 weights."""
    base = experiment(penalty, reweigh, seed=seed)
    return replace(
        base, model="resnet8", rounds=base.rounds + 4, options={**base.options, "finetune_after": PLANES + 4}
    )


@lru_cache(maxsize=32)
def _residual_bits(penalty: float, seed: int, reweigh: bool) -> dict[str, float]:
    return dict(fit(residual(penalty, reweigh, seed)).rounds[-1].extras)


def layer_bits(seed: int, penalty: float, layer: str, reweigh: bool = True) -> float:
    """Bits of the weights of one of :data:`LAYERS` at the end of :func:`residual`."""
    return _residual_bits(penalty, seed, reweigh)[f"bits/{layer}.weight"]
