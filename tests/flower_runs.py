"""Runs an experiment on the engines ``serial`` and ``flower`` and prints both as JSON, in a Python that has Flower.

python tests/flower_runs.py '{"method": "fedavg", "rounds": 2}' [nodes]
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from fqlab.federation import Experiment, Federation


def facts(federation: Federation) -> dict:
    """What two runs of one experiment must agree in, NaN written as None."""
    rounds = [{k: v for k, v in asdict(r).items() if k != "seconds"} for r in federation]
    weights = {name: value.flatten().tolist() for name, value in federation.server.weights.items()}
    ledger = [entry.numbers() for entry in federation.ledger.entries]
    return _plain({"rounds": rounds, "ledger": ledger, "weights": weights})


def _plain(value):
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return None if value != value else value


if __name__ == "__main__":
    settings = json.loads(sys.argv[1])
    nodes = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    serial = facts(Federation(Experiment(**settings)))
    flower = facts(Federation(Experiment(**settings, engine="flower", workers=nodes)))
    print(json.dumps({"serial": serial, "flower": flower}))
