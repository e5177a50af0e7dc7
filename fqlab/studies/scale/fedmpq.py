"""FedMPQ on Fashion-MNIST at 14 x 14: beside AQFL, FP8 and full precision and part by part for 24 rounds, and for 12 with one
setting at a time.

The federation is that of :mod:`fqlab.studies.weak_clients`, which follows the public code; the seeds are others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fqlab.federation import Experiment, Federation
from fqlab.methods.fedmpq import ABLATION
from fqlab.studies import weak_clients
from fqlab.studies.scale.store import Arm, obtain

__all__ = ["ARMS", "ahead", "ended", "experiment", "grown"]

SHORT = {"rounds": 12}
"""Of the sweeps, whose many points share a machine."""
SKEWED = {"split": {"alpha": 0.1}}
FLOAT: dict[str, Any] = {"method": "fedavg", "options": {"averaging": "equal"}}
"""Full precision, activations included, averaged as the public code does: all clients alike."""
TABLE: dict[str, dict[str, Any]] = {
    "fedmpq": {},
    "aqfl": {"method": "aqfl"},
    "fp8": {"method": "aqfl", "budgets": "8"},
    "float": FLOAT,
    "pruning": ABLATION["MSB pruning"],
    "fixed": ABLATION["fixed width"],
    "both": ABLATION["group lasso + MSB pruning"],
    "growing": {"penalty": 0.0, "pruning": False},
    "all-2": {"budgets": "2"},
    "short": SHORT,
    "epsilon-0.1": {"epsilon": 0.1, **SHORT},
    "lambda-0.1": {"penalty": 0.1, **SHORT},
    "epochs-1": {"epochs": 1, **SHORT},
    "epochs-4": {"epochs": 4, **SHORT},
    "skewed-fedmpq": SKEWED,
    "skewed-aqfl": {"method": "aqfl", **SKEWED},
    "skewed-float": {**FLOAT, **SKEWED},
    "aqfl-epochs-1": {"method": "aqfl", "epochs": 1, **SHORT},
    "aqfl-epochs-4": {"method": "aqfl", "epochs": 4, **SHORT},
    "lambda-0.01": {"penalty": 0.01, **SHORT},
    "epsilon-0": {"epsilon": 0.0, **SHORT},
    "epsilon-0.3": {"epsilon": 0.3, **SHORT},
    "lambda-0": {"penalty": 0.0, **SHORT},
    "aqfl-short": {"method": "aqfl", **SHORT},
}
"""Arm -> what differs from FedMPQ with the public code's settings: of the experiment, and else of the method's options.

``aqfl`` is the ablation's group lasso alone: no pruning, no growing.
"""
OF_THE_EXPERIMENT = ("method", "options", "split", "epochs", "rounds")


def experiment(changed: Mapping[str, Any]) -> Experiment:
    """Scale small: 4 000 images, ten clients, 24 rounds of two epochs where nothing else is said."""
    base = weak_clients.experiment("long", "fedmpq", "integer", seed=0)
    ours = {
        "options": {"budgets": weak_clients.BUDGETS, **{k: v for k, v in changed.items() if k not in OF_THE_EXPERIMENT}}
    }
    theirs = {k: v for k, v in changed.items() if k in OF_THE_EXPERIMENT}
    return replace(base, workers=1, evaluate_every=4, **(ours | theirs))


def measures(federation: Federation) -> Mapping[str, float]:
    """Accuracy of the average and, where there are widths, of the weakest client's own model, BatchNorm statistics taken
    anew; and bits a weight of the last uploads."""
    last = federation.rounds[-1].extras
    of_average = {"refreshed": weak_clients.refreshed(federation, federation.server.weights)}
    if "sent_bits" not in last:
        return of_average
    own = federation.method.personalized(federation.server, weak_clients.WEAKEST, None)
    return {**of_average, "weakest": weak_clients.refreshed(federation, own), "sent_bits": last["sent_bits"]}


ARMS = {
    ("small", name): Arm("fedmpq", f"small-{name}", experiment(changed), measures) for name, changed in TABLE.items()
}
LARGE: dict[str, Any] = dict(dataset="cifar10", model="resnet20_bn", reduce={}, rounds=8)
"""The paper's network on two of CIFAR-10's five batches, 2 000 images a device, 8 of its 50 rounds."""
ARMS |= {
    ("paper", name): Arm("fedmpq", f"paper-{name}", replace(experiment(TABLE[name]), **LARGE), measures, seeds=1)
    for name in ("fedmpq", "aqfl")
}
"""(scale, name) -> arm, in the order in which they are worth running."""


def ended(seed: int, scale: str, arm: str, what: str = "refreshed") -> float:
    """Accuracy in % after the last round: of the ``"refreshed"`` average, or of the ``"weakest"`` client's own model."""
    return 100 * obtain(ARMS[scale, arm], seed).measures[what]


def ahead(seed: int, scale: str, arm: str, over: str, what: str = "refreshed") -> float:
    """Points of one arm over another."""
    return ended(seed, scale, arm, what) - ended(seed, scale, over, what)


def grown(seed: int, scale: str) -> float:
    """FedMPQ's points over AQFL with labels dealt by Dirichlet(0.1), less those with Dirichlet(0.5)."""
    return ahead(seed, scale, "skewed-fedmpq", "skewed-aqfl") - ahead(seed, scale, "fedmpq", "aqfl")
