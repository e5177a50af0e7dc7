"""A real round between two processes: what both ends counted is what the ledger says."""

from __future__ import annotations

import os
import socket
import threading
from dataclasses import replace

import pytest
import torch

from fqlab import wire
from fqlab.aggregate import mean
from fqlab.errors import ConfigError, WireError
from fqlab.federation import loopback
from fqlab.federation.loopback import LIMIT, PREFIX, exchange, receive, send
from fqlab.quant import Grid, quantize


def upload(seed: int, shape: tuple[int, ...] = (300, 7)) -> wire.Payload:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return {"w": quantize(x, 2.0, Grid(3)), "b": x[0].clone()}


def test_a_round_between_two_processes():
    """Bytes at both ends, the ledger, and the mean against one computed here; client 1 is damaged and left out."""
    payloads = [upload(seed) for seed in range(3)]
    packets = [wire.pack(p, coding=coding) for p, coding in zip(payloads, ("fixed", "fixed", "zstd"), strict=True)]
    ledger = wire.Ledger()
    for client, packet in enumerate(packets):
        ledger.add(1, client, "up", wire.measure(packet))
    broken = bytearray(packets[1])
    broken[-1] ^= 1
    done = exchange([packets[0], bytes(broken), packets[2]])
    assert done.server != os.getpid()
    assert done.apart
    assert not replace(done, server=os.getpid()).apart
    assert done.sent == done.heard
    assert sum(done.sent) == ledger.total(direction="up") + 3 * PREFIX
    assert done.received == done.spoken
    kept = [payloads[0], payloads[2]]
    expected = {"w": mean([p["w"].dequantize() for p in kept]), "b": mean([p["b"] for p in kept])}
    assert all(torch.equal(done.average[k], expected[k]) for k in expected)
    assert done.received == (len(wire.pack(expected)) + PREFIX,) * 3
    (problem,) = done.left_out
    assert problem.startswith("client 1: ")
    assert "'w'" in problem


def test_what_does_not_fit_is_left_out():
    packets = [wire.pack(upload(0)), wire.pack(upload(1, (2, 7))), wire.pack({"b": torch.zeros(7)}), b"", b"junk" * 9]
    average, left_out = loopback._average(packets)
    assert torch.equal(average["b"], upload(0)["b"])
    assert [line.partition(":")[0] for line in left_out] == [f"client {i}" for i in (1, 2, 3, 4)]
    assert "shape (2, 7)" in left_out[0]
    assert loopback._average([b""])[0] == {}


@pytest.fixture
def pair():
    left, right = socket.socketpair()
    with left, right:
        left.settimeout(5)
        right.settimeout(5)
        yield left, right


def test_frames_survive_being_cut_into_pieces(pair):
    left, right = pair
    packet = bytes(range(256)) * 1000
    sender = threading.Thread(target=lambda: [left.sendall(b) for b in (b"\x00\xe8", b"\x03" + bytes(5), packet)])
    sender.start()
    assert receive(right) == packet
    sender.join()
    assert send(left, b"") == PREFIX
    assert receive(right) == b""


def test_a_closed_line_and_a_boast_are_refused(pair):
    left, right = pair
    left.sendall((LIMIT + 1).to_bytes(PREFIX, "little"))
    with pytest.raises(WireError, match="announced"):
        receive(right)
    left.sendall((10).to_bytes(PREFIX, "little") + b"123")
    left.close()
    with pytest.raises(WireError, match="closed after 3 of 10 bytes"):
        receive(right)


def test_a_server_that_never_opens_is_ended():
    with pytest.raises(WireError, match=r"within 0\.01 s"):
        exchange([wire.pack(upload(0))], timeout=0.01)


def test_bad_arguments_are_named():
    with pytest.raises(ConfigError, match="packets is empty"):
        exchange([])
    with pytest.raises(ConfigError, match="timeout is 0"):
        exchange([b"x"], timeout=0)


def test_no_field_of_a_packet_without_integers_claims_to_be_one():
    """Empty parts name nothing: only a plane that is all zero may be a field without bytes."""
    fields = wire.explain(wire.pack(upload(0)))
    assert not [f for f in fields if f.start == f.stop and f.meaning != "all zero, not sent"]
