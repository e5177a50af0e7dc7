"""Unpacking gzip and xz with an end: a kilobyte of either can unpack to a gigabyte."""

from __future__ import annotations

import lzma
import zlib
from typing import Any

from fqlab.errors import DataError

__all__ = ["gunzip", "limit", "unxz"]


def limit(packed: int) -> int:
    """The most bytes that ``packed`` bytes may unpack to: 16 times as many, and 1 MiB more.

    The published files unpack to at most 5 times their size.
    """
    return 16 * packed + 2**20


def gunzip(data: bytes, name: str) -> bytes:
    """The content of a gzip file of one member.

    Raises:
        DataError: if it is damaged, goes on after its end, or unpacks to more than :func:`limit`.
    """
    return _unpack(zlib.decompressobj(wbits=31), data, name)


def unxz(data: bytes, name: str) -> bytes:
    """The content of an xz file of one stream; errors as for :func:`gunzip`."""
    return _unpack(lzma.LZMADecompressor(memlimit=2**27), data, name)


def _unpack(tool: Any, data: bytes, name: str) -> bytes:
    most = limit(len(data))
    try:
        content = tool.decompress(data, most)
    except (zlib.error, lzma.LZMAError, EOFError, MemoryError) as error:
        raise DataError(f"File {name} is damaged: it does not unpack ({error}).") from error
    if len(content) == most and not tool.eof:
        raise DataError(f"File {name} is damaged: its {len(data)} bytes unpack to more than {most}.")
    if not tool.eof or tool.unused_data:
        raise DataError(f"File {name} is damaged: it does not unpack (its end is not where it should be).")
    return content
