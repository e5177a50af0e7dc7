"""A GPU where there is one: stacked clients and the data lie there, whatever is random is drawn on the CPU all the same.

So a run has the same batches and the same noise everywhere, and differs by rounding alone.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from fqlab.errors import ConfigError, shown
from fqlab.federation.experiment import Experiment
from fqlab.models import uses_noise
from fqlab.tensors import Weights
from fqlab.training.objectives import Objective
from fqlab.training.recorded import LEAST, Recorded
from fqlab.training.sgd import Step

__all__ = ["CPU", "find", "moved", "recorder", "suited"]

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
    """``device``, or the CPU if the experiment leaves the choice and the objective can't be minimised there.

    Transforms and projections were tried on NVIDIA's GPUs; Apple's have no float64, in which clips are found.

    Raises:
        ConfigError: if it can't on the GPU that was named.
    """
    plain = not (objective.transform or objective.project or objective.steps)
    if device == CPU or (objective.portable and (plain or device.type != "mps")):
        return device
    if experiment.device == "auto":
        return CPU
    why = (
        "trains its clients on the CPU alone"
        if objective.portable
        else "trains whole magnitudes, which stay on the CPU"
    )
    raise ConfigError(f"device is {shown(device.type)}, but {shown(experiment.method)} {why}.")


def recorder(device: torch.device, objective: Objective, steps: int) -> Callable[[Step], Step] | None:
    """What records a step and plays it again, where there is such a thing and enough ``steps`` to gain from it."""
    return Recorded if device.type == "cuda" and objective.recordable and steps >= LEAST else None


def moved(tensors: Weights, device: torch.device) -> Weights:
    """The tensors on ``device``: themselves where they lie there already."""
    return {name: value.to(device) for name, value in tensors.items()}
