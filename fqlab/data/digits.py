"""Handwritten digits of 8 x 8 pixels, the offline default: they ship inside scikit-learn."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from fqlab.data import Dataset
from fqlab.errors import DataError

__all__ = ["load", "test_rows"]


def load() -> Dataset:
    """1437 training and 360 test images ``[n, 1, 8, 8]``, grey values 0-16 divided by 16.

    Source: Alpaydin and Kaynak (1998), "Optical Recognition of Handwritten Digits", UCI, as in scikit-learn.

    Raises:
        DataError: if scikit-learn is not installed.
    """
    rows = _rows()
    x = torch.from_numpy((rows[:, :-1] / 16).astype(np.float32)).reshape(-1, 1, 8, 8)
    y = torch.from_numpy(rows[:, -1].astype(np.int64))
    test = torch.from_numpy(test_rows(rows[:, -1]))
    return Dataset("digits", x[~test], y[~test], x[test], y[test], tuple("0123456789"))


def test_rows(labels: np.ndarray) -> np.ndarray:
    """Mark every fifth image of a fixed shuffle, label by label, as a test image.

    The split is the same for every seed, and each label gives a fifth of its images, rounded up or down.

    Returns:
        Boolean array ``[n]`` with ``ceil(n / 5)`` entries set.
    """
    order = np.random.default_rng(1797).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    test = np.zeros(len(labels), dtype=bool)
    test[order[::5]] = True
    return test


def _rows() -> np.ndarray:
    """The table ``[1797, 65]``, 64 grey values and the label: read from scikit-learn's file in 5 ms.

    Importing scikit-learn for it takes 1-2 s.
    """
    spec = find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise DataError("Data set digits is in scikit-learn, which is not installed: pip install scikit-learn.")
    file = Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz"
    if file.is_file():
        return np.loadtxt(file, delimiter=",", dtype=np.uint8)
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return np.column_stack([images, labels]).astype(np.uint8)
