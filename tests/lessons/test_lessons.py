"""What the lessons check: references pass, usual mistakes get the sentence that helps, progress survives."""

from __future__ import annotations

import pytest

from fqlab import lessons
from fqlab.errors import ConfigError
from fqlab.lessons import store
from fqlab.lessons.quiz import as_text

EXERCISES = [e for n in lessons.LESSONS for e in lessons.lesson(n).exercises]


@pytest.mark.parametrize("number", lessons.LESSONS)
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


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.id)
def test_usual_mistakes_get_their_own_sentence(exercise):
    assert len(exercise.mistakes) >= 3
    assert len(exercise.hints) == 3
    for mistake in exercise.mistakes:
        card = lessons.check(exercise.id, mistake.answer)
        assert card.mood == "wrong"
        assert mistake.message in card.text
    assert lessons.check(exercise.id, lambda *_: ...).mood == "open"
    assert "ZeroDivisionError" in lessons.check(exercise.id, lambda *_: 1 / 0).text
    assert lessons.check(exercise.id, lambda *_: -12345.678).mood == "wrong"
    assert store.read()["solved"] == {}


def test_hints_come_one_by_one():
    seen = [lessons.hint("03-octav-step").text for _ in range(4)]
    assert len(set(seen)) == 3
    assert seen[2] == seen[3]
    with pytest.raises(ConfigError, match="level is 4"):
        lessons.hint("03-octav-step", 4)


def test_quiz_widgets_judge_at_once_and_read_as_text():
    box = lessons.quiz("03")
    choice, verdict = box.children[0].children[1:]
    choice.value = 2
    assert "✓" in verdict.value
    assert "first answer" not in verdict.value
    choice.value = 1
    assert "✗" in verdict.value
    assert "Your first answer counts." in verdict.value
    assert store.read()["answers"] == {"03-1": True}, "the first answer counts"
    with pytest.raises(ConfigError, match="option is 0"):
        lessons.answer("03", 1, 0)
    with pytest.raises(ConfigError, match="question is 4"):
        lessons.answer("03", 4, 1)
    bundle = box.without_kernel()
    assert bundle["text/plain"] == as_text("03")
    assert as_text("03").count("\n") >= 11


def test_source_is_the_librarys_own():
    from fqlab.quant import octav_update

    text = str(lessons.show_source(octav_update))
    assert "tail / (noise * inside + outside)" in text
    assert '"""' not in text
