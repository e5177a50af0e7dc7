"""What stands between the clients and the server: only an answer that was asked for, whole, and sane, may count."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import torch

from fqlab import wire
from fqlab.aggregate import Form, validate_update
from fqlab.errors import WireError
from fqlab.federation.engines import ClientResult, ClientTask
from fqlab.wire import container

__all__ = ["accepted", "answers", "largest"]

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


def accepted(result: ClientResult, expected: Mapping[str, torch.Size | Form]) -> wire.Payload:
    """The payload of a client's packet, once it is whole and the guard has nothing against it.

    Raises:
        WireError: with the reason why it must be left out.
    """
    if result.fault is not None:
        raise WireError(result.fault)
    entries, size = largest(expected)
    if len(result.packet) > size:
        raise WireError(f"the packet has {len(result.packet)} bytes, but at most {size} were expected")
    rows = container.read(result.packet, result.client).rows
    if sum(row.count for row in rows) > entries:
        raise WireError(f"the packet unpacks to more than {entries} entries")
    payload = wire.unpack(result.packet, client=result.client)
    problem = validate_update(payload, expected)
    if problem is not None:
        raise WireError(problem)
    return payload
