"""Lesson 04: stochastic rounding."""

from __future__ import annotations

from functools import cache

import numpy as np

from fqlab.lessons.by_hand import by_hand
from fqlab.lessons.model import Exercise, Lesson, Mistake, Option, Prediction, Question


@cache
def _one() -> float:
    from fqlab.studies.rounding import ratio

    return ratio(0, clients=1, over="nearest")


@cache
def _thirty() -> float:
    from fqlab.studies.rounding import ratio

    return ratio(0, clients=30, over="stochastic")


def stochastic(x: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Up to the next whole number where the draw lies below the fraction, else down."""
    x = np.asarray(x, dtype=float)
    u = np.asarray(u, dtype=float)
    below = np.floor(x)
    return below + (u < x - below)


def _wrong_way(x: np.ndarray, u: np.ndarray) -> np.ndarray:
    below = np.floor(x)
    return below + (u < 1 - (x - below))


def _one_draw(x: np.ndarray, u: np.ndarray) -> np.ndarray:
    return stochastic(x, np.full(np.shape(x), u[0]))


def _nearest(x: np.ndarray, u: np.ndarray) -> np.ndarray:
    return np.round(x)


def _towards_zero(x: np.ndarray, u: np.ndarray) -> np.ndarray:
    below = np.trunc(x)
    return below + (u < x - below)


def _shifted(x: np.ndarray, u: np.ndarray) -> np.ndarray:
    return np.floor(np.asarray(x) + np.asarray(u))


LESSON = Lesson(
    number="04",
    title="Stochastic rounding",
    predictions=(
        Prediction(
            "04-one",
            "One client rounds at random instead of to the nearest level. How many times larger is its squared error?",
            low=0.2,
            high=20,
            result=_one,
            close=0.3,
            unit="×",
            because="because a coin errs by Δ²f(1 − f), which is Δ²/6 on average, and nearest rounding by Δ²/12.",
        ),
        Prediction(
            "04-thirty",
            "Thirty clients hold the same values and the server averages. How many times smaller is the squared error of "
            "the mean if they round at random, than if they round to the nearest level?",
            low=0.1,
            high=100,
            result=_thirty,
            close=4,
            unit="×",
            because="because thirty independent errors leave Δ²/180 of their mean, while nearest rounding makes the same error thirty times.",
        ),
    ),
    exercises=(
        Exercise(
            id="04-round",
            then="One comparison with a random number, and the mean over many clients is right to any digit.",
            task="write stochastic rounding f(x, u): x in units of the step, u uniform draws of the same shape; go up to "
            "the next whole number where u is below the fraction of x, else down.",
            cases=(
                (np.array([0.25, 0.25, 1.75, 2.0, -0.3]), np.array([0.1, 0.6, 0.7, 0.0, 0.65])),
                (np.array([-1.25, 3.5, 0.9, 0.9]), np.array([0.8, 0.45, 0.95, 0.3])),
                (np.array([[0.5, -2.0], [4.1, -0.6]]), np.array([[0.2, 0.9], [0.05, 0.5]])),
            ),
            reference=stochastic,
            solution="import numpy as np\n\n\ndef stochastic(x, u):\n    below = np.floor(x)\n    return below + (u < x - below)",
            hints=(
                "A value lies a quarter of a step above a level. How often must it go up, so that the mean is right?",
                "up with probability f = x − ⌊x⌋, that is where u < f",
                "below = np.floor(x)",
            ),
            mistakes=(
                Mistake(
                    _wrong_way,
                    "You go up with probability 1 − f. A value just above a level would nearly always go to the far one.",
                ),
                Mistake(
                    lambda x, u: _one_draw(np.asarray(x), np.asarray(u).ravel()),
                    "You use one draw for all values. Their errors then agree instead of cancelling: one draw each.",
                ),
                Mistake(_nearest, "That is nearest rounding: it never looks at u, and its error never averages out."),
                Mistake(
                    _towards_zero,
                    "Right above zero, wrong below: cutting the decimals goes towards zero. np.floor goes down.",
                ),
                Mistake(
                    _shifted,
                    "floor(x + u) is fair too, but it goes up where u ≥ 1 − f; here u < f is asked. In 32 bit the sum also "
                    "loses digits: 255 + 0.999999 is 256.",
                ),
            ),
        ),
        by_hand(
            "04-how-many-clients",
            then="For ten times the precision it takes a hundred times the clients: chance averages out slowly.",
            task="on paper: all clients hold the same value, 0.3 of a step above a level, and round it stochastically, each with "
            "its own draw. How many clients are needed until the mean is off by at most 0.1 step, as a root mean square?",
            value=21.0,
            solution="round(0.3 * (1 - 0.3) / 0.1**2)",
            hints=(
                "What is the variance of one client's rounding, in Δ²?",
                "f(1 − f)/M ≤ 0.1²",
                "one client: 0.3 · 0.7 = 0.21",
            ),
            mistakes={
                9.0: "That is 0.3²/0.1²: the error of rounding down, which no average removes. Chance has the variance f(1 − f).",
                3.0: "You compared a variance with 0.1. The root of it is to be 0.1, so the variance 0.01.",
                17.0: "Δ²/6 is the mean over all places in a cell. This value lies at f = 0.3, where it is f(1 − f) = 0.21.",
                5.0: "A root too many: the error falls with √M, so the variance falls with M.",
            },
            tolerance=0.01,
        ),
    ),
    questions=(
        Question(
            "A single client sends a single update. Which rounding has the smaller squared error?",
            (
                Option("Nearest", "Yes: Δ²/12 against Δ²/6. Nobody is there to average with.", True),
                Option("Stochastic", "It has no bias, but squared error counts chance as well, and that is larger."),
                Option("Both the same", "Without bias is not without error: a fair coin still lands on one side."),
            ),
        ),
        Question(
            "Thirty clients share one random number a weight. The mean of their uploads ...",
            (
                Option(
                    "is as noisy as one client's, if they hold the same values",
                    "Yes: they all go up, or all go down. Chance that is shared does not cancel.",
                    True,
                ),
                Option(
                    "is thirty times less noisy", "Only independent draws cancel; that is where the factor comes from."
                ),
                Option("is biased", "No: the mean over the draws is still right. It is just one draw, though."),
            ),
        ),
        Question(
            "When does nearest rounding average out too?",
            (
                Option("With enough clients", "Not if they hold the same value: all make the same error."),
                Option(
                    "When the clients' values differ by about a step or more",
                    "Yes: their own spread is a dither. Some lie above the middle of a cell, some below.",
                    True,
                ),
                Option("With a tighter clip", "A clip moves all large values the same way; that is bias again."),
            ),
        ),
    ),
)
