"""Machines fail: the round goes on without them, or ends in time with one sentence; nothing stays behind."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import time
from pathlib import Path

import pytest

from flower_python import PYTHON, needs_flower

TESTS = Path(__file__).resolve().parent.parent
TIMEOUT = 10
"""Seconds a round may take here, and nodes to join."""

pytestmark = [needs_flower, pytest.mark.long]


def alive(mark: str) -> list[str]:
    """Commands of the processes that inherited ``mark``."""
    commands = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes():
                commands.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return commands


def gone(mark: str) -> bool:
    """Whether all of them end within ten seconds."""
    end = time.monotonic() + 10
    while alive(mark) and time.monotonic() < end:
        time.sleep(0.1)
    return not alive(mark)


def environment(mark: str, folder: Path, timeout: float = TIMEOUT) -> dict[str, str]:
    path = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    return {**os.environ, "PYTHONPATH": path, "FQLAB_FLOWER_TIMEOUT": str(timeout), "MARK": mark, "TMPDIR": str(folder)}


def happen(fault: str, folder: Path, timeout: float = TIMEOUT) -> dict:
    """Let it happen; what came of it, once no process and no folder of it is left."""
    mark = secrets.token_hex(8)
    (folder / "tmp").mkdir()
    command = [PYTHON, str(TESTS / "flower_faults.py"), fault, str(folder)]
    done = subprocess.run(
        command, env=environment(mark, folder / "tmp", timeout), capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stderr
    assert gone(mark)
    assert [path.name for path in (folder / "tmp").iterdir() if path.is_dir()] == []
    return json.loads(done.stdout.splitlines()[-1])


def test_a_node_that_is_killed_is_left_out_and_the_run_ends(tmp_path):
    rounds = happen("killed", tmp_path, 20)["rounds"]
    assert [len(r["left_out"]) for r in rounds] == [0, 0, 5, 5, 5]
    assert rounds[2]["left_out"][0] == "client 1: node 1: it did not answer within 20 s"
    assert all(r["seconds"] < 60 for r in rounds)


def test_a_node_that_comes_late_takes_part_from_then_on(tmp_path):
    rounds = happen("late", tmp_path)["rounds"]
    assert [len(r["left_out"]) for r in rounds[:2]] == [5, 5]
    assert rounds[0]["left_out"][0] == "client 1: node 1: it has not joined, or has left"
    assert len(rounds[-1]["left_out"]) == 0


def test_a_damaged_packet_is_left_out_by_client_and_field(tmp_path):
    last = happen("damaged", tmp_path)["rounds"][-1]
    assert [who.partition(":")[0] for who in last["left_out"]] == ["client 1"]
    assert "checksum" in last["left_out"][0]


def test_a_node_that_lives_but_never_answers_costs_its_clients_and_the_timeout(tmp_path):
    rounds = happen("silent", tmp_path)["rounds"]
    for last in rounds[-2:]:
        assert [who.partition(":")[0] for who in last["left_out"]] == [f"client {c}" for c in (1, 3, 5, 7, 9)]
        assert last["left_out"][0] == f"client 1: node 1: it did not answer within {TIMEOUT} s"
        assert TIMEOUT <= last["seconds"] < 2 * TIMEOUT
        assert last["accuracy"] > 0.2


def test_without_any_node_the_run_ends_in_time_with_one_sentence(tmp_path):
    came = happen("nobody", tmp_path)
    assert came["error"].startswith("no node of 2 has joined within 10 s: is a SuperNode running")
    assert came["seconds"] < 120 + 2 * TIMEOUT


def test_a_node_with_a_number_that_is_none_is_refused_by_its_number(tmp_path):
    said = happen("stranger", tmp_path, 30)["error"]
    assert said.startswith("no node of 2 has joined within 30 s: a node was refused, because its partition-id is 7")


def test_a_superlink_that_dies_ends_the_run_and_the_next_one_resumes_to_the_bit(tmp_path):
    came = happen("restarted", tmp_path, 20)
    assert "the SuperLink ended with status -9" in came["error"]
    assert came["seconds"] < 20
    assert came["done"] == 2
    assert came["same"]


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_the_run_ends_every_process(tmp_path, signal_):
    mark = secrets.token_hex(8)
    command = [PYTHON, "-m", "fqlab.cli", "run", "--engine", "flower", "--rounds", "1000"]
    streams = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    hears = lambda: signal.signal(
        signal.SIGINT, signal.SIG_DFL
    )  # what a shell starts with & ignores it, and so do its children
    run = subprocess.Popen(command, env=environment(mark, tmp_path, 60), preexec_fn=hears, **streams)
    try:
        lines = iter(run.stdout.readline, "")
        assert any(line.strip().startswith("2 ") for line in lines)
        assert len(alive(mark)) > 6
        run.send_signal(signal_)
        said = run.communicate(timeout=60)[1]
    finally:
        run.kill()
    assert run.returncode == {signal.SIGINT: 130}.get(signal_, -signal_)
    assert gone(mark)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("fqlab-flower")] == []
    if signal_ == signal.SIGINT:
        assert "stopped after" in said
        assert "Traceback" not in said
