"""The choices of the clipped-quantization code, two by two by two: digits, 10 clients, 20 rounds, 2 bit, QAT."""

from __future__ import annotations

from functools import partial
from typing import Any

from fqlab.federation import Experiment, fit

__all__ = [
    "max_abs_nearest_inverse", "max_abs_nearest_size", "max_abs_stochastic_inverse", "max_abs_stochastic_size",
    "octav_nearest_inverse", "octav_nearest_size", "octav_stochastic_inverse", "octav_stochastic_size",
]  # fmt: skip


def _arm(seed: int, scale: str, clip: str, rounding: str, averaging: str) -> float:
    options = {"bits": 2, "clip": clip, "rounding": rounding, "averaging": averaging}
    shared: dict[str, Any] = dict(
        model="mlp", lr=0.3, batch_size=32, rounds=20, seed=seed, engine="vectorized", evaluate_every=20
    )
    return fit(Experiment(method="clipped", options=options, **shared)).accuracy


octav_nearest_size = partial(_arm, clip="octav", rounding="nearest", averaging="size")
octav_nearest_inverse = partial(_arm, clip="octav", rounding="nearest", averaging="inverse_error")
octav_stochastic_size = partial(_arm, clip="octav", rounding="stochastic", averaging="size")
octav_stochastic_inverse = partial(_arm, clip="octav", rounding="stochastic", averaging="inverse_error")
max_abs_nearest_size = partial(_arm, clip="max_abs", rounding="nearest", averaging="size")
max_abs_nearest_inverse = partial(_arm, clip="max_abs", rounding="nearest", averaging="inverse_error")
max_abs_stochastic_size = partial(_arm, clip="max_abs", rounding="stochastic", averaging="size")
max_abs_stochastic_inverse = partial(_arm, clip="max_abs", rounding="stochastic", averaging="inverse_error")
