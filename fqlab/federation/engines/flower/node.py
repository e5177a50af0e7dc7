"""What a node does with a message: its clients' rounds, and what they keep for themselves. Knows nothing of Flower."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, TypeVar

from safetensors.torch import load, save

from fqlab import __version__
from fqlab.errors import FqlabError, in_range
from fqlab.federation.engines import threads
from fqlab.federation.engines.flower.bundle import Bundle
from fqlab.federation.engines.simulation import ClientResult, ClientTask, Simulation, build_simulation
from fqlab.federation.experiment import Experiment
from fqlab.methods import State

__all__ = ["Memory", "answer", "fingerprint", "from_bytes", "prepared", "tag_of", "to_bytes"]

Memory = MutableMapping[int, dict[str, bytes]]
"""Client -> tag -> what it kept: after the last accepted round, and after the last one, of which it has not heard."""
Own = TypeVar("Own", bound=State)


def fingerprint(experiment: str) -> str:
    """Sixteen hexadecimal digits that name an experiment, given as TOML."""
    return hashlib.blake2b(experiment.encode(), digest_size=8).hexdigest()


def to_bytes(state: State) -> bytes:
    """A client's state as a safetensors file; :func:`from_bytes` is the inverse."""
    return save({name: value.contiguous() for name, value in state.flatten().items()})


def from_bytes(data: bytes, kind: type[Own]) -> Own:
    """Inverse of :func:`to_bytes` for a state of type ``kind``."""
    return kind.unflatten(load(data))


def tag_of(data: bytes) -> str:
    """The name of a state: sixteen hexadecimal digits that depend on every bit of it."""
    return hashlib.blake2b(data, digest_size=8).hexdigest()


@lru_cache(maxsize=1)
def prepared(experiment: str, workers: int) -> Simulation:
    """The simulation of an experiment, given as TOML; kept, because a process forked from this one finds it here."""
    return build_simulation(replace(Experiment.from_toml(experiment), engine="threads", workers=workers))


def answer(request: Bundle, memory: Memory, node: Mapping[str, Any]) -> Bundle:
    """A node's answer to one message.

    Args:
        request: ``{"ask": "who"}``, or a round as :func:`fqlab.federation.engines.flower.post.requests` writes it.
        memory: what the node's clients keep; changed in place.
        node: the node's settings: ``partition-id``, and where wanted ``workers`` and ``experiment``, the fingerprint
            of the only experiment that this node takes part in.
    """
    try:
        if request.header.get("ask") == "who":
            return Bundle({"partition": node.get("partition-id"), "version": __version__})
        if problem := _refusal(request.header, node):
            return Bundle({"problem": problem})
        return _round(request, memory, in_range("workers", node.get("workers", 1), 1, 1024, integer=True))
    except FqlabError as error:
        return Bundle({"problem": str(error)})


def _refusal(header: Mapping[str, Any], node: Mapping[str, Any]) -> str | None:
    """Why this node takes no part in the round, in words."""
    if header.get("version") != __version__:
        return f"it has fqlab {__version__}, but the server has {header.get('version')}; install the same on both"
    wanted = node.get("experiment")
    asked = fingerprint(str(header.get("experiment")))
    if wanted not in (None, asked):
        return f"it was started for experiment {wanted}, but is asked for {asked}"
    return None


def _round(request: Bundle, memory: Memory, workers: int) -> Bundle:
    header = request.header
    simulation = prepared(header["experiment"], workers)
    tasks: list[ClientTask] = []
    missing: list[int] = []
    for client, packet, tag, state in header["clients"]:
        kept = request.packets[state] if state is not None else memory.get(client, {}).get(tag)
        if tag and kept is None:
            missing.append(client)
            continue
        before = from_bytes(kept, simulation.method.ClientState) if tag and kept is not None else None
        memory[client] = {tag: kept} if tag and kept is not None else {}
        tasks.append(ClientTask(client, header["round"], request.packets[packet], before))
    results = list(threads.run(simulation, tasks, lambda: False, workers))
    return _report(results, missing, memory, bool(header["home"]))


def _report(results: Sequence[ClientResult], missing: Sequence[int], memory: Memory, home: bool) -> Bundle:
    """What the clients send. States stay here, under their tags; with ``home`` a copy goes along."""
    packets: list[bytes] = []
    rows: list[dict[str, Any]] = []
    for result in results:
        row: dict[str, Any] = {name: getattr(result, name) for name in ("client", "mse", "moved", "loss", "refusal")}
        if result.size is not None:
            row |= {"packet": len(packets), "size": result.size._asdict()}
            packets.append(result.packet)
        if result.state is not None:
            kept = to_bytes(result.state)
            row["tag"] = tag_of(kept)
            memory[result.client] = {**memory.get(result.client, {}), row["tag"]: kept}
            if home:
                row["state"] = len(packets)
                packets.append(kept)
        rows.append(row)
    return Bundle({"results": rows, "missing": list(missing)}, packets)
