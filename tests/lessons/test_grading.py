"""The grader: right in any style, wrong by name, and nothing that one attempt does can change the next verdict."""

from __future__ import annotations

import copy
import html

import numpy as np
import pytest
import torch

from fqlab import lessons
from fqlab.errors import ConfigError
from fqlab.lessons import answers, store
from fqlab.lessons.card import Card
from fqlab.panels import frontier, tour
from fqlab.panels.worker import Worker

EXERCISES = [e for n in lessons.LESSONS for e in lessons.lesson(n).exercises]
WRITTEN = [e for e in EXERCISES if e.judge is None]
"""Exercises whose answer is a function; the others ask for a ticket."""


def by(identity):
    return next(e for e in EXERCISES if e.id == identity)


def overwriting(function):
    """``function``, then everything that it was given is spoilt: what an in-place learner leaves behind."""

    def answer(*case):
        result = copy.deepcopy(function(*case))
        for argument in case:
            spoil(argument)
        return result

    return answer


def spoil(argument):
    if isinstance(argument, (np.ndarray, torch.Tensor)):
        argument[...] = 0
    elif isinstance(argument, dict):
        argument.clear()
    elif isinstance(argument, list):
        for item in argument:
            spoil(item)
        argument.clear()


@pytest.mark.parametrize("e", WRITTEN, ids=lambda e: e.id)
def test_an_attempt_that_overwrites_its_arguments_changes_no_later_verdict(e):
    before = copy.deepcopy(e.cases)
    assert lessons.check(e.id, overwriting(e.reference)).right
    for mistake in e.mistakes:
        assert mistake.message in lessons.check(e.id, overwriting(mistake.answer)).text
        assert mistake.message in lessons.check(e.id, mistake.answer).text
    assert lessons.check(e.id, e.reference).right
    assert answers.described(e.cases) == answers.described(before)
    assert repr(e.cases) == repr(before)


def test_the_five_corruptions_that_were_seen():
    """After one in-place attempt these wrong answers passed."""

    def clips_in_place(w, s, b):
        np.clip(w, -s, s, out=w)
        return ...

    lessons.check("02-midrise", clips_in_place)
    never = by("02-midrise").mistakes[1]
    assert never.message in lessons.check("02-midrise", never.answer).text

    def zeroes(x, s, c):
        x[:] = 0
        return s

    lessons.check("03-octav-step", zeroes)
    assert lessons.check("03-octav-step", lambda x, s, c: s).mood == "wrong"

    def floors(mse, present, floor):
        np.maximum(mse, floor, out=mse)
        return ...

    lessons.check("05-inverse-error", floors)
    unguarded = by("05-inverse-error").mistakes[0]
    assert unguarded.message in lessons.check("05-inverse-error", unguarded.answer).text


def test_a_right_answer_in_place_is_right():
    def averages(weights, samples):
        weights *= samples[:, None] / samples.sum()
        return weights.sum(axis=0)

    def keeps(values, masks, old):
        values *= masks
        count = masks.sum(axis=0)
        old[count > 0] = (values.sum(axis=0) / np.maximum(count, 1))[count > 0]
        return old

    assert lessons.check("01-average", averages).right
    assert lessons.check("09-masked-mean", keeps).right


def test_one_array_for_all_results_is_fine():
    out = np.zeros(3)

    def averages(weights, samples):
        out[:] = 0
        out[: weights.shape[1]] = samples @ weights / samples.sum()
        return out[: weights.shape[1]]

    assert lessons.check("01-average", averages).right


def as_list(value):
    return value.tolist() if hasattr(value, "tolist") else value


STYLES = {
    "list": as_list,
    "tuple": lambda v: tuple(as_list(v)) if isinstance(as_list(v), list) else as_list(v),
    "float32": lambda v: np.asarray(v, np.float32),
    "tensor": lambda v: torch.tensor(as_list(v), dtype=torch.float64),
    "tensor of 32 bit": lambda v: torch.tensor(as_list(v), dtype=torch.float32),
    "tensor that asks for a gradient": lambda v: torch.tensor(as_list(v), dtype=torch.float32, requires_grad=True),
    "list of tensors": lambda v: [torch.tensor(x, requires_grad=True) for x in map(float, v)] if np.ndim(v) == 1 else v,
    "not contiguous": lambda v: np.stack([np.asarray(v, float)] * 2, -1)[..., 0],
    "objects": lambda v: np.asarray(v, dtype=object),
}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("e", WRITTEN, ids=lambda e: e.id)
def test_any_style_of_a_right_answer_is_right(e, style):
    assert lessons.check(e.id, lambda *case: STYLES[style](e.reference(*case))).right


def test_bytes_are_their_values_and_text_is_no_number():
    assert lessons.check("10-pack", lambda *case: bytes(by("10-pack").reference(*case))).right
    assert lessons.check("10-pack", lambda *case: bytearray(by("10-pack").reference(*case))).right
    card = lessons.check("07-compression", lambda *case: str(by("07-compression").reference(*case)))
    assert card.mood == "wrong"


def test_on_paper_a_right_number_is_right_as_people_round_it_and_no_verdict_gives_it_away():
    assert lessons.check("00-both-ways", 1.94).right
    assert lessons.check("01-swap", 0).right
    assert lessons.check("03-constant", 0.167).right
    assert lessons.check("11-fog", 0.092).right
    for e in EXERCISES:
        if not any(e.cases) and e.judge is None:
            text = lessons.check(e.id, 123.25).text
            assert text.startswith("123.25 is not it."), text
            assert f"{e.reference():g}" not in text.partition("More help")[0].removeprefix("123.25")


def test_every_lesson_has_an_exercise_on_paper_and_one_to_write_or_play():
    for number in lessons.LESSONS:
        exercises = lessons.lesson(number).exercises
        on_paper = [e for e in exercises if not any(e.cases) and e.judge is None]
        assert len(on_paper) == 1, number
        assert len(exercises) > 1, number


def test_who_has_solved_an_exercise_is_told_what_follows():
    for e in EXERCISES:
        assert e.then.endswith((".", "?")), e.id
    for e in WRITTEN:
        assert e.then in lessons.check(e.id, e.reference).text


def test_a_stub_that_is_half_filled_is_open_not_wrong():
    for half in (lambda x, s, c: x.sum() / ..., lambda x, s, c: max(..., s)):
        card = lessons.check("03-octav-step", half)
        assert card.mood == "open"
        assert "TODO" in card.text


class Rude(Exception):
    def __str__(self):
        raise RuntimeError


class Unspeakable:
    def __repr__(self):
        raise RuntimeError


def raises(error):
    def answer(*_):
        raise error

    return answer


STRANGE = {
    "raises": raises(ValueError("no")),
    "raises at length": raises(ValueError("x" * 10**6)),
    "raises something rude": raises(Rude()),
    "gives up": raises(SystemExit(1)),
    "never ends": lambda *case: STRANGE["never ends"](*case),
    "too few arguments": lambda: 1,
    "generator": lambda *case: (x for x in case),
    "ragged": lambda *_: [[1.0], [2.0, 3.0]],
    "a type": lambda *_: int,
    "a set": lambda *_: {1.0, 2.0},
    "a dict": lambda *_: {"a": [1.0]},
    "complex": lambda *_: 1j * np.ones(3),
    "text": lambda *_: "y" * 10**6,
    "many numbers": lambda *_: np.arange(10.0**6),
    "a large whole number": lambda *_: 10**5000,
    "unspeakable": lambda *_: Unspeakable(),
    "a meta tensor": lambda *_: torch.zeros(3, device="meta"),
    "a sparse tensor": lambda *_: torch.eye(3).to_sparse(),
    "list with a hole": lambda *_: [1.0, None],
    "itself": lambda *_: LOOP,
}
LOOP: list = []
LOOP.append(LOOP)


@pytest.mark.parametrize("kind", STRANGE)
@pytest.mark.parametrize("e", EXERCISES, ids=lambda e: e.id)
def test_whatever_a_learner_hands_in_is_told(e, kind):
    card = lessons.check(e.id, STRANGE[kind])
    assert card.mood == "wrong"
    assert len(card.text) < 1500
    assert "hint(" in card.text
    assert store.read()["solved"] == {}


def test_what_is_wrong_is_said():
    assert "Your function raised ValueError: no" in lessons.check("01-average", STRANGE["raises"]).text
    assert "put list(...) around it" in lessons.check("01-average", STRANGE["generator"]).text
    assert "shape (1,), but should be (3,)" in lessons.check("04-round", lambda x, u: np.zeros(1)).text.replace(
        "5", "3"
    )
    assert "your answer is 7, but should be" in lessons.check("07-compression", lambda rows: 7.0).text


@pytest.mark.parametrize("identity, panel", [("00-ticket", tour), ("12-beat-the-front", frontier)])
def test_a_panel_counts_as_its_ticket(identity, panel):
    shown = panel(method="fedavg")
    card = lessons.check(identity, shown)
    assert card.mood == "wrong"
    shown.restore(by(identity).reference())
    assert lessons.check(identity, shown).right
    shown.close()
    assert shown.wait()
    assert len(card.text) < 300
    other = lessons.check(identity, Card("note", "no panel at all"))
    assert "Ticket is" in other.text
    assert len(other.text) < 300


@pytest.mark.parametrize("e", EXERCISES, ids=lambda e: e.id)
def test_a_printed_solution_runs_as_it_stands(e, monkeypatch):
    monkeypatch.setattr(Worker, "submit", lambda *_: None)  # a panel need not train to have a ticket
    card = lessons.solution(e.id)
    assert card.code == e.solution
    assert f"<pre>{html.escape(card.code.splitlines()[0])}" in card._repr_html_()
    space: dict = {}
    exec(repr(card).partition("\n\n")[2], space)
    functions = [v for v in space.values() if type(v).__name__ == "function"]
    answer = functions[-1] if functions else eval(e.solution)
    assert lessons.check(e.id, answer).right


def test_the_indentation_of_a_solution_reaches_the_browser():
    page = lessons.solution("05-inverse-error")._repr_html_()
    assert "\n    inverse = np.where(" in page


def test_names_of_other_kinds_get_one_sentence():
    for call in (lessons.check, lessons.hint, lessons.solution, lessons.predict, lessons.reveal):
        for name in ("03-nothing", "77-x", "x" * 10**6):
            with pytest.raises(ConfigError, match="must be one of") as told:
                call(name, 1) if call in (lessons.check, lessons.predict) else call(name)
            assert len(str(told.value)) < 300
    for name in (3, None, ["03-octav-step"], b"03-octav-step"):
        with pytest.raises(ConfigError, match="must be one of"):
            lessons.check(name, 1)
