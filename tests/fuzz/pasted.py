"""Targets that a person pastes or takes along: tickets, codes of guesses, a chat, progress files, files of runs."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

from fqlab import lessons, panels
from fqlab.errors import ConfigError
from fqlab.federation.repeats import compare, read_run
from fqlab.lessons import code, store
from fqlab.lessons.classroom import gather
from fqlab.panels import shared, ticket
from fqlab.panels.state import controls
from fuzz.targets import Target, in_a_file

__all__ = ["PASTED"]

PREDICTION = "01-own-starts"


def text_of(read: Callable[[str], object]) -> Callable[[bytes], object]:
    """Read bytes as the text that a paste would make of them, lone surrogates included."""
    return lambda data: read(data.decode("utf-8", "surrogateescape"))


def tickets(name: str, count: int = 5) -> list[bytes]:
    """Good tickets of a panel."""
    panel = getattr(panels, name)
    draw = random.Random(name)
    states = [
        panel.State(**{c.name: c.at(draw.randrange(c.count)) for c in controls(panel.State)}) for _ in range(count)
    ]
    return [ticket.write(panel.name, panel.version, state).encode() for state in [panel.State(), *states]]


def _ticket() -> Target:
    """Every panel reads every ticket, and the command line finds out whose it is."""
    kinds = [getattr(panels, name) for name in panels.PANELS]

    def read(text: str) -> object:
        head = text.partition("-")[0].strip().lower()
        owner = next((kind for kind in kinds if kind.name == head), kinds[0])
        return ticket.read(owner.name, owner.version, owner.State, text)

    return Target([seed for kind in kinds for seed in tickets(kind.name)], text_of(read))


def _shared() -> Target:
    return Target(tickets("tour") + tickets("packet"), text_of(shared.experiment_of))


def _codes() -> list[bytes]:
    p = next(p for n in lessons.LESSONS for p in lessons.lesson(n).predictions if p.id == PREDICTION)
    return [code.write(p.id, guess).encode() for guess in (0, p.low, p.high, (p.low + p.high) / 3)]


def _code() -> Target:
    return Target(_codes(), text_of(lambda text: code.read(PREDICTION, text)))


def _chat() -> Target:
    chat = b"I say %s, no: %s\nAnn: %s! %s" % tuple(_codes())

    def read(text: str) -> object:
        guesses, left_out = gather(PREDICTION, text)
        if left_out:
            raise ConfigError(left_out)
        return guesses

    return Target([chat], text_of(read))


PROGRESS = {
    "guesses": {"03-clip-gain": 4.5},
    "results": {"03-clip-gain": 3, "03-x": -1e-9},
    "solved": {"03-a": True},
    "answers": {"00-1": False},
}


def _progress() -> Target:
    seeds = [json.dumps(PROGRESS), json.dumps(PROGRESS, indent=1), json.dumps(store.empty())]
    return Target([seed.encode() for seed in seeds], in_a_file(store.load))


def _run() -> Target:
    """What ``fqlab compare`` reads and prints."""
    row = {
        "index": 1,
        "accuracy": 0.5,
        "bytes_up": 10,
        "bytes_down": 20,
        "bytes_up_coded": None,
        "bytes_down_coded": None,
    }
    run = {
        "experiment": {"method": "clipped", "seed": 0, "options": {"bits": 4}, "split": {}},
        "rounds": [row | {"seconds": 0.1}],
    }
    seeds = [
        json.dumps(run).encode(),
        json.dumps({"seeds": [0, 1], "summary": {}, "runs": [run, run]}, indent=1).encode(),
    ]

    def read(path: object) -> object:
        stored = read_run(path)
        return list(compare(stored, stored).lines())

    return Target(seeds, in_a_file(read))


PASTED: dict[str, Callable[[], Target]] = {
    "ticket": _ticket,
    "shared ticket": _shared,
    "prediction code": _code,
    "chat": _chat,
    "progress file": _progress,
    "run file": _run,
}
