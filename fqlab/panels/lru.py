"""The results of the last runs, so that a setting that trains nothing new is shown at once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

__all__ = ["LRUCache"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class LRUCache(Generic[K, V]):
    """A dictionary of at most ``size`` entries: the one that was used longest ago goes first.

    Panels share one across callbacks and workers, so every access holds its lock. Unlike ``functools.lru_cache`` it can
    be asked whether a result is there, and filled by a run that is watched round by round, and may be stopped.

    >>> cache = LRUCache(2)
    >>> cache["a"] = 1
    >>> cache["b"] = 2
    >>> cache.get("a")
    1
    >>> cache["c"] = 3
    >>> list(cache)
    ['a', 'c']
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[K, V] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: K) -> V | None:
        """The entry, which is now the one used last; None if there is none."""
        with self._lock:
            if key not in self._entries:
                return None
            self._entries.move_to_end(key)
            return self._entries[key]

    def __setitem__(self, key: K, value: V) -> None:
        with self._lock:
            self._entries[key] = value
            self._entries.move_to_end(key)
            while len(self._entries) > self._size:
                self._entries.popitem(last=False)

    def __contains__(self, key: K) -> bool:
        """Whether there is an entry; asking does not count as use."""
        with self._lock:
            return key in self._entries

    def __iter__(self) -> Iterator[K]:
        """The keys, the one used longest ago first."""
        with self._lock:
            return iter(list(self._entries))

    def items(self) -> list[tuple[K, V]]:
        """All entries, the one used longest ago first; looking through them does not count as use."""
        with self._lock:
            return list(self._entries.items())

    def __len__(self) -> int:
        return len(self._entries)
