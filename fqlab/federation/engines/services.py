"""What an engine starts for a run and keeps from round to round, such as the processes of a federation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

__all__ = ["Services"]


class Service(Protocol):
    """Whatever must be ended."""

    def close(self) -> None: ...


Kind = TypeVar("Kind", bound=Service)


class Services:
    """Services by name, started at first need and ended together, the last one first."""

    def __init__(self) -> None:
        self._running: dict[str, Any] = {}

    def get(self, name: str, start: Callable[[], Kind]) -> Kind:
        """The running service of that name, or the one that ``start()`` gives."""
        if name not in self._running:
            self._running[name] = start()
        return self._running[name]

    def close(self) -> None:
        """End all of them."""
        while self._running:
            self._running.popitem()[1].close()
