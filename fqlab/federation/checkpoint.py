"""Tensors and text in one safetensors file, written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as encode

from fqlab.errors import DataError

__all__ = ["save", "load", "atomic_write"]


def atomic_write(path: Path, content: bytes) -> None:
    """Write a file through a temporary neighbour, so that nobody ever sees half of it."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def save(path: Path, tensors: dict[str, torch.Tensor], notes: dict[str, str]) -> None:
    """Store tensors and notes (text by name)."""
    atomic_write(path, encode({k: v.contiguous().clone() for k, v in tensors.items()}, metadata=notes))


def load(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Inverse of :func:`save`.

    Raises:
        DataError: if the file is missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dict)
            return tensors, file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise DataError(f"checkpoint {str(path)!r} can't be read: {error}.") from None
