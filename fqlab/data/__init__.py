"""Data sets: float32 inputs, int64 labels, class names, and natural owners (writers, towns) if there are any.

Importing this package loads neither PyTorch nor NumPy; :func:`load` does.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fqlab.data.sources import fetch
from fqlab.errors import ConfigError, in_range, shown
from fqlab.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["DATASETS", "Dataset", "fetch", "load"]


def _check(name: str, loader: Any) -> None:
    """A data set is a function that gives one."""
    if not callable(loader):
        raise ConfigError(
            f"dataset {shown(name)} is {shown(loader)}, but must be a function that returns a fqlab.data.Dataset."
        )


DATASETS = Registry(
    "dataset",
    {
        "digits": "fqlab.data.digits:load",
        "mnist": "fqlab.data.mnist:load_mnist",
        "fashion_mnist": "fqlab.data.mnist:load_fashion_mnist",
        "cifar10": "fqlab.data.cifar:load",
        "lidar": "fqlab.data.lidar:load",
    },
    _check,
)
"""Data sets by name: functions without arguments (``lidar`` takes a seed)."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """A training set and a test set. The tensors are to be read only: :func:`load` gives the same ones again.

    Attributes:
        name: one of :data:`DATASETS`, or any name for data of one's own.
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
        name: one of :data:`DATASETS`.
        seed: which ``lidar`` world to make; files are what they are, so it changes no other data set.

    Raises:
        ConfigError: if ``name`` is unknown or ``seed`` is not a whole number from 0.
        DataError: if a file is missing (the message has the command that fetches it) or damaged.
    """
    in_range("seed", seed, 0, integer=True)
    return _load(DATASETS[name], seed if name == "lidar" else None, os.environ.get("FQLAB_DATA", ""))


@functools.lru_cache(maxsize=4)
def _load(loader: Callable[..., Dataset], seed: int | None, folder: str) -> Dataset:  # noqa: ARG001
    """One call for each loader, world and ``FQLAB_DATA`` (which loaders read): what they decide is remembered."""
    try:
        dataset = loader() if seed is None else loader(seed=seed)
    except TypeError as error:
        raise ConfigError(f"dataset {_named(loader)} can't be called without arguments: {str(error)[:200]}.") from error
    if not isinstance(dataset, Dataset):
        raise ConfigError(f"dataset {_named(loader)} gives {shown(dataset)}, but must give a fqlab.data.Dataset.")
    return dataset


def _named(loader: Callable[..., Dataset]) -> str:
    return shown(getattr(loader, "__qualname__", loader))
