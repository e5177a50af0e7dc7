"""How time and memory grow: clients, model size, bits; start-up and import.

    python tests/benchmarks/growth.py

Not a test: figures depend on the machine. Each row runs in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time

ROWS: dict[str, dict] = {
    "10 clients": dict(clients=10),
    "100 clients": dict(clients=100),
    "1000 clients, 10 a round": dict(clients=1000, participants=10),
    "1000 clients, 100 a round": dict(clients=1000, participants=100),
    "mlp, 4 810 parameters": dict(model="mlp"),
    "digits_cnn, 6 090": dict(model="digits_cnn"),
    "robust_mlp, 50 826": dict(model="robust_mlp"),
    "1 bit": dict(method="clipped", options={"bits": 1, "qat": False}),
    "4 bit": dict(method="clipped", options={"bits": 4, "qat": False}),
    "8 bit": dict(method="clipped", options={"bits": 8, "qat": False}),
}


def one(changes: dict) -> None:
    """Run a row here and print its numbers."""
    began = time.perf_counter()
    from fqlab.federation import Experiment, Federation

    imported = time.perf_counter() - began
    federation = Federation(Experiment(**{"batch_size": 32, "rounds": 99, "engine": "auto", **changes}))
    federation.step()
    times = []
    for _ in range(5):
        start = time.perf_counter()
        federation.step()
        times.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # kilobytes on Linux
    print(json.dumps([imported, statistics.median(times), peak, federation.engine]))


def main() -> None:
    print(f"{'digits':28}{'import s':>10}{'round ms':>10}{'peak MB':>9}  engine")
    for name, changes in ROWS.items():
        done = subprocess.run([sys.executable, __file__, json.dumps(changes)], capture_output=True, text=True)
        if done.returncode:
            print(f"{name:28}failed: {done.stderr.strip().splitlines()[-1]}")
            continue
        imported, seconds, peak, engine = json.loads(done.stdout)
        print(f"{name:28}{imported:>10.2f}{1000 * seconds:>10.1f}{peak:>9.0f}  {engine}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        one(json.loads(sys.argv[1]))
    else:
        main()
