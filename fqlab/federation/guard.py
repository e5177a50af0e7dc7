"""What stands between the clients and the server: only an answer that was asked for, whole, and sane, may count."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import torch

from fqlab import wire
from fqlab.aggregate import Form, validate_updates
from fqlab.errors import WireError
from fqlab.federation.engines import ClientResult, ClientTask
from fqlab.methods import Method, Server

__all__ = ["answers", "judged", "largest"]

SLACK = 2**16
"""Bytes of a packet beyond its numbers: header, names, scalars."""


def answers(tasks: Sequence[ClientTask], results: Iterable[ClientResult]) -> list[ClientResult] | None:
    """One answer for each task, in the order of the tasks; None if some are missing, because the round was cancelled.

    What nobody asked for is not listened to: an answer in the name of a client that has no task, or a second one.
    """
    first: dict[int, ClientResult] = {}
    for result in results:
        first.setdefault(result.client, result)
    if any(task.client not in first for task in tasks):
        return None
    return [first[task.client] for task in tasks]


def largest(expected: Mapping[str, torch.Size | Form]) -> tuple[int, int]:
    """The most entries, and bytes, that an upload may have: twice what the server has asked for, in 32 bits."""
    entries = (
        2 * sum(math.prod(form.shape if isinstance(form, Form) else form) for form in expected.values()) + SLACK // 4
    )
    return entries, 4 * entries + SLACK


def judged(results: Sequence[ClientResult], method: Method, server: Server) -> dict[int, wire.Payload | WireError]:
    """What each client sent, or why it must be left out."""
    expected = method.expected_shapes(server)
    entries, size = largest(expected)
    heard = [r for r in results if r.refusal is None and len(r.packet) <= size]
    payloads = wire.unpack_all([r.packet for r in heard], [r.client for r in heard], most=entries)
    sound = dict(zip((r.client for r in heard), validate_updates(payloads, expected), strict=True))

    def verdict(result: ClientResult) -> wire.Payload | WireError:
        if result.client not in sound:
            much = f"the packet has {len(result.packet)} bytes, but at most {size} were expected"
            return WireError(result.refusal or much)
        payload = sound[result.client]
        problem = None if isinstance(payload, WireError) else method.objection(server, payload)
        return payload if problem is None else WireError(problem)

    return {result.client: verdict(result) for result in results}
