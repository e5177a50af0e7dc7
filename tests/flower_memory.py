"""A federation without Flower: its nodes are in this process, and messages cross as bytes."""

from __future__ import annotations

from fqlab.federation.engines.flower import node
from fqlab.federation.engines.flower.bundle import Bundle


class InMemory:
    """Nodes in this process: messages cross as bytes, and each node keeps its own."""

    def __init__(self, nodes: int) -> None:
        self.nodes = [{} for _ in range(nodes)]
        self.sent: list[tuple[int, Bundle]] = []

    def close(self) -> None:
        pass

    def exchange(self, outgoing, stop=lambda: False):
        replies = {}
        for number, message in outgoing.items():
            heard = Bundle.from_bytes(message.to_bytes())
            self.sent.append((number, heard))
            reply = node.answer(heard, self.nodes[number], {"partition-id": number})
            replies[number] = Bundle.from_bytes(reply.to_bytes())
        return replies
