"""BSQ's central training of a ResNet-8 with 4-bit activations on Fashion-MNIST at 14 x 14: a stand-in for its CIFAR-10 table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fqlab.federation import Experiment, Federation
from fqlab.studies.scale.store import Arm, obtain

__all__ = ["ARMS", "experiment", "fewer_bits", "found", "layer_gap", "regained", "reweighing"]

WARMUP = 8
"""Epochs in full precision; the paper starts from a trained network."""
PLANES = 24
"""Epochs in the bit representation."""
TUNING = 12
"""Epochs of fine-tuning at the widths that were found."""
TABLE: dict[str, dict[str, Any]] = {
    "a005": {"penalty": 0.005},
    "a02": {"penalty": 0.02},
    "a01": {"penalty": 0.01},
    "a01-alike": {"penalty": 0.01, "reweigh": False},
}
"""Arm -> settings of BSQ; ``alike`` penalizes all layers alike, without reweighing."""


def experiment(options: dict[str, Any]) -> Experiment:
    """Scale small: 4 000 images, one client that holds them all, a round being an epoch."""
    return Experiment(
        method="bsq",
        options={"interval": 6, "warmup": WARMUP, "finetune_after": PLANES, "activation_bits": 4, **options},
        dataset="fashion_mnist", reduce={"side": 14, "train": 4000, "test": 1000}, model="resnet8", clients=1,
        rounds=WARMUP + PLANES + TUNING, batch_size=64, lr=0.1, momentum=0.9, evaluate_every=WARMUP // 2, workers=1,
    )  # fmt: skip


def _scheme(federation: Federation) -> Mapping[str, float]:
    """Bits a weight and of every layer's weights at the end, and accuracy before fine-tuning."""
    rounds = federation.rounds
    widths = {k[5:]: v for k, v in rounds[-1].extras.items() if k.startswith("bits/") and k.endswith(".weight")}
    before = rounds[WARMUP + PLANES - 1].accuracy
    return {"bits": rounds[-1].extras["bits"], "before": before, **{f"bits/{k}": v for k, v in widths.items()}}


ARMS = {("small", name): Arm("bsq", f"small-{name}", experiment(options), _scheme) for name, options in TABLE.items()}
"""(scale, name) -> arm, in the order in which they are worth running."""


def found(seed: int, scale: str, arm: str, what: str) -> float:
    """``"bits"`` a weight, or accuracy in % ``"before"`` or ``"after"`` fine-tuning."""
    run = obtain(ARMS[scale, arm], seed)
    if what == "after":
        return 100 * run.curve["accuracy"][-1]
    return run.measures["bits"] if what == "bits" else 100 * run.measures[what]


def fewer_bits(seed: int, scale: str, arm: str, over: str) -> float:
    """Bits a weight that ``arm`` leaves less those that ``over`` leaves."""
    return found(seed, scale, arm, "bits") - found(seed, scale, over, "bits")


def regained(seed: int, scale: str, arm: str) -> float:
    """Points that fine-tuning adds."""
    return found(seed, scale, arm, "after") - found(seed, scale, arm, "before")


def reweighing(seed: int, scale: str, arm: str, over: str) -> float:
    """How much further the largest layer is above the first convolution in ``arm`` than in ``over``, bits."""
    return layer_gap(seed, scale, arm) - layer_gap(seed, scale, over)


def layer_gap(seed: int, scale: str, arm: str) -> float:
    """Bits of the largest convolution (36 864 weights) less those of the first (144)."""
    measures = obtain(ARMS[scale, arm], seed).measures
    return measures["bits/stage3.0.conv2.weight"] - measures["bits/conv.weight"]
