"""The progress file: facts travel, two processes keep each other's, and nothing wrong with it stops a lesson."""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
from pathlib import Path

import pytest

from fqlab import lessons
from fqlab.errors import ConfigError, DataError
from fqlab.lessons import store

Q = "03-clip-gain"
GUESS = 4.0


def learn():
    """One of everything; the cards in order."""
    function = lessons.lesson("03").exercises[0].reference
    right, feedback = lessons.answer("03", 1, 2)
    assert right
    return [
        str(lessons.predict(Q, GUESS)),
        str(lessons.reveal(Q)),
        str(lessons.check("03-octav-step", function)),
        feedback,
    ]


VERDICTS = ("Noted: 4 ×", "You said 4 ×, it is", "Right on every case", "Yes: Δ shrinks with s")


def test_progress_travels(tmp_path):
    learn()
    lessons.export_progress(str(tmp_path / "mine.json"))
    store.path().unlink()
    assert "0 of 0 questions" in lessons.progress().text
    assert "Solved 1 exercise, answered 1 of 1 question right." in lessons.import_progress(tmp_path / "mine.json").text
    assert "Of 1 guess 0 were close" in lessons.progress().text
    lessons.export_progress(str(tmp_path / "mine.json"))


def test_what_is_here_stays_when_another_file_comes(tmp_path):
    lessons.predict(Q, 5)
    lessons.export_progress(str(tmp_path / "old.json"))
    lessons.predict(Q, GUESS)
    lessons.import_progress(str(tmp_path / "old.json"))
    assert store.read()["guesses"] == {Q: GUESS}


DAMAGED = {
    "empty": b"", "half": b'{"guesses": {"03', "a list": b"[1]", "no tables": b"{}", "text": b"hello",
    "other": json.dumps({n: [] for n in store.KINDS}).encode(),
    "guess of text": json.dumps(store.empty() | {"guesses": {Q: "four"}}).encode(),
    "guess of NaN": json.dumps(store.empty() | {"guesses": {Q: float("nan")}}).encode(),
    "guess without end": json.dumps(store.empty() | {"guesses": {Q: 10**400}}).encode(),
    "truth of a guess": json.dumps(store.empty() | {"guesses": {Q: True}}).encode(),
    "answers that are numbers": json.dumps(store.empty() | {"answers": {"03-1": 5}}).encode(),
    "long names": json.dumps(store.empty() | {"solved": {"x" * 1000: True}}).encode(),
    "bytes": bytes(range(256)), "deep": b"[" * 100_000, "UTF-16": json.dumps(store.empty()).encode("utf-16"),
    "too large": json.dumps(store.empty() | {"solved": {str(n): True for n in range(100_000)}}).encode(),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_file_stops_nothing_and_the_advice_works(kind, own_progress, tmp_path):
    lessons.predict(Q, 2)
    lessons.export_progress(str(tmp_path / "saved.json"))
    own_progress.write_bytes(DAMAGED[kind])
    for card, verdict in zip(learn(), VERDICTS, strict=True):
        assert verdict in card
        assert card.index(verdict) < card.index("Not stored: progress file")
        assert card.count("Not stored") == 1
        assert "can't be read; delete it, or import another." in card
    assert own_progress.read_bytes() == DAMAGED[kind], "what might be mended by hand is not overwritten"
    card = lessons.import_progress(str(tmp_path / "saved.json"))  # "... or import another"
    assert "Solved 1 exercise" in card.text
    assert "Not stored" not in card.text
    assert store.load(own_progress)["guesses"] == {Q: GUESS}
    assert own_progress.with_name("progress.json.damaged").read_bytes() == DAMAGED[kind]


def test_deleting_a_damaged_file_keeps_what_was_learnt_since(own_progress):
    own_progress.write_bytes(b"{")
    learn()
    own_progress.unlink()  # "delete it ..."
    lessons.answer("03", 2, 1)
    stored = store.load(own_progress)
    assert stored["guesses"] == {Q: GUESS}
    assert stored["answers"] == {"03-1": True, "03-2": True}


def nowhere(own_progress, monkeypatch):
    monkeypatch.setenv("FQLAB_PROGRESS", str(own_progress.parent / "none" / "progress.json"))


def below_a_file(own_progress, monkeypatch):
    own_progress.write_text("I am a file")
    monkeypatch.setenv("FQLAB_PROGRESS", str(own_progress / "progress.json"))


def a_folder(own_progress, monkeypatch):
    own_progress.mkdir()


def long_name(own_progress, monkeypatch):
    monkeypatch.setenv("FQLAB_PROGRESS", str(own_progress.parent / ("x" * 300)))


def homeless(own_progress, monkeypatch):
    def nobody(*_):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("FQLAB_PROGRESS")
    monkeypatch.setattr(Path, "home", nobody)


def no_such_user(own_progress, monkeypatch):
    monkeypatch.setenv("FQLAB_PROGRESS", "~nobody-of-this-name/progress.json")


def full(own_progress, monkeypatch):
    def no_space(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "atomic_write", no_space)


def forbidden(own_progress, monkeypatch):
    def no_right(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "exists", no_right)
    monkeypatch.setattr(store, "atomic_write", no_right)


@pytest.mark.parametrize(
    "trouble", [nowhere, below_a_file, a_folder, long_name, homeless, no_such_user, full, forbidden]
)
def test_a_place_that_cannot_be_written_stops_nothing(trouble, own_progress, monkeypatch):
    trouble(own_progress, monkeypatch)
    for card, verdict in zip(learn(), VERDICTS, strict=True):
        assert verdict in card
        assert card.index(verdict) < card.index("Not stored: ")
        assert "It is kept until this kernel stops" in card
    assert "Solved 1 exercise, answered 1 of 1 question right." in lessons.progress().text
    monkeypatch.undo()
    monkeypatch.setenv("FQLAB_PROGRESS", str(own_progress.parent / "better.json"))
    lessons.answer("03", 2, 1)
    assert store.load(store.path())["guesses"] == {Q: GUESS}, "stored as soon as there is a place"


def test_the_rest_can_be_taken_along(own_progress, monkeypatch, tmp_path):
    nowhere(own_progress, monkeypatch)
    learn()
    lessons.export_progress(str(tmp_path / "my-progress.json"))
    assert store.load(tmp_path / "my-progress.json")["guesses"] == {Q: GUESS}


def test_a_pipe_is_not_waited_for(own_progress):
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    os.mkfifo(own_progress)
    assert "Not stored" in str(lessons.predict(Q, GUESS))


def test_a_link_stays_a_link(own_progress, tmp_path):
    (tmp_path / "cloud.json").write_text(json.dumps(store.empty()))
    own_progress.symlink_to(tmp_path / "cloud.json")
    lessons.predict(Q, GUESS)
    assert own_progress.is_symlink()
    assert store.load(tmp_path / "cloud.json")["guesses"] == {Q: GUESS}


def test_a_file_of_another_edition_is_read(own_progress):
    tables = store.empty() | {"guesses": {"03-gone": 5, Q: 4}, "results": {"03-gone": 6, Q: 3}, "new": {"x": [1]}}
    own_progress.write_text(json.dumps(tables), encoding="utf-8-sig")
    assert "Of 1 guess 0 were close" in lessons.progress().text


def test_files_that_people_name_get_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "thesis.txt").write_text("all my work")
    (tmp_path / "bad.json").write_text("[1]")
    with pytest.raises(ConfigError, match="holds something else"):
        lessons.export_progress(str(tmp_path / "thesis.txt"))
    assert (tmp_path / "thesis.txt").read_text() == "all my work"
    lessons.export_progress("~/mine.json")
    assert (tmp_path / "mine.json").exists()
    lessons.import_progress("~/mine.json")
    with pytest.raises(DataError, match="can't be read"):
        lessons.import_progress(str(tmp_path / "bad.json"))
    for target in (tmp_path, tmp_path / "none" / "x.json", tmp_path / ("x" * 300), None, 5, "", "a\0b", "~none-such/x"):
        with pytest.raises(ConfigError, match="target is") as told:
            lessons.export_progress(target)
        assert len(str(told.value)) < 300
    for source in (tmp_path, tmp_path / "none.json", None, 5, "", "a\0b", "~none-such/x", "x" * 10**6):
        with pytest.raises(ConfigError, match="source is"):
            lessons.import_progress(source)


def answers(path, number, count):
    os.environ["FQLAB_PROGRESS"] = path
    for n in range(count):
        store.record("answers", f"{number:02d}-{n}", True)


@pytest.mark.parametrize("kind", ["processes", "threads"])
def test_two_that_store_at_once_keep_each_others_facts(kind, own_progress):
    make = threading.Thread if kind == "threads" else multiprocessing.get_context("spawn").Process
    both = [make(target=answers, args=(str(own_progress), number, 40)) for number in (1, 2)]
    for one in both:
        one.start()
    for one in both:
        one.join(60)
    assert len(store.load(own_progress)["answers"]) == 80
    assert list(own_progress.parent.glob("*.part")) == []
