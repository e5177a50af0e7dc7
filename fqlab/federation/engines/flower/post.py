"""The server's side of the post: tasks become one message a node, what comes back becomes results. Knows no Flower."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fqlab import __version__
from fqlab.errors import FqlabError, NetworkError, WireError
from fqlab.federation.engines.flower.bundle import Bundle
from fqlab.federation.engines.flower.node import from_bytes, tag_of, to_bytes
from fqlab.federation.engines.simulation import ClientResult, ClientTask, Simulation
from fqlab.methods import State
from fqlab.tensors import Weights
from fqlab.wire import Size

__all__ = ["Exchange", "Kept", "Replies", "federate", "requests"]

Replies = Mapping[int, Bundle | str]
"""Node -> its answer, or why there is none."""
Exchange = Callable[[Mapping[int, Bundle]], Replies | None]
"""Sends each node its message and waits for the answers; None if the round was cancelled meanwhile."""
LARGEST_TEXT = 500
"""Characters of a stranger's words that are repeated."""


@dataclass(frozen=True)
class Kept(State):
    """Stands for a client's state that lies on its node alone."""

    tag: str

    def flatten(self) -> Weights:
        raise FqlabError("a client's state lies on its node alone; a checkpoint brings a copy home in every round.")


def federate(simulation: Simulation, tasks: Sequence[ClientTask], exchange: Exchange, nodes: int) -> list[ClientResult]:
    """One round: each node hears of its clients, client ``c`` living on node ``c % nodes``.

    A node that does not know a state (it is new, or was started again) is sent the copy, if there is one.

    Raises:
        NetworkError: if no node answered at all.
    """
    replies = exchange(requests(simulation, tasks, nodes, with_states=False))
    if replies is None:
        return []
    results, problems = _results(simulation, tasks, replies, nodes)
    if len(problems) == len({task.client % nodes for task in tasks}):
        raise NetworkError(f"round {tasks[0].round_index} had no answer from any node: {'; '.join(problems)}.")
    lost = [task for task in tasks if task.client not in results]
    if lost:
        again = exchange(requests(simulation, lost, nodes, with_states=True))
        if again is None:
            return []
        results |= _results(simulation, lost, again, nodes)[0]
    nowhere = "what it kept lay on a node that has forgotten it; with a checkpoint there would be a copy"
    return [results.get(task.client) or ClientResult(task.client, refusal=nowhere) for task in tasks]


def requests(simulation: Simulation, tasks: Sequence[ClientTask], nodes: int, with_states: bool) -> dict[int, Bundle]:
    """Node -> its message: the experiment, the round, and its clients' packets, each different one once."""
    experiment = simulation.experiment.to_toml()
    shared = {"version": __version__, "experiment": experiment, "home": simulation.states_come_home}
    messages: dict[int, Bundle] = {}
    for task in tasks:
        header = {**shared, "round": task.round_index, "clients": []}
        message = messages.setdefault(task.client % nodes, Bundle(header))
        packets, clients = message.packets, message.header["clients"]
        if not clients or packets[clients[-1][1]] is not task.packet:  # a broadcast is one object for all
            packets.append(task.packet)
            place = len(packets) - 1
        else:
            place = clients[-1][1]
        tag, state = None, None
        if isinstance(task.state, Kept):
            tag = task.state.tag
        elif task.state is not None:
            kept = to_bytes(task.state)
            tag = tag_of(kept)
            if with_states:
                state = len(packets)
                packets.append(kept)
        clients.append([task.client, place, tag, state])
    return messages


def _results(
    simulation: Simulation, tasks: Sequence[ClientTask], replies: Replies, nodes: int
) -> tuple[dict[int, ClientResult], list[str]]:
    """Client -> what came of it, without those whose node lacks their state; and what went wrong with whole nodes."""
    problems: list[str] = []
    results: dict[int, ClientResult] = {}
    for node in sorted({task.client % nodes for task in tasks}):
        clients = [task.client for task in tasks if task.client % nodes == node]
        try:
            results |= _read(simulation, clients, _said(replies.get(node, "it sent nothing")))
        except WireError as error:
            problems.append(f"node {node}: {error}")
            results |= {client: ClientResult(client, refusal=problems[-1]) for client in clients}
    return results, problems


def _said(reply: Bundle | str) -> Bundle:
    """The reply, if it is one."""
    problem = reply if isinstance(reply, str) else reply.header.get("problem")
    if problem is not None or isinstance(reply, str):
        raise WireError(str(problem)[:LARGEST_TEXT].rstrip("."))
    return reply


def _read(simulation: Simulation, clients: Sequence[int], reply: Bundle) -> dict[int, ClientResult]:
    """A node's results for its own clients; nothing in a reply is believed that is not checked.

    Raises:
        WireError: if the reply is not of the form that :func:`~fqlab.federation.engines.flower.node.answer` gives it.
    """
    try:
        rows = {row["client"]: row for row in reply.header["results"] if row["client"] in clients}
        missing = [client for client in reply.header["missing"] if client in clients]
        results = {client: _result(simulation, row, reply.packets) for client, row in rows.items()}
    except Exception as error:  # whoever writes such a header can make anything of it
        raise WireError(f"it sent an answer that can't be read ({type(error).__name__})") from None
    silent = [client for client in clients if client not in results and client not in missing]
    return results | {client: ClientResult(client, refusal="its node sent nothing for it") for client in silent}


def _result(simulation: Simulation, row: Mapping[str, Any], packets: Sequence[bytes]) -> ClientResult:
    if row["refusal"] is not None:
        return ClientResult(row["client"], loss=float(row["loss"]), refusal=str(row["refusal"])[:LARGEST_TEXT])
    packet = packets[row["packet"]]
    state: State | None = None
    if "state" in row:
        state = from_bytes(packets[row["state"]], simulation.method.ClientState)
    elif "tag" in row:
        state = Kept(str(row["tag"]))
    mse, moved = ({str(k): float(v) for k, v in row[name].items()} for name in ("mse", "moved"))
    return ClientResult(row["client"], packet, _size(row["size"], packet), state, mse, moved, float(row["loss"]))


def _size(said: Mapping[str, Any], packet: bytes) -> Size:
    """What the node says of its packet's content; how long it is we count ourselves."""
    numbers = {name: float(said[name]) for name in Size._fields}
    whole = {name: value if math.isnan(value) else int(value) for name, value in numbers.items()}
    return Size(**{**whole, "total": len(packet)})
