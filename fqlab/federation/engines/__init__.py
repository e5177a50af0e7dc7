"""Where clients run. Engines differ in nothing else."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator

from fqlab.engines.site import Job, Reply, Site
from fqlab.errors import one_of
from fqlab.experiment import ENGINES

__all__ = ["get", "Job", "Reply", "Site"]


def get(name: str) -> Callable[..., Iterator[Reply]]:
    """The engine's ``run(site, jobs, stop, workers)``.

    Raises:
        ConfigError: for an unknown engine.
    """
    return importlib.import_module(f"fqlab.engines.{one_of('engine', name, ENGINES)}").run
