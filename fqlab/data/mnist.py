"""MNIST (with the writers from QMNIST) and Fashion-MNIST: 60 000 + 10 000 grey images of 28 x 28 pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from fqlab.data import Dataset, idx, sources

__all__ = ["load_fashion_mnist", "load_mnist"]

_CLOTHES = (
    "T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip


def load_mnist() -> Dataset:
    """MNIST, normalised as ``(x / 255 - 0.1307) / 0.3081`` (mean and deviation of its training pixels).

    ``groups`` holds the writer of each training image, column 2 of QMNIST's label file, where that file is
    there: row i of it belongs to training image i; 539 writers (Yadav and Bottou 2019, "Cold case: the lost
    MNIST digits").

    Raises:
        DataError: if a file is missing or damaged.
    """
    *images, writers = sources.FILES["mnist"]
    groups = None if sources.find(writers.path) is None else _read(writers)[:, 2].astype(np.int64)
    note = "no writer ids: QMNIST's label file is not there" if groups is None else "writers: QMNIST"
    groups = None if groups is None else torch.from_numpy(groups)
    arrays = _arrays(images, 0.1307, 0.3081)
    return Dataset("mnist", **arrays, classes=tuple("0123456789"), groups=groups, note=note)


def load_fashion_mnist() -> Dataset:
    """Fashion-MNIST (Xiao et al. 2017), normalised as ``(x / 255 - 0.2860) / 0.3530``, its own statistics.

    Raises:
        DataError: if a file is missing or damaged.
    """
    arrays = _arrays(sources.FILES["fashion_mnist"], 0.2860, 0.3530)
    return Dataset("fashion_mnist", **arrays, classes=_CLOTHES)


def _arrays(files: Sequence[sources.Source], mean: float, std: float) -> dict[str, Any]:
    """The four arrays of a data set by their names in :class:`~fqlab.data.Dataset`."""
    train_x, train_y, test_x, test_y = (_read(file) for file in files)
    return {
        "train_x": _pixels(train_x, mean, std),
        "train_y": _labels(train_y),
        "test_x": _pixels(test_x, mean, std),
        "test_y": _labels(test_y),
    }


def _read(source: sources.Source) -> np.ndarray:
    return idx.decode(sources.read(source), source.path)


def _pixels(images: np.ndarray, mean: float, std: float) -> torch.Tensor:
    """uint8 ``[n, h, w]`` to normalised float32 ``[n, 1, h, w]``."""
    return torch.from_numpy(images.astype(np.float32)).unsqueeze(1).div_(255).sub_(mean).div_(std)


def _labels(labels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(labels.astype(np.int64))
