"""What the frontier lesson states: runs on digits, 10 devices, recomputed one by one."""

from __future__ import annotations

from functools import cache
from typing import Any

from fqlab.studies.frontier import SETTINGS, STOPS, experiment, trace

__all__ = ["MIX", "accuracy", "accuracy_lost", "bytes_gain", "lottery"]

MIX: dict[str, Any] = {"epochs": 5, "participants": 5, "rounds": 10}
"""FedAvg's own levers, at a setting that suits digits."""


def _end(name: str, seed: int, labels: str = "even", **changes: Any) -> dict[str, float]:
    """The last round of a setting: bytes of the whole run and both accuracies."""
    family, options = SETTINGS[name]
    last = changes.get("rounds", max(STOPS))
    *_, end = trace(experiment(family, options, labels, seed, evaluate_every=last, **changes), stops=(last,))
    return {**end, "both": end["bytes_up"] + end["bytes_down"]}


@cache
def _fedavg(seed: int) -> dict[str, float]:
    return _end("FedAvg", seed)


def bytes_gain(seed: int, setting: str, direction: str, levers: bool = False) -> float:
    """FedAvg's bytes over those of a setting; ``direction`` is ``"bytes_up"`` or ``"both"``, ``levers`` adds :data:`MIX`."""
    return _fedavg(seed)[direction] / _setting(setting, seed, levers)[direction]


def accuracy(seed: int, setting: str, levers: bool = False) -> float:
    """Accuracy of a setting after its last round."""
    return _setting(setting, seed, levers)["everyone"]


def accuracy_lost(seed: int, setting: str) -> float:
    """FedAvg's accuracy less that of a setting."""
    return _fedavg(seed)["everyone"] - accuracy(seed, setting)


@cache
def _setting(name: str, seed: int, levers: bool) -> dict[str, float]:
    return _end(name, seed, **(MIX if levers else {}))


@cache
def _two(name: str, seed: int) -> dict[str, float]:
    """A setting on two digits a device, five local epochs."""
    return _end(name, seed, "two", epochs=5)


def lottery(seed: int, what: str, over: str = "FedAvg") -> float:
    """LotteryFL with half of the weights left, two digits a device.

    Args:
        what: ``"own"``, its own accuracy less that of the setting ``over``; or ``"bytes up"`` of ``over`` over its own.
    """
    tickets, other = _two("LotteryFL, 50% left", seed), _two(over, seed)
    return tickets["own"] - other["own"] if what == "own" else other["bytes_up"] / tickets["bytes_up"]
