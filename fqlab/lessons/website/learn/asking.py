"""Questions of a lesson as HTML: readable as it stands, and played by the scripts of this folder where they run.

A part carries what its script needs as JSON in ``data-item``. Without scripts each answer is folded away, and opens.
"""

from __future__ import annotations

import ast
import html
import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from fqlab.lessons.asking import step
from fqlab.lessons.card import fold, listing
from fqlab.lessons.contents import LESSONS, exercise, lesson, prediction
from fqlab.lessons.model import Prediction, Question
from fqlab.lessons.notebook import HOME

__all__ = ["classroom", "part", "progress"]

LOCAL = "http://localhost:8888/lab/tree/"
"""Where ``make lab`` shows a lesson on one's own machine."""


def part(source: str, stem: str, truths: Mapping[str, float]) -> str:
    """HTML in place of a cell that asks, or an empty string for any other cell.

    Args:
        source: the cell; one call of ``predict``, ``reveal``, ``check`` or ``quiz`` that names its item.
        stem: the lesson's file name without ending, for links to where code runs.
        truths: prediction -> true value.
    """
    name, item = _call(source)
    makers: dict[str, Callable[[str], str]] = {
        "predict": partial(_predict, truths=truths),
        "reveal": partial(_reveal, truths=truths),
        "check": partial(_exercise, stem=stem),
        "quiz": _quiz,
    }
    return makers[name](item) if name in makers and item else ""


def _call(source: str) -> tuple[str, str]:
    """The function that a cell calls, if it is one call, and its first argument, if it is a text."""
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return "", ""
    call = body[0].value if len(body) == 1 and isinstance(body[0], ast.Expr) else None
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.args):
        return "", ""
    first = call.args[0]
    return call.func.id, first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""


def _section(kind: str, label: str, item: Any, inside: str) -> str:
    """One part of a page: ``kind`` names its script and its style."""
    return (
        f'<section class="learn learn-{kind}" aria-label="{label}" data-item="{html.escape(json.dumps(item), quote=True)}">'
        f"{inside}</section>\n"
    )


def _said(p: Prediction, truth: float) -> dict[str, Any]:
    """What the scripts know of a prediction."""
    return {
        "id": p.id, "question": p.question, "low": p.low, "high": p.high, "step": step(p.low, p.high), "unit": p.unit,
        "close": p.close, "truth": truth, "because": p.because,
    }  # fmt: skip


def _predict(identity: str, truths: Mapping[str, float]) -> str:
    p = prediction(identity)
    unit = f" {p.unit}" if p.unit else ""
    inside = (
        f'<p class="learn-question">{html.escape(p.question)}</p><p class="learn-plain">Your guess, from {p.low:g} to '
        f"{p.high:g}{html.escape(unit)}?</p>"
    )
    return _section("predict", "Prediction", _said(p, truths[identity]), inside)


def _reveal(identity: str, truths: Mapping[str, float]) -> str:
    p = prediction(identity)
    unit = f" {p.unit}" if p.unit else ""
    answer = fold("The answer", f"It is {truths[identity]:.4g}{unit}, {p.because}")
    return _section("reveal", "Answer", _said(p, truths[identity]), answer)


def _exercise(identity: str, stem: str) -> str:
    e = exercise(identity)
    hints = "".join(fold(f"Hint {n}", text) for n, text in enumerate(e.hints, 1))
    mistakes = "".join(f"<li>{html.escape(mistake.message)}</li>" for mistake in e.mistakes)
    usual = f"<details><summary>Usual mistakes</summary><ul>{mistakes}</ul></details>" if mistakes else ""
    inside = (
        f'<p class="learn-question">Exercise: {html.escape(e.task)}</p><div class="learn-hints">{hints}</div>{usual}'
        f"<details><summary>A solution</summary>{listing(e.solution)}</details>{_where(stem)}"
    )
    return _section("exercise", "Exercise", {"id": e.id}, inside)


def _where(stem: str) -> str:
    """Where the code of a lesson runs, each one click away."""
    return (
        f'<p class="learn-where">To write and run it: <a href="https://{HOME}{stem}.ipynb">Binder</a> '
        f'· <a href="{LOCAL}{stem}.ipynb">the lab on this machine</a>, after <code>make lab ARGS={stem[:2]}</code></p>'
    )


def _quiz(number: str) -> str:
    return "".join(_question(number, n, question) for n, question in enumerate(lesson(number).questions, 1))


def _question(number: str, n: int, question: Question) -> str:
    options = [{"text": o.text, "feedback": o.feedback, "right": o.right} for o in question.options]
    folded = "".join(fold(o.text, f"{'✓' if o.right else '✗'} {o.feedback}") for o in question.options)
    inside = f'<p class="learn-question">{n}. {html.escape(question.text)}</p><div class="learn-options">{folded}</div>'
    return _section("quiz", f"Question {n}", {"id": f"{number}-{n}", "options": options}, inside)


def classroom(truths: Mapping[str, float]) -> str:
    """The place where an instructor pastes codes and sees the histogram of all guesses."""
    plain = "<p>Where scripts run, this page draws the histogram of the codes that are pasted here.</p>"
    return _section("classroom", "Histogram of a class", {"predictions": _all(truths)}, plain)


def progress(truths: Mapping[str, float]) -> str:
    """The place that says what a learner did so far."""
    plain = "<p>Where scripts run, this page keeps guesses and answers in your browser.</p>"
    return _section("progress", "Your progress", {"predictions": _all(truths)}, plain)


def _all(truths: Mapping[str, float]) -> list[dict[str, Any]]:
    asked = [p for number in LESSONS for p in lesson(number).predictions if p.id in truths]
    return [_said(p, truths[p.id]) for p in asked]
