"""Federated averaging (McMahan et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass

from fqlab.methods.base import Method

__all__ = ["FedAvg"]


@dataclass(frozen=True)
class FedAvg(Method):
    """Send the model, train it on every client, average with weights n_k / Σ n_k, in full precision.

    >>> from fqlab.federation import Experiment, fit
    >>> history = fit(Experiment(method="fedavg", rounds=3))
    >>> history.rounds[-1].accuracy > 0.5
    True
    """
