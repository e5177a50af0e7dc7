"""What FedMPQ gains over AQFL, and for whom: numbers read off the curves of :mod:`fqlab.studies.weak_clients`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fqlab.quant import mean_bits
from fqlab.studies.dealing import SIZES
from fqlab.studies.weak_clients import BUDGETS, METHODS, OVER, SEEDS, curve

__all__ = ["gain", "moved", "over_bits", "over_gain", "own_gain", "width"]


def gain(seed: int, setting: str = "unequal", update: str = "integer", kind: str = "refreshed") -> float:
    """FedMPQ minus AQFL after the last round, in points.

    Args:
        seed: 0 for the first of the study's seeds, and so on.
        setting, update: as in :func:`fqlab.studies.weak_clients.experiment`.
        kind: ``"refreshed"``, the average with BatchNorm statistics taken anew, ``"accuracy"``, the average as it is, or
            ``"weakest"``, a 2-bit client's own model.
    """
    aqfl, fedmpq = (getattr(curve(setting, method, update, SEEDS[seed]), kind)[-1] for method in METHODS)
    return 100 * (fedmpq - aqfl)


def own_gain(seed: int, bits: int, update: str = "integer") -> float:
    """FedMPQ minus AQFL for the own models of the clients with a budget of ``bits``, in points."""
    aqfl, fedmpq = (np.mean(_of(bits, curve("unequal", method, update, SEEDS[seed]).own)) for method in METHODS)
    return 100 * float(fedmpq - aqfl)


def moved(seed: int, bits: int, update: str = "integer") -> float:
    """Percent of the weights of AQFL's clients with ``bits`` that the last local round changed."""
    shares = np.array(_of(bits, curve("unequal", "aqfl", update, SEEDS[seed]).moved))
    return 100 * float((shares @ np.array(SIZES)).mean() / sum(SIZES))


def over_gain(seed: int, kind: str = "refreshed") -> float:
    """FedMPQ that may pass budgets minus FedMPQ after the last round, in points; ``kind`` as for :func:`gain`."""
    kept, passed = (getattr(curve("unequal", m, "integer", SEEDS[seed]), kind)[-1] for m in ("fedmpq", OVER))
    return 100 * (passed - kept)


def over_bits(seed: int, bits: int) -> float:
    """Bits a weight that FedMPQ which may pass budgets gives clients with a budget of ``bits``, last round."""
    return float(
        np.mean(
            [mean_bits(SIZES, widths) for widths in _of(bits, curve("unequal", OVER, "integer", SEEDS[seed]).widths)]
        )
    )


def width(seed: int, bits: int, layer: int) -> float:
    """Bits of a layer, 0 to 7, in the last round of FedMPQ's clients with a budget of ``bits``: they have the same."""
    return float(
        np.mean([widths[layer] for widths in _of(bits, curve("unequal", "fedmpq", "integer", SEEDS[seed]).widths)])
    )


def _of(bits: int, values: Sequence[Any]) -> list[Any]:
    """Entries of the clients with this budget."""
    return [value for budget, value in zip(BUDGETS.split("-"), values, strict=True) if int(budget) == bits]
