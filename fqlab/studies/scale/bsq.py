"""BSQ's central training with 4-bit activations: a ResNet-8 on Fashion-MNIST at 14 x 14 at scale small, the paper's ResNet-20
on two of CIFAR-10's five batches at scale paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from fqlab.federation import Experiment, Federation
from fqlab.studies.scale.store import Arm, obtain

__all__ = [
    "ARMS", "EPOCHS", "experiment", "fewer_bits", "found", "large", "layer_bits", "layer_gap", "over_scratch", "regained",
    "reweighing", "scheme",
]  # fmt: skip


@dataclass(frozen=True)
class Epochs:
    """Epochs in full precision (the paper starts from a trained network), in the bit representation, and of fine-tuning."""

    warmup: int
    planes: int
    tuning: int

    @property
    def before_tuning(self) -> int:
        """All but those of fine-tuning."""
        return self.warmup + self.planes


EPOCHS = {"small": Epochs(8, 24, 12), "paper": Epochs(10, 60, 30)}
"""By scale; the paper has 350, 350 and 300."""
TABLE: dict[str, dict[str, Any]] = {
    "a005": {"penalty": 0.005},
    "a02": {"penalty": 0.02},
    "a01": {"penalty": 0.01},
    "a01-alike": {"penalty": 0.01, "reweigh": False},
}
"""Arm of scale small -> settings of BSQ; ``alike`` penalizes all layers alike, without reweighing."""
LARGE: dict[str, dict[str, Any]] = {
    "a005": {"penalty": 0.005},
    "a003": {"penalty": 0.003},
    "a02": {"penalty": 0.02},
    "a005-alike": {"penalty": 0.005, "reweigh": False},
}
"""The same for scale paper."""


def experiment(options: Mapping[str, Any]) -> Experiment:
    """Scale small: 4 000 images, one client that holds them all, a round being an epoch."""
    epochs = EPOCHS["small"]
    return Experiment(
        method="bsq",
        options={
            "interval": 6, "warmup": epochs.warmup, "finetune_after": epochs.planes, "activation_bits": 4, **options,
        },
        dataset="fashion_mnist", reduce={"side": 14, "train": 4000, "test": 1000}, model="resnet8", clients=1,
        rounds=epochs.before_tuning + epochs.tuning, batch_size=64, lr=0.1, momentum=0.9, evaluate_every=epochs.warmup // 2,
        workers=1,
    )  # fmt: skip


def large(options: Mapping[str, Any]) -> Experiment:
    """Scale paper: 20 000 images, batches of 128 and a learning rate that falls from 0.1 to 0.014; on a GPU if there is one.
    Precision is adjusted four times, as in the authors' code."""
    epochs = EPOCHS["paper"]
    adjusted = {"interval": 15, "warmup": epochs.warmup, "finetune_after": epochs.planes}
    base = experiment({})
    return replace(
        base, options={**base.options, **adjusted, **options}, dataset="cifar10", reduce={}, model="resnet20_bn",
        rounds=epochs.before_tuning + epochs.tuning, batch_size=128, drop_last=True, lr_decay=0.98, evaluate_every=5,
        engine="vectorized", device="auto",
    )  # fmt: skip


def scheme(federation: Federation, scale: str) -> Mapping[str, float]:
    """Bits a weight and of every layer's weights at the end, and accuracy before fine-tuning."""
    rounds = federation.rounds
    widths = {k[5:]: v for k, v in rounds[-1].extras.items() if k.startswith("bits/") and k.endswith(".weight")}
    before = rounds[EPOCHS[scale].before_tuning - 1].accuracy
    return {"bits": rounds[-1].extras["bits"], "before": before, **{f"bits/{k}": v for k, v in widths.items()}}


FRESH = 3
"""The first of three seeds that nobody had looked at when the criteria of training from scratch were written."""


def from_scratch(base: Experiment, warmup: int, epochs: int) -> Experiment:
    """The same network in full precision, quantized at once to a scheme and fine-tuned for ``epochs``."""
    tuned = {"warmup": warmup, "activation_bits": 4, "scheme": "8"}
    method = "fqlab.studies.known_scheme:KnownScheme"
    return replace(base, method=method, options=tuned, rounds=warmup + epochs)


def at_found_scheme(experiment: Experiment, arm: Arm) -> Experiment:
    """With the scheme that ``arm`` found under the same seed."""
    measures = obtain(arm, experiment.seed).measures
    widths = "-".join(f"{bits:.0f}" for name, bits in measures.items() if name.startswith("bits/"))
    return replace(experiment, options={**experiment.options, "scheme": widths})


def bits(federation: Federation) -> Mapping[str, float]:
    """Bits a weight."""
    return {"bits": federation.rounds[-1].extras["bits"]}


SEEDS = {"a005": 2 * FRESH, "a02": 2 * FRESH}
ARMS = {
    ("small", name): Arm(
        "bsq", f"small-{name}", experiment(options), partial(scheme, scale="small"), SEEDS.get(name, FRESH)
    )
    for name, options in TABLE.items()
}
"""(scale, name) -> arm, in the order in which they are worth running."""
ARMS |= {
    ("paper", name): Arm("bsq", f"paper-{name}", large(options), partial(scheme, scale="paper"))
    for name, options in LARGE.items()
}


def _scratch(scale: str, of: str, planes: bool = False) -> Arm:
    """Training from scratch at the scheme of the arm ``of``, for the epochs of fine-tuning, or also those in bit planes."""
    epochs = EPOCHS[scale]
    found = ARMS[scale, of]
    long = epochs.tuning + (epochs.planes if planes else 0)
    return Arm(
        "bsq", f"{scale}-scratch-{of}{'-long' if planes else ''}", from_scratch(found.experiment, epochs.warmup, long), bits,
        first=FRESH if scale == "small" else 0, adapt=partial(at_found_scheme, arm=found),
    )  # fmt: skip


ARMS |= {
    ("small", "scratch-a02"): _scratch("small", "a02"),
    ("small", "scratch-a005"): _scratch("small", "a005"),
    ("small", "scratch-a02-long"): _scratch("small", "a02", planes=True),
    ("paper", "scratch-a005"): _scratch("paper", "a005"),
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
    """Bits of the largest convolution (36 864 weights), or the first of several, less those of the stem."""
    return layer_bits(seed, scale, arm, "stage3.0.conv2") - layer_bits(seed, scale, arm, "conv")


def over_scratch(seed: int, scale: str, arm: str, scratch: str) -> float:
    """Points that ``arm`` ends above training from scratch at the scheme it found, under the fresh seeds."""
    return found(seed + FRESH, scale, arm, "after") - found(seed + FRESH, scale, scratch, "after")
