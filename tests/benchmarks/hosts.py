"""Seconds of a round against bits, between hosts: a server and two nodes with a slow line to each of them.

    python tests/benchmarks/hosts.py [--rates 0.25 1 4] [--rounds 5] [--delay 0] [--loss 0] [--out FILE]

Linux, as root, in a Python that has Flower. Every host is a network namespace; a pair of virtual cards joins each node to
the server, and both ends of a pair are shaped by tc: the rate by a token bucket (tbf), delay and loss by netem, which
some kernels do not have. Nothing else reaches these hosts, and nothing of them is left. Not a test: figures depend on
the machine. What they say of time is in lesson 10.
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
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from fqlab.federation import Experiment, Federation
from fqlab.federation.engines.flower.network import Network, plan_nodes, start

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


def sh(*words: str) -> None:
    """Run a command; if it fails (no root, a kernel without netem), what it says is the last word."""
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words)}: {done.stderr.strip()}")


def host(number: int) -> str:
    return f"fqlab-node{number}"


@contextmanager
def hosts(rate: float, delay: float, loss: float) -> Iterator[None]:
    """A server and its nodes, each on a host of its own, joined by lines of ``rate`` megabits a second (0: as it is)."""
    names = [SERVER, *(host(n) for n in range(NODES))]
    try:
        for name in names:
            sh("ip", "netns", "add", name)
            sh("ip", "-n", name, "link", "set", "lo", "up")
        for n in range(NODES):
            here = f"fq{n}s"
            there = f"fq{n}n"
            sh("ip", "link", "add", here, "netns", SERVER, "type", "veth", "peer", "name", there, "netns", host(n))
            for name, card, last in ((SERVER, here, 1), (host(n), there, 2)):
                sh("ip", "-n", name, "address", "add", f"10.77.{n}.{last}/24", "dev", card)
                sh("ip", "-n", name, "link", "set", card, "up")
                shape(name, card, rate, delay, loss)
        yield
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)


def shape(name: str, card: str, rate: float, delay: float, loss: float) -> None:
    """Slow down what leaves a card."""
    parent: Sequence[str] = ("root",)
    if rate:
        sh("tc", "-n", name, "qdisc", "add", "dev", card, "root", "handle", "1:", "tbf", "rate", f"{rate}mbit",
           "burst", "5kb", "limit", "100kb")  # fmt: skip
        parent = ("parent", "1:")
    if delay or loss:
        sh("tc", "-n", name, "qdisc", "add", "dev", card, *parent, "netem", "delay", f"{delay}ms", "loss", f"{loss}%")


def experiment(bits: int, rounds: int) -> Experiment:
    """Ten clients on two nodes; the network has 4810 weights."""
    return Experiment(**METHODS[bits], rounds=rounds, evaluate_every=rounds, engine="flower", workers=NODES)


def node(number: int) -> subprocess.Popen[bytes]:
    """Start a node on its own host."""
    folder = Path(tempfile.mkdtemp(prefix="fqlab-node-"))
    plan = {"nodes": plan_nodes(f"10.77.{number}.1:{PORT}", [number], POLL), "experiment": Experiment().to_toml()}
    return start(folder, plan, {}, ["ip", "netns", "exec", host(number)])


def received() -> int:
    """Bytes that the server's cards have taken in so far: packets, Flower's own messages, and headers of TCP."""
    return sum(int(Path(f"/sys/class/net/fq{n}s/statistics/rx_bytes").read_text()) for n in range(NODES))


def serve(rounds: int) -> None:
    """What the server's host does: every setting's rounds through one federation; a line of JSON for each setting."""
    network = Network(Experiment(), NODES, host="0.0.0.0", port=PORT, elsewhere=True)
    try:
        for bits in METHODS:
            federation = Federation(experiment(bits, rounds + 1))
            federation.simulation.services.get("flower", lambda: network)
            records = [federation.step()]  # the first one waits for the start
            before = received()
            records += [federation.step() for _ in range(rounds)]
            line = (received() - before) // rounds
            assert not any(r.left_out for r in records), records[-1].left_out
            down = federation.ledger.entries[0].total
            sizes = {"bits": bits, "bytes_up": records[-1].bytes_up, "packet_down": down, "line_up": line}
            print(json.dumps({**sizes, "seconds": [r.seconds for r in records[1:]]}), flush=True)
    finally:
        network.close()


def measure(rounds: int, rate: float, delay: float, loss: float) -> Iterator[dict]:
    """One line's cells: nodes and server started, every setting run."""
    with hosts(rate, delay, loss):
        nodes = [node(n) for n in range(NODES)]
        command = ["ip", "netns", "exec", SERVER, sys.executable, __file__, "--serve", "--rounds", str(rounds)]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            for line in server.stdout:
                yield {"rate": rate, **json.loads(line)}
            if server.wait():
                raise RuntimeError("the server has failed, see above")
        finally:
            server.terminate()
            for process in nodes:
                process.stdin.close()
                process.wait()


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every cell, print the table, and store it with its set-up."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--rates", type=float, nargs="*", default=[0.1, 0.3, 1, 0], help="megabits a second; 0: unshaped"
    )
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--delay", type=float, default=0, help="milliseconds each way (needs netem)")
    parser.add_argument("--loss", type=float, default=0, help="per cent (needs netem)")
    parser.add_argument("--out", type=Path, help="a JSON file for the table and its set-up")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.serve:
        return serve(chosen.rounds)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the hosts are taken down as well
    cells = []
    print(f"{'Mbit/s':>7} {'bits':>5} {'bytes up':>9} {'on the lines':>12} {'s/round':>8} {'least':>6}")
    for rate in chosen.rates:
        for cell in measure(chosen.rounds, rate, chosen.delay, chosen.loss):
            cells.append(cell)
            middle = statistics.median(cell["seconds"])
            least = min(cell["seconds"])
            sizes = f"{cell['bits']:>5} {cell['bytes_up']:>9,} {cell['line_up']:>12,}"
            print(f"{rate or 'free':>7} {sizes} {middle:>8.2f} {least:>6.2f}", flush=True)
    if chosen.out:
        setup = dict(
            nodes=NODES, clients=10, rounds=chosen.rounds, delay=chosen.delay, loss=chosen.loss, kernel=platform.release(),
            cores=os.cpu_count(), flwr=version("flwr"), torch=version("torch"), date=time.strftime("%Y-%m-%d"),
        )  # fmt: skip
        chosen.out.write_text(json.dumps({"setup": setup, "cells": cells}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
