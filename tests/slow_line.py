"""A line between two hosts of one machine with a rate, a delay, a loss and a queue. Linux, as root, any kernel.

A host is a network namespace. The ends of a line are virtual cards (TAP); a thread of this process reads the frames of
each, keeps them as long as the line takes, and hands them to the other. The kernel could shape a line as well (tc), but
only the rate everywhere: delay and loss need netem, which many kernels lack. One place that does all three can also be
computed by hand, see :class:`Way`.
"""

from __future__ import annotations

import fcntl
import heapq
import itertools
import os
import secrets
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv4Address
from select import select
from threading import Thread
from typing import NamedTuple

import numpy as np

from fqlab.seeds import numpy_generator

TUN = "/dev/net/tun"
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
LARGEST_FRAME = 65536


@dataclass(frozen=True)
class Shape:
    """What a line does to frames, in either direction.

    Args:
        rate: bits a second, of whole frames without preamble and check sum; 0 is no limit.
        delay: seconds each way.
        loss: chance that a frame does not arrive.
        queue: bytes that wait to be sent; a frame that finds no room is dropped.
    """

    rate: float = 0.0
    delay: float = 0.0
    loss: float = 0.0
    queue: int = 100_000


class Way:
    """One direction of a line: when frames arrive. Knows no clock and no card."""

    def __init__(self, shape: Shape, generator: np.random.Generator) -> None:
        self.shape, self.generator = shape, generator
        self._free = 0.0

    def arrival(self, now: float, size: int) -> float | None:
        """When a frame of ``size`` bytes that is handed over at ``now`` (seconds) arrives; None if it never does.

        A frame is sent once all before it are. One that is lost has taken its time on the line all the same.
        """
        rate = self.shape.rate
        begin = max(now, self._free)
        if rate and (begin - now) * rate / 8 + size > self.shape.queue:
            return None
        self._free = begin + (8 * size / rate if rate else 0.0)
        lost = self.generator.random() < self.shape.loss
        return None if lost else self._free + self.shape.delay


class End(NamedTuple):
    """One end of a line: its host, the name of its card there, and the card's address."""

    host: str
    card: str
    address: IPv4Address

    @property
    def hardware(self) -> str:
        """The card's own address, made from the other one, so that nobody has to ask for it over a line that loses."""
        return ":".join(f"{byte:02x}" for byte in b"\x02\x00" + self.address.packed)


def obstacle() -> str | None:
    """Why no hosts can be made here, in words; None if they can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "hosts of one machine need Linux and root"
    if not os.access(TUN, os.R_OK | os.W_OK) or shutil.which("ip") is None:
        return f"hosts of one machine need {TUN} and the command ip"
    try:
        with host(f"fqlab-{secrets.token_hex(4)}"):
            return None
    except OSError as error:
        return f"hosts of one machine need network namespaces ({error})"


def sh(*words: str) -> None:
    """Run a command.

    Raises:
        OSError: if it fails, with what it said.
    """
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"{' '.join(words)}: {done.stderr.strip()}")


@contextmanager
def host(name: str) -> Iterator[None]:
    """A host that nothing reaches, for as long as the block takes."""
    sh("ip", "netns", "add", name)
    try:
        sh("ip", "-n", name, "link", "set", "lo", "up")
        yield
    finally:
        subprocess.run(["ip", "netns", "delete", name], capture_output=True)


@contextmanager
def line(near: End, far: End, shape: Shape, seed: int) -> Iterator[None]:
    """A line between two hosts, for as long as the block takes; which frames it loses depends on ``seed`` alone."""
    cards: list[int] = []
    enough = os.eventfd(0)
    try:
        cards += [_card(near, far), _card(far, near)]
        ways = [Way(shape, numpy_generator(seed, "line", client=n)) for n in range(2)]
        ends = {cards[0]: (ways[0], cards[1]), cards[1]: (ways[1], cards[0])}
        carrier = Thread(target=_carry, args=(ends, enough))
        carrier.start()
        try:
            yield
        finally:
            os.eventfd_write(enough, 1)
            carrier.join()
    finally:
        for descriptor in (*cards, enough):
            os.close(descriptor)  # a card goes with its descriptor


def _card(end: End, other: End) -> int:
    """The card of one end, up and with an address; the file that its frames are read from and written to."""
    card = os.open(TUN, os.O_RDWR | os.O_NONBLOCK)
    try:
        fcntl.ioctl(card, TUNSETIFF, struct.pack("16sH22x", end.card.encode(), IFF_TAP | IFF_NO_PI))
        sh("ip", "link", "set", end.card, "netns", end.host)
        on = ("ip", "-n", end.host)
        sh(*on, "link", "set", end.card, "address", end.hardware, "addrgenmode", "none")
        sh(*on, "address", "add", f"{end.address}/24", "dev", end.card)
        sh(*on, "link", "set", end.card, "up")
        sh(*on, "neighbour", "add", str(other.address), "lladdr", other.hardware, "dev", end.card)
    except BaseException:
        os.close(card)
        raise
    return card


def _carry(ends: Mapping[int, tuple[Way, int]], enough: int) -> None:
    """Carry frames from each card to the one at its other end, until ``enough`` can be read."""
    travelling: list[tuple[float, int, int, bytes]] = []
    count = itertools.count()  # frames that arrive at the same time keep their order
    while True:
        pause = max(0.0, travelling[0][0] - time.monotonic()) if travelling else None
        ready, _, _ = select([*ends, enough], [], [], pause)
        if enough in ready:
            return
        for card in ready:
            frame = os.read(card, LARGEST_FRAME)
            way, other = ends[card]
            when = way.arrival(time.monotonic(), len(frame))
            if when is not None:
                heapq.heappush(travelling, (when, next(count), other, frame))
        while travelling and travelling[0][0] <= time.monotonic():
            _, _, other, frame = heapq.heappop(travelling)
            with suppress(OSError):  # a card that takes nothing more loses the frame, as any card does
                os.write(other, frame)
