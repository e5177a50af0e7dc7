"""Numbers of the clipped-quantization paper, and of the tour."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch

from fqlab import wire
from fqlab.federation import Experiment, fit
from fqlab.methods import acting
from fqlab.models import ClippedCNN
from fqlab.quant import Grid, quantize
from fqlab.studies.scale.clipped import CIFAR, LONG, TABLE

__all__ = [
    "ROUNDS", "code_bits", "code_ratio", "curve_experiment", "digits", "round_accuracy", "tour", "traffic_by_formula",
    "traffic_in_packets",
]  # fmt: skip

MNIST_LAYERS = (144, 2304, 78400, 1000)
ROUNDS = 20
"""Of :func:`curve_experiment`, unless it is told."""


def code_bits(bits: Sequence[int]) -> int:
    """Bits of codes in a real packet of the MNIST network; ``bits`` of its four layers."""
    codes = {str(i): quantize(torch.randn(n, generator=torch.Generator().manual_seed(i)), 1.0, Grid(b))
             for i, (n, b) in enumerate(zip(MNIST_LAYERS, bits, strict=True))}  # fmt: skip
    return wire.measure(wire.pack(codes)).code_bits


def code_ratio(bits: Sequence[int]) -> float:
    """32-bit weights over codes."""
    return 32 * sum(MNIST_LAYERS) / code_bits(bits)


def traffic_by_formula(bits: Sequence[int]) -> float:
    """Bits of a round up and down in 32 bit, over those with quantized uploads: codes, one clip a layer, the rest in 32."""
    rest = sum(p.numel() for p in ClippedCNN().parameters()) - sum(MNIST_LAYERS)
    plain = 32 * (sum(MNIST_LAYERS) + rest)
    return 2 * plain / (plain + code_bits(bits) + 32 * (len(bits) + rest))


def traffic_in_packets(bits: Sequence[int]) -> float:
    """The same with real packets, every byte counted."""
    weights = {name: value.detach() for name, value in ClippedCNN().state_dict().items() if value.is_floating_point()}
    widths = dict(zip([name for name, w in weights.items() if w.dim() > 1], bits, strict=True))
    coded = {n: quantize(w, w.abs().max(), Grid(widths[n])) if n in widths else w for n, w in weights.items()}
    down, up = len(wire.pack(weights)), len(wire.pack(coded))
    return 2 * down / (up + down)


def digits(seed: int, bits: str) -> float:
    """Accuracy of the paper's network and method on digits: 10 clients, 10 rounds, defaults of the method."""
    shared: dict[str, Any] = dict(model="clipped_cnn", batch_size=32, lr=0.1, rounds=10, seed=seed, engine="threads")
    return fit(Experiment(method="clipped", options={"bits": bits}, **shared)).accuracy


def tour(seed: int, **settings: object) -> float:
    """Accuracy of the tour's federation, with ``settings`` over its options: 2 bits, averaged by samples, no QAT."""
    options = {"bits": 2, "level_aware": True, "averaging": "size", "qat": False, **settings}
    shared: dict[str, Any] = dict(batch_size=32, lr=0.3, rounds=30, seed=seed, engine="vectorized")
    return fit(Experiment(method="clipped", options=acting("clipped", options), **shared)).accuracy


def curve_experiment(arm: str, seed: int = 0, rounds: int = ROUNDS) -> Experiment:
    """An arm of :mod:`fqlab.studies.scale.clipped` on digits: the paper's network and optimiser, 10 clients."""
    options = (TABLE | LONG | CIFAR)[arm]
    shared: dict[str, Any] = dict(
        model="clipped_cnn", partition="class_balanced", batch_size=16, rounds=rounds, seed=seed
    )
    return Experiment(
        method="clipped" if options else "fedavg", options=options, lr=0.01, momentum=0.9, weight_decay=1e-4, **shared
    )


@lru_cache(maxsize=32)
def _curve(arm: str, seed: int, rounds: int) -> tuple[float, ...]:
    return tuple(record.accuracy for record in fit(curve_experiment(arm, seed, rounds)).rounds)


def round_accuracy(seed: int, arm: str, after: int) -> float:
    """Accuracy in % of an arm of :func:`curve_experiment` after so many rounds; it runs on where they are more than its own."""
    return 100 * _curve(arm, seed, max(after, ROUNDS))[after - 1]
