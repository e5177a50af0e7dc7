"""What the lessons check: references pass, usual mistakes get the sentence that helps, progress survives."""

from __future__ import annotations

import importlib.util
import json
import random

import numpy as np
import pytest
import torch

from fqlab import lessons
from fqlab.errors import ConfigError, DataError
from fqlab.lessons import learn
from fqlab.lessons.quiz import as_text

THERE = [n for n in lessons.LESSONS if importlib.util.find_spec(f"fqlab.lessons.content.lesson_{n}")]
EXERCISES = [(n, e) for n in THERE for e in lessons.lesson(n).exercises]
PREDICTIONS = [(n, p) for n in THERE for p in lessons.lesson(n).predictions]


@pytest.fixture(autouse=True)
def own_progress(tmp_path, monkeypatch):
    monkeypatch.setenv("FQLAB_PROGRESS", str(tmp_path / "progress.json"))


@pytest.mark.parametrize("number", THERE)
def test_a_lesson_is_whole(number):
    lesson = lessons.lesson(number)
    assert lesson.number == number
    assert lesson.predictions
    assert lesson.exercises
    assert len(lesson.questions) == 3
    for question in lesson.questions:
        assert len(question.options) >= 3
        assert sum(o.right for o in question.options) == 1
        assert all(len(o.feedback) > 10 for o in question.options)
        assert len({o.feedback for o in question.options}) == len(question.options)
    for item in (*lesson.predictions, *lesson.exercises):
        assert item.id.startswith(f"{number}-")


@pytest.mark.parametrize("number, exercise", EXERCISES, ids=[e.id for _, e in EXERCISES])
def test_an_exercise_accepts_its_reference_and_its_printed_solution(number, exercise):
    assert lessons.check(exercise.id, exercise.reference).right
    assert learn.store.read()["solved"] == {exercise.id: True}
    space = {"np": np, "torch": torch, "random": random}
    exec(exercise.solution, space)
    written = [v for k, v in space.items() if callable(v) and getattr(v, "__module__", "x") is None or k == "answer"]
    functions = [v for k, v in space.items() if type(v).__name__ == "function"] or written
    assert lessons.check(exercise.id, functions[-1]).right


@pytest.mark.parametrize("number, exercise", EXERCISES, ids=[e.id for _, e in EXERCISES])
def test_usual_mistakes_get_their_own_sentence(number, exercise):
    assert len(exercise.mistakes) >= 3
    assert len(exercise.hints) == 3
    for mistake in exercise.mistakes:
        card = lessons.check(exercise.id, mistake.answer)
        assert card.mood == "wrong"
        assert mistake.message in card.text
    assert lessons.check(exercise.id, lambda *_: ...).mood == "open"
    assert "ZeroDivisionError" in lessons.check(exercise.id, lambda *_: 1 / 0).text
    assert lessons.check(exercise.id, lambda *_: -12345.678).mood == "wrong"
    assert learn.store.read()["solved"] == {}


@pytest.mark.parametrize("number, prediction", PREDICTIONS, ids=[p.id for _, p in PREDICTIONS])
def test_a_guess_unlocks_the_result(number, prediction):
    assert lessons.reveal(prediction.id).mood == "open"
    assert lessons.predict(prediction.id).mood == "open"
    with pytest.raises(ConfigError, match="guess is"):
        lessons.predict(prediction.id, prediction.high + 1)
    lessons.predict(prediction.id, prediction.low)
    card = lessons.reveal(prediction.id)
    truth = learn.store.read()["results"][prediction.id]
    assert prediction.low <= truth <= prediction.high
    assert f"{truth:.4g}" in card.text
    lessons.predict(prediction.id, truth)
    assert lessons.reveal(prediction.id).right
    assert "Of 1 guesses 1 were close" in lessons.progress().text


def test_hints_come_one_by_one():
    learn._ASKED.clear()
    seen = [lessons.hint("03-octav-step").text for _ in range(4)]
    assert len(set(seen)) == 3
    assert seen[2] == seen[3]
    assert "size" in lessons.solution("03-octav-step").text
    with pytest.raises(ConfigError, match="level is 4"):
        lessons.hint("03-octav-step", 4)


def test_unknown_names_get_one_sentence():
    for call in (lambda: lessons.check("03-nothing", 1), lambda: lessons.predict("77-x"), lambda: lessons.lesson("99")):
        with pytest.raises(ConfigError, match="must be one of"):
            call()


def test_progress_travels(tmp_path):
    lessons.answer("03", 1, 2)
    lessons.predict("03-clip-gain", 4)
    lessons.export_progress(str(tmp_path / "mine.json"))
    learn.store.path().unlink()
    assert "0 of 0" in lessons.progress().text
    lessons.import_progress(str(tmp_path / "mine.json"))
    assert "1 of 1" in lessons.progress().text
    (tmp_path / "bad.json").write_text(json.dumps([1]))
    with pytest.raises(DataError, match="can't be read"):
        lessons.import_progress(str(tmp_path / "bad.json"))
    with pytest.raises(ConfigError, match="no file"):
        lessons.import_progress(str(tmp_path / "none.json"))


def test_quiz_widgets_judge_at_once_and_read_as_text():
    box = lessons.quiz("03")
    choice, verdict = box.children[0].children[1:]
    choice.value = 2
    assert "✓" in verdict.value
    choice.value = 1
    assert "✗" in verdict.value
    assert learn.store.read()["answers"] == {"03-1": False}
    bundle = box._repr_mimebundle_()
    assert bundle["text/plain"] == as_text("03")
    assert as_text("03").count("\n") >= 11


def test_source_is_the_librarys_own():
    from fqlab.quant import octav_update

    text = str(lessons.show_source(octav_update))
    assert "tail / (noise * inside + outside)" in text
    assert '"""' not in text
