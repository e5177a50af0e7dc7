"""What an engine has started is kept for the run and ended with it."""

from __future__ import annotations

import pytest

from fqlab.federation import Experiment, Federation
from fqlab.federation.engines.services import Services


class Opened:
    def __init__(self, name, log):
        self.name, self.log = name, log
        log.append(f"open {name}")

    def close(self):
        self.log.append(f"close {self.name}")


def test_a_service_is_started_once_and_the_last_one_ends_first():
    services = Services()
    log = []
    for name in ("a", "b", "a"):
        services.get(name, lambda name=name: Opened(name, log))
    services.close()
    services.close()
    assert log == ["open a", "open b", "close b", "close a"]


@pytest.mark.parametrize("end", ["whole", "left", "cancelled", "failed"])
def test_whatever_ends_a_run_ends_its_services(end, monkeypatch):
    log = []
    federation = Federation(Experiment(clients=2, rounds=2), cancelled=lambda: end == "cancelled")
    federation.simulation.services.get("a", lambda: Opened("a", log))
    if end == "failed":
        monkeypatch.setattr(federation, "step", lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            list(federation)
    else:
        rounds = iter(federation)
        next(rounds, None) if end == "left" else list(rounds)
        del rounds
    assert log == ["open a", "close a"]
