"""Memory that comes and goes: the allocator keeps what it is given back, and nobody searches a round's objects for cycles."""

from __future__ import annotations

import ctypes
import gc
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

__all__ = ["keep_memory", "no_cycles_sought"]

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
LARGEST = 32 * 2**20
"""Bytes of the largest tensor that is served from kept memory; glibc takes no more."""
KEPT = 256 * 2**20
"""Bytes that may lie idle at the end of the heap before they go back to the system."""


@cache
def keep_memory() -> bool:
    """Tell glibc's ``malloc``, for this process, to reuse freed memory; whether it was told (elsewhere nothing happens).

    By default a tensor of some megabytes is mapped when it is made and unmapped when it is dropped, and every page of it is
    cleared by the system in between: a division of 800 000 numbers takes 1.3 ms in place of .06.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    tell = ctypes.CDLL(None).mallopt
    return bool(tell(M_MMAP_THRESHOLD, LARGEST)) and bool(tell(M_TRIM_THRESHOLD, KEPT))


@contextmanager
def no_cycles_sought() -> Iterator[None]:
    """Python's garbage collector rests meanwhile. A round leaves no tensor that only it could free, but what a hundred clients
    hold at once makes it go through all objects of the process again and again: a sixth of the CPU time of small rounds."""
    resumes = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if resumes:
            gc.enable()
