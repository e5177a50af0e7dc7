"""One round between two processes: clients here, the server in a process of its own, packets over loopback TCP.

On the socket a packet follows its length::

    8 bytes   length of the packet, little-endian
    packet    as :func:`fqlab.wire.pack` made it

Every client sends one packet up; the server unpacks and averages them (equal weights) and sends the mean, in full
precision, back to all. A packet that cannot be used is left out and named, and the round goes on. This shows what
really passes between two processes; it is no framework: one machine, one round, no encryption, no reconnecting.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from fqlab.aggregate import decode_all, mean, validate_update
from fqlab.errors import ConfigError, WireError, in_range
from fqlab.wire.packet import Payload, pack, unpack

__all__ = ["LIMIT", "PREFIX", "Exchange", "exchange", "receive", "send", "serve"]

HOST = "127.0.0.1"
PREFIX = 8
LIMIT = 2**28
"""Longest packet that is accepted: nothing is allocated on the word of a stranger's length."""


@dataclass(frozen=True)
class Exchange:
    """What one round moved, counted at both ends.

    Attributes:
        average: the payload that came back, the same for all clients.
        sent, received: bytes each client put on its socket and took from it, lengths included.
        heard, spoken: the same bytes as the server's process counted them.
        left_out: ``"client 3: ..."`` for each packet that could not be used.
        server: process number of the server.
        seconds: wall time, most of it the start of the server's Python.
    """

    average: Payload
    sent: tuple[int, ...]
    received: tuple[int, ...]
    heard: tuple[int, ...]
    spoken: tuple[int, ...]
    left_out: tuple[str, ...]
    server: int
    seconds: float

    @property
    def apart(self) -> bool:
        """Whether the server was another process than this one."""
        return self.server != os.getpid()


def send(line: socket.socket, packet: bytes) -> int:
    """Put length and packet on a socket; returns the bytes that this took."""
    line.sendall(len(packet).to_bytes(PREFIX, "little") + packet)
    return PREFIX + len(packet)


def receive(line: socket.socket) -> bytes:
    """Take one packet from a socket.

    Raises:
        WireError: if the other side closes too early, or announces more than :data:`LIMIT` bytes.
    """
    length = int.from_bytes(_exactly(line, PREFIX), "little")
    if length > LIMIT:
        raise WireError(f"a packet of {length} bytes is announced, but at most {LIMIT} are taken.")
    return _exactly(line, length)


def _exactly(line: socket.socket, count: int) -> bytes:
    """``count`` bytes; a socket hands over whatever has arrived, so it is asked until all are there."""
    data = bytearray()
    while len(data) < count:
        part = line.recv(min(count - len(data), 65536))
        if not part:
            raise WireError(f"the connection closed after {len(data)} of {count} bytes.")
        data += part
    return bytes(data)


# --------------------------------------------------------------------------------------------------------- server


def serve(clients: int, timeout: float) -> dict[str, Any]:
    """The server's side of one round: prints its port, then hears, averages and answers ``clients`` clients."""
    with ExitStack() as stack:
        door = stack.enter_context(socket.create_server((HOST, 0)))
        door.settimeout(timeout)
        print(door.getsockname()[1], flush=True)
        lines = [stack.enter_context(door.accept()[0]) for _ in range(clients)]
        for line in lines:
            line.settimeout(timeout)
        packets = [receive(line) for line in lines]
        average, left_out = _average(packets)
        spoken = [send(line, pack(average)) for line in lines]
    return {"heard": [PREFIX + len(p) for p in packets], "spoken": spoken, "left_out": left_out}


def _average(packets: Sequence[bytes]) -> tuple[Payload, list[str]]:
    """The mean of what can be used, and why the rest cannot. What most clients sent says what is expected."""
    payloads: dict[int, Payload] = {}
    problems: dict[int, str] = {}
    for client, packet in enumerate(packets):
        try:
            payloads[client] = unpack(packet, client=client)
        except WireError as error:
            problems[client] = str(error)
    forms = [tuple((name, entry.shape) for name, entry in payload.items()) for payload in payloads.values()]
    expected = dict(max(forms, key=forms.count, default=()))
    for client, payload in list(payloads.items()):
        if (problem := validate_update(payload, expected)) is not None:
            problems[client] = problem
            del payloads[client]
    average = {name: mean(decode_all(list(payloads.values()), name)) for name in expected if payloads}
    return Payload(tensors=average), [f"client {client}: {problem}" for client, problem in sorted(problems.items())]


# -------------------------------------------------------------------------------------------------------- clients


def exchange(packets: Sequence[bytes], *, timeout: float = 60.0) -> Exchange:
    """Start a server process, send it one packet a client, and take its answers.

    Args:
        packets: what each client uploads, with the same names and shapes.
        timeout: seconds after which the server is ended and the round given up.

    Raises:
        ConfigError: for no packets, or a timeout that is not above 0.
        WireError: if the server ends, stays silent or answers with a damaged packet.
    """
    if not packets:
        raise ConfigError("packets is empty, but a round needs at least one client.")
    in_range("timeout", timeout, 0, 3600, open_low=True)
    began = time.perf_counter()
    server = _start(len(packets), timeout)
    watchdog = threading.Timer(timeout, server.kill)
    watchdog.start()
    with server:
        try:
            sent, answers = _talk(_port(server, timeout), packets, timeout)
            report = json.loads(_words(server).read())
        except (OSError, json.JSONDecodeError) as error:
            raise WireError(f"the server process did not finish the round within {timeout:g} s ({error}).") from None
        finally:
            watchdog.cancel()
            server.kill()
    received = tuple(PREFIX + len(answer) for answer in answers)
    heard, spoken, left_out = (tuple(report[key]) for key in ("heard", "spoken", "left_out"))
    seconds = time.perf_counter() - began
    return Exchange(unpack(answers[0]), sent, received, heard, spoken, left_out, server.pid, seconds)


def _start(clients: int, timeout: float) -> subprocess.Popen[str]:
    """A fresh Python that runs :func:`serve`."""
    package = str(Path(__file__).resolve().parents[2])
    paths = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH", ""))))
    command = [sys.executable, "-m", "fqlab.federation.loopback", str(clients), str(timeout)]
    pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, env=os.environ | {"PYTHONPATH": paths}, text=True, **pipes)


def _words(server: subprocess.Popen[str]) -> IO[str]:
    """What the server prints."""
    if server.stdout is None:
        raise WireError("the server process has no output to read.")
    return server.stdout


def _port(server: subprocess.Popen[str], timeout: float) -> int:
    """The port on which the server listens, as it prints it."""
    said = _words(server).readline()
    if not said.strip().isdigit():
        raise WireError(f"the server process did not open a port within {timeout:g} s.")
    return int(said)


def _talk(port: int, packets: Sequence[bytes], timeout: float) -> tuple[tuple[int, ...], list[bytes]]:
    """All clients' side: connect, send, take the answer."""
    with ExitStack() as stack:
        connect = lambda: stack.enter_context(socket.create_connection((HOST, port), timeout))
        lines = [connect() for _ in packets]
        sent = tuple(send(line, packet) for line, packet in zip(lines, packets, strict=True))
        return sent, [receive(line) for line in lines]


if __name__ == "__main__":
    print(json.dumps(serve(int(sys.argv[1]), float(sys.argv[2]))))
