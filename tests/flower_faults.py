"""What can go wrong between machines, each made to happen once; prints what came of it as JSON.

python tests/flower_faults.py NAME [FOLDER]
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from flower_runs import facts
from fqlab.errors import NetworkError
from fqlab.federation import Experiment, Federation
from fqlab.federation.engines.flower import ground
from fqlab.federation.engines.flower.network import Network, plan_nodes, start

SETTINGS = dict(method="fedpaq", options={"bits": 2, "feedback": True}, rounds=5)


def federation(**kwargs) -> tuple[Federation, Network]:
    run = Federation(Experiment(**SETTINGS, engine="flower", workers=2), **kwargs)
    return run, run.simulation.services.get("flower", lambda: Network(run.experiment, 2))


def brief(records) -> list[dict]:
    return [dict(index=r.index, accuracy=r.accuracy, left_out=r.left_out, seconds=r.seconds) for r in records]


def killed(folder: Path) -> dict:
    """A node and its starter are killed after the second round."""
    run, network = federation()
    records = [run.step(), run.step()]
    for name in ("node 1", "the starter of node 1"):
        os.kill(network.processes()[name], signal.SIGKILL)
    records += list(run)
    return {"rounds": brief(records)}


def begin(run: Federation, network: Network, number: int, bad: str | None = None) -> subprocess.Popen[bytes]:
    """Start a node; a bad one is started by ``flower_bad_node.py``."""
    plan = {"nodes": plan_nodes(network.address, [number]), "experiment": run.experiment.to_toml()}
    folder = Path(tempfile.mkdtemp(prefix="fqlab-node-"))
    if bad is None:
        return start(folder, plan, {})
    ground.__file__ = str(Path(__file__).with_name("flower_bad_node.py"))
    return start(folder, plan, {"BAD_NODE": bad})


def two_starts(run: Federation, network: Network, bad: str | None = None) -> list:
    """Node 0 is there from the start; node 1, which may be a bad one, after two rounds."""
    others = [begin(run, network, 0)]
    try:
        records = [run.step(), run.step()]
        others.append(begin(run, network, 1, bad))
        end = time.monotonic() + 120
        while "has not joined" in "".join(records[-1].left_out) and time.monotonic() < end:
            records.append(run.step())
            time.sleep(0.5)
        return [*records, run.step()]
    finally:
        for process in others:
            process.stdin.close()
            process.wait()
        run.close()


def late(folder: Path) -> dict:
    """One node joins only after two rounds."""
    run = Federation(Experiment(**{**SETTINGS, "rounds": 500}, engine="flower", workers=2))
    network = run.simulation.services.get("flower", lambda: Network(run.experiment, 2, elsewhere=True))
    return {"rounds": brief(two_starts(run, network))}


def damaged(folder: Path) -> dict:
    """The node that joins late flips a bit of its first client's packet."""
    run = Federation(Experiment(**{**SETTINGS, "rounds": 500}, engine="flower", workers=2))
    network = run.simulation.services.get("flower", lambda: Network(run.experiment, 2, elsewhere=True))
    return {"rounds": brief(two_starts(run, network, "damaged"))}


def silent(folder: Path) -> dict:
    """The node that joins late takes every round and never answers it."""
    run = Federation(Experiment(**{**SETTINGS, "rounds": 500}, engine="flower", workers=2))
    network = run.simulation.services.get("flower", lambda: Network(run.experiment, 2, elsewhere=True))
    return {"rounds": brief(two_starts(run, network, "silent"))}


def nobody(folder: Path) -> dict:
    """No node ever joins."""
    run = Federation(Experiment(**SETTINGS, engine="flower", workers=2))
    run.simulation.services.get("flower", lambda: Network(run.experiment, 2, elsewhere=True))
    began = time.monotonic()
    try:
        list(run)
    except NetworkError as error:
        return {"error": str(error), "seconds": time.monotonic() - began}
    return {}


def stranger(folder: Path) -> dict:
    """The only node has a number that is none of the federation's."""
    run = Federation(Experiment(**SETTINGS, engine="flower", workers=2))
    network = run.simulation.services.get("flower", lambda: Network(run.experiment, 2, elsewhere=True))
    plan = {"nodes": plan_nodes(network.address, [7]), "experiment": run.experiment.to_toml()}
    other = start(Path(tempfile.mkdtemp(prefix="fqlab-node-")), plan, {})
    try:
        list(run)
    except NetworkError as error:
        return {"error": str(error)}
    finally:
        other.stdin.close()
        other.wait()
    return {}


def restarted(folder: Path) -> dict:
    """The SuperLink is killed after the second round; the run is started again with its checkpoint."""
    run, network = federation(checkpoint=folder / "run")
    run.step()
    run.step()
    os.kill(network.processes()["the SuperLink"], signal.SIGKILL)
    began = time.monotonic()
    try:
        list(run)
        error = ""
    except NetworkError as wrong:
        error = str(wrong)
    seconds = time.monotonic() - began
    again, _ = federation(checkpoint=folder / "run")
    done = len(again.rounds)
    rest, whole = facts(again), facts(Federation(Experiment(**SETTINGS)))
    same = rest["weights"] == whole["weights"] and rest["rounds"] == whole["rounds"][2:]
    return {"error": error, "seconds": seconds, "done": done, "same": same and rest["ledger"] == whole["ledger"]}


if __name__ == "__main__":
    name, *rest = sys.argv[1:]
    print(json.dumps(globals()[name](Path(*rest))))
