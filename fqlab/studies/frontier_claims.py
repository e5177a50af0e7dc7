"""What the frontier lesson states: runs on digits, 10 devices, recomputed one by one."""

from __future__ import annotations

from functools import cache
from typing import Any

from fqlab.studies.frontier import SETTINGS, STOPS, experiment, trace

__all__ = [
    "MIX", "both_gain", "down_gain", "down_loss", "levers_gain", "lottery_alone", "lottery_own", "lottery_up",
    "mix_accuracy", "mix_gain", "up_gain",
]  # fmt: skip

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


def up_gain(seed: int, scale: str) -> float:
    """FedAvg's bytes up over those of 2-bit uploads."""
    return _fedavg(seed)["bytes_up"] / _end("clipped, 2 bit, clip 1.3", seed)["bytes_up"]


def both_gain(seed: int, scale: str) -> float:
    """The same, up and down."""
    return _fedavg(seed)["both"] / _end("clipped, 2 bit, clip 1.3", seed)["both"]


def down_gain(seed: int, scale: str) -> float:
    """FedAvg's bytes up and down over those of 4 bits both ways."""
    return _fedavg(seed)["both"] / _end("both ways, 4 bit", seed)["both"]


def down_loss(seed: int, scale: str) -> float:
    """FedAvg's accuracy less that of 4 bits both ways."""
    return _fedavg(seed)["everyone"] - _end("both ways, 4 bit", seed)["everyone"]


def levers_gain(seed: int, scale: str) -> float:
    """FedAvg's bytes over those of FedAvg with 5 epochs, 5 devices a round and 10 rounds."""
    return _fedavg(seed)["both"] / _end("FedAvg", seed, **MIX)["both"]


def mix_gain(seed: int, scale: str) -> float:
    """FedAvg's bytes over those of the same levers with 4 bits both ways."""
    return _fedavg(seed)["both"] / _end("both ways, 4 bit", seed, **MIX)["both"]


def mix_accuracy(seed: int, scale: str) -> float:
    """Accuracy of 4 bits both ways, 5 epochs, 5 devices a round, 10 rounds."""
    return _end("both ways, 4 bit", seed, **MIX)["everyone"]


@cache
def _two(name: str, seed: int) -> dict[str, float]:
    """A setting on two digits a device, five local epochs."""
    return _end(name, seed, "two", epochs=5)


def lottery_up(seed: int, scale: str) -> float:
    """FedAvg's bytes up over LotteryFL's, half of the weights left."""
    return _two("FedAvg", seed)["bytes_up"] / _two("LotteryFL, 50% left", seed)["bytes_up"]


def lottery_own(seed: int, scale: str) -> float:
    """LotteryFL's own accuracy less FedAvg's."""
    return _two("LotteryFL, 50% left", seed)["own"] - _two("FedAvg", seed)["own"]


def lottery_alone(seed: int, scale: str) -> float:
    """LotteryFL's own accuracy less that of devices on their own."""
    return _two("LotteryFL, 50% left", seed)["own"] - _two("standalone", seed)["own"]
