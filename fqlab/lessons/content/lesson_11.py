"""Lesson 11: a fleet with LiDAR."""

from __future__ import annotations

import math

import numpy as np

from fqlab.lessons.by_hand import by_hand
from fqlab.lessons.model import Exercise, Lesson, Mistake, Option, Prediction, Question


def _home() -> float:
    """Points that the canal car gains in its own town: the stored mean of three seeds."""
    from fqlab import papers

    stored = papers.result("lidar-rare-home")
    return stored.value if stored else float("nan")


def pool(features: np.ndarray, count: int) -> np.ndarray:
    """The feature of an object: the maximum over its real points."""
    return np.asarray(features, float)[:count].max(axis=0)


def _padding_counts(features: np.ndarray, count: int) -> np.ndarray:
    return np.asarray(features, float).max(axis=0)


def _sum(features: np.ndarray, count: int) -> np.ndarray:
    return np.asarray(features, float).sum(axis=0)


def _mean(features: np.ndarray, count: int) -> np.ndarray:
    return np.asarray(features, float)[:count].mean(axis=0)


def _sorted(features: np.ndarray, count: int) -> np.ndarray:
    rows = np.asarray(features, float)[:count]
    return rows[np.argsort(rows[:, 0])[-1]]


def _across(features: np.ndarray, count: int) -> np.ndarray:
    return np.asarray(features, float)[:count].max(axis=1)


LESSON = Lesson(
    number="11",
    title="A fleet with LiDAR",
    predictions=(
        Prediction(
            "11-rare-town",
            "The canal car has 28 labelled objects, the seven others 139 each. How many points of accuracy does it gain in "
            "its own town when it takes the common model instead of its own? Below 0 means it loses.",
            low=-30,
            high=40,
            result=_home,
            close=5,
            unit="points",
            because="because the average weighs cars by objects: the canal has 3 % of the say, and its cyclists hardly stand anywhere else.",
        ),
    ),
    exercises=(
        Exercise(
            id="11-pool",
            then="The padding can now hold anything, and clouds of any size fit one batch.",
            task="write pool(features, count): features is [points, channels], filled up with zeros behind the first count "
            "points. Return one number a channel: the maximum over the real points.",
            cases=(
                (np.array([[-1.0, 2.0, -3.0], [-2.0, 0.5, -0.5], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]), 2),
                (np.array([[3.0, -1.0], [-2.0, -4.0], [1.0, -0.5], [0.0, 0.0]]), 3),
                (np.array([[-5.0, -6.0, 7.0], [-7.0, -2.0, 1.0], [-6.0, -3.0, 2.0]]), 3),
            ),
            reference=pool,
            solution="def pool(features, count):\n    return features[:count].max(axis=0)",
            hints=(
                "Which channel of the first case is negative for every real point, and what does the padding say there?",
                "pool_c = max over i < count of features[i, c]",
                "real = features[:count], then one maximum a channel",
            ),
            mistakes=(
                Mistake(_padding_counts, "The padding takes part: where all real points are negative, its zeros win."),
                Mistake(_sum, "A sum grows with the number of echoes, so a near car and a far car look unlike."),
                Mistake(_mean, "A mean forgets the padding, but a point that is repeated would count twice."),
                Mistake(
                    _sorted, "Sorting and taking the last point keeps one point; each channel may want another one."
                ),
                Mistake(_across, "That is the largest channel of each point; the maximum runs over points (axis 0)."),
            ),
        ),
        by_hand(
            "11-fog",
            then="The distance took three quarters, the fog nearly two thirds of what was left.",
            task="on paper: echoes fall as 1/r². Fog adds e^(−2αr), with α = 0.05 a metre. How strong is the echo from 20 m, as a share "
            "of the one from 10 m?",
            value=0.25 * math.exp(-1),
            solution="(10 / 20) ** 2 * 2.718281828459045 ** (-2 * 0.05 * (20 - 10))",
            hints=(
                "How much is due to distance alone, and how much to ten more metres of fog?",
                "(10/20)² · e^(−2α·(20 − 10))",
                "a quarter, times e^(-1)",
            ),
            mistakes={
                0.25: "That is clear air. Ten more metres of fog are passed twice.",
                0.25 * math.exp(-0.5): "The light goes there and back: twice ten metres of fog.",
                0.25 * math.exp(-2): "The echo from 10 m has been through fog as well. Only ten metres are more.",
                math.exp(-1): "The fog is right; the distance alone leaves a quarter of it.",
            },
            tolerance=0.002,
        ),
    ),
    questions=(
        Question(
            "Why can PointNet fill up a small cloud by repeating points?",
            (
                Option(
                    "Repeated points are ignored as duplicates", "Nothing looks for duplicates; each point is computed."
                ),
                Option(
                    "A maximum does not change when a value occurs twice",
                    "Yes, and order does not matter either.",
                    True,
                ),
                Option(
                    "Its norm averages over the points", "A norm over points would make repeated points count more."
                ),
            ),
        ),
        Question(
            "A thing stands twice as far away. How many of its echoes are left, roughly?",
            (
                Option("A half", "Tempting: rays spread in width and in height, so it is a half times a half."),
                Option(
                    "A quarter", "Yes: the angle it fills shrinks in both directions, so echoes fall as 1/r².", True
                ),
                Option(
                    "The same, if the range allows it",
                    "The range only decides where echoes end, not how they thin out.",
                ),
            ),
        ),
        Question(
            "The fleet's mean accuracy falls by a few points at 3 bits. Is that the whole story?",
            (
                Option(
                    "Yes, the mean weighs all test objects alike", "It does, and so it hides the town that pays most."
                ),
                Option(
                    "No, the rare town may lose far more than the mean",
                    "Yes: look at each client, not at the mean.",
                    True,
                ),
                Option(
                    "No, some towns lose nothing because they send 32 bits",
                    "All cars send 3 bits; they differ in data.",
                ),
            ),
        ),
    ),
)
