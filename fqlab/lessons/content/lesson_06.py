"""Lesson 06: robust training."""

from __future__ import annotations

import numpy as np

from fqlab.lessons.by_hand import by_hand
from fqlab.lessons.model import Exercise, Lesson, Mistake, Option, Prediction, Question


def _full_precision() -> float:
    """Accuracy in % in full precision of a model trained at 2 bit."""
    from fqlab.studies.robust import quick

    return quick(0, "qat")[32]


def penalty(layers: list[np.ndarray], target: float = 1.8) -> float:
    """KURE's term: mean over layers of (kurtosis − target)²."""
    gaps = []
    for w in layers:
        z = (w - w.mean()) / w.std()
        gaps.append(((z**4).mean() - target) ** 2)
    return float(np.mean(gaps))


def _sample_std(layers: list[np.ndarray], target: float = 1.8) -> float:
    gaps = [(((w - w.mean()) / w.std(ddof=1)) ** 4).mean() - target for w in layers]
    return float(np.mean(np.square(gaps)))


def _excess(layers: list[np.ndarray], target: float = 1.8) -> float:
    gaps = [(((w - w.mean()) / w.std()) ** 4).mean() - 3 - target for w in layers]
    return float(np.mean(np.square(gaps)))


def _no_mean(layers: list[np.ndarray], target: float = 1.8) -> float:
    gaps = [(w**4).mean() / (w**2).mean() ** 2 - target for w in layers]
    return float(np.mean(np.square(gaps)))


def _sum(layers: list[np.ndarray], target: float = 1.8) -> float:
    return penalty(layers, target) * len(layers)


def _not_squared(layers: list[np.ndarray], target: float = 1.8) -> float:
    gaps = [(((w - w.mean()) / w.std()) ** 4).mean() - target for w in layers]
    return float(np.mean(gaps))


STEP = np.array([0.0, 0.0, 1.0, 2.0, 5.0])
EVEN = np.array([1.0, 2.0, 3.0, 4.0])

LESSON = Lesson(
    number="06",
    title="Robust training",
    predictions=(
        Prediction(
            "06-upwards",
            "A federation trains with its weights rounded to 2 bits. On a 2-bit chip the model reads 90 % right. Now the "
            "same model runs in full precision, on a better machine. Accuracy in %?",
            low=10,
            high=100,
            result=_full_precision,
            close=4,
            unit="%",
            because="because training measured the loss at the rounded weights only; the weights behind them may lie anywhere in their cells.",
        ),
    ),
    exercises=(
        Exercise(
            id="06-kurtosis",
            then="Its gradient needs no image, so clients with different data are pulled the same way.",
            task="write KURE's term f(layers, target): the mean over layers of (Kurt[W] − target)², with "
            "Kurt[W] = mean of ((w − mean)/std)⁴ and the standard deviation of all n entries.",
            cases=(([STEP], 1.8), ([EVEN, STEP], 1.8), ([EVEN, 3 * STEP - 1, STEP**2], 3.0)),
            reference=penalty,
            solution="import numpy as np\n\n\ndef penalty(layers, target):\n    gaps = []\n    for w in layers:\n"
            "        z = (w - w.mean()) / w.std()\n        gaps.append(((z**4).mean() - target) ** 2)\n"
            "    return np.mean(gaps)",
            hints=(
                "What must not change the result: adding a number to all weights, or multiplying them?",
                "z = (w − μ)/σ;  Kurt = mean(z⁴);  term = mean over layers of (Kurt − target)²",
                "z = (w - w.mean()) / w.std()",
            ),
            mistakes=(
                Mistake(
                    _sample_std,
                    "You divide by n − 1 in the standard deviation. KURE's own code does so too; for a layer of a "
                    "thousand weights it hardly matters, for this one it does. The lesson takes n.",
                ),
                Mistake(_excess, "That is the excess kurtosis, 0 for the normal law. Here the normal law has 3."),
                Mistake(_no_mean, "The mean is not taken off: shift all weights by one and your kurtosis changes."),
                Mistake(_sum, "You sum over layers. With the mean, λ means the same in a deep and in a flat network."),
                Mistake(_not_squared, "The gap is not squared: a layer flatter than the target would be rewarded."),
            ),
        ),
        by_hand(
            "06-three-values",
            then="Rarer large weights mean a larger kurtosis, and a range that few weights use.",
            task="on paper: a layer's weights are −1, 0 and 1 with chances 1/8, 3/4 and 1/8. Its kurtosis?",
            value=4.0,
            solution="(2 / 8) / (2 / 8) ** 2",
            hints=(
                "The mean is 0. What are the means of w² and of w⁴?",
                "Kurt = E[w⁴] / E[w²]²",
                "both are 1/8 + 1/8",
            ),
            mistakes={
                0.25: "That is the fourth moment alone. Divide by the squared variance: kurtosis has no unit.",
                1.0: "You divided by the variance once, or took 3 off. The fourth moment is over its square, and 1.8 is for the plain kurtosis.",
                16.0: "One square too many: it is E[w⁴] over E[w²]², a fourth over a sixteenth.",
            },
        ),
    ),
    questions=(
        Question(
            "Why does a flat histogram survive 2 bits with the range of the largest weight?",
            (
                Option(
                    "Its weights are smaller", "Tempting, but kurtosis knows no scale: twice the weights, same value."
                ),
                Option(
                    "Fewer of its weights lie near zero, compared with the largest",
                    "Yes: the step is as wide as the largest weight, and all below half of it become 0.",
                    True,
                ),
                Option("It needs no rounding", "Every weight is rounded; only fewer of them to nothing."),
            ),
        ),
        Question(
            "You change the range on the chip from the largest weight to the least squared error. KURE's lead ...",
            (
                Option("grows", "It would if the shape were all; but the range now mends what the shape mended."),
                Option("is gone, or nearly", "Yes: with a clip, a bell-shaped layer fills its levels as well.", True),
                Option("stays", "It would if the outliers still set the step; a clip cuts them off."),
            ),
        ),
        Question(
            "Why is a model trained at 2 bits worse in full precision?",
            (
                Option("Full precision is noisier", "It has no rounding noise at all."),
                Option(
                    "The loss was only ever measured at the rounded weights",
                    "Yes: the weights behind the rounding may be anywhere in their cell, and nothing trained them there.",
                    True,
                ),
                Option("2-bit training is unfinished", "Tempting; but at 2 bit the same weights reach 90 %."),
            ),
        ),
    ),
)
