"""Lesson 08: mixed precision for unequal devices."""

from __future__ import annotations

from collections.abc import Sequence

from fqlab.lessons.by_hand import by_hand
from fqlab.lessons.model import Exercise, Lesson, Mistake, Option, Prediction, Question
from fqlab.quant import pruning_growing

Ints = Sequence[int]


def _moved() -> float:
    """Percent of a 2-bit device's weights that a local round moves at fixed widths, on digits."""
    from fqlab.studies.dealing import FIXED, SIZES, experiment, watch
    from fqlab.studies.weak_clients import BUDGETS

    step = next(watch(experiment({"budgets": BUDGETS, **FIXED}, rounds=1)))
    return 100 * sum(m * share for m, share in zip(SIZES, step.moved[0], strict=True)) / sum(SIZES)


def _deal(
    base: Ints, sizes: Ints, limit: float, ranked: Ints, *, slack: float = 0.0, turns: bool = False, grow: bool = True
) -> list[int]:
    """Bits down along ``ranked`` while ``limit`` (in all) is exceeded, then up from its end; a layer at a time or in turns."""
    widths = list(base)
    total = lambda: sum(m * b for m, b in zip(sizes, widths, strict=True))
    order = lambda layers: [k for _ in range(7) for k in layers] if turns else [k for k in layers for _ in range(7)]
    for layer in order(ranked):
        if total() > limit and widths[layer] > 1:
            widths[layer] -= 1
    for layer in order(ranked[::-1]) if grow else ():
        if widths[layer] < 8 and total() + sizes[layer] <= limit + slack:
            widths[layer] += 1
    return widths


def _ranked(reduced: Ints, sizes: Ints, *, smallest: bool = False, scaled: bool = True) -> list[int]:
    rank = [m * (d + 1) if scaled else m for m, d in zip(sizes, reduced, strict=True)]
    return sorted(range(len(sizes)), key=lambda k: rank[k] if smallest else -rank[k])


def solve(base: Ints, reduced: Ints, sizes: Ints, budget: float) -> list[int]:
    """Pruning-growing as in the public code: one layer to the end before the next."""
    return list(pruning_growing(base, reduced, sizes, budget))


def _simple_mean(base: Ints, reduced: Ints, sizes: Ints, budget: float) -> list[int]:
    return _deal(base, [1] * len(sizes), budget * len(sizes), _ranked(reduced, sizes))


def _overshoots(base: Ints, reduced: Ints, sizes: Ints, budget: float) -> list[int]:
    ranked = _ranked(reduced, sizes)
    return _deal(base, sizes, budget * sum(sizes), ranked, slack=sizes[ranked[0]] - 1)


def _wrong_sort(base: Ints, reduced: Ints, sizes: Ints, budget: float) -> list[int]:
    return _deal(base, sizes, budget * sum(sizes), _ranked(reduced, sizes, smallest=True))


def _forgets_reduced(base: Ints, reduced: Ints, sizes: Ints, budget: float) -> list[int]:
    return _deal(base, sizes, budget * sum(sizes), _ranked(reduced, sizes, scaled=False))


def _only_cut(base: Ints, reduced: Ints, sizes: Ints, budget: float) -> list[int]:
    return _deal(base, sizes, budget * sum(sizes), _ranked(reduced, sizes), grow=False)


def _in_turns(base: Ints, reduced: Ints, sizes: Ints, budget: float) -> list[int]:
    return _deal(base, sizes, budget * sum(sizes), _ranked(reduced, sizes), turns=True)


LESSON = Lesson(
    number="08",
    title="Mixed precision for unequal devices",
    predictions=(
        Prediction(
            "08-moved",
            "A device holds a network at 2 bits a weight and trains it for a whole local round with the public code's update. "
            "What share of its weights is another code afterwards, in %?",
            low=0,
            high=100,
            result=_moved,
            close=2,
            because="because every step is rounded back to the grid at once and no fraction is kept: at few bits a step is too "
            "short to reach the next code.",
            unit="%",
        ),
    ),
    exercises=(
        Exercise(
            id="08-pruning-growing",
            then="Every device gets widths within its budget, and small layers are the last to be cut: they keep the bits at which "
            "they can still train.",
            task="write f(base, reduced, sizes, budget): rank the layers by size · (reduced + 1), largest first. While the weighed "
            "mean is over the budget, cut the first layer down to 1 bit, then the next; then, from the other end, grow each layer as "
            "far as it fits, to 8 at most, before the next. Return the widths.",
            cases=(
                ([5, 5, 5, 4], [0, 1, 0, 1], [432, 2304, 9216, 36864], 2.5),
                ([5, 5, 5, 4], [0, 9, 2, 0], [432, 2304, 9216, 36864], 6),
                ([3, 6, 2, 8], [2, 0, 1, 0], [10, 10, 20, 15], 3.3),
                ([4, 4, 4, 4], [0, 3, 0, 0], [30, 7, 8, 100], 3),
            ),
            reference=solve,
            solution="def solve(base, reduced, sizes, budget):\n"
            "    widths, limit = list(base), budget * sum(sizes)\n"
            "    total = lambda: sum(m * b for m, b in zip(sizes, widths))\n"
            "    ranked = sorted(range(len(sizes)), key=lambda k: -sizes[k] * (reduced[k] + 1))\n"
            "    for k in ranked:\n"
            "        while total() > limit and widths[k] > 1:\n"
            "            widths[k] -= 1\n"
            "    for k in ranked[::-1]:\n"
            "        while widths[k] < 8 and total() + sizes[k] <= limit:\n"
            "            widths[k] += 1\n"
            "    return widths",
            hints=(
                "Which mean has to fit the budget: that of the layers, or that of the weights?",
                "Σ M_l b_l ≤ v Σ M_l; rank by M_l (Δb_l + 1), largest first; one layer to the end before the next.",
                "ranked = sorted(range(len(sizes)), key=lambda k: -sizes[k] * (reduced[k] + 1))",
            ),
            mistakes=(
                Mistake(
                    _simple_mean,
                    "That is the mean over layers. The budget counts weights: a large layer's bit costs more.",
                ),
                Mistake(
                    _overshoots,
                    "Over budget: a bit may grow only if it still fits; look before you add, not after.",
                ),
                Mistake(_wrong_sort, "The order is the wrong way round: large layers are cut first and grown last."),
                Mistake(
                    _forgets_reduced,
                    "You rank by size alone. Layers that gave up bits on their own count (reduced + 1) times.",
                ),
                Mistake(_only_cut, "You only cut. What is left of the budget goes back, from the end of the ranking."),
                Mistake(
                    _in_turns, "You take a bit from each layer in turn. Here: one layer down to 1 bit before the next."
                ),
            ),
        ),
        by_hand(
            "08-budget",
            then="2.67 is not a width: 2000 bits stay unspent, because no layer can take one more within the budget.",
            task="on paper: two layers, 3000 and 1000 weights, and a budget of 4 bits a weight. The small one takes 8 bits. How many "
            "whole bits can the large one have at most?",
            value=2.0,
            solution="(4 * 4000 - 8 * 1000) // 3000",
            hints=(
                "How many bits are there to spend in all?",
                "3000·b + 1000·8 ≤ 4·4000",
                "16000 bits in all, 8000 are spent",
            ),
            mistakes={
                3.0: "3 is the nearest whole number to 2.67, but it breaks the budget: 17000 bits for 16000.",
                0.0: "A plain mean over layers. A budget is a mean over weights: weigh each layer by its size.",
                4.0: "Then the small layer's eight bits come on top of a budget that is spent.",
            },
        ),
    ),
    questions=(
        Question(
            "AQFL, the public code's update: why does a 2-bit device learn next to nothing?",
            (
                Option(
                    "Its images are too few",
                    "It has as many as others. An 8-bit device with the same images would move most of its weights.",
                ),
                Option(
                    "Its steps are rounded away",
                    "Yes: every step goes back to the grid at once. Only scales, norms and biases still train.",
                    True,
                ),
                Option(
                    "The server weighs it less",
                    "The average is a plain mean here. It counts like everybody, with weights that did not move.",
                ),
            ),
        ),
        Question(
            "You keep the fractions between two steps (latent planes). What becomes of the gain of dealing bits?",
            (
                Option("It grows", "The handicap it repaired is gone: 2-bit layers now train by themselves."),
                Option("It stays", "Then it would come from the finer small layers alone. Compare the presets."),
                Option(
                    "Its reason is gone",
                    "Yes: every layer can train. What may be left is that finer small layers round less.",
                    True,
                ),
            ),
        ),
        Question(
            "MSB pruning without growing, for many rounds. The widths ...",
            (
                Option("settle at the budget", "Nothing pulls them there: nobody at the server looks at budgets."),
                Option(
                    "can only fall", "Yes: every round may cut, none may grow. Growing is what the server is for.", True
                ),
                Option("go up and down", "With growing, or with a price, they do. Without, there is no way up."),
            ),
        ),
    ),
)
