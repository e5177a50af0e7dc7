"""Exercises: a learner's function is set against the reference on the exercise's cases, and helped along."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

from fqlab.errors import ConfigError, in_range
from fqlab.lessons import store
from fqlab.lessons.answers import described, plain, same
from fqlab.lessons.card import Card, fold, listing, reading
from fqlab.lessons.contents import exercise
from fqlab.lessons.model import Exercise

__all__ = ["check", "hint", "solution"]

_given: dict[str, int] = {}
"""Exercise -> the hint that was given last."""


class _Unwritten(Exception):
    """The learner's function gives ``...`` or None."""


def check(identity: str, answer: Callable[..., Any] | Any) -> Card:
    """Compare the learner's function (or value, for exercises without cases' arguments) with the reference.

    A function that returns ``...`` is not written yet, and the check says so. Whatever it raises or returns instead of
    numbers is told, not raised. Every function gets arguments of its own, so one that changes them changes nothing else.

    Raises:
        ConfigError: for an unknown exercise.
    """
    e = exercise(identity)
    function = answer if callable(answer) else (lambda *_: answer)
    try:
        given = _results(e, function)
    except _Unwritten:
        return Card("open", f"Not solved yet: {e.task}\nHelp: hint({identity!r})", figure=_help(e) if reading() else "")
    except ConfigError as error:
        return Card("wrong", f"{str(error)[0].upper()}{str(error)[1:]}\nHelp: hint({identity!r})")
    except (Exception, SystemExit) as error:
        if "ellipsis" in _reason(error):
            return Card(
                "open", f"Three dots are left in what you compute: a TODO is still open.\nHelp: hint({identity!r})"
            )
        return Card("wrong", f"Your function raised {type(error).__name__}{_reason(error)}\nHelp: hint({identity!r})")
    wanted = _results(e, e.reference)
    if _agree(e, given, wanted):
        right = "Right on every case." if any(e.cases) else "Right."
        return Card("right", "\n".join(filter(None, [f"{right} {e.then}", store.record("solved", identity, True)])))
    return Card("wrong", f"{_diagnosis(e, given, wanted)}\nMore help: hint({identity!r})")


def _reason(error: BaseException) -> str:
    """What an exception says, on a line of sensible length."""
    try:
        text = " ".join(str(error).split())
    except Exception:
        text = ""
    return f": {text[:300]}" if text else ""


def _results(e: Exercise, function: Callable[..., Any]) -> list[Any]:
    """What ``function`` gives for each case, as plain numbers; it works on copies, and its results are copied."""
    results = []
    for case in e.cases:
        value = function(*copy.deepcopy(case))
        if value is ... or value is None:
            raise _Unwritten
        results.append(plain(e.judge(value) if e.judge else value))
    return results


def _agree(e: Exercise, given: Sequence[Any], wanted: Sequence[Any]) -> bool:
    """Whether two lists of results agree on every case."""
    return all(same(a, b, e.tolerance) for a, b in zip(given, wanted, strict=True))


def _diagnosis(e: Exercise, given: Sequence[Any], wanted: Sequence[Any]) -> str:
    """The sentence of the mistake that gives the same, or the first case that differs."""
    for mistake in e.mistakes:
        if _agree(e, given, _results(e, mistake.answer)):
            return mistake.message
    pairs = list(zip(e.cases, given, wanted, strict=True))
    case, a, b = next(row for row in pairs if not same(row[1], row[2], e.tolerance))
    if not case and e.judge is None:
        return f"{described(a)} is not it."  # the right number is the learner's to find
    arguments = ", ".join(described(argument) for argument in case)
    arrays = hasattr(a, "shape") and hasattr(b, "shape")
    shapes = f" (shape {a.shape}, but should be {b.shape})" if arrays and a.shape != b.shape else ""
    return f"For ({arguments}) your answer is {described(a)}, but should be {described(b)}{shapes}."


def _help(e: Exercise) -> str:
    """Hints and solution, each to be opened by itself."""
    hints = "".join(fold(f"Hint {n}", text) for n, text in enumerate(e.hints, 1))
    return f"{hints}<details><summary>A solution</summary>{listing(e.solution)}</details>"


def hint(identity: str, level: int | None = None) -> Card:
    """The next hint of an exercise: a question, then the formula, then the first line. ``level`` 1-3 picks one.

    Raises:
        ConfigError: for an unknown exercise or level.
    """
    e = exercise(identity)
    chosen = level if level is not None else min(_given.get(identity, 0) + 1, len(e.hints))
    in_range("level", chosen, 1, len(e.hints), integer=True)
    _given[identity] = chosen
    return Card("note", f"Hint {chosen} of {len(e.hints)}: {e.hints[chosen - 1]}")


def solution(identity: str) -> Card:
    """The reference solution as text, with the imports it needs.

    Raises:
        ConfigError: for an unknown exercise.
    """
    return Card("note", "One way to write it:", code=exercise(identity).solution)
