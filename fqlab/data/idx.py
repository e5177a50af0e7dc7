"""IDX, the file format of MNIST: a magic number, the dimensions, then the values, all big-endian."""

from __future__ import annotations

import math

import numpy as np

from fqlab.data.unpack import gunzip
from fqlab.errors import DataError

__all__ = ["decode"]

MOST_DIMENSIONS = 8
_TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def decode(data: bytes, name: str) -> np.ndarray:
    """Read the array in an IDX file.

    The file is two zero bytes, a type code, the number of dimensions d, d sizes as uint32, then the values in
    row order (LeCun, Cortes, Burges, "The MNIST database").

    Args:
        data: the whole file, plain or gzip-compressed.
        name: what to call the file in an error.

    Returns:
        A read-only array of the stored shape and type: uint8 images and labels, big-endian int32 in QMNIST.

    Raises:
        DataError: if the bytes are not a complete IDX file.
    """
    if data[:2] == b"\x1f\x8b":
        data = gunzip(data, name)
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _TYPES:
        raise DataError(f"File {name} is not an IDX file: it starts with {data[:4].hex(' ') or 'nothing'}.")
    if data[3] > MOST_DIMENSIONS:
        raise DataError(f"File {name} is damaged: it claims {data[3]} dimensions, more than {MOST_DIMENSIONS}.")
    values = 4 + 4 * data[3]
    shape = tuple(int.from_bytes(data[at : at + 4], "big") for at in range(4, values, 4))
    dtype = np.dtype(_TYPES[data[2]])
    expected = values + dtype.itemsize * math.prod(shape)
    if len(data) != expected or math.prod(max(1, n) for n in shape) >= 2**48:  # no array has a shape beyond that
        raise DataError(f"File {name} holds {len(data)} bytes, but its shape {shape} asks for {expected}.")
    return np.frombuffer(data, dtype, offset=values).reshape(shape)
