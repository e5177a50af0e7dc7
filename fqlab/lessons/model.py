"""What a lesson holds besides its notebook: a prediction, an exercise with its usual mistakes, a quiz."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Prediction", "Mistake", "Exercise", "Option", "Question", "Lesson"]


@dataclass(frozen=True)
class Prediction:
    """A question to answer before the panel does.

    Attributes:
        id: ``"NN-topic"``.
        question: one sentence.
        low, high: the range of sensible guesses.
        unit: of guess and result, may be empty.
        because: half a sentence that explains the result once it is out.
        result: computes the true value, in a few seconds at most.
        close: a guess this near counts as right.
    """

    id: str
    question: str
    low: float
    high: float
    result: Callable[[], float]
    close: float
    because: str
    unit: str = ""


@dataclass(frozen=True)
class Mistake:
    """A usual wrong answer and the sentence that helps."""

    answer: Callable[..., Any]
    message: str


@dataclass(frozen=True)
class Exercise:
    """A function to write, checked on cases against a reference.

    Attributes:
        id: ``"NN-topic"``.
        task: what the function takes and returns.
        cases: argument tuples; the first that differs is shown.
        reference: the right function.
        solution: its source, as a learner would write it.
        hints: a question, then the formula, then the first line.
        mistakes: recognised by what they return; the first that matches on all cases is named.
        then: what follows from it, one or two sentences for whoever has solved it.
        tolerance: largest absolute difference of any number.
        judge: for answers that are values: turns an answer into numbers that say what it reaches.
    """

    id: str
    task: str
    cases: tuple[tuple[Any, ...], ...]
    reference: Callable[..., Any]
    solution: str
    hints: tuple[str, str, str]
    mistakes: tuple[Mistake, ...]
    then: str
    tolerance: float = 1e-5
    judge: Callable[[Any], Any] | None = None


@dataclass(frozen=True)
class Option:
    """One answer of a question, with what to say to whoever picks it."""

    text: str
    feedback: str
    right: bool = False


@dataclass(frozen=True)
class Question:
    """A multiple-choice question with exactly one right option."""

    text: str
    options: tuple[Option, ...]


@dataclass(frozen=True)
class Lesson:
    """Everything checkable in lesson ``number``."""

    number: str
    title: str
    predictions: tuple[Prediction, ...]
    exercises: tuple[Exercise, ...]
    questions: tuple[Question, ...]
