"""Who is there, who is late, who is refused: the post through a grid that stands for Flower's."""

from __future__ import annotations

import logging
import sys
from types import SimpleNamespace

import pytest

from fqlab import __version__
from fqlab.errors import NetworkError
from fqlab.federation import Experiment
from fqlab.federation.engines.flower import grid, server_app
from fqlab.federation.engines.flower.bundle import Bundle
from fqlab.federation.engines.flower.grid import GridPost


class Grid:
    """Nodes by address: what each answers to who it is, a bundle, an error in words, or None for nothing at all."""

    def __init__(self, **nodes: list) -> None:
        self.nodes = {int(name[1:]): list(said) for name, said in nodes.items()}
        self.pushed: list[SimpleNamespace] = []

    def get_node_ids(self) -> list[int]:
        return list(self.nodes)

    def push_messages(self, messages) -> list[str]:
        numbers = [str(len(self.pushed) + k) for k in range(len(messages))]
        self.pushed += messages
        return numbers

    def pull_messages(self, numbers) -> list[SimpleNamespace]:
        replies = []
        for number in numbers:
            said = self.nodes[self.pushed[int(number)].to]
            if said and (answer := said.pop(0)) is not None:
                replies.append(reply(answer, number))
        return replies


def reply(answer: Bundle | str, number: str) -> SimpleNamespace:
    error = SimpleNamespace(reason=answer) if isinstance(answer, str) else None
    about = SimpleNamespace(reply_to_message_id=number)
    return SimpleNamespace(metadata=about, error=error, has_error=lambda: error is not None, content=answer)


def who(partition: object) -> Bundle:
    return Bundle({"partition": partition, "version": __version__})


@pytest.fixture(autouse=True)
def no_flower(monkeypatch):
    message = lambda content, to, kind, ttl: SimpleNamespace(content=content, to=to, kind=kind, ttl=ttl)
    monkeypatch.setitem(sys.modules, "flwr", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "flwr.app", SimpleNamespace(Message=message))
    monkeypatch.setattr(grid, "to_records", lambda bundle: bundle)
    monkeypatch.setattr(grid, "from_records", lambda records: records)


def test_each_node_is_asked_its_number_once_and_sent_its_own():
    flower = Grid(n7=[who(1), Bundle({"of": 1})], n9=[who(0), Bundle({"of": 0})])
    post = GridPost(flower, 2, 10)
    post.join()
    outgoing = {0: Bundle({"for": 0}), 1: Bundle({"for": 1})}
    assert post.exchange(outgoing) == {0: Bundle({"of": 0}), 1: Bundle({"of": 1})}
    assert [(m.to, m.kind) for m in flower.pushed] == [(7, "query"), (9, "query"), (9, "train"), (7, "train")]
    assert [m.content.header for m in flower.pushed[2:]] == [{"for": 0}, {"for": 1}]


def test_a_node_that_is_late_or_away_is_told_apart_and_no_message_ends_before_the_wait():
    flower = Grid(n7=[who(1)], n9=[who(0), Bundle({"of": 0})], n11=[who(2)])
    post = GridPost(flower, 3, 1)
    post.join()
    del flower.nodes[11]
    replies = post.exchange({n: Bundle({}) for n in range(3)})
    assert replies == {0: Bundle({"of": 0}), 1: "it did not answer within 1 s", 2: "it has not joined, or has left"}
    assert all(m.ttl >= 1 + 1 for m in flower.pushed)


def test_a_node_that_could_not_say_its_number_is_asked_again():
    flower = Grid(n7=["The app\n crashed.", who(0)])
    post = GridPost(flower, 1, 10)
    post.join()
    assert post._addresses == {0: 7}
    assert len(flower.pushed) == 2


@pytest.mark.parametrize("said, words", [
    (who(2), "a node was refused, because its partition-id is 2, but must be one of 0 to 1"),
    (who("0"), "because its partition-id is '0', but"), (who(None), "partition-id is None"), (who(True), "partition-id is True"),
    ("The app\n crashed.", "a node could not say which one it is: The app crashed"),
])  # fmt: skip
def test_who_cannot_take_part_is_named_in_one_sentence_within_the_timeout(said, words):
    post = GridPost(Grid(n7=[said] * 1000), 2, 1)
    with pytest.raises(NetworkError, match=r"no node of 2 has joined within 1 s: a node ") as raised:
        post.join()
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_round_that_is_stopped_is_none():
    post = GridPost(Grid(n7=[who(0)]), 1, 10)
    post.join()
    assert post.exchange({0: Bundle({})}, stop=lambda: True) is None


def test_a_run_that_fails_is_one_sentence_and_no_trace(tmp_path, capsys, caplog):
    (tmp_path / "e.toml").write_text(Experiment(rounds=2).to_toml())
    log = logging.getLogger("flwr")
    try:
        with pytest.raises(NetworkError) as raised:
            server_app.whole_run(GridPost(Grid(), 2, 1), tmp_path / "e.toml", "", "")
        log.error("ServerApp raised an exception", exc_info=raised.value)
    finally:
        log.filters.clear()
    assert capsys.readouterr().out == f"fqlab: {raised.value}\n"
    assert "Traceback" not in caplog.text
    assert "ServerApp raised an exception" in caplog.text
