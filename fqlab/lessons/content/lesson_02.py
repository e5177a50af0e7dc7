"""Lesson 02: uniform quantization."""

from __future__ import annotations

import numpy as np

from fqlab.lessons.by_hand import by_hand
from fqlab.lessons.model import Exercise, Lesson, Mistake, Option, Prediction, Question

W = np.array([-2.0, -0.93, -0.3, 0.05, 0.31, 0.8, 1.7])


def _levels() -> float:
    """Levels of BSQ's 2-bit weights."""
    from fqlab.quant import Grid

    return float(Grid(2, "sign_magnitude").levels)


def midrise(w: np.ndarray, s: float, b: int) -> np.ndarray:
    """Quantize on the mid-rise grid."""
    step = 2 * s / (2**b - 1)
    codes = np.round((np.clip(np.asarray(w, dtype=float), -s, s) + s) / step)
    return codes * step - s


def _too_many(w: np.ndarray, s: float, b: int) -> np.ndarray:
    step = 2 * s / 2**b
    return np.round((np.clip(w, -s, s) + s) / step) * step - s


def _never_clips(w: np.ndarray, s: float, b: int) -> np.ndarray:
    step = 2 * s / (2**b - 1)
    return np.round((np.asarray(w) + s) / step) * step - s


def _cuts_codes(w: np.ndarray, s: float, b: int) -> np.ndarray:
    step = 2 * s / (2**b - 1)
    return np.clip(np.round((np.asarray(w) + s) / step), 0, 2**b) * step - s


def _with_zero(w: np.ndarray, s: float, b: int) -> np.ndarray:
    step = 2 * s / (2**b - 1)
    return np.round(np.clip(w, -s, s) / step) * step


def _rounds_down(w: np.ndarray, s: float, b: int) -> np.ndarray:
    step = 2 * s / (2**b - 1)
    return np.floor((np.clip(w, -s, s) + s) / step) * step - s


def _codes(w: np.ndarray, s: float, b: int) -> np.ndarray:
    return np.round((np.clip(w, -s, s) + s) / (2 * s / (2**b - 1)))


LESSON = Lesson(
    number="02",
    title="Uniform quantization",
    predictions=(
        Prediction(
            "02-levels",
            "BSQ gives many layers 2-bit weights. How many different values can such a weight take?",
            low=2,
            high=16,
            result=_levels,
            close=0.5,
            unit="levels",
            because="because BSQ counts the bits of |w| alone: four sizes with a sign are seven values, since 0 has only one.",
        ),
    ),
    exercises=(
        Exercise(
            id="02-midrise",
            then="Every method of the course sends such codes; they differ in clip, rounding and what is quantized.",
            task="write the mid-rise quantizer f(w, s, b): clip w to ±s, round it to the nearest of 2**b equally spaced "
            "levels from −s to s, return the levels.",
            cases=((W, 1.0, 2), (W, 1.2, 3), (W, 0.5, 1)),
            reference=midrise,
            solution="import numpy as np\n\n\ndef midrise(w, s, b):\n    step = 2 * s / (2**b - 1)\n"
            "    codes = np.round((np.clip(w, -s, s) + s) / step)\n    return codes * step - s",
            hints=(
                "Four levels from −s to s: how many gaps lie between them, and how wide is one?",
                "Δ = 2s/(2**b − 1), k = round((clip(w) + s)/Δ), level = kΔ − s",
                "step = 2 * s / (2**b - 1)",
            ),
            mistakes=(
                Mistake(_too_many, "Your step is 2s/2**b: that makes 2**b + 1 levels. 2**b levels have 2**b − 1 gaps."),
                Mistake(_never_clips, "Weights beyond ±s get levels beyond ±s: clip them before you round."),
                Mistake(
                    _cuts_codes, "Off by one: the codes run from 0 to 2**b − 1, yours to 2**b. Clip before you round."
                ),
                Mistake(_with_zero, "Yours has a level at 0. Mid-rise has none: measure from −s, not from 0."),
                Mistake(_rounds_down, "You round down. That is wrong by up to a whole step; nearest by half of one."),
                Mistake(_codes, "These are the codes 0, 1, 2, ... The levels they stand for are kΔ − s."),
            ),
        ),
        by_hand(
            "02-how-many-bits",
            then="One bit less would make about four times the error: a bit halves the step.",
            task="on paper: weights spread evenly over ±0.5, on the mid-rise grid with clip 0.5. The least number of bits for a "
            "mean squared error of at most 1/12000?",
            value=6.0,
            solution="next(b for b in range(1, 32) if (1 / (2**b - 1)) ** 2 / 12 <= 1 / 12000)",
            hints=(
                "How wide may the step be?",
                "Δ²/12 ≤ 1/12000 with Δ = 2s/(2^b − 1)",
                "Δ ≤ 0.0316, so 2^b − 1 ≥ 31.6",
            ),
            mistakes={
                5.0: "Nearly: 32 levels have 31 gaps, and 31.6 are needed. The step is 2s/(2^b − 1), not 2s/2^b.",
                10.0: "You forgot the root: Δ² may be 1/1000, so Δ about 0.03.",
                4.0: "The levels run from −s to s: the range is 2s wide, not s.",
            },
        ),
    ),
    questions=(
        Question(
            "Two papers report the same accuracy at “2 bit”. What do you ask first?",
            (
                Option("How many clients they had", "Worth asking, but it does not tell what a weight costs."),
                Option("How many levels a weight has", "Yes: 3, 4, 5 and 7 are all called 2 bit.", True),
                Option(
                    "Which seed they used",
                    "Worth asking: here seeds moved it by up to 7 points. A free bit moved it by 44.",
                ),
            ),
        ),
        Question(
            "One bit more. What happens to the mean squared rounding error?",
            (
                Option("It halves", "The step halves. The squared error goes with the step squared."),
                Option("It falls to a quarter", "Yes: Δ halves, Δ²/12 falls to a quarter, about 6 dB.", True),
                Option("It falls by 1/b", "Tempting, but levels double with each bit: the fall is geometric."),
            ),
        ),
        Question(
            "Why does two's complement lose to mid-rise at 2 bits, with four levels each?",
            (
                Option(
                    "It has no level at 0", "It is the other way round: mid-rise has none, and that costs nothing here."
                ),
                Option("Its levels are not equally spaced", "They are: −s, −s/2, 0 and s/2."),
                Option(
                    "Its top level is a step short of s",
                    "Yes: its ladder is lopsided, and large positive weights are cut a step early.",
                    True,
                ),
            ),
        ),
    ),
)
