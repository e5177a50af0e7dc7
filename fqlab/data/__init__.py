"""Data sets: float32 inputs, int64 labels, class names, and natural owners (writers, towns) if there are any.

Importing this package loads neither PyTorch nor NumPy; :func:`load` does.
"""

from __future__ import annotations

import functools
import importlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fqlab.data.sources import fetch
from fqlab.errors import in_range, one_of

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["NAMES", "Dataset", "fetch", "load"]

NAMES = ("digits", "mnist", "fashion_mnist", "cifar10", "lidar")
_LOADERS = {
    "digits": ("digits", "load"),
    "mnist": ("mnist", "load_mnist"),
    "fashion_mnist": ("mnist", "load_fashion_mnist"),
    "cifar10": ("cifar", "load"),
    "lidar": ("lidar", "load"),
}


@dataclass(frozen=True, eq=False)
class Dataset:
    """A training set and a test set. The tensors are to be read only: :func:`load` gives the same ones again.

    Attributes:
        name: one of :data:`NAMES`, or any name for data of one's own.
        train_x, test_x: float32 inputs ``[n, ...]``.
        train_y, test_y: int64 labels ``[n]``, indices into ``classes``.
        classes: the name of each class.
        groups: int64 ``[n]``, the natural owner (writer, town) of each training sample, or None.
        note: what is special about this copy, such as missing batches; empty if nothing is.
        test_groups: int64 ``[n]``, the natural owner of each test sample, or None.
    """

    name: str
    train_x: Tensor = field(repr=False)
    train_y: Tensor = field(repr=False)
    test_x: Tensor = field(repr=False)
    test_y: Tensor = field(repr=False)
    classes: tuple[str, ...]
    groups: Tensor | None = field(default=None, repr=False)
    note: str = ""
    test_groups: Tensor | None = field(default=None, repr=False)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input, such as ``(1, 8, 8)``: channels, height, width for images."""
        return tuple(self.train_x.shape[1:])


def load(name: str, *, seed: int = 0) -> Dataset:
    """Load a data set from disk, or make it; a second call returns the same object.

    Args:
        name: one of :data:`NAMES`.
        seed: which ``lidar`` world to make; files are what they are, so it changes no other data set.

    Raises:
        ConfigError: if ``name`` is unknown or ``seed`` is not a whole number from 0.
        DataError: if a file is missing (the message has the command that fetches it) or damaged.
    """
    one_of("dataset", name, NAMES)
    in_range("seed", seed, 0, integer=True)
    return _load(name, seed if name == "lidar" else None, os.environ.get("FQLAB_DATA", ""))


@functools.lru_cache(maxsize=4)
def _load(name: str, seed: int | None, folder: str) -> Dataset:
    module, function = _LOADERS[name]
    loader = getattr(importlib.import_module(f"fqlab.data.{module}"), function)
    return loader() if seed is None else loader(seed=seed)
