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
from fqlab.lessons.model import Exercise, Prediction, Question
from fqlab.lessons.notebook import HOME

__all__ = ["classroom", "part", "progress", "stub"]

LOCAL = "http://localhost:8888/lab/tree/"
"""Where ``make lab`` shows a lesson on one's own machine."""


def part(source: str, stem: str, truths: Mapping[str, float]) -> str:
    """HTML in place of a cell that asks, or an empty string for any other cell.

    Args:
        source: the cell; it ends in a call of ``predict``, ``reveal``, ``check`` or ``quiz`` that names its item.
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


def stub(source: str) -> str:
    """What a cell defines before the call that asks; empty where it only asks."""
    body = _body(source)
    return "\n".join(source.splitlines()[: body[-1].lineno - 1]).strip() if len(body) > 1 else ""


def _body(source: str) -> list[ast.stmt]:
    """The statements of a cell: one call, and nothing before it but functions; else none."""
    try:
        *before, last = ast.parse(source).body or [ast.Pass()]
    except SyntaxError:
        return []
    asks = isinstance(last, ast.Expr) and isinstance(last.value, ast.Call)
    return [*before, last] if asks and all(isinstance(node, ast.FunctionDef) for node in before) else []


def _call(source: str) -> tuple[str, str]:
    """The function that a cell calls at its end, and its first argument, if it is a text."""
    body = _body(source)
    call = body[-1].value if body and isinstance(body[-1], ast.Expr) else None
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
    solution = f"<details><summary>A solution</summary>{listing(e.solution)}<p>{html.escape(e.then)}</p></details>"
    inside = (
        f'<p class="learn-question">Exercise: {html.escape(e.task)}</p><div class="learn-hints">{hints}</div>{usual}'
        f"{solution}{_where(stem)}"
    )
    return _section("exercise", "Exercise", {"id": e.id} | _number(e), inside)


def _number(e: Exercise) -> dict[str, Any]:
    """What the page needs to check an exercise on paper, whose answer is one number; nothing for any other."""
    if e.cases != ((),) or e.judge or not isinstance(value := e.reference(), (int, float)):
        return {}
    mistakes = [[float(mistake.answer()), mistake.message] for mistake in e.mistakes]
    return {"value": float(value), "tolerance": e.tolerance, "mistakes": mistakes, "then": e.then}


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
