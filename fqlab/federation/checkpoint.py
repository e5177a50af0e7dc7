"""Tensors and text in one safetensors file, written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as encode

from fqlab.errors import DataError
from fqlab.files import atomic_write

__all__ = ["load", "save"]


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
