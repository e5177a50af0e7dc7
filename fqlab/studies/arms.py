"""The choices of the clipped-quantization code, two by two by two: digits, 10 clients, 20 rounds, 2 bit, QAT."""

from __future__ import annotations

from typing import Any

from fqlab.federation import Experiment, fit

__all__ = ["accuracy"]


def accuracy(seed: int, clip: str, rounding: str, averaging: str) -> float:
    """Accuracy of one arm: options of :class:`~fqlab.methods.clipped.Clipped`."""
    options = {"bits": 2, "clip": clip, "rounding": rounding, "averaging": averaging}
    shared: dict[str, Any] = dict(
        model="mlp", lr=0.3, batch_size=32, rounds=20, seed=seed, engine="vectorized", evaluate_every=20
    )
    return fit(Experiment(method="clipped", options=options, **shared)).accuracy
