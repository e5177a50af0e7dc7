"""``make lab`` and ``fqlab lab``: the lesson is found, and JupyterLab really answers."""

from __future__ import annotations

import copy
import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from browser import write_notebook
from fqlab.errors import FqlabError
from fqlab.lessons import launch as launcher
from fqlab.lessons.notebook import CLAIM, HOME, PANEL, before_saving, tidy
from fqlab.panels.beside import RULE, VIEW


@pytest.fixture
def lessons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "notebooks"
    folder.mkdir()
    for name in ("00_tour", "03_optimal_clipping", "trial"):
        write_notebook(folder / f"{name}.ipynb", ["1 + 1"])
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.mark.skipif(importlib.util.find_spec("jupyterlab") is None, reason="JupyterLab is not installed")
def test_the_tour_opens_by_default_and_options_are_passed_on(lessons: Path) -> None:
    line = launcher.command(["--no-browser"])
    assert line[:3] == [sys.executable, "-m", "jupyterlab"]
    assert f"--ServerApp.root_dir={lessons}" in line
    assert "--LabApp.default_url=/lab/tree/00_tour.ipynb" in line
    assert "--no-browser" in line


@pytest.mark.skipif(importlib.util.find_spec("jupyterlab") is None, reason="JupyterLab is not installed")
def test_a_lesson_can_be_named_by_its_number(lessons: Path) -> None:
    line = launcher.command(["03", "--port", "9999"])
    assert "--LabApp.default_url=/lab/tree/03_optimal_clipping.ipynb" in line
    assert line[6:8] == ["--port", "9999"]


@pytest.fixture
def course(lessons: Path) -> Path:
    for name in ("01_averaging", "10_wire", "11_fleet", "12_frontier"):
        write_notebook(lessons / f"{name}.ipynb", ["1 + 1"])
    return lessons


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("1", "01_averaging"), ("0", "00_tour"), ("10", "10_wire"), ("12", "12_frontier"), ("01_", "01_averaging"),
        ("11_fleet", "11_fleet"), ("11_fleet.ipynb", "11_fleet"), ("03_opt", "03_optimal_clipping"),
    ],
)  # fmt: skip
def test_a_number_is_the_whole_number(course: Path, name: str, stem: str) -> None:
    assert launcher.find_lesson(name) == course / f"{stem}.ipynb"


def test_two_that_begin_alike_are_both_named(course: Path) -> None:
    (course / "01_averaging.ipynb").unlink()
    with pytest.raises(FqlabError, match="lesson is '1', but that can be 10_wire or 11_fleet or 12_frontier."):
        launcher.find_lesson("1")
    for name in ("", "0"):
        write_notebook(course / "00_other.ipynb", [])
        with pytest.raises(FqlabError, match="but that can be 00_other or 00_tour"):
            launcher.find_lesson(name)


@pytest.mark.parametrize("name", ["001", "²", "٣", "x" * 10**6, "../00_tour", "-1", "1.0"])
def test_what_is_no_lesson_is_one_sentence(course: Path, name: str) -> None:
    with pytest.raises(FqlabError, match="must be one of") as told:
        launcher.find_lesson(name)
    assert len(str(told.value)) < 300


@pytest.mark.skipif(importlib.util.find_spec("jupyterlab") is None, reason="JupyterLab is not installed")
def test_an_unknown_lesson_is_one_sentence(lessons: Path) -> None:
    with pytest.raises(FqlabError, match="lesson is '77', but must be one of 00_tour, 03_optimal_clipping."):
        launcher.command(["77"])


def test_no_lessons_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(launcher, "__file__", str(tmp_path / "fqlab" / "lessons" / "launch.py"))
    with pytest.raises(FqlabError, match="there are no lessons in"):
        launcher.find_lesson("00")


def test_no_jupyterlab_is_one_sentence(lessons: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "find_spec", lambda name: None)
    with pytest.raises(FqlabError, match="JupyterLab is not installed"):
        launcher.command([])


def saving_a_played_lesson_changes_nothing(opener: Any, contents: str, lessons: Path) -> None:
    """Save as the browser does, with outputs, counters and machine metadata, and look at the file."""

    def ask(name: str, body: Any = None) -> Any:
        request = urllib.request.Request(f"{contents}/{name}", method="PUT" if body else "GET")
        request.add_header("Authorization", "token trial")
        with opener.open(request, json.dumps(body).encode() if body else None, timeout=10) as answer:
            return json.loads(answer.read())

    for name, kept in (("00_tour.ipynb", False), ("trial.ipynb", True), ("03_optimal_clipping.ipynb", True)):
        tidy(book := json.loads((lessons / name).read_text()))
        if name == "00_tour.ipynb":
            book["cells"].append({"cell_type": "markdown", "id": "badge", "metadata": {}, "source": [f"{HOME}{name}"]})
        (lessons / name).write_text(json.dumps(book, indent=1, sort_keys=True) + "\n")
        before = (lessons / name).read_text()
        model = ask(name)
        cell = model["content"]["cells"][0]
        cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "an aside"}]
        cell["execution_count"] = 7
        model["content"]["metadata"]["widgets"] = {}
        ask(name, {key: model[key] for key in ("type", "format", "content")})
        after = (lessons / name).read_text()
        assert ("an aside" in after) == kept, "a notebook of one's own keeps its outputs, a lesson does not"
        assert (after == before) != kept


def played(path: Path) -> dict[str, Any]:
    """The notebook in ``path`` as the browser hands it in: run, with a language and a widget state of its own."""
    book = json.loads(path.read_text(encoding="utf-8"))
    book["metadata"] |= {"widgets": {}, "kernelspec": {"name": "ir", "display_name": "R", "language": "R"}}
    for cell in book["cells"]:
        cell["metadata"]["collapsed"] = False
        if cell["cell_type"] == "code":
            cell["outputs"] += [{"output_type": "stream", "name": "stdout", "text": "an aside"}]
    return book


OURS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("[0-9][0-9]_*.ipynb"))


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.stem)
def test_a_lesson_is_saved_as_it_is_stored(path: Path) -> None:
    for folder in ("", "notebooks/", "a/b/"):
        before_saving({"type": "notebook", "content": (book := played(path))}, folder + path.name)
        stored = json.loads(path.read_text(encoding="utf-8"))
        assert book["metadata"] == stored["metadata"]
        assert [c["metadata"] for c in book["cells"]] == [c["metadata"] for c in stored["cells"]]
        plain = [k for k, c in enumerate(book["cells"]) if c["cell_type"] == "code" and not c["metadata"].get("tags")]
        assert [book["cells"][k]["outputs"] for k in plain] == [stored["cells"][k]["outputs"] for k in plain]


@pytest.mark.parametrize(
    "name", ["03_mine.ipynb", "03_optimal_clipping-Copy1.ipynb", "analysis.ipynb", "04_stochastic_rounding.ipynb"]
)
def test_a_copy_of_a_lesson_under_another_name_is_saved_as_it_is(name: str) -> None:
    book = played(OURS[3])
    before = json.dumps(book)
    before_saving({"type": "notebook", "content": book}, name)
    assert json.dumps(book) == before


@pytest.mark.parametrize("lines", [False, True])
def test_a_still_that_hides_behind_its_widget_is_stored_alone_and_in_sight(lines: bool) -> None:
    text = f"<img>\n{RULE}"
    still = {"text/html": text.splitlines(keepends=True) if lines else text, "text/plain": "a panel"}
    outputs = [{"output_type": "display_data", "data": data, "metadata": {}} for data in ({VIEW: {}}, still)]
    for tags, source in ([], "p"), ([PANEL], "p"), ([PANEL, CLAIM], "p"), ([], 'quiz("03")'):
        cell = {"cell_type": "code", "source": source, "metadata": {"tags": tags}, "outputs": copy.deepcopy(outputs)}
        tidy({"metadata": {}, "cells": [cell]})
        kept = [output["data"] for output in cell["outputs"]]
        assert kept == [{"text/html": "<img>\n", "text/plain": "a panel"}] * (bool(tags) or source != "p")


def test_an_assignment_made_of_a_lesson_keeps_its_points() -> None:
    book = played(OURS[3])
    book["cells"][5]["metadata"]["nbgrader"] = {"points": 5}
    before = json.dumps(book)
    before_saving({"type": "notebook", "content": book}, OURS[3].name)
    assert json.dumps(book) == before


@pytest.mark.parametrize(
    "content",
    [
        None, [], "text", {}, {"cells": []}, {"cells": [{"cell_type": "code", "source": "1"}]},
        {"worksheets": [{"cells": []}], "nbformat": 3},
        {"cells": [{"cell_type": "raw"}, {"cell_type": "markdown", "source": ["# 03", " · mine"]}], "metadata": {"kernelspec": "ir"}},
    ],
    ids=repr,
)  # fmt: skip
def test_a_notebook_of_ones_own_named_like_a_lesson_is_saved_as_it_is(content: Any) -> None:
    before = json.dumps(content)
    before_saving({"type": "notebook", "content": content}, "03_optimal_clipping.ipynb")
    before_saving({"type": "file", "content": content}, "03_optimal_clipping.ipynb")
    assert json.dumps(content) == before


@pytest.mark.skipif(importlib.util.find_spec("jupyterlab") is None, reason="JupyterLab is not installed")
def test_jupyterlab_answers_on_the_lesson(lessons: Path, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "fqlab.lessons.launch",
        "--no-browser",
        f"--port={port}",
        "--ServerApp.port_retries=0",
    ]
    environment = os.environ | {"JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"), "JUPYTER_TOKEN": "trial"}
    log = tmp_path / "log"
    with log.open("w") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file, stdin=subprocess.DEVNULL)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        for _ in range(300):
            try:
                with opener.open(f"http://127.0.0.1:{port}/lab/tree/00_tour.ipynb?token=trial", timeout=5) as answer:
                    assert answer.status == 200
                    break
            except OSError:
                assert process.poll() is None, log.read_text()
                time.sleep(0.1)
        else:
            pytest.fail(log.read_text())
        assert f":{port}/lab/tree/00_tour.ipynb" in log.read_text()
        saving_a_played_lesson_changes_nothing(opener, f"http://127.0.0.1:{port}/api/contents", lessons)
    finally:
        process.terminate()
        process.wait(30)
