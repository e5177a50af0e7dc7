"""Many clients' packets at once: the same bytes as one by one, and a fault stays with its client."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fqlab import wire
from fqlab.aggregate import decode, decode_all
from fqlab.errors import ConfigError, WireError
from fqlab.quant import KINDS, Codes, Grid
from fqlab.wire.container import Segment, write
from fqlab.wire.packet import prepare
from fqlab.wire.stacked import whole_stack

KIND = st.tuples(st.integers(1, 8), st.sampled_from(KINDS), st.lists(st.integers(0, 4), max_size=3))


def payload_of(kind, client: int, top: int | None) -> dict:
    """A client's payload; ``top`` empties the planes above it, so that clients use different planes."""
    bits, name, shape = kind
    draw = torch.Generator().manual_seed(client)
    grid = Grid(bits, name)
    high = grid.high if top is None else min(grid.high, max(0, grid.low) + top)
    codes = torch.randint(max(0, grid.low) if top is not None else grid.low, high + 1, shape, generator=draw)
    return {
        "w": Codes(codes.to(torch.int16), grid, torch.rand((), generator=draw)),
        "bias": torch.randn(shape, generator=draw),
        "mask": torch.rand(shape, generator=draw) < 0.5,
        "count": torch.randint(99, (2,), generator=draw, dtype=torch.int32),
        "w.error": torch.rand((), generator=draw),
    }


@given(
    st.lists(st.tuples(KIND, st.sampled_from([None, 0, 3])), min_size=1, max_size=2),
    st.integers(1, 5),
    st.sampled_from(wire.CODINGS),
    st.booleans(),
)
def test_many_packets_are_the_packets_one_by_one(kinds, clients, coding, entropy):
    payloads = [payload_of(kinds[c % len(kinds)][0], c, kinds[c % len(kinds)][1]) for c in range(clients)]
    together = wire.pack_all(payloads, coding=coding, entropy=entropy)
    for payload, (packet, size) in zip(payloads, together, strict=True):
        alone, weight = wire.pack_measured(payload, coding=coding)
        assert packet == alone
        assert size == weight or (math.isnan(size.entropy_bytes) and size.total == weight.total == size.fixed_bytes)
    back = wire.unpack_all([packet for packet, _ in together], range(clients))
    for payload, read in zip(payloads, back, strict=True):
        assert read.keys() == payload.keys()
        assert all(read[n] == v if isinstance(v, Codes) else torch.equal(read[n], v) for n, v in payload.items())


@given(KIND, st.integers(2, 5), st.sampled_from(wire.CODINGS))
def test_payloads_side_by_side_travel_as_those_apart(kind, clients, coding):
    """Whole, in another order, some of them, and some beside others: a stack is never taken for what it is not."""
    payloads = [wire.Payload(tensors={"a": torch.full((3,), float(c))}) for c in range(clients)]
    first = wire.pack_all(payloads, coding=coding)
    stacks = [
        wire.unpack_all([packet for packet, _ in first], range(clients)),
        wire.unpack_all([wire.pack(payload_of(kind, c, None), coding=coding) for c in range(clients)], range(clients)),
    ]
    for stack in stacks:
        for some in (stack, stack[::-1], stack[1:], [stack[0]] * clients, [*stack[:-1], *stacks[0][-1:]]):
            assert [packet for packet, _ in wire.pack_all(some, coding=coding)] == [
                wire.pack(p, coding=coding) for p in some
            ]


def test_an_entry_of_a_stack_is_that_of_its_members():
    sent = [
        Codes(torch.tensor([c, 3, -3, 2], dtype=torch.int16), Grid(3, "narrow"), torch.tensor(c + 1.0))
        for c in range(3)
    ]
    stack = wire.unpack_all([wire.pack({"w": codes, "bias": codes.dequantize()}) for codes in sent], range(3))
    assert whole_stack(stack) is not None
    for some in (stack[::-1], stack[:2], [stack[0]] * 3, [*stack[:2], wire.Payload()], []):
        assert whole_stack(some) is None
    for some in (stack, stack[::-1], stack[:2]):
        for name in ("w", "bias"):
            alone = [decode(payload[name]) for payload in some]
            assert torch.equal(decode_all(some, name), torch.stack(alone))


def test_a_damaged_packet_is_named_and_the_others_arrive():
    payloads = [payload_of((3, "midrise", [5]), c, None) for c in range(4)]
    packets = [packet for packet, _ in wire.pack_all(payloads)]
    packets[2] = packets[2][:-1] + bytes([packets[2][-1] ^ 1])
    back = wire.unpack_all(packets, [10, 11, 12, 13])
    assert isinstance(back[2], WireError)
    assert "client 12" in str(back[2])
    assert [torch.equal(back[i]["bias"], payloads[i]["bias"]) for i in (0, 1, 3)] == [True] * 3


def test_a_code_outside_its_grid_is_the_fault_of_its_sender_alone():
    """Three levels take two bits, whose symbol 3 stands for nothing; a packet with it can only be forged."""
    codes = Codes(torch.tensor([1, 0], dtype=torch.int16), Grid(2, "narrow"), torch.tensor(1.0))
    honest = wire.pack({"w": codes})
    (rows, segments) = prepare({"w": codes})
    forged = write(rows, [*segments[:2], Segment([np.array([0b11000000] * 2, np.uint8)])], "fixed").bytes
    assert len(forged) == len(honest)
    back = wire.unpack_all([honest, forged, honest], [5, 6, 7])
    assert back[0] == back[2] == {"w": codes}
    assert isinstance(back[1], WireError)
    assert "client 6" in str(back[1])
    assert "outside" in str(back[1])


def test_nothing_and_empty_payloads():
    assert wire.pack_all([]) == []
    assert wire.unpack_all([], []) == []
    packets = [packet for packet, _ in wire.pack_all([{}, {}])]
    assert wire.unpack_all(packets, [0, 1]) == [{}, {}]


@pytest.mark.parametrize("wrong", [{"w": 3}, {"w": torch.zeros(2, dtype=torch.float64)}, {3: torch.zeros(2)}])
def test_what_cannot_travel_is_refused_as_when_packed_alone(wrong):
    with pytest.raises(ConfigError) as alone:
        wire.pack(wrong)
    for payloads in ([wrong], [wrong, wrong], [{"w": torch.zeros(2)}, wrong]):
        with pytest.raises(ConfigError) as together:
            wire.pack_all(payloads)
        assert str(together.value) == str(alone.value)
