"""Payloads of many clients side by side: one tensor an entry in place of one for each client.

A round handles each client's payload half a dozen times. What all of them have in common is then done once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from operator import attrgetter, is_

import torch

from fqlab.quant.codes import Codes, stack_alike
from fqlab.wire.packet import Payload

__all__ = ["PayloadStack", "side_by_side", "stack_of", "whole_stack"]

Entry = Codes | torch.Tensor
OWNER, ROW = attrgetter("stack"), attrgetter("row")


@dataclass(frozen=True, eq=False)
class PayloadStack:
    """Payloads that have the same entries.

    Attributes:
        entries: name -> codes with a clip ``[clients]``, or a tensor ``[clients, ...]``.
        clients: how many there are.
    """

    entries: Mapping[str, Entry]
    clients: int

    def members(self) -> list[Payload]:
        """Each client's payload; nobody may write to its tensors, which are views."""
        return [_Member(self, row) for row in range(self.clients)]


class _Member(Payload):
    """One client's row of stacked payloads, cut out when somebody looks."""

    stack: PayloadStack
    row: int

    def __init__(self, stack: PayloadStack, row: int) -> None:
        self.__dict__.update(stack=stack, row=row)  # the dataclass above is frozen

    @cached_property
    def codes(self) -> Mapping[str, Codes]:
        return {name: entry[self.row] for name, entry in self.stack.entries.items() if isinstance(entry, Codes)}

    @cached_property
    def tensors(self) -> Mapping[str, torch.Tensor]:
        return {name: entry[self.row] for name, entry in self.stack.entries.items() if isinstance(entry, torch.Tensor)}


def stack_of(payload: object) -> PayloadStack | None:
    """The stack that a payload was cut out of, if it was."""
    return payload.stack if isinstance(payload, _Member) else None


def whole_stack(payloads: Sequence[object]) -> PayloadStack | None:
    """The stack whose members ``payloads`` are, all of them and in their order; None if they are not."""
    stack = stack_of(payloads[0]) if payloads else None
    if stack is None or len(payloads) != stack.clients:
        return None
    alike = set(map(type, payloads)) == {_Member} and all(map(is_, map(OWNER, payloads), repeat(stack)))
    return stack if alike and list(map(ROW, payloads)) == list(range(stack.clients)) else None


def side_by_side(payloads: Sequence[Mapping[str, Entry]]) -> PayloadStack:
    """Payloads with equal names, shapes, types and grids as a stack: their own, if they are all of one."""
    stack = whole_stack(payloads)
    if stack is not None:
        return stack
    return PayloadStack({name: _stack([p[name] for p in payloads]) for name in payloads[0]}, len(payloads))


def _stack(entries: Sequence[Entry]) -> Entry:
    codes = [entry for entry in entries if isinstance(entry, Codes)]
    tensors = [entry for entry in entries if isinstance(entry, torch.Tensor)]
    return stack_alike(codes)[0] if codes else torch.stack(tensors)
