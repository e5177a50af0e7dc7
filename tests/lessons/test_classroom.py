"""Codes of guesses: any guess comes back, a mistyped one is named; the class's histogram counts what was pasted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fqlab import lessons
from fqlab.errors import ConfigError
from fqlab.lessons import code, contents
from fqlab.lessons.classroom import gather
from fqlab.plots.guesses import Guesses, Poll

QUESTION = "00-one-bit"


@given(st.floats(-1e9, 1e9).map(lambda g: float(f"{g:.6g}")).filter(lambda g: g == 0 or abs(g) > 1e-20))
def test_any_guess_comes_back(guess):
    text = code.write(QUESTION, guess)
    assert code.read(QUESTION, text) == guess
    assert code.read(QUESTION, f" {text.lower()} ") == guess
    assert code.read(QUESTION, text[:5] + text[5:].replace("1", "l").replace("0", "O")) == guess
    assert code.LOOKS.findall(f"10:41 Ann: {text}, ok?") == [text]


@given(st.integers(0, 1000), st.integers(0, 100), st.sampled_from("0123456789ABCDEFGHJKMNPQRSTVWXYZ"))
def test_one_wrong_letter_is_refused(guess, place, letter):
    text = code.write(QUESTION, guess)
    place = 5 + place % (len(text) - 5)
    spoilt = text[:place] + letter + text[place + 1 :]
    if text[place] == "-" or spoilt == text:
        return
    with pytest.raises(ConfigError, match="code is"):
        code.read(QUESTION, spoilt)


@given(st.text())
def test_no_pasted_text_is_fatal(text):
    guesses, left_out = gather(QUESTION, f"{text} FQ00-{text[:5]}")
    assert guesses == ()
    assert left_out == "" or left_out.startswith("Not counted: ")


def test_codes_of_typical_guesses_are_short_and_say_little():
    codes = [code.write(QUESTION, g) for g in (50, 93.5, 7, 0.25)]
    assert max(map(len, codes)) <= 14
    assert code.write("03-clip-gain", 50) != code.write(QUESTION, 50).replace("FQ00", "FQ03")


def test_predict_shows_the_code_and_the_class_counts_it():
    card = lessons.predict(QUESTION, 93.5)
    shown = code.LOOKS.search(card.text)[0]
    chat = f"""
    [10:41] Ann B.: {shown}
    [10:41] Bo: {code.write(QUESTION, 20).lower()} and good morning
    [10:42] Cy: {code.write("03-clip-gain", 4)}
    [10:42] Di: FQ00-5XX-0000 oh, FQ00-5
    """
    guesses, left_out = gather(QUESTION, chat)
    assert guesses == (93.5, 20.0)
    assert left_out == "Not counted: 2 mistyped (FQ00-5XX-0000, FQ00-5), 1 for another question."
    drawing = lessons.classroom(QUESTION, chat, result=False)
    assert "2 guesses, median 56.75 %" in drawing.alt
    assert left_out in drawing.alt
    assert "it is" not in drawing.alt


def test_a_flood_of_codes_is_cut_off_and_said():
    flood = " ".join([code.write(QUESTION, 20)] * 999 + [code.write(QUESTION, 30), "FQ00-5XX-0000"])
    guesses, left_out = gather(QUESTION, flood)
    assert guesses == (20,) * 999 + (30,)
    assert left_out == "Not counted: what follows the first 1,000 codes."
    assert gather(QUESTION, flood.removesuffix(" FQ00-5XX-0000")) == (guesses, "")


def test_the_picture_counts_like_a_histogram_and_marks_the_result():
    p = contents.prediction("03-clip-gain")
    said = [0.5, 1, 1, 4.2, 4.2, 4.3, 9.9, 10]
    drawing = lessons.classroom("03-clip-gain", " ".join(code.write(p.id, g) for g in said))
    ax = drawing.figure.subfigs[0].axes[0]
    heights = [bar.get_height() for bar in ax.patches]
    assert heights == np.histogram(said, 20, (p.low, p.high))[0].tolist()
    truth = float(p.result())
    assert any(np.allclose(line.get_xdata(), truth) for line in ax.lines)
    close = sum(abs(g - truth) <= p.close for g in said)
    assert f"8 guesses, median 4.2 ×; it is {truth:.4g} ×, {close} came close" in drawing.alt


def test_whole_numbers_get_a_bar_each_and_nobody_is_fine_too():
    from fqlab.plots import draw

    counted = draw(Guesses, Poll((3.0, 4.0, 4.0, 7.0), 1, 9, 4.0, 0.4)).figure.subfigs[0].axes[0]
    assert [bar.get_height() for bar in counted.patches] == [0, 0, 1, 2, 0, 0, 1, 0, 0]
    assert "No guess could be read yet" in lessons.classroom(QUESTION, "nothing here", result=False).alt
    with pytest.raises(ConfigError, match="must be one of"):
        lessons.classroom("00-nothing", "")
