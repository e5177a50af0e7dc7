"""The figures that the papers' digests describe, axis by axis, with our points and the published ones.

Each is a :class:`~fqlab.papers.charts.model.Chart`; :mod:`fqlab.papers.charts.drawing` draws it, the panel ``figures`` plays it.
"""

from __future__ import annotations

import importlib

from fqlab.errors import one_of
from fqlab.papers.charts.model import Axis, Chart, Point, Published

__all__ = ["CHARTS", "TITLES", "Axis", "Chart", "Point", "Published", "chart"]

CHARTS: dict[str, str] = {
    "03-mse": "octav",
    "05-rounds": "clipped",
    "05-rounds-mnist": "clipped",
    "05-rounds-full": "clipped",
    "05-rounds-cifar": "clipped",
    "06-widths": "robust",
    "06-widths-fashion": "robust",
    "06-widths-cifar": "robust",
    "06-kurtosis": "robust",
    "07-layers": "bsq",
    "07-reweighing": "bsq",
    "07-layers-fashion": "bsq",
    "07-reweighing-fashion": "bsq",
    "07-layers-cifar": "bsq",
    "07-reweighing-cifar": "bsq",
    "08-layers": "fedmpq",
    "08-epsilon": "fedmpq",
    "08-epsilon-fashion": "fedmpq",
    "08-lambda": "fedmpq",
    "08-lambda-fashion": "fedmpq",
    "08-epochs": "fedmpq",
    "08-epochs-fashion": "fedmpq",
    "08-clients": "fedmpq",
    "09-accuracy": "lottery",
    "09-bytes": "lottery",
    "09-accuracy-mnist": "lottery",
    "09-bytes-mnist": "lottery",
    "09-personal": "lottery",
}
"""Name -> the module of this package that has it in its ``CHARTS``."""
TITLES = {
    "03-mse": "OCTAV: error by clip",
    "05-rounds": "Clipped: rounds, digits",
    "05-rounds-mnist": "Clipped: rounds, MNIST",
    "05-rounds-full": "Clipped: MNIST in full",
    "05-rounds-cifar": "Clipped: CIFAR-10",
    "06-widths": "Robust: bits, digits",
    "06-widths-fashion": "Robust: bits, Fashion",
    "06-widths-cifar": "Robust: bits, CIFAR",
    "06-kurtosis": "KURE: bits and target",
    "07-layers": "BSQ: bits by layer",
    "07-reweighing": "BSQ: reweighed or not",
    "07-layers-fashion": "BSQ: layers, Fashion",
    "07-reweighing-fashion": "BSQ: weighed, Fashion",
    "07-layers-cifar": "BSQ: layers, CIFAR-10",
    "07-reweighing-cifar": "BSQ: weighed, CIFAR",
    "08-layers": "FedMPQ: bits by layer",
    "08-epsilon": "FedMPQ: ε",
    "08-epsilon-fashion": "FedMPQ: ε, Fashion",
    "08-lambda": "FedMPQ: λ",
    "08-lambda-fashion": "FedMPQ: λ, Fashion",
    "08-epochs": "FedMPQ: local epochs",
    "08-epochs-fashion": "FedMPQ: local, Fashion",
    "08-clients": "FedMPQ: clients",
    "09-accuracy": "LotteryFL: accuracy",
    "09-bytes": "LotteryFL: cost",
    "09-accuracy-mnist": "LotteryFL: MNIST",
    "09-bytes-mnist": "LotteryFL: MNIST cost",
    "09-personal": "LotteryFL: few keep",
}
"""Name -> a few words."""


def chart(name: str) -> Chart:
    """A figure by its name.

    Raises:
        ConfigError: for an unknown name.
    """
    module = importlib.import_module(f"fqlab.papers.charts.{CHARTS[one_of('figure', name, CHARTS)]}")
    return module.CHARTS[name]
