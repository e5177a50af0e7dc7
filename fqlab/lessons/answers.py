"""What a learner's function gave back, as plain numbers; when two answers are the same; how to say one in a line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fqlab.errors import ConfigError, shown

__all__ = ["described", "plain", "same"]

MANY = 100
"""Numbers that are not written out."""


def plain(value: Any) -> Any:
    """A copy of an answer that nobody can change later: float64 arrays, strings, dicts of both.

    Lists, tuples, arrays and tensors of any dtype, with or without gradient, are all numbers; bytes are their values.

    Raises:
        ConfigError: if it is none of these; the message says what it is instead.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (bytes, bytearray, memoryview)):
        return np.frombuffer(bytes(value), np.uint8).astype(float)
    if isinstance(value, Iterator):
        raise ConfigError(f"your function returns a {type(value).__name__}, not numbers: put list(...) around it.")
    try:
        return np.array(_parts(value), dtype=float)
    except (TypeError, ValueError, OverflowError, RuntimeError, RecursionError, NotImplementedError):
        raise ConfigError(f"your answer is {shown(value)}, of type {type(value).__name__}, not numbers.") from None


def _parts(value: Any) -> Any:
    """``value`` with every tensor in it as an array."""
    if isinstance(value, (list, tuple)):
        return [_parts(item) for item in value]
    if hasattr(value, "detach"):
        return value.detach().cpu().double().numpy()
    if isinstance(value, (str, bytes)):
        raise TypeError
    return value


def same(a: Any, b: Any, tolerance: float) -> bool:
    """Whether two plain answers have equal shapes and, to within ``tolerance``, equal numbers; NaN equals NaN."""
    if isinstance(b, dict):
        return isinstance(a, dict) and a.keys() == b.keys() and all(same(a[k], b[k], tolerance) for k in b)
    if isinstance(a, (str, dict)) or isinstance(b, str):
        return isinstance(a, str) and isinstance(b, str) and a == b
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=1e-6, atol=tolerance, equal_nan=True))


def described(value: Any) -> str:
    """An answer or argument as one short line."""
    if getattr(value, "size", 0) > MANY:
        return f"an array of shape {value.shape}"
    value = value.tolist() if hasattr(value, "tolist") else value
    return shown(_rounded(value))


def _rounded(value: Any) -> Any:
    """Numbers to six significant digits, whole ones without a point, in lists as they are nested."""
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    if isinstance(value, float) and not isinstance(value, bool):
        short = float(f"{value:.6g}")
        return int(short) if short.is_integer() else short
    return value
