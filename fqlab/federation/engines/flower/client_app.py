"""The ClientApp that Flower runs on a node: a message in, :func:`.node.answer`, one out."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

from fqlab.federation.engines.flower.bundle import from_records, to_records
from fqlab.federation.engines.flower.node import answer

__all__ = ["ContextMemory", "make"]

OWNER = "client-"
"""Beginning of the names of our records in a node's context; the client's number follows."""


class ContextMemory(MutableMapping[int, dict[str, bytes]]):
    """What clients keep, held in the state of a node's context, which Flower hands to each of its processes."""

    def __init__(self, state: Any) -> None:
        self._state = state

    def __getitem__(self, client: int) -> dict[str, bytes]:
        return dict(self._state[f"{OWNER}{client}"])

    def __setitem__(self, client: int, kept: dict[str, bytes]) -> None:
        from flwr.app import ConfigRecord  # pyright: ignore[reportMissingImports]

        self._state[f"{OWNER}{client}"] = ConfigRecord(dict(kept))

    def __delitem__(self, client: int) -> None:
        del self._state[f"{OWNER}{client}"]

    def __iter__(self) -> Iterator[int]:
        return (int(name.removeprefix(OWNER)) for name in self._state if name.startswith(OWNER))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def make() -> Any:
    """The app, to stand as ``app`` in a module that Flower loads."""
    from flwr.app import Message  # pyright: ignore[reportMissingImports]
    from flwr.clientapp import ClientApp  # pyright: ignore[reportMissingImports]

    app = ClientApp()

    def handle(message: Any, context: Any) -> Any:
        reply = answer(from_records(message.content), ContextMemory(context.state), context.node_config)
        return Message(to_records(reply), reply_to=message)

    app.train()(handle)
    app.query()(handle)
    return app
