"""The engine for many machines gives what ``serial`` gives: its two halves without Flower, then all of it with Flower.

Flower lives in a Python of its own, which ``FQLAB_FLOWER_PYTHON`` names.
"""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import subprocess
import tempfile
from contextlib import suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client
from pathlib import Path
from threading import Thread

import pytest
import torch

from flower_memory import InMemory
from flower_python import PYTHON, needs_flower
from flower_runs import facts
from fqlab.errors import ConfigError, NetworkError, WireError
from fqlab.federation import Experiment, Federation
from fqlab.federation.engines import flower
from fqlab.federation.engines.flower import node, post
from fqlab.federation.engines.flower.bundle import Bundle
from fqlab.federation.engines.flower.server_app import KEY, RELAY

CASES = {
    "fedavg": dict(method="fedavg", participants=6),
    "clipped": dict(method="clipped", options={"bits": 3, "rounding": "stochastic", "downlink": True}),
    "fedmpq": dict(method="fedmpq", participants=5, lr=0.03),
    "lottery": dict(
        method="lottery",
        participants=6,
        validation=0.2,
        partition="n_class",
        split={"classes_per_client": 2},
        options={"gate": 0.3},
    ),
    "feedback": dict(method="fedpaq", options={"bits": 1, "rounding": "nearest", "feedback": True}, participants=6),
}
ROUNDS = 3


def settings(case: str, **changes) -> dict:
    return {"rounds": ROUNDS, **CASES[case], **changes}


def through_memory(experiment: Experiment, nodes: int = 2, **kwargs) -> tuple[Federation, InMemory]:
    federation = Federation(dataclasses.replace(experiment, engine="flower", workers=nodes), **kwargs)
    return federation, federation.simulation.services.get("flower", lambda: InMemory(nodes))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("nodes", [1, 3])
def test_the_post_gives_the_bits_of_serial(case, nodes):
    experiment = Experiment(**settings(case))
    assert facts(through_memory(experiment, nodes)[0]) == facts(Federation(experiment))


def test_no_node_is_started_that_has_no_client(monkeypatch):
    made = []
    start = lambda experiment, nodes: made.append(InMemory(nodes)) or made[0]
    monkeypatch.setattr(flower, "Network", start)
    record = Federation(Experiment(clients=3, engine="flower", workers=20)).step()
    assert not record.left_out
    assert [node for node, _ in made[0].sent] == [0, 1, 2]
    assert len(made[0].nodes) == 3


def test_a_broadcast_crosses_once_a_node_and_a_state_stays_there():
    federation, memory = through_memory(Experiment(**settings("feedback", participants=0)))
    federation.step()
    federation.step()
    assert len(memory.sent) == 4
    assert all(len(message.packets) == 1 for _, message in memory.sent)
    assert all(isinstance(state, post.Kept) for state in federation.client_states.values())
    assert sorted([*memory.nodes[0], *memory.nodes[1]]) == list(range(10))
    assert all(set(own) == {c for c in range(10) if c % 2 == i} for i, own in enumerate(memory.nodes))


@pytest.mark.parametrize("refused", [1, 2])
def test_a_state_counts_only_once_its_upload_was_accepted(monkeypatch, refused):
    """Client 3, whose upload is refused in one round, starts the next from what it had before: nothing, or round 1's."""
    fourth = 10 * (refused - 1) + 4
    experiment = Experiment(**settings("feedback", participants=0))
    runs = []
    for make in (lambda: through_memory(experiment)[0], lambda: Federation(experiment)):
        federation = make()
        objection = lambda self, server, payload, seen=[]: seen.append(1) or ("no" if len(seen) == fourth else None)
        monkeypatch.setattr(type(federation.method), "objection", objection)
        runs.append(facts(federation))
    assert runs[0]["rounds"][refused - 1]["left_out"] == ["client 3: no"]
    assert runs[0] == runs[1]


def test_a_node_that_forgot_is_sent_the_copy_where_there_is_one(tmp_path):
    experiment = Experiment(**settings("feedback", participants=0))
    whole = facts(Federation(experiment))
    federation, memory = through_memory(experiment, checkpoint=tmp_path / "run")
    federation.step()
    memory.nodes[1].clear()
    rest = facts(federation)
    assert rest["rounds"] == whole["rounds"][1:]
    assert rest["weights"] == whole["weights"]


def test_where_there_is_no_copy_the_client_is_left_out_and_keeps_its_place():
    federation, memory = through_memory(Experiment(**settings("feedback", participants=0)))
    federation.step()
    memory.nodes[1].clear()
    record = federation.step()
    assert [who.partition(":")[0] for who in record.left_out] == [f"client {c}" for c in (1, 3, 5, 7, 9)]
    assert all("with a checkpoint there would be a copy" in who for who in record.left_out)


def test_a_resumed_run_on_new_nodes_is_the_whole_one(tmp_path):
    experiment = Experiment(**settings("lottery"))
    whole = facts(Federation(experiment))
    half, _ = through_memory(experiment, checkpoint=tmp_path / "run")
    half.step()
    rest = facts(through_memory(experiment, 3, checkpoint=tmp_path / "run")[0])
    assert rest["rounds"] == whole["rounds"][1:]
    assert rest["weights"] == whole["weights"]


# ------------------------------------------------------------------------------------------------- bad answers


def spoil(change):
    """One round of two nodes, the second one's answer changed on its way."""
    federation, memory = through_memory(Experiment(**settings("fedavg", participants=0)))
    honest = memory.exchange

    def exchange(outgoing, stop):
        replies = honest(outgoing)
        return {**replies, 1: change(replies[1])}

    memory.exchange = exchange
    return federation.step()


def flipped(reply: Bundle) -> Bundle:
    damaged = bytearray(reply.packets[2])
    damaged[900] ^= 4
    return Bundle(reply.header, [*reply.packets[:2], bytes(damaged), *reply.packets[3:]])


def header(**changes):
    return lambda reply: Bundle({**reply.header, **changes}, reply.packets)


def rows(change):
    return lambda reply: Bundle(
        {**reply.header, "results": [change(r) for r in reply.header["results"]]}, reply.packets
    )


ODD = [1, 3, 5, 7, 9]
BAD = {
    "a damaged packet": (flipped, [5], "client 5: "),
    "nothing": (lambda reply: "it did not answer within 9 s", ODD, "node 1: it did not answer within 9 s"),
    "another version": (lambda reply: Bundle({"problem": "it has fqlab 0"}), ODD, "node 1: it has fqlab 0"),
    "no results": (header(results=None), ODD, "can't be read"),
    "an empty list": (header(results=[]), ODD, "its node sent nothing for it"),
    "a header of another kind": (lambda reply: Bundle({"answer": 1}), ODD, "can't be read"),
    "packets that are not there": (lambda reply: Bundle(reply.header, []), ODD, "can't be read"),
    "words for numbers": (rows(lambda row: {**row, "loss": "low"}), ODD, "can't be read"),
    "another's client": (rows(lambda row: {**row, "client": 0}), ODD, "its node sent nothing for it"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_answer_is_left_out_with_a_reason_and_the_round_goes_on(case):
    change, clients, words = BAD[case]
    record = spoil(change)
    assert [int(who.split()[1][:-1]) for who in record.left_out] == clients
    assert all(words in who for who in record.left_out)
    assert record.accuracy > 0.2
    assert record.participants == tuple(range(10))


def test_a_packet_weighs_what_arrived_whatever_its_node_says():
    record = spoil(rows(lambda row: {**row, "size": {**row["size"], "total": 7}}))
    assert record.bytes_up == spoil(lambda reply: reply).bytes_up


def test_no_answer_at_all_ends_the_run_with_one_sentence_and_the_round_does_not_count():
    federation, memory = through_memory(Experiment(**settings("fedavg")))
    memory.exchange = lambda outgoing, stop: dict.fromkeys(outgoing, "it has not joined, or has left")
    with pytest.raises(NetworkError, match="round 1 had no answer from any node: node 0: it has not joined"):
        federation.step()
    assert federation.rounds == []


def ask(changes=None, node_settings=None, **of) -> Bundle:
    federation, memory = through_memory(Experiment(**settings("fedavg")))
    federation.step()
    _, message = memory.sent[0]
    return node.answer(Bundle({**message.header, **(changes or {})}, message.packets), {}, node_settings or {})


def test_a_node_of_another_version_or_experiment_refuses_in_one_sentence():
    assert ask({"version": "0.0.9"}).header["problem"].startswith("it has fqlab 0.1.0, but the server has 0.0.9")
    other = ask(node_settings={"experiment": "0123456789abcdef"}).header["problem"]
    assert other.startswith("it was started for experiment 0123456789abcdef, but is asked for ")
    asked = other.split()[-1]
    assert "results" in ask(node_settings={"experiment": asked}).header
    assert "method is 'nobody'" in ask({"experiment": 'method = "nobody"'}).header["problem"]
    assert "workers is 0" in ask(node_settings={"workers": 0}).header["problem"]


@pytest.mark.parametrize("data", [b"", b"1234567", b"\xff" * 40, (9).to_bytes(8, "little") + b'{"lengths', b"\0" * 8])
def test_bytes_that_are_no_message_are_refused(data):
    with pytest.raises(WireError, match="a message"):
        Bundle.from_bytes(data)


@pytest.mark.parametrize("lengths", [[3], [-1, 3], [True], ["2"], 2, None, [1.0, 1.0], {"0": 2}])
def test_lengths_must_be_those_of_the_packets(lengths):
    head = json.dumps({"lengths": lengths}).encode()
    with pytest.raises(WireError, match="a message"):
        Bundle.from_bytes(len(head).to_bytes(8, "little") + head + b"12")


def test_a_state_is_the_same_after_the_wire():
    kept = {"residual/w": torch.tensor([0.1, float("nan"), -0.0]), "n": torch.tensor(3)}

    @dataclasses.dataclass(frozen=True)
    class Own(node.State):
        residual: dict
        n: torch.Tensor

    data = node.to_bytes(Own({"w": kept["residual/w"]}, kept["n"]))
    again = node.from_bytes(data, Own).flatten()
    assert all(torch.equal(again[k].view(torch.uint8), v.view(torch.uint8)) for k, v in kept.items() if v.dim())
    assert node.tag_of(data) == node.tag_of(node.to_bytes(node.from_bytes(data, Own)))


# -------------------------------------------------------------------------------------------------- bad input


def test_without_flower_one_sentence(monkeypatch):
    monkeypatch.setattr(flower.network, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"Flower is not installed: pip install 'fqlab\[flower\]'"):
        Federation(Experiment(engine="flower")).step()


def test_what_other_machines_cannot_have_is_refused():
    experiment = Experiment(engine="flower")
    dataset = Federation(Experiment()).simulation.dataset
    with pytest.raises(ConfigError, match="engine is 'flower', but dataset is an object of this process alone"):
        Federation(experiment, dataset=dataset)


def test_a_port_that_is_taken_is_named_and_nothing_is_left(monkeypatch, tmp_path):
    monkeypatch.setattr(flower.network, "obstacle", lambda: None)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
        with pytest.raises(
            NetworkError, match=f"port is {port}, but no SuperLink can listen there: Address already in use"
        ):
            flower.network.Network(Experiment(), 1, port=port)
    assert list(tmp_path.iterdir()) == []


def test_whoever_calls_without_the_key_is_not_listened_to(monkeypatch, tmp_path):
    """The app's line is taken all the same, and a round that was cancelled meanwhile has not used it up."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(flower.network, "obstacle", lambda: None)
    monkeypatch.setattr(flower.network, "start", lambda folder, plan, environment: InProcess(environment))
    monkeypatch.setattr(flower.network, "START", 10.0)
    network = flower.network.Network(Experiment(), 1)
    try:
        place = ("127.0.0.1", int(network._ground.environment[RELAY]))
        with socket.create_connection(place) as door:
            door.sendall(b"GET / HTTP/1.1\r\n\r\n")
        guess = Thread(target=knock, args=(place,), daemon=True)
        guess.start()
        guess.join(5)
        assert not guess.is_alive()
        assert network.exchange({}, stop=lambda: True) is None
        key = bytes.fromhex(network._ground.environment[KEY])
        Thread(target=echo, args=(place, key), daemon=True).start()
        assert network.exchange({0: Bundle({"ask": 1}, [b"abc"])}) == {0: Bundle({"ask": 1}, [b"abc"])}
    finally:
        network.close()


class InProcess:
    """Stands for the processes of a federation."""

    stdin = None

    def __init__(self, environment):
        self.environment = environment

    def poll(self):
        return None

    def wait(self):
        return 0


def knock(place: tuple[str, int]) -> None:
    """Call with a key that is guessed."""
    with suppress(AuthenticationError, EOFError, ConnectionError):
        Client(place, authkey=b"guessed")


def echo(place: tuple[str, int], key: bytes) -> None:
    """An app whose nodes send back what they are sent, for one round."""
    with Client(place, authkey=key) as line:
        request = Bundle.from_bytes(line.recv_bytes())
        line.send_bytes(Bundle({**request.header, "reasons": []}, request.packets).to_bytes())


@pytest.mark.parametrize("said", ["soon", "0", "nan", "1e9"])
def test_a_timeout_that_is_none_is_refused(said, monkeypatch):
    monkeypatch.setenv(flower.network.TIMEOUT, said)
    with pytest.raises(ConfigError, match="FQLAB_FLOWER_TIMEOUT is"):
        flower.network.timeout_seconds()


# ------------------------------------------------------------------------------------------------- with Flower


@needs_flower
@pytest.mark.parametrize("case", [c if c == "fedavg" else pytest.param(c, marks=pytest.mark.long) for c in CASES])
def test_flower_gives_accuracy_and_payload_bytes_of_serial(case):
    tests = Path(__file__).resolve().parent.parent
    environment = {**os.environ, "PYTHONPATH": f"{tests.parent}{os.pathsep}{tests}", "FQLAB_FLOWER_TIMEOUT": "120"}
    command = [PYTHON, str(tests / "flower_runs.py"), json.dumps(settings(case))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    runs = json.loads(done.stdout.splitlines()[-1])
    assert runs["flower"] == runs["serial"]
