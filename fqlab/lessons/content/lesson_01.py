"""Lesson 01: federated averaging."""

from __future__ import annotations

from functools import cache

import numpy as np

from fqlab.lessons.by_hand import by_hand
from fqlab.lessons.model import Exercise, Lesson, Mistake, Option, Prediction, Question


@cache
def _own_starts() -> float:
    """Accuracy, in %, of the average of ten networks from ten random starts; mean of three draws."""
    from fqlab.studies.fedavg import ten

    return 100 * sum(ten(True, seed)[1] for seed in range(3)) / 3


@cache
def _five_epochs() -> float:
    """Accuracy, in %, of the panel's default with five local epochs."""
    from fqlab.federation import fit
    from fqlab.panels.views.drift import State, experiment

    return 100 * fit(experiment(State(epochs=5))).accuracy


def average(weights: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """Σ n_k w_k / Σ n_k over clients [K, d], [K]."""
    weights = np.asarray(weights, dtype=float)
    samples = np.asarray(samples, dtype=float)
    return samples @ weights / samples.sum()


def _forgets_samples(weights: np.ndarray, samples: np.ndarray) -> np.ndarray:
    return np.mean(weights, axis=0)


def _whole_numbers(weights: np.ndarray, samples: np.ndarray) -> np.ndarray:
    samples = np.asarray(samples)
    return (samples // samples.sum()) @ np.asarray(weights, dtype=float)


def _divides_twice(weights: np.ndarray, samples: np.ndarray) -> np.ndarray:
    return average(weights, samples) / len(samples)


def _wrong_axis(weights: np.ndarray, samples: np.ndarray) -> np.ndarray:
    return np.mean(weights, axis=1)


LESSON = Lesson(
    number="01",
    title="Federated averaging",
    predictions=(
        Prediction(
            "01-own-starts",
            "Ten networks, each trained on a tenth of the digits from random weights of its own; each reads about 90 % "
            "of the test digits. Average them weight by weight. Accuracy of the average, in %?",
            low=0,
            high=100,
            result=_own_starts,
            close=12,
            unit="%",
            because="because nothing says which hidden unit does which job: the average mixes units that learnt different things.",
        ),
        Prediction(
            "01-epochs",
            "Strongly skewed labels, α = 0.1, 20 rounds. With 1 local epoch the average reaches 89 %. With 5 epochs, in %?",
            low=10,
            high=100,
            result=_five_epochs,
            close=2,
            unit="%",
            because="because five times the local steps teach more than their drift costs, and a round sends the same bytes.",
        ),
    ),
    exercises=(
        Exercise(
            id="01-average",
            then="These lines are all that a server of FedAvg does.",
            task="write the server's average f(weights, samples): weights is an array [clients, d], samples the n_k; return "
            "Σ n_k w_k / Σ n_k, an array [d].",
            cases=(
                (np.array([[1.0, 0.0], [0.0, 2.0], [4.0, 4.0]]), np.array([10, 30, 60])),
                (np.array([[0.5, -0.5, 1.0], [1.5, 0.5, -3.0]]), np.array([3, 1])),
                (np.array([[2.0], [8.0], [5.0], [1.0]]), np.array([1, 1, 1, 9])),
            ),
            reference=average,
            solution="def server_average(weights, samples):\n    return samples @ weights / samples.sum()",
            hints=(
                "One client holds 60 images, another 10. Whose weights should count more, and by which factor?",
                "w ← Σ_k n_k w_k / Σ_k n_k",
                "total = samples.sum(); then weigh every row of weights by its n_k",
            ),
            mistakes=(
                Mistake(
                    _forgets_samples,
                    "That is the plain mean over clients: it forgets n_k. A client with ten images must not count like one "
                    "with sixty.",
                ),
                Mistake(
                    _whole_numbers,
                    "All zeros: // divides whole numbers and drops the fraction, and every n_k / Σ n_k is below 1. Use /.",
                ),
                Mistake(
                    _divides_twice,
                    "You divide by Σ n_k and by the number of clients. The shares n_k / Σ n_k sum to 1 already.",
                ),
                Mistake(
                    _wrong_axis,
                    "You average over the weights of each client; the mean runs over clients, the first axis.",
                ),
            ),
        ),
        by_hand(
            "01-swap",
            then="Two perfect networks, and their average computes nothing. That is why all clients start from one.",
            task="on paper: f(x) = v1·max(0, u1·x) + v2·max(0, u2·x). Network A has u = (1, −1) and v = (1, 1): it computes |x|. "
            "Network B is A with its two units swapped, u = (−1, 1), v = (1, 1): |x| again. Average A and B weight by weight. "
            "What does the average give for x = 3?",
            value=0.0,
            solution="1 * max(0, (1 - 1) / 2 * 3) + 1 * max(0, (-1 + 1) / 2 * 3)",
            hints=(
                "What is the mean of the two networks' first weights u1?",
                "u = ((1 − 1)/2, (−1 + 1)/2), v = (1, 1), and then f(3)",
                "u1 = (1 + (-1)) / 2",
            ),
            mistakes={
                3.0: "That is the mean of what A and B say. The server averages their weights, before anything is computed.",
                1.5: "One unit survives in your average. Look again: both u's cancel.",
                6.0: "That is the sum of both networks.",
            },
        ),
    ),
    questions=(
        Question(
            "Ten good networks average to a bad one. Why?",
            (
                Option(
                    "Each started elsewhere, so unit 5 of one does not do the job of unit 5 of another",
                    "Yes: the order of hidden units is arbitrary, and the average mixes units with different jobs.",
                    True,
                ),
                Option(
                    "Each saw only a tenth of the data",
                    "Tempting, but from one common start the same ten shares average to a better network than each.",
                ),
                Option("They overfitted", "Each still reads about 90 % of digits it never saw; overfitting is not it."),
            ),
        ),
        Question(
            "Clients train 10 epochs instead of 1. What does a round cost on the wire?",
            (
                Option("Ten times as much", "Tempting, but gradients never travel: only the final weights do."),
                Option("The same", "Yes: one model down and one up, whatever happens in between.", True),
                Option("A tenth", "A run may need fewer rounds, but a round costs what it costs."),
            ),
        ),
        Question(
            "With one full-batch step in a round (FedSGD), label skew ...",
            (
                Option(
                    "ruins the average", "It would if clients made several steps; after one step the mean is exact."
                ),
                Option(
                    "changes nothing",
                    "Yes: the weighted mean of the clients' gradients is the gradient on all data together.",
                    True,
                ),
                Option("slows training by 1/α", "There is no such law: α only decides who holds what."),
            ),
        ),
    ),
)
