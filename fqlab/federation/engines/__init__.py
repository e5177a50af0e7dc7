"""Where clients run. Engines differ in nothing else."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator

from fqlab.errors import one_of
from fqlab.federation.engines.simulation import ClientResult, ClientTask, Simulation
from fqlab.federation.experiment import ENGINES

__all__ = ["get", "ClientTask", "ClientResult", "Simulation"]


def get(name: str) -> Callable[..., Iterator[ClientResult]]:
    """The engine's ``run(simulation, tasks, stop, workers)``.

    Raises:
        ConfigError: for an unknown engine.
    """
    return importlib.import_module(f"fqlab.federation.engines.{one_of('engine', name, ENGINES)}").run
