"""A run in one safetensors file, written whole or not at all, and read with suspicion."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as encode

from fqlab.errors import ConfigError, DataError, StoreError, shown
from fqlab.federation.records import Round
from fqlab.files import atomic_write
from fqlab.methods import Method, Server, State
from fqlab.tensors import Weights, with_prefix
from fqlab.wire import Entry, Ledger

__all__ = ["Saved", "load", "read", "save", "write"]

FORMAT = "3"
"""Version of the checkpoint file."""


@dataclass(frozen=True)
class Saved:
    """Everything that a run needs to go on.

    Attributes:
        experiment: text that names the experiment; a run of another one refuses the file.
        server, client_states, rounds, ledger: as in :class:`~fqlab.federation.Federation`.
    """

    experiment: str
    server: Server
    client_states: dict[int, State]
    rounds: list[Round]
    ledger: Ledger


def write(path: Path, saved: Saved) -> None:
    """Store a run.

    Raises:
        StoreError: if the file can't be written; what was there before is still there.
    """
    tensors = {f"weights/{k}": v for k, v in saved.server.weights.items()}
    tensors |= {f"server/{k}": v for k, v in saved.server.state.flatten().items()}
    for client, state in saved.client_states.items():
        tensors |= {f"client/{client}/{k}": v for k, v in state.flatten().items()}
    tensors["ledger"] = torch.tensor([entry.numbers() for entry in saved.ledger.entries], dtype=torch.float64)
    notes = {"format": FORMAT, "experiment": saved.experiment, "clients": json.dumps(sorted(saved.client_states))}
    try:
        save(path, tensors, notes | {"rounds": json.dumps([asdict(r) for r in saved.rounds])})
    except OSError as error:
        rounds = f"{len(saved.rounds)} round" + "s" * (len(saved.rounds) != 1)
        raise StoreError(f"checkpoint {shown(str(path))} can't be written after {rounds}: {error.strerror}.") from error


def read(path: Path, experiment: str, start: Server, method: Method) -> Saved:
    """Inverse of :func:`write`.

    Args:
        path: the file.
        experiment: the text that it must name.
        start: the server before the first round, which says what a server of this run looks like.
        method: gives the types of the states.

    Raises:
        ConfigError: if the file belongs to another experiment, or is of an older form.
        DataError: if it is damaged.
    """
    tensors, notes = load(path)
    if notes.get("format") != FORMAT:
        raise ConfigError(f"checkpoint is {shown(str(path))}, but of an older form; choose another file.")
    if notes.get("experiment") != experiment:
        raise ConfigError(f"checkpoint is {shown(str(path))}, but belongs to another experiment; choose another file.")
    try:
        stored = with_prefix(tensors, "weights/")
        weights = {name: _like(stored[name], value) for name, value in start.weights.items()}  # in the model's order
        state = method.ServerState.unflatten(_alike(with_prefix(tensors, "server/"), start.state.flatten()))
        states = {c: _client(tensors, c, start, method) for c in _list(notes["clients"])}
        rounds = [_round(values, i) for i, values in enumerate(_list(notes["rounds"]), 1)]
        ledger = Ledger([Entry.of(row) for row in tensors["ledger"].tolist()])
    except Exception as error:  # whoever writes such a file can make anything of it
        raise DataError(
            f"checkpoint {shown(str(path))} can't be read: {type(error).__name__}: {str(error)[:200]}."
        ) from None
    return Saved(experiment, start.next(weights, state), states, rounds, ledger)


def _list(text: str) -> list[Any]:
    values = json.loads(text)
    if not isinstance(values, list):
        raise ValueError(f"{text[:20]!r} is no list")
    return values


def _client(tensors: Weights, client: Any, start: Server, method: Method) -> State:
    if type(client) is not int or not 0 <= client < start.clients:
        raise ValueError(f"there is no client {shown(client)}")
    return method.ClientState.unflatten(with_prefix(tensors, f"client/{client}/"))


def _like(tensor: torch.Tensor, model: torch.Tensor) -> torch.Tensor:
    if tensor.shape != model.shape or tensor.dtype != model.dtype:
        raise ValueError(
            f"it holds {tensor.dtype} of shape {tuple(tensor.shape)} where the run has {tuple(model.shape)}"
        )
    return tensor


def _alike(tensors: Weights, models: Mapping[str, torch.Tensor]) -> Weights:
    """``tensors``, if they have the names and the types of ``models``; shapes may change from round to round."""
    if tensors.keys() != models.keys() or any(value.dtype != models[name].dtype for name, value in tensors.items()):
        raise ValueError("the server's state is not one of this method")
    return tensors


def _round(values: dict[str, Any], index: int) -> Round:
    tuples = {key: tuple(values[key]) for key in ("participants", "left_out")}
    moved = {name: tuple(shares) for name, shares in values["moved"].items()}
    record = Round(**{**values, **tuples, "moved": moved})
    if record.index != index:
        raise ValueError(f"round {index} is called {record.index}")
    return record


def save(path: Path, tensors: Weights, notes: Mapping[str, str]) -> None:
    """Store tensors and notes (text by name), under a checksum.

    Raises:
        OSError: if the file can't be written.
    """
    whole = {k: v.contiguous().clone() for k, v in tensors.items()}
    atomic_write(path, encode(whole, metadata={**notes, "sum": _sum(whole, notes)}))


def load(path: Path) -> tuple[Weights, dict[str, str]]:
    """Inverse of :func:`save`.

    Raises:
        DataError: if the file is missing or damaged.
    """
    try:
        if not path.is_file():
            raise OSError(0, "there is no plain file" if path.exists() else "there is no such file")
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dict)
            notes = file.metadata() or {}
    except (OSError, SafetensorError, ValueError, TypeError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or str(error)[:200]
        raise DataError(f"checkpoint {shown(str(path))} can't be read: {why}.") from None
    if "sum" in notes and notes.pop("sum") != _sum(tensors, notes):
        raise DataError(f"checkpoint {shown(str(path))} can't be read: it is damaged, its checksum does not match.")
    return tensors, notes


def _sum(tensors: Weights, notes: Mapping[str, str]) -> str:
    """CRC-32 of all names, shapes, bytes and notes."""
    sum_ = zlib.crc32(json.dumps(sorted(notes.items())).encode())
    for name in sorted(tensors):
        value = tensors[name]
        sum_ = zlib.crc32(f"{name} {value.dtype} {tuple(value.shape)}".encode(), sum_)
        content = value.contiguous().flatten().view(torch.uint8).numpy() if value.numel() else np.zeros(0, np.uint8)
        sum_ = zlib.crc32(content.data, sum_)
    return f"{sum_:08x}"
