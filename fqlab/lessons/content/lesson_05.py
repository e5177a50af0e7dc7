"""Lesson 05: clipped federated learning."""

from __future__ import annotations

import numpy as np

from fqlab.lessons.by_hand import by_hand
from fqlab.lessons.model import Exercise, Lesson, Mistake, Option, Prediction, Question

FLOOR = 1e-12


def _share() -> float:
    """Percent of the average that one 8-bit device has among nine 2-bit ones."""
    from fqlab.studies.unequal import weights

    return 100 * weights()[0]


def shares(mse: np.ndarray, present: np.ndarray, floor: float = FLOOR) -> np.ndarray:
    """Guarded inverse-error weights, layer by layer."""
    inverse = np.where(present, 1 / np.maximum(mse, floor), 0.0)
    return inverse / inverse.sum(axis=1, keepdims=True)


def _unguarded(mse: np.ndarray, present: np.ndarray, floor: float = FLOOR) -> np.ndarray:
    with np.errstate(all="ignore"):
        inverse = np.where(present, 1 / np.asarray(mse), 0.0)
        return inverse / inverse.sum(axis=1, keepdims=True)


def _one_for_all(mse: np.ndarray, present: np.ndarray, floor: float = FLOOR) -> np.ndarray:
    whole = np.broadcast_to(np.sum(mse, axis=0), np.shape(mse))
    return shares(whole, present, floor)


def _absent(mse: np.ndarray, present: np.ndarray, floor: float = FLOOR) -> np.ndarray:
    inverse = 1 / np.maximum(mse, floor)
    return np.where(present, inverse / inverse.sum(axis=1, keepdims=True), 0.0)


def _upright(mse: np.ndarray, present: np.ndarray, floor: float = FLOOR) -> np.ndarray:
    kept = np.where(present, np.maximum(mse, floor), 0.0)
    return kept / kept.sum(axis=1, keepdims=True)


MSE = np.array([[1.0, 2.0, 4.0], [0.5, 0.1, 0.2]])
ALL = np.array([True, True, True])

LESSON = Lesson(
    number="05",
    title="Clipped federated learning",
    predictions=(
        Prediction(
            "05-one-fine-device",
            "Nine devices send 2-bit weights, one sends 8-bit weights. The server averages with weights inverse to the "
            "squared quantization error. Which share of the average has the one, in %?",
            low=0,
            high=100,
            result=_share,
            close=3,
            unit="%",
            because="because six bits more cut the squared error more than a thousandfold, and the rule turns that into a thousand votes.",
        ),
    ),
    exercises=(
        Exercise(
            id="05-inverse-error",
            then="Try it with one error a thousand times smaller than the others: whose average is it then?",
            task="write f(mse, present, floor): mse is [layers, clients], present says who came. Return each "
            "layer's weights, inverse to the errors; they sum to 1 over those who came, and an error below floor counts "
            "as floor.",
            cases=(
                (MSE, ALL, FLOOR),
                (MSE, np.array([True, False, True]), FLOOR),
                (np.array([[0.0, 2.0, 4.0], [0.5, 0.0, 0.2]]), ALL, 0.5),
            ),
            reference=shares,
            solution="import numpy as np\n\n\ndef shares(mse, present, floor):\n"
            "    inverse = np.where(present, 1 / np.maximum(mse, floor), 0.0)\n"
            "    return inverse / inverse.sum(axis=1, keepdims=True)",
            hints=(
                "What happens to 1/e when a layer is exactly representable? And over whom do the weights sum to 1?",
                "ω_li = (1/max(e_li, floor)) / Σ_j present (1/max(e_lj, floor)), for each layer l",
                "inverse = np.where(present, 1 / np.maximum(mse, floor), 0.0)",
            ),
            mistakes=(
                Mistake(_unguarded, "An error of 0 divides by zero: take the larger of error and floor first."),
                Mistake(
                    _one_for_all, "One weight for all layers: the rule is per layer, so sum over clients, not layers."
                ),
                Mistake(_absent, "The sum runs over clients who are absent too; then the weights do not reach 1."),
                Mistake(_upright, "These weights grow with the error. The worst client would have the say: invert."),
            ),
        ),
        by_hand(
            "05-fair-limit",
            then="So in the panel a limit of ten leaves the fine device a little more than half of the say.",
            task="on paper: nine coarse devices and a fine one, averaged by inverse error with a limit r: the fine device counts as "
            "r coarse ones. Which r gives the nine together half of the average?",
            value=9.0,
            solution="9",
            hints=(
                "What is the fine device's share, as a formula in r?",
                "r/(r + 9) = 1/2",
                "nine coarse devices count 9 in all",
            ),
            mistakes={
                1.0: "Then all ten count alike, and the nine have nine tenths.",
                10.0: "Nearly: the fine device then has 10/19, a little more than half.",
                0.5: "That is the share. Asked for is the limit that makes it so.",
                81.0: "Each coarse device counts 1, not 1/9.",
            },
        ),
    ),
    questions=(
        Question(
            "When are inverse-error weights the best there are?",
            (
                Option(
                    "When all clients hold the same weights and err independently",
                    "Yes: then the average estimates one thing, and this is the least noisy unbiased one.",
                    True,
                ),
                Option(
                    "Whenever bit-widths differ",
                    "That is when they differ most from FedAvg, but a precise upload of another model is no better.",
                ),
                Option(
                    "When labels are skewed",
                    "Then clients hold different models, and the difference is no noise to be averaged away.",
                ),
            ),
        ),
        Question(
            "All clients send 2 bits, with the same rule. Inverse-error weights then ...",
            (
                Option(
                    "favour clients with smaller weights",
                    "Yes: at equal bits the error grows with the variance of a layer, and nothing else differs.",
                    True,
                ),
                Option("are all equal", "Nearly, but errors still follow the size of each client's own weights."),
                Option("favour clients with more samples", "The rule never learns how many samples anybody has."),
            ),
        ),
        Question(
            "4-2-2-4 uploads are about 15.8 times lighter than 32-bit ones. The whole traffic is ...",
            (
                Option("15.8 times lighter", "Tempting, but the way down is still 32 bit."),
                Option("less than 2 times lighter", "Yes: the way down alone is half of what there was.", True),
                Option("about 8 times lighter", "That would be half the gain; but bytes add up, gains do not."),
            ),
        ),
    ),
)
