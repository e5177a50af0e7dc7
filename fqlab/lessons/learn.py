"""What a learner calls: predict, reveal, check, hint, solution, quiz, progress."""

from __future__ import annotations

import html
import importlib
import json
import math
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from fqlab.errors import ConfigError, FqlabError, in_range, one_of
from fqlab.lessons import code, store
from fqlab.lessons.card import Card, fold, reading
from fqlab.lessons.model import Exercise, Lesson, Prediction

__all__ = [
    "LESSONS",
    "lesson",
    "predict",
    "prediction",
    "reveal",
    "check",
    "hint",
    "solution",
    "progress",
    "export_progress",
    "import_progress",
]

LESSONS = tuple(f"{n:02d}" for n in range(13))


@cache
def lesson(number: str) -> Lesson:
    """The checkable content of lesson ``"00"`` to ``"12"``."""
    one_of("lesson", number, LESSONS)
    return importlib.import_module(f"fqlab.lessons.content.lesson_{number}").LESSON


def _find(kind: str, identity: str) -> Any:
    number = identity[:2]
    items = getattr(lesson(one_of("lesson", number, LESSONS)), kind)
    one_of(kind[:-1], identity, [item.id for item in items])
    return next(item for item in items if item.id == identity)


# ------------------------------------------------------------------------------------------------------- predict


def prediction(identity: str) -> Prediction:
    """The prediction ``"NN-topic"``.

    Raises:
        ConfigError: for an unknown one.
    """
    return _find("predictions", identity)


def predict(identity: str, guess: float | None = None) -> Card:
    """Commit a guess; it is stored and unlocks :func:`reveal`. Without a guess, ask the question.

    Raises:
        ConfigError: for an unknown prediction or a guess outside its range.
    """
    p = prediction(identity)
    if guess is None:
        return Card("open", f"{p.question}\nYour guess, from {p.low:g} to {p.high:g}: predict({identity!r}, ...)")
    store.record("guesses", identity, in_range("guess", guess, p.low, p.high))
    pasted = code.write(identity, guess)
    return Card("note", f"Noted: {guess:g}{_unit(p)}. Now look: reveal({identity!r})\nCode for the class: {pasted}")


def reveal(identity: str) -> Card:
    """The true value beside the stored guess; asks for a guess where there is none yet."""
    p = prediction(identity)
    guess = store.read()["guesses"].get(identity)
    if guess is None and reading():
        return Card("open", "When you have a guess:", fold("The answer", f"It is {float(p.result()):.4g}{_unit(p)}."))
    if guess is None:
        return Card("open", f"First your guess: predict({identity!r}, ...). Then the answer shows.")
    truth = float(p.result())
    store.record("results", identity, truth)
    near = abs(guess - truth) <= p.close
    words = "close enough" if near else f"off by {abs(guess - truth):.3g}{_unit(p)}"
    text = f"{p.question}\nYou said {guess:g}{_unit(p)}, it is {truth:.4g}{_unit(p)}: {words}."
    return Card("right" if near else "note", text, _ruler(p, guess, truth))


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


# --------------------------------------------------------------------------------------------------------- check


def check(identity: str, answer: Callable[..., Any] | Any) -> Card:
    """Compare the learner's function (or value, for exercises without cases' arguments) with the reference.

    A function that returns ``...`` is not written yet, and the check says so. An exception in it is told, not raised.
    """
    e: Exercise = _find("exercises", identity)
    function = answer if callable(answer) else (lambda *_: answer)
    try:
        given = [function(*case) for case in e.cases]
    except Exception as error:
        return Card("wrong", f"Your function raised {type(error).__name__}: {error}\nHelp: hint({identity!r})")
    if any(value is ... or value is None for value in given):
        return Card("open", f"Not solved yet: {e.task}\nHelp: hint({identity!r})", _help(e) if reading() else "")
    judge = e.judge or (lambda value: value)
    try:
        given = [judge(value) for value in given]
    except FqlabError as error:
        return Card("wrong", f"{error}\nHelp: hint({identity!r})")
    wanted = [judge(e.reference(*case)) for case in e.cases]
    wrong = next((i for i, (a, b) in enumerate(zip(given, wanted, strict=True)) if not _same(a, b, e.tolerance)), None)
    if wrong is None:
        store.record("solved", identity, True)
        return Card("right", "Right on every case.")
    return Card("wrong", f"{_diagnosis(e, given, wanted, wrong)}\nMore help: hint({identity!r})")


def _help(e: Exercise) -> str:
    """Hints and solution, each to be opened by itself."""
    hints = "".join(fold(f"Hint {n}", text) for n, text in enumerate(e.hints, 1))
    return f"{hints}<details><summary>A solution</summary><pre>{html.escape(e.solution)}</pre></details>"


def _diagnosis(e: Exercise, given: Sequence[Any], wanted: Sequence[Any], wrong: int) -> str:
    judge = e.judge or (lambda value: value)
    for mistake in e.mistakes:
        if all(_same(a, judge(mistake.answer(*case)), e.tolerance) for a, case in zip(given, e.cases, strict=True)):
            return mistake.message
    arguments = ", ".join(_short(a) for a in e.cases[wrong])
    return f"For ({arguments}) your answer is {_short(given[wrong])}, but should be {_short(wanted[wrong])}."


def _same(a: Any, b: Any, tolerance: float) -> bool:
    """Equal numbers, shapes and structure, to within ``tolerance``; NaN equals NaN."""
    if isinstance(b, dict):
        return isinstance(a, dict) and a.keys() == b.keys() and all(_same(a[k], b[k], tolerance) for k in b)
    if isinstance(b, (str, bytes)):
        return a == b
    try:
        left, right = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    except (TypeError, ValueError):
        return False
    return left.shape == right.shape and bool(np.allclose(left, right, rtol=1e-6, atol=tolerance, equal_nan=True))


def _short(value: Any) -> str:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)) and all(isinstance(v, float) for v in value):
        value = [round(v, 4) for v in value]
    text = str(value)
    return text if len(text) < 80 else text[:77] + "..."


_ASKED: dict[str, int] = {}


def hint(identity: str, level: int | None = None) -> Card:
    """The next hint of an exercise: a question, then the formula, then the first line. ``level`` 1-3 picks one."""
    e: Exercise = _find("exercises", identity)
    chosen = level if level is not None else min(_ASKED.get(identity, 0) + 1, len(e.hints))
    in_range("level", chosen, 1, len(e.hints), integer=True)
    _ASKED[identity] = chosen
    return Card("note", f"Hint {chosen} of {len(e.hints)}: {e.hints[chosen - 1]}")


def solution(identity: str) -> Card:
    """The reference solution as text."""
    return Card("note", f"One way to write it:\n{_find('exercises', identity).solution}")


# ------------------------------------------------------------------------------------------------------ progress


def progress() -> Card:
    """What is solved, answered and guessed, and how well calibrated the guesses were."""
    done = store.read()
    lines = [f"Solved {len(done['solved'])} exercises, answered {_right(done['answers'])} questions right."]
    pairs = [
        (_find("predictions", k), g, done["results"][k]) for k, g in done["guesses"].items() if k in done["results"]
    ]
    if pairs:
        near = sum(abs(guess - truth) <= p.close for p, guess, truth in pairs)
        spread = math.fsum(abs(guess - truth) / (p.high - p.low) for p, guess, truth in pairs) / len(pairs)
        lines.append(f"Of {len(pairs)} guesses {near} were close; on average {100 * spread:.0f} % of the scale away.")
    lines.append("To take it along: export_progress('my-progress.json').")
    return Card("note", "\n".join(lines))


def _right(answers: dict[str, bool]) -> str:
    return f"{sum(answers.values())} of {len(answers)}"


def export_progress(target: str) -> Card:
    """Write the progress to a file of one's own."""
    Path(target).write_text(json.dumps(store.read(), indent=1), encoding="utf-8")
    return Card("note", f"Saved to {target}. Later: import_progress({target!r})")


def import_progress(source: str) -> Card:
    """Read a file that :func:`export_progress` wrote; what is already here stays.

    Raises:
        ConfigError: if there is no such file.
        DataError: if it is not a progress file.
    """
    if not Path(source).exists():
        raise ConfigError(f"source is {source!r}, but no file is there.")
    old, new = store.read(), store.read(Path(source))
    store.replace({name: {**new[name], **old[name]} for name in old})
    return progress()
