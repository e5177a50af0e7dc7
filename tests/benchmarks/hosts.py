"""Seconds of a round against bits, between hosts: a server and two nodes with a slow line to each of them.

    PYTHONPATH=tests python tests/benchmarks/hosts.py [0.1 0.3 1 1/100 1/100/1 ...] [--rounds 12] [--out FILE]

A line is RATE[/DELAY[/LOSS]]: megabits a second (0: no limit), milliseconds each way, per cent of frames. Linux, as root,
in a Python that has Flower; hosts and lines are those of ``slow_line``, and nothing of them is left. The settings of bits
take turns round by round, so that what else the machine does meets all of them alike. Not a test: figures depend on the
machine. What is expected of them stands in ``fqlab/studies/hosts.py``, and what they say of time in lesson 10.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from ipaddress import IPv4Address
from pathlib import Path

from fqlab.federation import Experiment, Federation
from fqlab.federation.engines.flower.network import Network, plan_nodes, start
from slow_line import End, Shape, host, line

NODES = 2
PORT = 9093
POLL = 0.5
"""Seconds between two looks of a node for work."""
SERVER = "fqlab-server"
METHODS = {
    32: dict(method="fedavg"),
    8: dict(method="fedpaq", options={"bits": 8}),
    4: dict(method="fedpaq", options={"bits": 4}),
    2: dict(method="fedpaq", options={"bits": 2}),
}
"""Bits a weight on the way up -> how it is sent. The way down stays at 32 bits."""
LINES = ["0.1", "0.3", "1", "0", "1/20", "1/100", "1/100/1", "1/100/5"]


def host_of(number: int) -> str:
    """The host of a node."""
    return f"fqlab-node{number}"


def address(number: int, last: int) -> IPv4Address:
    """On the line to a node, the server is 1 and the node is 2."""
    return IPv4Address(f"10.77.{number}.{last}")


@contextmanager
def hosts(shape: Shape) -> Iterator[None]:
    """A server and its nodes, each on a host of its own, and a line of that shape to each node."""
    with ExitStack() as stack:
        for name in (SERVER, *map(host_of, range(NODES))):
            stack.enter_context(host(name))
        for n in range(NODES):
            ends = End(SERVER, f"fq{n}s", address(n, 1)), End(host_of(n), f"fq{n}n", address(n, 2))
            stack.enter_context(line(*ends, shape, seed=n))
        yield


def experiment(bits: int, rounds: int) -> Experiment:
    """Ten clients on two nodes; the network has 4810 weights."""
    return Experiment(**METHODS[bits], rounds=rounds, evaluate_every=rounds, engine="flower", workers=NODES)


def node(number: int) -> subprocess.Popen[bytes]:
    """Start a node on its own host."""
    folder = Path(tempfile.mkdtemp(prefix="fqlab-node-"))
    superlink = f"{address(number, 1)}:{PORT}"
    plan = {"nodes": plan_nodes(superlink, [number], POLL), "experiment": Experiment().to_toml()}
    return start(folder, plan, {}, ["ip", "netns", "exec", host_of(number)])


def received() -> int:
    """Bytes that the server's cards have taken in so far: packets, Flower's own messages, and headers of TCP."""
    return sum(int(Path(f"/sys/class/net/fq{n}s/statistics/rx_bytes").read_text()) for n in range(NODES))


def serve(rounds: int) -> None:
    """What the server's host does: all rounds of all settings; each round, and last each setting, as a line of JSON."""
    network = Network(Experiment(), NODES, host="0.0.0.0", port=PORT, elsewhere=True)
    try:
        runs = {bits: Federation(experiment(bits, rounds + 1)) for bits in METHODS}
        for federation in runs.values():
            federation.simulation.services.get("flower", lambda: network)
            federation.step()  # the first one waits for the start
        crossed = dict.fromkeys(METHODS, 0)
        for _ in range(rounds):
            for bits, federation in runs.items():
                before = received()
                left_out = federation.step().left_out
                assert not left_out, left_out
                crossed[bits] += received() - before
        for bits, federation in runs.items():
            records = federation.rounds
            down = federation.ledger.entries[0].total
            sizes = {"bits": bits, "bytes_up": records[-1].bytes_up, "packet_down": down}
            seconds = [round(r.seconds, 3) for r in records[1:]]
            print(json.dumps({**sizes, "line_up": crossed[bits] // rounds, "seconds": seconds}), flush=True)
    finally:
        network.close()


def measure(rounds: int, rate: float, delay: float, loss: float) -> list[dict]:
    """One line's cells: hosts, nodes and server started, every setting run."""
    with hosts(Shape(1e6 * rate, delay / 1000, loss / 100)):
        nodes = [node(n) for n in range(NODES)]
        command = ["ip", "netns", "exec", SERVER, sys.executable, __file__, "--serve", "--rounds", str(rounds)]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            said = server.communicate()[0]
            if server.returncode:
                raise RuntimeError("the server has failed, see above")
            return [{"rate": rate, "delay": delay, "loss": loss, **json.loads(row)} for row in said.splitlines()]
        finally:
            server.terminate()
            for process in nodes:
                process.stdin.close()
                process.wait()


def shown(cell: dict) -> str:
    """A row of the table."""
    where = f"{cell['rate'] or 'free':>7} {cell['delay']:>4g} {cell['loss']:>4g}"
    sizes = f"{cell['bits']:>5} {cell['bytes_up']:>9,} {cell['line_up']:>12,}"
    return f"{where} {sizes} {statistics.median(cell['seconds']):>8.2f} {min(cell['seconds']):>6.2f}"


def store(file: Path, cells: Sequence[dict]) -> None:
    """Write cells and set-up; of cells that the file has, those of other lines stay."""
    place = lambda cell: (cell["rate"], cell["delay"], cell["loss"])
    new = {place(cell) for cell in cells}
    old = json.loads(file.read_text(encoding="utf-8"))["cells"] if file.exists() else []
    setup = dict(
        nodes=NODES, clients=10, queue=Shape().queue, look=POLL, kernel=platform.release(),
        cores=os.cpu_count(), flwr=version("flwr"), torch=version("torch"), date=time.strftime("%Y-%m-%d"),
    )  # fmt: skip
    kept = [cell for cell in old if place(cell) not in new]
    file.write_text(json.dumps({"setup": setup, "cells": [*kept, *cells]}, indent=1) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every cell, print the table, and store it with its set-up."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("lines", nargs="*", default=LINES, help="RATE[/DELAY[/LOSS]] (Mbit/s, ms, per cent)")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--out", type=Path, help="a JSON file for the table and its set-up; other lines in it stay")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.serve:
        return serve(chosen.rounds)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the hosts are taken down as well
    print(
        f"{'Mbit/s':>7} {'ms':>4} {'%':>4} {'bits':>5} {'bytes up':>9} {'on the lines':>12} {'s/round':>8} {'least':>6}"
    )
    for words in chosen.lines:
        rate, delay, loss = (*map(float, words.split("/")), 0.0, 0.0)[:3]
        cells = measure(chosen.rounds, rate, delay, loss)
        print(*map(shown, cells), sep="\n", flush=True)
        if chosen.out:
            store(chosen.out, cells)


if __name__ == "__main__":
    main()
