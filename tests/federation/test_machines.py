"""The cell of lesson 10: both ledgers, or one and the reason."""

from __future__ import annotations

import pytest

from flower_memory import InMemory
from fqlab.errors import NetworkError
from fqlab.federation import Experiment, machines
from fqlab.federation.engines import flower

TWO = Experiment(method="fedpaq", options={"bits": 2}, rounds=2)
UP = "one machine 18,240 bytes up and 194,640 down"


def test_where_flower_is_missing_there_is_one_ledger_and_a_sentence(monkeypatch):
    monkeypatch.setattr(flower.network, "find_spec", lambda name: None)
    rows = machines.side_by_side(TWO)
    assert rows[:2] == [f"round 1: {UP}", f"round 2: {UP}"]
    assert rows[2] == "No second ledger: Flower is not installed: pip install 'fqlab[flower]'"


@pytest.fixture
def in_memory(monkeypatch):
    memory = InMemory(2)
    monkeypatch.setattr(machines, "obstacle", lambda: None)
    monkeypatch.setattr(flower, "Network", lambda experiment, nodes: memory)
    return memory


def test_where_it_is_there_both_stand_side_by_side(in_memory):
    rows = machines.side_by_side(TWO)
    assert rows[0].startswith(f"round 1: {UP}; Flower 18,240 and 194,640 in ")
    assert rows[2] == "The ledgers agree packet by packet"


def test_a_packet_less_is_seen(in_memory, monkeypatch):
    honest = in_memory.exchange
    lost = lambda outgoing, stop: {**honest(outgoing), 1: "it did not answer within 9 s"}
    monkeypatch.setattr(in_memory, "exchange", lost)
    rows = machines.side_by_side(TWO)
    assert "Flower 9,120 and 194,640" in rows[0]
    assert rows[2] == "The ledgers differ packet by packet"


def test_a_federation_that_fails_is_a_sentence(in_memory, monkeypatch):
    def fail(outgoing, stop):
        raise NetworkError("no node of 2 has joined within 9 s.")

    monkeypatch.setattr(in_memory, "exchange", fail)
    assert machines.side_by_side(TWO)[-1] == "No second ledger: no node of 2 has joined within 9 s."
