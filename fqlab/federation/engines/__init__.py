"""Where clients run. Engines differ in nothing else."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator

from fqlab.errors import one_of
from fqlab.federation.engines.simulation import ClientResult, ClientTask, Simulation
from fqlab.federation.experiment import ENGINES

__all__ = ["choose", "get", "ClientTask", "ClientResult", "Simulation"]


def choose(simulation: Simulation) -> tuple[str, dict[str, float]]:
    """The quickest engine here, see :func:`fqlab.federation.engines.auto.choose`."""
    return importlib.import_module("fqlab.federation.engines.auto").choose(simulation)


def get(name: str) -> Callable[..., Iterator[ClientResult]]:
    """The engine's ``run(simulation, tasks, stop, workers)``.

    Raises:
        ConfigError: for an unknown engine.
    """
    return importlib.import_module(f"fqlab.federation.engines.{one_of('engine', name, ENGINES)}").run
