"""Recompute a claim's number and store it with everything that decided it."""

from __future__ import annotations

import dataclasses
import importlib
import json
import platform
import subprocess
import time
from pathlib import Path

import numpy as np

from fqlab.errors import ConfigError, one_of
from fqlab.files import atomic_write
from fqlab.papers.claims import Claim, Result, claim

__all__ = ["reproduce"]

SCALES = ("demo", "small", "paper")


def reproduce(identity: str, scale: str = "demo", store: Path | None = None) -> Result:
    """Run a claim's recipe once a seed.

    Args:
        identity: the claim's id.
        scale: ``"demo"`` for seconds to minutes on a laptop, ``"small"`` for up to an hour, ``"paper"`` for the set-up
            of the source; a recipe that has no such scale refuses it.
        store: a folder to write ``ID.SCALE.json`` into.

    Raises:
        ConfigError: for an unknown claim or scale, or a recipe that has no such scale.
    """
    c = claim(identity)
    one_of("scale", scale, SCALES)
    module, _, name = c.recipe.partition(":")
    if scale != c.scale:  # it would run its own set-up under another name
        raise ConfigError(
            f"scale is {scale!r}, but the recipe of claim {identity!r} has no set-up but that of {c.scale}."
        )
    recipe = getattr(importlib.import_module(f"fqlab.studies.{module}"), name)
    began = time.perf_counter()
    values = tuple(float(recipe(seed=seed, scale=scale)) for seed in range(c.seeds))
    result = _result(c, scale, values, time.perf_counter() - began)
    if store is not None:
        text = json.dumps(dataclasses.asdict(result), indent=1)
        atomic_write(store / f"{identity}.{scale}.json", (text + "\n").encode())
    return result


def _result(c: Claim, scale: str, values: tuple[float, ...], seconds: float) -> Result:
    import torch

    import fqlab

    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    versions = {"fqlab": fqlab.__version__, "torch": torch.__version__.split("+")[0], "numpy": np.__version__}
    machine = f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}"
    mean = float(np.mean(values))
    seeds = tuple(range(c.seeds))
    return Result(c.id, scale, mean, spread, seeds, values, _commit(), versions, machine, round(seconds, 2))


def _commit() -> str:
    """The commit of the working tree, if there is one."""
    where = Path(__file__).resolve().parent
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=where, capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return answer.stdout.strip() or "unknown"
