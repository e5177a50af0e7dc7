"""The line between two hosts keeps what it says: by hand where no clock is needed, then with real frames."""

from __future__ import annotations

import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from ipaddress import IPv4Address
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fqlab.seeds import numpy_generator
from slow_line import End, Shape, Way, host, line, obstacle

PROBLEM = obstacle()
needs_hosts = pytest.mark.skipif(PROBLEM is not None, reason=PROBLEM or "")
SIZES = st.lists(st.integers(60, 1514), min_size=1, max_size=30)


def way(seed: int = 0, **shape) -> Way:
    return Way(Shape(**shape), np.random.default_rng(seed))


@given(SIZES, st.floats(1e3, 1e9), st.floats(0, 1))
def test_frames_that_come_at_once_leave_one_after_the_other(sizes, rate, delay):
    over = way(rate=rate, delay=delay)
    got = [over.arrival(5.0, size) for size in sizes]
    assert got == pytest.approx(5 + delay + 8 * np.cumsum(sizes) / rate)


@given(st.lists(st.tuples(st.floats(0, 10), st.integers(60, 1514)), min_size=1, max_size=30), st.floats(1e3, 1e6))
def test_no_frame_is_quicker_than_its_bits_and_none_overtakes(frames, rate):
    over = way(rate=rate, delay=0.5, queue=10**9)
    last = 0.0
    for now, size in sorted(frames):
        got = over.arrival(now, size)
        assert got == pytest.approx(max(now, last) + 8 * size / rate + 0.5)
        last = got - 0.5


@given(st.integers(0, 50), st.floats(0, 1))
def test_the_generator_alone_says_which_frames_are_lost(seed, loss):
    over = way(seed, loss=loss)
    lost = [over.arrival(0.0, 100) is None for _ in range(50)]
    assert lost == list(np.random.default_rng(seed).random(50) < loss)


def test_a_frame_that_is_lost_has_taken_its_time():
    over = way(seed=1, rate=8000, loss=0.5)
    got = [over.arrival(0.0, 1000) for _ in range(9)]
    assert {when for when in got if when is not None} == {
        1.0 + n for n, drawn in enumerate(np.random.default_rng(1).random(9)) if drawn >= 0.5
    }


@given(SIZES, st.integers(1, 20_000))
def test_a_full_queue_takes_no_more_until_it_has_drained(sizes, queue):
    over = way(rate=8000, queue=queue)
    waiting = 0
    for size in sizes:
        room = waiting + size <= queue
        assert (over.arrival(0.0, size) is not None) == room
        waiting += size * room
    assert (over.arrival(waiting / 1000, 60) is not None) == (queue >= 60)


# ------------------------------------------------------------------------------------------------- with real frames

Run = Callable[..., "subprocess.Popen[str]"]
OWN = {"here": IPv4Address("10.78.0.1"), "there": IPv4Address("10.78.0.2")}
LISTEN = "import socket, sys, time; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('10.78.0.2', 99)); print('up', flush=True); "
SEND = "import socket, time; s = socket.socket(type=socket.SOCK_DGRAM); to = ('10.78.0.2', 99); "


@pytest.fixture
def joined() -> Iterator[Callable[..., Run]]:
    """Join two new hosts by a line; what it gives runs Python on ``here`` or ``there``."""
    mark = secrets.token_hex(3)
    names = {place: f"fqlab-{place}-{mark}" for place in OWN}
    with ExitStack() as stack:
        for name in names.values():
            stack.enter_context(host(name))

        def join(seed: int = 0, **shape) -> Run:
            ends = [End(names[place], f"fq{place[0]}{mark}", OWN[place]) for place in OWN]
            stack.enter_context(line(*ends, Shape(**shape), seed))
            return run

        def run(place: str, code: str) -> subprocess.Popen[str]:
            command = ["ip", "netns", "exec", names[place], sys.executable, "-c", code]
            process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            stack.callback(process.kill)
            return process

        yield join


def heard(run: Run, listen: str, send: str) -> str:
    """Run ``send`` here once ``listen`` is up there; the last that it printed."""
    there = run("there", LISTEN + listen)
    assert there.stdout.readline() == "up\n"
    here = run("here", SEND + send)
    said = there.communicate(timeout=60)[0]
    here.wait(60)
    return said


@needs_hosts
def test_there_and_back_takes_two_delays(joined):
    run = joined(delay=0.15)
    there = run("there", LISTEN + "d, back = s.recvfrom(99); s.sendto(d, back)")
    assert there.stdout.readline() == "up\n"
    ping = "began = time.monotonic(); s.sendto(b'ping', to); s.recv(99); print(time.monotonic() - began)"
    assert float(run("here", SEND + ping).communicate(timeout=60)[0]) >= 0.3


@needs_hosts
def test_bytes_take_their_bits_over_the_rate(joined):
    """A whole TCP stream of 50 000 bytes at 400 000 bits a second, until the other end has said that it has all."""
    run = joined(rate=400_000)
    take = "l = socket.create_server(('10.78.0.2', 98)); print('now', flush=True); c, _ = l.accept(); n = 50_000\n"
    take += "while n: n -= len(c.recv(n))\n"
    there = run("there", f"{LISTEN}\n{take}c.send(b'!')")
    assert [there.stdout.readline() for _ in range(2)] == ["up\n", "now\n"]
    give = "c = socket.create_connection(('10.78.0.2', 98)); began = time.monotonic(); c.sendall(bytes(50_000)); c.recv(1); "
    assert float(run("here", SEND + give + "print(time.monotonic() - began)").communicate(timeout=60)[0]) >= 1.0


@needs_hosts
@pytest.mark.parametrize("seed", [3, 4])
def test_of_a_thousand_frames_the_seed_says_which_arrive(joined, seed):
    run = joined(seed, loss=0.05)
    listen = "got = [int(s.recv(99))]; s.settimeout(3)\ntry:\n  while True: got.append(int(s.recv(99)))\nexcept TimeoutError: print(*got)"
    send = "\nfor n in range(1000): s.sendto(str(n).encode(), to); time.sleep(0.0005)"
    arrived = [int(word) for word in heard(run, "\n" + listen, send).split()]
    drawn = numpy_generator(seed, "line", client=0).random(1000)
    assert arrived == [n for n in range(1000) if drawn[n] >= 0.05]
    assert 20 <= 1000 - len(arrived) <= 80  # four standard deviations


@needs_hosts
def test_a_burst_finds_as_much_room_as_the_queue_has(joined):
    """50 frames of 1042 bytes at one a second: what the queue holds arrives, and one more for each second of the burst."""
    run = joined(rate=8 * 1042 * 4, queue=5 * 1042)
    listen = "got = bool(s.recv(1500)); s.settimeout(3)\ntry:\n  while s.recv(1500): got += 1\nexcept TimeoutError: print(got)"
    began = time.monotonic()
    arrived = int(heard(run, "\n" + listen, "[s.sendto(bytes(1000), to) for _ in range(50)]"))
    assert 5 <= arrived <= 5 + 4 * (time.monotonic() - began - 3) + 1


@needs_hosts
def test_nothing_of_hosts_and_lines_stays(joined):
    before = set(Path("/sys/class/net").iterdir())
    name = f"fqlab-{secrets.token_hex(3)}"
    with host(name), line(End(name, "fq1x", OWN["here"]), End(name, "fq2x", OWN["there"]), Shape(), 0):
        pass
    assert set(Path("/sys/class/net").iterdir()) == before
    assert name not in subprocess.run(["ip", "netns"], capture_output=True, text=True).stdout
