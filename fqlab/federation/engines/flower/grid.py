"""Messages through Flower's grid: who is there, what each is sent, and what has come back when time is up."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from fqlab import __version__
from fqlab.errors import NetworkError, WireError, shown
from fqlab.federation.engines.flower.bundle import Bundle, from_records, to_records
from fqlab.federation.engines.flower.post import Replies

__all__ = ["GridPost"]

POLL = 0.02
"""Seconds between two looks for answers; Flower's own ``send_and_receive`` looks every three seconds."""
GRACE = 5.0
"""Seconds that Flower keeps a message longer than it is waited for: who is late is told so by us, not by what expired."""


class GridPost:
    """Nodes by number, reached through a Flower grid.

    Args:
        grid: Flower's.
        nodes: how many the experiment's clients live on.
        timeout: seconds that a round may take, and that the first one waits for all nodes to join.
    """

    def __init__(self, grid: Any, nodes: int, timeout: float) -> None:
        self.grid, self.nodes, self.timeout = grid, nodes, timeout
        self._addresses: dict[int, int] = {}
        self._asked: dict[str, int] = {}
        self._met: set[int] = set()
        self._refused = ""

    def close(self) -> None:
        """Nothing to end: the grid is Flower's."""

    def join(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Wait until every node is there, or the time is up and some are.

        Raises:
            NetworkError: if there is none by then.
        """
        end = time.monotonic() + self.timeout
        while len(self._addresses) < self.nodes and time.monotonic() < end and not stop():
            self._meet()
            time.sleep(POLL)
        if not self._addresses and not stop():
            why = self._refused or "is a SuperNode running that knows this SuperLink?"
            raise NetworkError(f"no node of {self.nodes} has joined within {self.timeout:g} s: {why}")

    def exchange(self, outgoing: Mapping[int, Bundle], stop: Callable[[], bool] = lambda: False) -> Replies | None:
        """Send each node its message and wait for the answers; None if stopped."""
        end = time.monotonic() + self.timeout
        self._meet()
        reachable = {node: bundle for node, bundle in outgoing.items() if node in self._addresses}
        answers = self._talk({self._addresses[node]: bundle for node, bundle in reachable.items()}, end, stop)
        if answers is None:
            return None
        absent = f"it has not joined, or has left{self._refused and '; '}{self._refused}"
        late = f"it did not answer within {self.timeout:g} s"
        return {node: answers.get(self._addresses[node], late) if node in reachable else absent for node in outgoing}

    def _meet(self) -> None:
        """Ask whoever is new for its number, hear who has answered, and forget whoever has left; waits for nobody."""
        from flwr.app import Message  # pyright: ignore[reportMissingImports]

        there = set(self.grid.get_node_ids())
        self._addresses = {node: address for node, address in self._addresses.items() if address in there}
        new = sorted(there - self._met)
        self._met |= there
        hello = Bundle({"ask": "who", "version": __version__})
        questions = [Message(to_records(hello), to, "query", ttl=self.timeout + GRACE) for to in new]
        if questions:
            self._asked |= dict(zip(self.grid.push_messages(questions), new, strict=True))
        for message in self.grid.pull_messages(list(self._asked)) if self._asked else ():
            self._hear(self._asked.pop(message.metadata.reply_to_message_id), _opened(message))

    def _hear(self, address: int, reply: Bundle | str) -> None:
        if isinstance(reply, str):
            self._met.discard(address)  # it may say so when it is asked again
            self._refused = f"a node could not say which one it is: {reply.rstrip('.')}"
            return
        number = reply.header.get("partition")
        if type(number) is int and 0 <= number < self.nodes:
            self._addresses[number] = address
        else:
            allowed = f"must be one of 0 to {self.nodes - 1}"
            self._refused = f"a node was refused, because its partition-id is {shown(number)}, but {allowed}"

    def _talk(
        self, outgoing: Mapping[int, Bundle], end: float, stop: Callable[[], bool]
    ) -> dict[int, Bundle | str] | None:
        """Address -> its answer, of those that answered until ``end``; None if stopped."""
        from flwr.app import Message  # pyright: ignore[reportMissingImports]

        seconds = max(1.0, end - time.monotonic())
        messages = [Message(to_records(bundle), to, "train", ttl=seconds + GRACE) for to, bundle in outgoing.items()]
        pushed = self.grid.push_messages(messages) if messages else []
        waiting = {number: to for number, to in zip(pushed, outgoing, strict=True) if number}
        answers: dict[int, Bundle | str] = {}
        while waiting and time.monotonic() < end:
            if stop():
                return None
            for message in self.grid.pull_messages(list(waiting)):
                to = waiting.pop(message.metadata.reply_to_message_id, None)
                if to is not None:
                    answers[to] = _opened(message)
            if waiting:
                time.sleep(POLL)
        return answers


def _opened(message: Any) -> Bundle | str:
    if message.has_error():
        return " ".join(str(message.error.reason).split())
    try:
        return from_records(message.content)
    except WireError as error:
        return str(error)
