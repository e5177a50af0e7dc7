"""Exercises on paper: the answer is one number."""

from __future__ import annotations

from collections.abc import Mapping

from fqlab.lessons.model import Exercise, Mistake

__all__ = ["by_hand"]


def by_hand(
    identity: str,
    task: str,
    value: float,
    solution: str,
    hints: tuple[str, str, str],
    mistakes: Mapping[float, str],
    then: str,
    tolerance: float = 1e-5,
) -> Exercise:
    """An exercise whose answer is ``value``.

    Args:
        identity: ``"NN-topic"``.
        task: the question.
        value: the right number.
        solution: how it comes about, an expression in Python.
        hints: a question, then the formula, then the first line.
        mistakes: usual wrong numbers, each with the sentence that helps.
        then: what follows from it.
        tolerance: how far off a rounded answer may be.
    """
    wrong = tuple(Mistake(lambda number=number: number, message) for number, message in mistakes.items())
    return Exercise(identity, task, ((),), lambda: value, solution, hints, wrong, then, tolerance)
