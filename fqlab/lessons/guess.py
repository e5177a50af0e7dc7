"""Predictions: a guess is committed before the panel answers, and then set against the truth."""

from __future__ import annotations

import os
import re
from pathlib import PurePath
from typing import Any

from fqlab.errors import ConfigError
from fqlab.lessons import code, store
from fqlab.lessons.asking import Ask
from fqlab.lessons.card import Card, fold, reading
from fqlab.lessons.contents import LESSONS, lesson, prediction
from fqlab.lessons.model import Prediction
from fqlab.lessons.number import understood

__all__ = ["predict", "reveal"]

_asked: list[str] = []
"""The questions that were asked in this kernel, the last one last."""


def predict(identity: Any = None, guess: Any = None) -> Card:
    """Commit a guess; it is stored and unlocks :func:`reveal`. Without a guess, ask the question.

    ``predict(50)`` answers the question that was asked last. What is no guess is told, not raised. Once the answer is
    out, a guess does not count.

    Raises:
        ConfigError: for an unknown prediction.
    """
    if guess is None and not (isinstance(identity, str) and re.match(r"\d\d-", identity)):
        guess = identity
        identity = _last()
        if identity is None:
            return Card("open", "Which question? Name it in front of your guess: predict('00-one-bit', your_number)")
    p = prediction(identity)
    _asked.append(p.id)
    return _ask(p) if guess is None or guess is ... else _commit(p, guess)


def _last() -> str | None:
    """The question that was asked last in this kernel, or the only one of the lesson whose notebook this is."""
    if _asked:
        return _asked[-1]
    number = PurePath(os.environ.get("JPY_SESSION_NAME", "")).name[:2]
    here = lesson(number).predictions if number in LESSONS else ()
    return here[0].id if len(here) == 1 else None


def _ask(p: Prediction) -> Card:
    progress = store.read()
    over = p.id in progress["results"]
    so_far = f"So far you said {progress['guesses'][p.id]:g}{_unit(p)}." if p.id in progress["guesses"] else ""
    sentence = _too_late(p, progress) if over else so_far
    words = f"{p.question}\nYour guess, from {p.low:g} to {p.high:g}: predict({p.id!r}, your_number)"
    return Ask("open", words, prediction=p, commit=lambda guess: _commit(p, guess), sentence=sentence, over=over)


def _commit(p: Prediction, guess: Any) -> Card:
    progress = store.read()
    if p.id in progress["results"]:
        return Card("note", _too_late(p, progress))
    try:
        number = understood(p, guess)
    except ConfigError as error:
        return Card("open", f"{p.question}\nNot noted: {error}\nAnother try: predict({p.id!r}, your_number)")
    trouble = store.record("guesses", p.id, number)
    lines = [f"Noted: {number:g}{_unit(p)}. Now look: reveal({p.id!r})"]
    lines += [f"Code for the class: {code.write(p.id, number)}", trouble]
    return Card("note", "\n".join(filter(None, lines)))


def _too_late(p: Prediction, progress: store.Progress) -> str:
    first = progress["guesses"].get(p.id)
    said = f" Your guess was {first:g}{_unit(p)}." if first is not None else ""
    return f"The answer is out, it is {progress['results'][p.id]:.4g}{_unit(p)}: a guess does not count now.{said}"


def reveal(identity: str) -> Card:
    """The true value beside the stored guess; asks for a guess where there is none yet.

    Raises:
        ConfigError: for an unknown prediction.
    """
    p = prediction(identity)
    guess = store.read()["guesses"].get(identity)
    if guess is None and reading():
        answer = fold("The answer", f"It is {float(p.result()):.4g}{_unit(p)}, {p.because}")
        return Card("open", "When you have a guess:", figure=answer)
    if guess is None:
        return Card("open", f"First your guess: predict({identity!r}, your_number). Then the answer shows.")
    truth = float(p.result())
    trouble = store.record("results", identity, truth)
    near = abs(guess - truth) <= p.close
    words = "close enough" if near else f"off by {abs(guess - truth):.3g}{_unit(p)}"
    said = f"You said {guess:g}{_unit(p)}, it is {truth:.4g}{_unit(p)}: {words}."
    text = "\n".join(filter(None, [p.question, said, f"{p.because[0].upper()}{p.because[1:]}", trouble]))
    return Card("right" if near else "note", text, figure=_ruler(p, guess, truth))


def _unit(p: Prediction) -> str:
    return f" {p.unit}" if p.unit else ""


def _ruler(p: Prediction, guess: float, truth: float) -> str:
    """Guess and result on one scale, as inline SVG."""
    place = lambda v: 20 + 400 * (min(max(v, p.low), p.high) - p.low) / (p.high - p.low)
    label = f"Guess {guess:g}, result {truth:.4g}, on a scale from {p.low:g} to {p.high:g}"
    return (
        f'<svg role="img" aria-label="{label}" width="440" height="52" style="display:block">'
        '<line x1="20" x2="420" y1="30" y2="30" stroke="currentColor"/>'
        f'<circle cx="{place(guess):.1f}" cy="30" r="6" fill="none" stroke="#777" stroke-width="2"/>'
        f'<text x="{place(guess):.1f}" y="16" font-size="11" text-anchor="middle" fill="currentColor">you</text>'
        f'<rect x="{place(truth) - 5:.1f}" y="25" width="10" height="10" fill="#009E73"/>'
        f'<text x="{place(truth):.1f}" y="49" font-size="11" text-anchor="middle" fill="currentColor">it is</text></svg>'
    )
