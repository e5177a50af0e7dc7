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
    verdicts: dict[int, wire.Payload | WireError] = {
        r.client: WireError(r.refusal or f"the packet has {len(r.packet)} bytes, but at most {size} were expected")
        for r in results
    }
    heard = [r for r in results if r.refusal is None and len(r.packet) <= size]
    payloads = wire.unpack_all([r.packet for r in heard], [r.client for r in heard], most=entries)
    for result, payload in zip(heard, validate_updates(payloads, expected), strict=True):
        verdicts[result.client] = payload
        if not isinstance(payload, WireError) and (problem := method.objection(server, payload)) is not None:
            verdicts[result.client] = WireError(problem)
    return verdicts
