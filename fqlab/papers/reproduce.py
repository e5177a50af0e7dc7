"""Recompute the number of a claim or an observation, and store it with everything that decided it."""

from __future__ import annotations

import importlib
import inspect
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from fqlab.errors import ConfigError, one_of, shown
from fqlab.federation.engines.crew import one_thread
from fqlab.files import atomic_write
from fqlab.papers.claims import SCALES, Result, Row, row
from fqlab.papers.claims.rows import utc

__all__ = [
    "forget",
    "has_set_up",
    "recipe_of",
    "refuse",
    "reproduce",
    "run_row",
    "seed_by_seed",
    "this_commit",
    "versions",
]


def reproduce(identity: str, scale: str = "demo", store: Path | None = None) -> Result:
    """Run the recipe of a claim or an observation once a seed.

    Args:
        identity: its id.
        scale: ``"demo"`` for seconds, ``"small"`` for minutes, ``"paper"`` for the set-up of the source.
        store: a folder to write ``ID.SCALE.json`` into.

    Raises:
        ConfigError: for an unknown id or scale, or a scale that the row does not list.
    """
    asked = row(identity)
    result = run_row(asked, scale)
    if store is not None:
        atomic_write(store / f"{identity}.{scale}.json", result.to_json())
    return result


def run_row(row: Row, scale: str) -> Result:
    """The result of a row, in seconds of processor time. Raises as :func:`reproduce`."""
    *_, last = seed_by_seed(row, scale)
    assert isinstance(last, Result)
    return last


def seed_by_seed(row: Row, scale: str) -> Iterator[float | Result]:
    """Run a row: the share that is done after every seed but the last, then the result. Raises as :func:`reproduce`."""
    refuse(row, scale)
    recipe = recipe_of(row, scale)
    values: list[float] = []
    moment = datetime.now(timezone.utc)
    seconds = 0.0
    for seed in range(row.seeds):
        if seed:
            yield seed / row.seeds
        began = time.process_time()
        with one_thread():  # sums in one order, whatever the machine; engines that use more threads still do
            values.append(float(recipe(seed)))
        seconds += time.process_time() - began
    yield Result(
        id=row.id,
        scale=scale,
        value=float(np.mean(values)),
        spread=float(np.std(values, ddof=1)) if len(values) > 1 else 0.0,
        seeds=tuple(range(row.seeds)),
        values=tuple(values),
        recipe=row.recipe,
        args=dict(row.args),
        time=utc(moment),
        commit=this_commit(),
        versions=versions(),
        machine=f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}",
        seconds=round(seconds, 2),
    ).signed()


def refuse(row: Row, scale: str) -> None:
    """Raise a ConfigError if a row has no such scale: it would run another set-up under its name."""
    one_of("scale", scale, SCALES)
    if scale not in row.scales:
        has = ", ".join(row.scales) or "none"
        raise ConfigError(f"scale is {shown(scale)}, but {shown(row.id)} has no set-up of that scale (it has {has}).")
    if not has_set_up(row, scale):
        raise ConfigError(
            f"claim is {shown(row.id)}, but it has no set-up of scale {shown(scale)}: {row.not_run[scale]}."
        )


def has_set_up(row: Row, scale: str) -> bool:
    """Whether a row can be run at one of its scales; a study of long runs needs the arms that it names at that scale."""
    if not row.recipe.startswith("scale."):
        return bool(row.recipe)
    arms = importlib.import_module(f"fqlab.studies.{row.recipe.partition(':')[0]}").ARMS
    named = {(scale, row.args[key]) for key in ("arm", "over") if key in row.args}
    return named <= set(arms) if named else scale in {at for at, _ in arms}


def recipe_of(row: Row, scale: str) -> Callable[[int], Any]:
    """The row's recipe as a function of the seed alone."""
    module, _, name = row.recipe.partition(":")
    function = getattr(importlib.import_module(f"fqlab.studies.{module}"), name)
    args = {key: _hashable(value) for key, value in row.args.items()}
    takes = inspect.signature(function).parameters
    if "scale" in takes:
        args["scale"] = scale
    return (lambda seed: function(seed=seed, **args)) if "seed" in takes else (lambda seed: function(**args))


def _hashable(value: Any) -> Any:
    """A list as a tuple, so that recipes can keep what they have computed."""
    return tuple(map(_hashable, value)) if isinstance(value, list) else value


def forget() -> None:
    """Drop what the recipes have computed and kept, so that the next one is timed on its own."""
    for name, module in list(sys.modules.items()):
        if name.startswith("fqlab.studies."):
            for kept in vars(module).values():
                if hasattr(kept, "cache_clear"):
                    kept.cache_clear()


def versions() -> Mapping[str, str]:
    """Of what computes."""
    import torch

    import fqlab

    return {"fqlab": fqlab.__version__, "torch": torch.__version__.split("+")[0], "numpy": np.__version__}


def this_commit() -> str:
    """The commit of the working tree, if there is one."""
    where = Path(__file__).resolve().parent
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=where, capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return answer.stdout.strip() or "unknown"
