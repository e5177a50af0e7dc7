"""Checkpoints: what may go on from them, what they refuse, and what hostile bytes can do."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import random

import pytest
import torch

from fqlab.errors import ConfigError, DataError, StoreError
from fqlab.federation import Experiment, Federation, checkpoint, fit
from fuzz.mutate import damaged

SHORT = Experiment(method="lottery", validation=0.1, rounds=3, engine="vectorized", evaluate_every=2, clients=4)


@pytest.fixture
def stored(tmp_path):
    """A checkpoint of three rounds."""
    path = tmp_path / "run"
    federation = Federation(SHORT, checkpoint=path)
    for _ in federation:
        pass
    return path


def rewritten(path, **notes) -> None:
    """The same checkpoint with other notes, under a checksum that holds."""
    tensors, old = checkpoint.load(path)
    checkpoint.save(path, tensors, {**old, **notes})


def test_more_rounds_go_on_and_fewer_are_refused(stored):
    assert len(Federation(dataclasses.replace(SHORT, rounds=4), checkpoint=stored).rounds) == 3
    before = stored.read_bytes()
    with pytest.raises(ConfigError, match="rounds is 2, but checkpoint .* already has 3; ask for as many or more"):
        Federation(dataclasses.replace(SHORT, rounds=2), checkpoint=stored)
    assert stored.read_bytes() == before


def test_the_last_round_is_always_evaluated(tmp_path):
    """A run of five rounds that is stopped after the third, which is not evaluated, and taken up for three."""
    longer = dataclasses.replace(SHORT, rounds=5)
    half = Federation(longer, checkpoint=tmp_path / "run")
    for _ in range(3):
        half.step()
    assert math.isnan(half.rounds[-1].accuracy)
    assert half.history().accuracy > 0
    again = fit(SHORT, checkpoint=tmp_path / "run")
    assert (len(again.rounds), again.accuracy) == (3, half.history().accuracy)
    assert json.loads(again.to_json())["rounds"][-1]["accuracy"] == again.accuracy
    whole = fit(longer)
    resumed = fit(longer, checkpoint=tmp_path / "run")
    assert [repr(r.accuracy) for r in whole.rounds] == [repr(r.accuracy) for r in resumed.rounds]


def test_the_ledger_comes_back(stored):
    federation = Federation(dataclasses.replace(SHORT, rounds=4), checkpoint=stored)
    federation.step()
    assert federation.ledger.total() == sum(r.bytes_up + r.bytes_down for r in federation.rounds)
    assert {entry.round_index for entry in federation.ledger.entries} == {1, 2, 3, 4}


def test_every_flipped_byte_is_noticed_or_changes_nothing(stored):
    good = stored.read_bytes()
    rng = random.Random(0)
    tensors = checkpoint.load(stored)[0]
    for _ in range(200):
        broken = bytearray(good)
        broken[rng.randrange(len(good))] ^= 1 << rng.randrange(8)
        stored.write_bytes(bytes(broken))
        with pytest.raises((DataError, ConfigError), match="checkpoint"):
            Federation(SHORT, checkpoint=stored)
    stored.write_bytes(good)
    again = checkpoint.load(stored)[0]
    assert all(torch.equal(v.nan_to_num(), tensors[k].nan_to_num()) for k, v in again.items())


@pytest.mark.parametrize("notes", [
    {"clients": "[77]"}, {"clients": '["x"]'}, {"clients": "3"}, {"clients": "[[[["}, {"rounds": "{}"}, {"rounds": "[1]"},
    {"rounds": "[" * 5000}, {"rounds": '[{"index": 1}]'}, {"rounds": "null"},
])  # fmt: skip
def test_notes_that_make_no_sense_are_damage(stored, notes):
    rewritten(stored, **notes)
    with pytest.raises(DataError, match="checkpoint .* can't be read"):
        Federation(SHORT, checkpoint=stored)


def test_tensors_that_make_no_sense_are_damage(stored):
    tensors, notes = checkpoint.load(stored)
    name = "weights/fc1.weight"
    for changed in (
        {name: tensors[name][1:]}, {name: tensors[name].double()}, {"server/seen": tensors["server/seen"].long()},
        {"ledger": torch.zeros(2, dtype=torch.float64)}, {"server/more": tensors[name]},
    ):  # fmt: skip
        checkpoint.save(stored, {**tensors, **changed}, notes)
        with pytest.raises(DataError, match="checkpoint .* can't be read"):
            Federation(SHORT, checkpoint=stored)
    checkpoint.save(stored, {k: v for k, v in tensors.items() if k != name}, notes)
    with pytest.raises(DataError, match="checkpoint .* can't be read"):
        Federation(SHORT, checkpoint=stored)


def test_hostile_notes_never_escape(stored):
    """Two thousand damaged notes under a checksum that holds."""
    tensors, notes = checkpoint.load(stored)
    start = Federation(SHORT)
    rng = random.Random(1)
    refused = 0
    seeds = {key: [notes[key].encode()] for key in ("rounds", "clients")}
    real = checkpoint.load
    for i in range(2000):
        key = ("rounds", "clients")[i % 2]
        lie = {**notes, key: damaged(seeds[key], rng).decode("utf-8", "replace")}
        checkpoint.load = lambda path, lie=lie: (tensors, lie)
        try:
            checkpoint.read(stored, notes["experiment"], start.server, start.method)
        except (DataError, ConfigError):
            refused += 1
        finally:
            checkpoint.load = real
    assert refused > 500


def test_what_is_no_file_is_refused(tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="that is a folder"):
        Federation(SHORT, checkpoint=tmp_path / "folder")
    with pytest.raises(DataError, match="can't be read"):
        Federation(SHORT, checkpoint=tmp_path / "pipe")
    with pytest.raises(ConfigError, match="its folder does not exist"):
        Federation(SHORT, checkpoint=tmp_path / "no" / "run")


def test_a_checkpoint_that_cannot_be_written_says_so_and_the_round_counts(tmp_path, monkeypatch):
    federation = Federation(SHORT, checkpoint=tmp_path / "run")
    federation.step()
    first = (tmp_path / "run").read_bytes()

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StoreError, match="can't be written after 2 rounds: No space left on device"):
        federation.step()
    assert len(federation.rounds) == 2
    assert (tmp_path / "run").read_bytes() == first
    assert os.listdir(tmp_path) == ["run"]


def test_what_is_no_plain_file_is_no_checkpoint(tmp_path):
    """Nothing hangs, nothing is trained first, and the sentence is true: something is there."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for place, words in (
        (tmp_path / "pipe", "no plain file"), ("/dev/null", "no plain file"), (tmp_path / "loop", "symbolic links"),
        (tmp_path, "that is a folder"), (5, "checkpoint is 5"), (b"run", "checkpoint is b'run'"), ("\ud800", "checkpoint is"),
    ):  # fmt: skip
        with pytest.raises((ConfigError, DataError), match=words) as told:
            Federation(SHORT, checkpoint=place)
        assert "Errno" not in str(told.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["loop", "pipe"]
