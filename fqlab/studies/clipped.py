"""Numbers of the clipped-quantization paper, and of the tour."""

from __future__ import annotations

from typing import Any

import torch

from fqlab import wire
from fqlab.federation import Experiment, fit
from fqlab.methods import acting
from fqlab.models import ClippedCNN
from fqlab.quant import Grid, quantize

__all__ = [
    "code_bits_2222", "digits_4224", "ratio_4224", "ratio_4444", "tour_max_abs", "tour_two_bits", "traffic_4224",
]  # fmt: skip

MNIST_LAYERS = (144, 2304, 78400, 1000)


def _code_bits(bits: tuple[int, ...]) -> int:
    """Bits of codes in a real packet of the MNIST network."""
    codes = {str(i): quantize(torch.randn(n, generator=torch.Generator().manual_seed(i)), 1.0, Grid(b))
             for i, (n, b) in enumerate(zip(MNIST_LAYERS, bits, strict=True))}  # fmt: skip
    return wire.measure(wire.pack(codes)).code_bits


def code_bits_2222(seed: int, scale: str) -> float:
    """Bits of codes at 2-2-2-2."""
    return _code_bits((2, 2, 2, 2))


def ratio_4224(seed: int, scale: str) -> float:
    """32-bit weights over codes at 4-2-2-4."""
    return 32 * sum(MNIST_LAYERS) / _code_bits((4, 2, 2, 4))


def ratio_4444(seed: int, scale: str) -> float:
    """32-bit weights over codes at 4-4-4-4."""
    return 32 * sum(MNIST_LAYERS) / _code_bits((4, 4, 4, 4))


def traffic_4224(seed: int, scale: str) -> float:
    """Bytes of a round up and down in full precision, over those with quantized uploads: real packets."""
    weights = {name: value.detach() for name, value in ClippedCNN().state_dict().items() if value.is_floating_point()}
    widths = dict(zip([name for name, w in weights.items() if w.dim() > 1], (4, 2, 2, 4), strict=True))
    coded = {n: quantize(w, w.abs().max(), Grid(widths[n])) if n in widths else w for n, w in weights.items()}
    down, up = len(wire.pack(weights)), len(wire.pack(coded))
    return 2 * down / (up + down)


def digits_4224(seed: int, scale: str) -> float:
    """Accuracy of the paper's network and method on digits: 10 clients, 10 rounds, 4-2-2-4, defaults of the method."""
    shared: dict[str, Any] = dict(model="clipped_cnn", batch_size=32, lr=0.1, rounds=10, seed=seed, engine="threads")
    return fit(Experiment(method="clipped", options={"bits": "4-2-2-4"}, **shared)).accuracy


def _tour(seed: int, **settings: object) -> float:
    options = {"bits": 2, "level_aware": True, "averaging": "size", "qat": False, **settings}
    shared: dict[str, Any] = dict(batch_size=32, lr=0.3, rounds=30, seed=seed, engine="vectorized")
    return fit(Experiment(method="clipped", options=acting("clipped", options), **shared)).accuracy


def tour_two_bits(seed: int, scale: str) -> float:
    """The tour's default: sign-magnitude, OCTAV, stochastic."""
    return _tour(seed, grid="sign_magnitude", rounding="stochastic")


def tour_max_abs(seed: int, scale: str) -> float:
    """Mid-rise, max-abs, nearest."""
    return _tour(seed, clip="max_abs", rounding="nearest")
