"""Guesses: told and never raised, in any spelling; the first one counts, and only before the answer is out."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fqlab import lessons
from fqlab.errors import ConfigError
from fqlab.lessons import guess as asking
from fqlab.lessons import store
from fqlab.lessons.asking import step as asking_step
from fqlab.lessons.contents import prediction
from fqlab.lessons.number import understood
from fqlab.panels.beside import VIEW

PREDICTIONS = [p for n in lessons.LESSONS for p in lessons.lesson(n).predictions]
PERCENT = "00-one-bit"


def noted():
    return store.read()["guesses"].get(PERCENT)


@pytest.mark.parametrize("p", PREDICTIONS, ids=lambda p: p.id)
def test_a_guess_unlocks_the_result_and_counts_once(p):
    assert lessons.reveal(p.id).mood == "open"
    assert lessons.predict(p.id).mood == "open"
    card = lessons.predict(p.id, p.high + 1)
    assert card.mood == "open"
    assert f"from {p.low:g} to {p.high:g}" in card.text
    assert store.read()["guesses"] == {}
    lessons.predict(p.id, p.high)
    lessons.predict(p.id, p.low)
    assert store.read()["guesses"] == {p.id: p.low}, "one may think again before the answer is out"
    card = lessons.reveal(p.id)
    truth = store.read()["results"][p.id]
    assert p.low <= truth <= p.high
    assert f"{truth:.4g}" in card.text
    assert p.because.startswith("because ")
    assert p.because.endswith(".")
    assert p.because[1:] in card.text
    assert p.because not in lessons.predict(p.id).text
    late = lessons.predict(p.id, truth)
    assert "a guess does not count now" in late.text
    assert f"Your guess was {p.low:g}" in late.text
    assert "Code" not in late.text
    assert store.read()["guesses"] == {p.id: p.low}
    assert lessons.reveal(p.id).mood == card.mood
    assert "Of 1 guess 0 were close" in lessons.progress().text or "1 was close" in lessons.progress().text


@pytest.mark.parametrize("p", PREDICTIONS, ids=lambda p: p.id)
def test_a_close_guess_is_right(p):
    lessons.predict(p.id, float(p.result()))
    assert lessons.reveal(p.id).right


@pytest.mark.parametrize(
    ("said", "number"),
    [
        *((said, 50.0) for said in (50, 50.0, "50", " 50 ", "50%", "50 %", "50.", "5e1", "50,0", np.float32(50))),
        *((said, 50.0) for said in (np.int64(50), np.array(50.0), torch.tensor(50), Fraction(100, 2), "\t50\n")),
        ("93,5", 93.5),
        ("60 %", 60.0),
        (10, 10.0),
        (100, 100.0),
    ],
    ids=repr,
)
def test_any_spelling_of_a_number_is_a_guess(said, number):
    card = lessons.predict(PERCENT, said)
    assert card.mood == "note"
    assert f"Noted: {number:g} %" in card.text
    assert noted() == number


@pytest.mark.parametrize(
    ("identity", "said", "number"),
    [
        ("03-clip-gain", "3x", 3.0),
        ("03-clip-gain", "3 ×", 3.0),
        ("11-rare-town", "−5", -5.0),
        ("11-rare-town", "-5 points", -5.0),
        ("11-rare-town", "1 point", 1.0),
        ("10-thousand-codes", "1,000", 1000.0),
        ("10-thousand-codes", "1,000 bytes", 1000.0),
        ("02-levels", "7 levels", 7.0),
        ("01-own-starts", "0.5 %", 0.5),
        ("01-own-starts", 0, 0.0),
    ],
)
def test_units_and_signs_are_understood(identity, said, number):
    assert understood(prediction(identity), said) == number


@pytest.mark.parametrize(
    "said",
    [
        0.6, "0.6", ".6", -5, "-5", 101, [50], (50,), {50}, {"a": 50}, ["50"], np.array([50.0]), torch.tensor([50]),
        True, math.nan, math.inf, "nan", "inf", "1e999", "", " ", "fifty", "50 or 60", "50 60", "5_0", "٥٠", "0x32",
        "50 points", 50j, b"50", object, object(), lambda: 50, 10**400, "9" * 10**6, "1," * 10**5, "50\x00",
    ],
    ids=lambda said: repr(said)[:20],
)  # fmt: skip
def test_what_is_no_guess_gets_a_card(said):
    card = lessons.predict(PERCENT, said)
    assert card.mood == "open"
    assert "Not noted" in card.text
    assert len(card.text) < 500
    assert noted() is None
    assert lessons.reveal(PERCENT).mood == "open"


def test_a_share_where_percent_are_asked_is_asked_back():
    assert "do you mean 60 %? Then write 60." in lessons.predict(PERCENT, 0.6).text
    assert lessons.predict("01-own-starts", 0.6).mood == "open"
    assert lessons.predict("03-clip-gain", 0.6).mood == "note"


def test_three_dots_ask_the_question():
    for card in (lessons.predict(PERCENT, ...), lessons.predict(PERCENT)):
        assert card.text.startswith(prediction(PERCENT).question)
        assert "predict('00-one-bit', your_number)" in card.text


def test_a_guess_alone_answers_the_question_that_was_asked_last(monkeypatch):
    for alone in (50, "50", 0.5, [50], "fifty", ...):
        card = lessons.predict(alone)
        assert card.mood == "open"
        assert card.text.startswith("Which question? Name it in front of your guess")
    assert lessons.predict().mood == "open"
    lessons.predict(PERCENT)
    lessons.predict("50 %")
    assert noted() == 50
    assert "Not noted" in lessons.predict("fifty").text
    asking._asked.clear()
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/me/notebooks/03_optimal_clipping.ipynb")
    assert "Noted: 3 ×" in lessons.predict(3).text
    asking._asked.clear()
    monkeypatch.setenv("JPY_SESSION_NAME", "04_stochastic_rounding.ipynb")  # which of its two questions?
    assert "Which question?" in lessons.predict(3).text
    monkeypatch.setenv("JPY_SESSION_NAME", "77_mine.ipynb")
    assert "Which question?" in lessons.predict(3).text


def test_an_unknown_question_is_one_sentence():
    for name in ("00-nothing", "99-x", "00-" + "x" * 10**6):
        with pytest.raises(ConfigError, match="must be one of") as told:
            lessons.predict(name)
        assert len(str(told.value)) < 300


@given(st.text(max_size=60))
def test_no_text_raises(text):
    try:
        number = understood(prediction(PERCENT), text)
    except ConfigError:
        return
    assert 10 <= number <= 100


def asked(identity):
    """The widget of a question: slider, words beside it, button, verdict."""
    box = lessons.predict(identity).widget()
    slider, words, button = box.children[1].children
    return slider, words, button, box.children[2]


@pytest.mark.parametrize("p", PREDICTIONS, ids=lambda p: p.id)
def test_a_slider_and_a_button_store_what_typing_stores(p):
    slider, words, button, verdict = asked(p.id)
    assert (slider.min, slider.max) == (p.low, p.high)
    assert 6 <= (p.high - p.low) / slider.step <= 200
    assert not slider.readout, "the slider suggests no number"
    assert button.disabled
    assert "move the slider" in words.value
    slider.value = p.low + 3 * slider.step
    assert not button.disabled
    assert f"<b>{slider.value:g}</b> {p.unit}" in words.value
    button.click()
    assert store.read()["guesses"] == {p.id: pytest.approx(slider.value)}
    typed = lessons.predict(p.id, round(slider.value, 6))
    assert verdict.value == typed._repr_html_()
    assert f"So far you said {slider.value:g}" in lessons.predict(p.id).sentence
    lessons.reveal(p.id)
    button.click()
    assert "a guess does not count now" in verdict.value
    late = lessons.predict(p.id)
    assert "a guess does not count now" in late.sentence
    assert "a guess does not count now" in repr(late)
    assert len(late.widget().children) == 2, "the slider is gone"


def test_what_a_file_keeps_of_a_question_is_the_same_for_everybody():
    p = prediction(PERCENT)
    kept = []
    for play in (lambda: None, lambda: lessons.predict(p.id, 50), lambda: lessons.reveal(p.id)):
        play()
        bundle = lessons.predict(p.id).without_kernel()
        kept.append((bundle["text/plain"], bundle["text/html"]))
    assert kept[0] == kept[1] == kept[2]


def test_a_question_is_text_where_there_is_no_kernel(monkeypatch, displayed):
    view, still = displayed(lessons.predict(PERCENT))
    assert list(view) == [VIEW]
    assert prediction(PERCENT).question in still["text/plain"]
    monkeypatch.setenv("FQLAB_READING", "1")
    (still,) = displayed(lessons.predict(PERCENT))
    assert still == lessons.predict(PERCENT).without_kernel()
    assert still["text/html"].startswith("<div")


@given(st.integers(-(10**6), 10**6), st.integers(1, 10**9))
def test_a_slider_has_about_a_hundred_round_steps(low, span):
    step = asking_step(low, low + span)
    assert step == 1 or 45 <= span / step <= 230
    assert step == 1 or f"{step:.0e}"[0] in "125"
