"""BSQ's central training of a ResNet-8 with 4-bit activations on Fashion-MNIST at 14 x 14: a stand-in for its CIFAR-10 table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from fqlab.federation import Experiment, Federation
from fqlab.studies.scale.store import Arm, obtain

__all__ = [
    "ARMS", "experiment", "fewer_bits", "found", "layer_bits", "layer_gap", "over_scratch", "regained", "reweighing", "scheme",
]  # fmt: skip

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


def scheme(federation: Federation) -> Mapping[str, float]:
    """Bits a weight and of every layer's weights at the end, and accuracy before fine-tuning."""
    rounds = federation.rounds
    widths = {k[5:]: v for k, v in rounds[-1].extras.items() if k.startswith("bits/") and k.endswith(".weight")}
    before = rounds[WARMUP + PLANES - 1].accuracy
    return {"bits": rounds[-1].extras["bits"], "before": before, **{f"bits/{k}": v for k, v in widths.items()}}


FRESH = 3
"""The first of three seeds that nobody had looked at when the criteria of training from scratch were written."""


def from_scratch(epochs: int) -> Experiment:
    """The same network in full precision, quantized at once to a scheme and fine-tuned for ``epochs``."""
    tuned = {"warmup": WARMUP, "activation_bits": 4, "scheme": "8"}
    method = "fqlab.studies.known_scheme:KnownScheme"
    return replace(experiment({}), method=method, options=tuned, rounds=WARMUP + epochs)


def at_found_scheme(experiment: Experiment, arm: str) -> Experiment:
    """With the scheme that ``arm`` found under the same seed."""
    measures = obtain(ARMS["small", arm], experiment.seed).measures
    widths = "-".join(f"{bits:.0f}" for name, bits in measures.items() if name.startswith("bits/"))
    return replace(experiment, options={**experiment.options, "scheme": widths})


def bits(federation: Federation) -> Mapping[str, float]:
    """Bits a weight."""
    return {"bits": federation.rounds[-1].extras["bits"]}


def _scratch(name: str, of: str, epochs: int) -> Arm:
    return Arm("bsq", f"small-{name}", from_scratch(epochs), bits, first=FRESH, adapt=partial(at_found_scheme, arm=of))


SEEDS = {"a005": 2 * FRESH, "a02": 2 * FRESH}
ARMS = {
    ("small", name): Arm("bsq", f"small-{name}", experiment(options), scheme, SEEDS.get(name, FRESH))
    for name, options in TABLE.items()
}
"""(scale, name) -> arm, in the order in which they are worth running."""
ARMS |= {
    ("small", "scratch-a02"): _scratch("scratch-a02", "a02", TUNING),
    ("small", "scratch-a005"): _scratch("scratch-a005", "a005", TUNING),
    ("small", "scratch-a02-long"): _scratch("scratch-a02-long", "a02", PLANES + TUNING),
}


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


def layer_bits(seed: int, scale: str, arm: str, layer: str) -> float:
    """Bits of a layer's weights at the end."""
    return obtain(ARMS[scale, arm], seed).measures[f"bits/{layer}.weight"]


def layer_gap(seed: int, scale: str, arm: str) -> float:
    """Bits of the largest convolution (36 864 weights) less those of the first (144)."""
    return layer_bits(seed, scale, arm, "stage3.0.conv2") - layer_bits(seed, scale, arm, "conv")


def over_scratch(seed: int, scale: str, arm: str, scratch: str) -> float:
    """Points that ``arm`` ends above training from scratch at the scheme it found, under the fresh seeds."""
    return found(seed + FRESH, scale, arm, "after") - found(seed + FRESH, scale, scratch, "after")
