"""Headlines of the rivals: FedPAQ's bytes to a target on MNIST, and EDEN's normalised error on long vectors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from fqlab.quant import eden_decode, eden_encode, random_signs, rotate, rotate_back
from fqlab.seeds import torch_generator
from fqlab.studies.scale import fedavg
from fqlab.studies.scale.store import Arm, Run, obtain

__all__ = ["ARMS", "behind", "eden_nmse", "saved"]

TABLE: dict[str, dict[str, Any]] = {
    "fedpaq-2": {"bits": 2},
    "fedpaq-qsgd-4": {"bits": 4, "clip": "norm", "grid": "sign_magnitude"},
}
"""Arm -> settings of FedPAQ: ranges of the largest change, and the quantizer of the paper's experiments."""
PLAIN = fedavg.ARMS["small", "e5-b10"]
ARMS = {
    ("small", name): Arm("rivals", f"small-{name}", replace(PLAIN.experiment, method="fedpaq", options=options))
    for name, options in TABLE.items()
}
"""(scale, name) -> arm; the federation is that of :mod:`fqlab.studies.scale.fedavg`, E = 5, B = 10."""
LENGTH = 2**20
VECTORS = 16


def _until(run: Run) -> float:
    """Bytes up until the target accuracy is reached; infinite where it is not."""
    pairs = zip(run.curve["bytes_up"], run.curve["accuracy"], strict=True)
    return next((bytes_up for bytes_up, accuracy in pairs if accuracy >= fedavg.TARGET), float("inf"))


def saved(seed: int, scale: str, arm: str) -> float:
    """Bytes up that FedAvg needs to 95 % over those that an arm needs; 0 where the arm does not get there."""
    return _until(obtain(PLAIN, seed)) / _until(obtain(ARMS[scale, arm], seed))


def behind(seed: int, scale: str, arm: str) -> float:
    """Points that FedAvg is ahead of an arm after the last round."""
    plain, ours = (obtain(chosen, seed).curve["accuracy"][-1] for chosen in (PLAIN, ARMS[scale, arm]))
    return 100 * (plain - ours)


def eden_nmse(seed: int, bits: int) -> float:
    """E‖x̂ − x‖²/‖x‖² of EDEN: 16 vectors of 2^20 numbers far from normal (cubes of normal ones), rotated at random."""
    nmse = []
    for k in range(VECTORS):
        x = torch.randn(1, LENGTH, generator=torch_generator(seed, "vector", client=k)).pow(3)
        signs = random_signs(LENGTH, [torch_generator(seed, "rotation", client=k)])
        arrived = rotate_back([eden_decode(eden_encode(part, bits)) for part in rotate(x, signs)], signs, LENGTH)
        nmse.append(float((arrived - x).double().square().sum() / x.double().square().sum()))
    return sum(nmse) / VECTORS
