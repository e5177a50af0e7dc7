"""Lesson 09: lottery tickets."""

from __future__ import annotations

import numpy as np

from fqlab.lessons.by_hand import by_hand
from fqlab.lessons.model import Exercise, Lesson, Mistake, Option, Prediction, Question


def _tickets() -> float:
    """Accuracy in % on own digits with 9 % of the weights."""
    from fqlab.studies.lottery import digits

    return 100 * digits(0).rounds[-1].personal


def masked_mean(values: np.ndarray, masks: np.ndarray, old: np.ndarray) -> np.ndarray:
    """Mean over the clients that kept a weight; the old value where none did."""
    count = masks.sum(axis=0)
    return np.where(count > 0, (values * masks).sum(axis=0) / np.maximum(count, 1), old)


def _all_clients(values: np.ndarray, masks: np.ndarray, old: np.ndarray) -> np.ndarray:
    return np.where(masks.any(axis=0), (values * masks).mean(axis=0), old)


def _loses(values: np.ndarray, masks: np.ndarray, old: np.ndarray) -> np.ndarray:
    return (values * masks).sum(axis=0) / np.maximum(masks.sum(axis=0), 1)


def _old_for_absent(values: np.ndarray, masks: np.ndarray, old: np.ndarray) -> np.ndarray:
    return np.where(masks, values, old).mean(axis=0)


def _only_common(values: np.ndarray, masks: np.ndarray, old: np.ndarray) -> np.ndarray:
    return np.where(masks.all(axis=0), values.mean(axis=0), old)


def _no_mask(values: np.ndarray, masks: np.ndarray, old: np.ndarray) -> np.ndarray:
    return np.asarray(values).mean(axis=0)


def _divides_by_none(values: np.ndarray, masks: np.ndarray, old: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return (values * masks).sum(axis=0) / masks.sum(axis=0)


VALUES = np.array([[1.0, 2.0, 0.0, 0.0], [3.0, 0.0, 0.0, 5.0], [8.0, 4.0, 0.0, 0.0]])
KEPT = np.array([[True, True, False, False], [True, False, False, True], [True, True, False, False]])
OLD = np.array([9.0, 7.0, 6.0, -1.0])

LESSON = Lesson(
    number="09",
    title="Lottery tickets",
    predictions=(
        Prediction(
            "09-a-tenth",
            "Ten clients hold two digits each. Together they throw away nine of ten weights. Accuracy on their own two "
            "digits after 40 rounds, in %? One model for all, with all weights, reaches 90.",
            low=10,
            high=100,
            result=_tickets,
            close=3,
            unit="%",
            because="because a client needs its own two digits only; what is missing to 100 % is mostly the rounds that each rewind costs.",
        ),
    ),
    exercises=(
        Exercise(
            id="09-masked-mean",
            then="A weight that one client alone kept is its own: nobody else can average it away.",
            task="write the mask-aware mean f(values, masks, old) of arrays [clients, weights] and [weights]: per weight "
            "the mean over the clients that kept it, the old value where nobody did.",
            cases=((VALUES, KEPT, OLD), (VALUES[:2], KEPT[:2], OLD), (2 * VALUES[1:], KEPT[1:], OLD)),
            reference=masked_mean,
            solution="import numpy as np\n\n\ndef mean_of_kept(values, masks, old):\n    count = masks.sum(axis=0)\n"
            "    total = (values * masks).sum(axis=0)\n"
            "    return np.where(count > 0, total / np.maximum(count, 1), old)",
            hints=(
                "A weight is kept by two of three clients. By what do you divide?",
                "θ[j] = Σ_k m_k[j]·θ_k[j] / Σ_k m_k[j], and the old θ[j] where the denominator is 0",
                "count = masks.sum(axis=0)",
            ),
            mistakes=(
                Mistake(
                    _all_clients,
                    "You divide by all clients: the zeros of those that dropped a weight pull it towards zero.",
                ),
                Mistake(
                    _divides_by_none,
                    "0/0 is NaN: where nobody kept a weight the count is 0. Put the old value there, or NaN goes to everybody.",
                ),
                Mistake(_loses, "A weight that nobody kept becomes 0. It must keep its old value."),
                Mistake(
                    _old_for_absent,
                    "You let the old value vote for every client that dropped the weight. They have no vote.",
                ),
                Mistake(_only_common, "You update only what all clients kept. One that kept it is enough."),
                Mistake(_no_mask, "The masks are not used: zeros are averaged in, and nothing keeps its old value."),
            ),
        ),
        by_hand(
            "09-mean-share",
            then="A target of 0.5 costs 0.55 in these rounds, masks not counted.",
            task="on paper: target 0.5. In each of rounds 1 to 5, before it sends, a client prunes a fifth of what is left, as long as "
            "more than half is left. Which share of the weights does it send, averaged over the five rounds?",
            value=(0.8 + 0.64 + 0.512 + 0.4096 + 0.4096) / 5,
            solution="(0.8 + 0.8**2 + 0.8**3 + 2 * 0.8**4) / 5",
            hints=(
                "After how many prunings does it stop, and what is left then?",
                "0.8, 0.64, 0.512, then below the target",
                "0.512 is more than half, so it prunes once more",
            ),
            mistakes={
                0.4096: "That is the share in the last round. The bill is the sum over all rounds.",
                0.5: "The target is where pruning stops, not what is sent.",
                (1 + 0.8 + 0.64 + 0.512 + 0.4096) / 5: "It prunes before it sends: the first round sends 0.8 already.",
                (0.8 + 0.64 + 3 * 0.512) / 5: "0.512 is still more than half: one more pruning follows.",
            },
            tolerance=0.006,
        ),
    ),
    questions=(
        Question(
            "LotteryFL(0.1) ends with 8.6 % of the weights, not 10 %. Why?",
            (
                Option("Rounding of the mask sizes", "That changes a weight or two in a layer, not a seventh of them."),
                Option(
                    "It prunes while more than 10 % is left, a fifth at a time",
                    "Yes: 0.8¹⁰ is still 10.7 %, so it prunes once more, to 0.8¹¹.",
                    True,
                ),
                Option("Biases are not counted", "They are never pruned, and not in the count at all."),
            ),
        ),
        Question(
            "Both ways with a broadcast counted once, most of the saving is gone. Why?",
            (
                Option(
                    "Every client needs a download of its own",
                    "Yes: each ticket is another packet, while FedAvg sends one model to all at once.",
                    True,
                ),
                Option("Masks are larger than weights", "A mask costs one bit a weight, a weight 32."),
                Option("FedAvg sends fewer weights", "It sends all of them; but down it may send them once."),
            ),
        ),
        Question(
            "Ten clients prune the same downloaded average. Their masks ...",
            (
                Option(
                    "are all different, as their digits are", "Tempting: it is what a ticket of one's own suggests."
                ),
                Option(
                    "share far more than by chance",
                    "Yes: who prunes on the same average drops the same small weights.",
                    True,
                ),
                Option("are exactly the same", "Nearly, here; but gates open in different rounds."),
            ),
        ),
    ),
)
