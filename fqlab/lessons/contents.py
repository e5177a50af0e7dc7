"""What there is to learn from: the fourteen lessons, and the items in them by name."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

from fqlab.errors import one_of
from fqlab.lessons.model import Exercise, Lesson, Prediction

__all__ = ["LESSONS", "exercise", "lesson", "prediction", "truth"]

LESSONS = tuple(f"{n:02d}" for n in range(14))


def lesson(number: str) -> Lesson:
    """The checkable content of lesson ``"00"`` to ``"13"``.

    Raises:
        ConfigError: for any other number.
    """
    one_of("lesson", number, LESSONS)
    return importlib.import_module(f"fqlab.lessons.content.lesson_{number}").LESSON


def prediction(identity: str) -> Prediction:
    """The prediction ``"NN-topic"``.

    Raises:
        ConfigError: for an unknown one.
    """
    return _named("prediction", identity)


@cache
def truth(identity: str) -> float:
    """What is true for a prediction: computed once, in seconds.

    Raises:
        ConfigError: for an unknown prediction.
    """
    return float(prediction(identity).result())


def exercise(identity: str) -> Exercise:
    """The exercise ``"NN-topic"``.

    Raises:
        ConfigError: for an unknown one.
    """
    return _named("exercise", identity)


def _named(kind: str, identity: str) -> Any:
    number = identity[:2] if isinstance(identity, str) else identity
    items = {item.id: item for item in getattr(lesson(one_of("lesson", number, LESSONS)), f"{kind}s")}
    return items[one_of(kind, identity, items)]
