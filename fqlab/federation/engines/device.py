"""A GPU where there is one: stacked clients and the data lie there, whatever is random is drawn on the CPU all the same.

So a run has the same batches everywhere, and differs by rounding alone. Not tried on a GPU so far.
"""

from __future__ import annotations

import torch
from torch import nn

from fqlab.errors import ConfigError, shown
from fqlab.federation.experiment import Experiment
from fqlab.models import uses_noise
from fqlab.tensors import Weights
from fqlab.training.objectives import Objective

__all__ = ["CPU", "find", "moved", "suited"]

CPU = torch.device("cpu")


def find(experiment: Experiment, model: nn.Module) -> torch.device:
    """Where stacks of clients are trained; ``"auto"`` is a GPU if PyTorch has one that can be of use, else the CPU.

    Raises:
        ConfigError: for a device that PyTorch doesn't have here, or a network that is never stacked.
    """
    name = experiment.device
    there = [kind for kind in ("cuda", "mps") if _has(kind)]
    if name == "auto":
        useful = there and experiment.engine in ("vectorized", "auto") and not uses_noise(model)
        name = there[0] if useful else "cpu"
    if name != "cpu" and name not in there:
        raise ConfigError(f"device is {shown(name)}, but PyTorch has none here; 'cpu' and 'auto' work everywhere.")
    if name != "cpu" and uses_noise(model):
        raise ConfigError(f"device is {shown(name)}, but the network has dropout, and such clients are never stacked.")
    if name == "cuda":
        torch.backends.cudnn.allow_tf32 = False  # convolutions would round to ten bits
    return torch.device(name)


def _has(kind: str) -> bool:
    return torch.cuda.is_available() if kind == "cuda" else torch.backends.mps.is_available()


def suited(device: torch.device, objective: Objective, experiment: Experiment) -> torch.device:
    """``device``, or the CPU if the experiment leaves the choice and the objective is written for the CPU.

    Raises:
        ConfigError: for an objective with a transform, a projection or steps of its own on the GPU that was named.
    """
    if device == CPU or not (objective.transform or objective.project or objective.steps):
        return device
    if experiment.device == "auto":
        return CPU
    raise ConfigError(
        f"device is {shown(device.type)}, but {shown(experiment.method)} trains its clients on the CPU alone."
    )


def moved(tensors: Weights, device: torch.device) -> Weights:
    """The tensors on ``device``: themselves where they lie there already."""
    return {name: value.to(device) for name, value in tensors.items()}
