"""What a round on Flower takes as logical clients grow: seconds, bytes, and the memory of every process.

    python tests/benchmarks/many.py [--clients 10 100 1000 10000] [--bits 32] [--nodes 2] [--rounds 3] [--out FILE]

MNIST at 7 x 7 pixels (read from ``FQLAB_DATA``) is dealt to ever more clients, all of whom take part in every round; the network
has 3850 weights. Not a test: figures depend on the machine. They stand in ``fqlab/federation/engines/flower/SCALE.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections.abc import Iterator
from pathlib import Path

from fqlab.federation import Experiment, Federation
from fqlab.federation.engines.flower.network import Network


def peak(process: int | str) -> float:
    """The most memory that a process has had, in megabytes."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


def children(process: int) -> Iterator[int]:
    """Processes that a process has started and that run."""
    for task in Path(f"/proc/{process}/task").iterdir():
        yield from map(int, (task / "children").read_text().split())


def experiment(clients: int, bits: int, nodes: int, engine: str) -> Experiment:
    """Clients with at least six images each; what they train matters little here."""
    sends = dict(method="fedavg") if bits == 32 else dict(method="fedpaq", options={"bits": bits})
    shared = dict(dataset="mnist", reduce={"side": 7, "test": 1000}, rounds=100, evaluate_every=100, engine=engine)
    return Experiment(**sends, **shared, clients=clients, workers=nodes if engine == "flower" else 1)


def measure(clients: int, bits: int, nodes: int, rounds: int) -> dict:
    """One row; the first round is left out, it waits for the start."""
    run = Federation(experiment(clients, bits, nodes, "flower"))
    network = run.simulation.services.get("flower", lambda: Network(run.experiment, nodes))
    try:
        records = [run.step() for _ in range(rounds + 1)][1:]
        assert not any(r.left_out for r in records), records[-1].left_out[0]
        started = network.processes()
        (app,) = children(started["the starter of the SuperLink"])
        memory = {
            "loop": peak("self"),
            "app": peak(app),
            "SuperLink": peak(started["the SuperLink"]),
            "node": peak(started["node 0"]),
        }
    finally:
        run.close()
    alone = Federation(experiment(clients, bits, nodes, "serial"))
    serial = [alone.step().seconds for _ in range(2)][-1]
    seconds = [r.seconds for r in records]
    sizes = {"bytes_up": records[-1].bytes_up, "packet_down": run.ledger.entries[0].total}
    return {"clients": clients, "bits": bits, **sizes, "seconds": seconds, "serial": serial, "memory": memory}


def main() -> None:
    """Measure every number of clients, each in a process of its own, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clients", type=int, nargs="*", default=[10, 100, 1000, 10000])
    parser.add_argument("--bits", type=int, default=32)
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    rows = []
    print(f"{'clients':>7} {'MB up':>8} {'s/round':>8} {'serial':>7}   peak memory, MB")
    for clients in chosen.clients:
        rows.append(row := measure(clients, chosen.bits, chosen.nodes, chosen.rounds))
        middle = statistics.median(row["seconds"])
        held = ", ".join(f"{name} {size:,.0f}" for name, size in row["memory"].items())
        print(f"{clients:>7,} {row['bytes_up'] / 1e6:>8.2f} {middle:>8.2f} {row['serial']:>7.2f}   {held}", flush=True)
    if chosen.out:
        setup = dict(nodes=chosen.nodes, cores=os.cpu_count())
        chosen.out.write_text(json.dumps({"setup": setup, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
