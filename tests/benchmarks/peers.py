"""The same round by other libraries: pfl-research and Flower's simulation beside fqlab's best engine and the plain loop.

    python tests/benchmarks/peers.py [rounds] [words of the rows to take]

``make peers`` makes an environment for each and calls it. Not a test: figures depend on the machine. A peer that is not
there is reported as such. All train the same clients on the same data with evaluation after every round; neither peer has
packets, fqlab does. MNIST is read from ``FQLAB_DATA``.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from rounds import WORKS, Work, measure, sides

from fqlab.errors import DataError

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PEERS = {"pfl": (".venv-pfl", "peer_pfl.py"), "Flower": (".venv-ray", "peer_flower.py")}
"""Column -> environment and script."""


def peer(name: str, number: int, rounds: int) -> float | str:
    """Median seconds of a round, or why there is no such number."""
    folder, script = PEERS[name]
    python = ROOT / folder / "bin" / "python"
    if not python.exists():
        return "not installed"
    where = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}"}
    command = [str(python), str(HERE / script), str(number), str(rounds)]
    done = subprocess.run(command, env=where, capture_output=True, text=True)
    if done.returncode:
        return done.stderr.strip().splitlines()[-1]
    return statistics.median(json.loads(done.stdout.strip().splitlines()[-1]))


def row(work: Work, number: int, rounds: int) -> dict[str, float | str]:
    """Seconds of a round by contestant."""
    plain, engines = sides(measure(work, rounds))
    found: dict[str, float | str] = {"plain": plain, "fqlab": min(engines.values())}
    return found | {name: peer(name, number, rounds) for name in PEERS}


def main(rounds: int, words: list[str]) -> None:
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; milliseconds a round, and of the plain loop's time")
    print(f"{'':36}" + "".join(f"{name:>20}" for name in ("plain", "fqlab", *PEERS)))
    for number, work in enumerate(WORKS):
        if words and not all(word in str(work) for word in words):
            continue
        try:
            seconds = row(work, number, rounds)
        except DataError as missing:
            print(f"{work!s:36}left out: {missing}")
            continue
        plain = seconds["plain"]
        cells = [
            f"{1000 * s:9.1f} {s / plain:8.2f} x" if isinstance(s, float) else f"{s:>20}" for s in seconds.values()
        ]
        print(f"{work!s:36}" + "".join(f"{cell:>20}" for cell in cells), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7, sys.argv[2:])
