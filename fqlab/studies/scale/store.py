"""Long runs that may be killed: a checkpoint to go on from, and one small JSON file with the curve of each seed."""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch

import fqlab
from fqlab.data.sources import cache_folder
from fqlab.errors import DataError, shown
from fqlab.federation import Experiment, Federation, Round
from fqlab.files import atomic_write

__all__ = ["Arm", "Run", "committed", "listening", "obtain", "read", "run"]

SAVE_EVERY = 30.0
"""Seconds between two checkpoints; a round of many clients is cheaper than writing what all of them keep."""


@dataclass(frozen=True)
class Arm:
    """One line of a table: an experiment, run under seeds ``first``, ``first`` + 1, ...

    Attributes:
        source: the claims' file that it belongs to; its runs lie in the folder of that name.
        name: of its files.
        experiment: with any seed.
        measure: further numbers, taken once from the finished federation.
        seeds: how many.
        first: of them; those before may have been seen when a criterion was written.
        adapt: what a seed's experiment takes from an earlier run of that seed.
    """

    source: str
    name: str
    experiment: Experiment
    measure: Callable[[Federation], Mapping[str, float]] = lambda _: {}
    seeds: int = 3
    first: int = 0
    adapt: Callable[[Experiment], Experiment] = lambda experiment: experiment

    def at(self, seed: int = 0) -> Experiment:
        """The experiment of a seed."""
        return self.adapt(replace(self.experiment, seed=seed))

    def file(self, folder: Path, seed: int) -> Path:
        """Where the run of a seed is kept."""
        return folder / self.source / f"{self.name}.{seed}.json"


@dataclass(frozen=True)
class Run:
    """A finished run as it is stored.

    Attributes:
        time: UTC, when its first round began.
        seconds: wall time of all rounds.
        commit, versions, cpu: what computed it; ``cpu`` names the GPU as well if there was one.
        experiment: as TOML.
        curve: a list by name, with one entry for every round that was evaluated: ``round``, ``accuracy``, ``personal``,
            ``loss``, and ``bytes_up`` and ``bytes_down`` from the first round on.
        measures: the arm's further numbers.
    """

    source: str
    arm: str
    seed: int
    time: str
    seconds: float
    commit: str
    versions: dict[str, str]
    cpu: str
    experiment: str
    curve: dict[str, list[float]]
    measures: dict[str, float]

    def to_json(self) -> bytes:
        """One line an entry, so that a difference between two runs can be read."""
        parts = [f"{json.dumps(key)}: {_lines(value)}" for key, value in asdict(self).items()]
        return ("{\n" + ",\n".join(parts) + "\n}\n").encode()


def _lines(value: Any) -> str:
    if not isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    inner = [f" {json.dumps(key)}: {json.dumps(part)}" for key, part in value.items()]
    return "{\n" + ",\n".join(inner) + "\n}"


def read(path: Path) -> Run:
    """Inverse of :meth:`Run.to_json`.

    Raises:
        DataError: if the file is no stored run.
    """
    try:
        return Run(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"run {shown(str(path))} can't be read: {error}.") from None


def run(arm: Arm, seed: int, folder: Path, scratch: Path, after: Callable[[Round], object] = lambda _: None) -> Run:
    """Run one seed of an arm to its end, from its checkpoint on if there is one, and store it.

    Args:
        folder: where finished runs are kept; one that is there already is read.
        scratch: where the checkpoint is kept while the run lasts.
        after: called after every round; whatever it raises leaves a run that can be gone on with.

    Raises:
        ConfigError: if the checkpoint belongs to another experiment.
        StoreError: if something can't be written.
    """
    kept = arm.file(folder, seed)
    if kept.exists():
        return read(kept)
    checkpoint = arm.file(scratch, seed).with_suffix(".checkpoint")
    for path in (kept, checkpoint):
        path.parent.mkdir(parents=True, exist_ok=True)
    federation = _trained(arm.at(seed), checkpoint, after)
    notes = json.loads(_notes(checkpoint).read_text(encoding="utf-8"))
    experiment = federation.experiment.to_toml()
    seconds = round(sum(r.seconds for r in federation.rounds), 1)
    measures = {name: _digits(value) for name, value in arm.measure(federation).items()}
    done = Run(arm.source, arm.name, seed, notes.pop("time"), seconds, **notes, experiment=experiment,
               curve=_curve(federation.history().rounds), measures=measures)  # fmt: skip
    atomic_write(kept, done.to_json())
    checkpoint.unlink()
    _notes(checkpoint).unlink()
    return done


def _trained(experiment: Experiment, checkpoint: Path, after: Callable[[Round], object]) -> Federation:
    if not checkpoint.exists():
        atomic_write(_notes(checkpoint), json.dumps(_provenance(experiment)).encode())
    federation = Federation(experiment, checkpoint=checkpoint)
    federation.checkpoint = None  # written here, not after every round
    saved = time.monotonic()
    for record in federation:
        if time.monotonic() - saved > SAVE_EVERY:
            federation.save(checkpoint)
            saved = time.monotonic()
        after(record)
    federation.save(checkpoint)
    return federation


def _notes(checkpoint: Path) -> Path:
    return checkpoint.with_suffix(".start")


def _provenance(experiment: Experiment) -> dict[str, Any]:
    moment = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    versions = {"fqlab": fqlab.__version__, "torch": torch.__version__.split("+")[0], "numpy": np.__version__}
    return {"time": moment, "commit": _commit(), "versions": versions, "cpu": ", ".join([_cpu(), *_gpu(experiment)])}


def _commit() -> str:
    """The commit of the working tree, if there is one."""
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return answer.stdout.strip() or "unknown"


def _cpu() -> str:
    """The processor's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _gpu(experiment: Experiment) -> list[str]:
    """The name of the NVIDIA GPU that it may use."""
    return [torch.cuda.get_device_name()] if experiment.device != "cpu" and torch.cuda.is_available() else []


def _curve(rounds: Sequence[Round]) -> dict[str, list[float]]:
    up, down = np.cumsum([r.bytes_up for r in rounds]), np.cumsum([r.bytes_down for r in rounds])
    seen = [r for r in rounds if not math.isnan(r.accuracy)]
    curve: dict[str, list[float]] = {"round": [r.index for r in seen]}
    curve |= {name: [_digits(getattr(r, name)) for r in seen] for name in ("accuracy", "loss")}
    if not math.isnan(rounds[-1].personal):
        curve["personal"] = [_digits(r.personal) for r in seen]
    curve["bytes_up"] = [int(up[r.index - 1]) for r in seen]
    curve["bytes_down"] = [int(down[r.index - 1]) for r in seen]
    return curve


def _digits(value: float) -> float:
    """Six digits: more than any seed repeats on another processor."""
    return float(f"{value:.6g}")


def committed() -> Path:
    """The folder of the runs that come with the package, those of the stored results."""
    return Path(fqlab.__file__).parent / "papers" / "runs"


def obtain(arm: Arm, seed: int) -> Run:
    """The user's own run, started or gone on with where need be; with ``FQLAB_RUNS`` the one in the folder it names.

    Raises:
        DataError: if it is not in that folder.
    """
    folder = os.environ.get("FQLAB_RUNS")
    cache = cache_folder() / "runs"
    finished = read(arm.file(Path(folder), seed)) if folder else run(arm, seed, cache, cache)
    for listener in _listeners:
        listener.append(finished)
    return finished


_listeners: list[list[Run]] = []


@contextmanager
def listening() -> Iterator[list[Run]]:
    """All runs that recipes obtain meanwhile, in a list that grows."""
    heard: list[Run] = []
    _listeners.append(heard)
    try:
        yield heard
    finally:
        _listeners.pop()
