"""A data set made smaller: the first samples, and images averaged down to fewer pixels."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from fqlab.errors import ConfigError, in_range

if TYPE_CHECKING:
    from torch import Tensor

    from fqlab.data import Dataset

__all__ = ["reduced"]


def reduced(dataset: Dataset, *, side: int = 0, train: int = 0, test: int = 0) -> Dataset:
    """The data set at a size for small machines; 0 leaves a thing as it is.

    Args:
        dataset: any; with ``side`` square images ``[n, channels, h, h]``.
        side: pixels of an edge; each new pixel is the mean of a square of old ones, so it must divide h.
        train, test: only the first so many training and test samples of the files.

    Raises:
        ConfigError: for inputs that are not square images, a side that does not divide theirs, or more samples
            than there are.
    """
    in_range("train", train, 0, len(dataset.train_y), integer=True)
    in_range("test", test, 0, len(dataset.test_y), integer=True)
    factor = _factor(dataset, side)
    few, fewer = slice(train or None), slice(test or None)
    return dataclasses.replace(
        dataset,
        train_x=_averaged(dataset.train_x[few], factor),
        train_y=dataset.train_y[few],
        test_x=_averaged(dataset.test_x[fewer], factor),
        test_y=dataset.test_y[fewer],
        groups=None if dataset.groups is None else dataset.groups[few],
        test_groups=None if dataset.test_groups is None else dataset.test_groups[fewer],
    )


def _factor(dataset: Dataset, side: int) -> int:
    """How many old pixels make the edge of a new one."""
    in_range("side", side, 0, integer=True)
    shape = dataset.input_shape
    if side and (len(shape) != 3 or shape[1] != shape[2] or shape[1] % side):
        raise ConfigError(f"side is {side}, but must divide the edge of square images; inputs have shape {shape}.")
    return shape[1] // side if side else 1


def _averaged(images: Tensor, factor: int) -> Tensor:
    from torch.nn.functional import avg_pool2d

    return avg_pool2d(images, factor) if factor > 1 else images
