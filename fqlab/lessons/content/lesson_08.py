"""Lesson 08: mixed precision for unequal devices."""

from __future__ import annotations

from collections.abc import Sequence

from fqlab.lessons.by_hand import by_hand
from fqlab.lessons.model import Exercise, Lesson, Mistake, Option, Prediction, Question
from fqlab.quant import pruning_growing

Ints = Sequence[int]


def _planes() -> float:
    """Most planes that any of the four bell-shaped layers loses at ε = 0.03."""
    from fqlab.studies.fedmpq import planes_a_round

    return planes_a_round()


def _turns(base: Ints, sizes: Ints, limit: float, ranked: Ints, slack: float = 0.0) -> list[int]:
    """One bit a turn down along ``ranked`` while ``limit`` (bits in all) is exceeded, then up from its end."""
    widths = list(base)
    total = lambda: sum(m * b for m, b in zip(sizes, widths, strict=True))
    for layer in [k for _ in range(7) for k in ranked]:
        if total() > limit and widths[layer] > 1:
            widths[layer] -= 1
    for layer in [k for _ in range(7) for k in reversed(ranked)]:
        if widths[layer] < 8 and total() + sizes[layer] <= limit + slack:
            widths[layer] += 1
    return widths


def _ranked(reduced: Ints, sizes: Ints, *, smallest: bool = False, scaled: bool = True) -> list[int]:
    rank = [m * (d + 1) if scaled else m for m, d in zip(sizes, reduced, strict=True)]
    return sorted(range(len(sizes)), key=lambda k: rank[k] if smallest else -rank[k])


def solve(base: Ints, reduced: Ints, sizes: Ints, budget: float) -> list[int]:
    """Pruning-growing, a bit from each layer in turn."""
    return list(pruning_growing(base, reduced, sizes, budget, "round_robin"))


def _simple_mean(base: Ints, reduced: Ints, sizes: Ints, budget: float) -> list[int]:
    return _turns(base, [1] * len(sizes), budget * len(sizes), _ranked(reduced, sizes))


def _overshoots(base: Ints, reduced: Ints, sizes: Ints, budget: float) -> list[int]:
    return _turns(base, sizes, budget * sum(sizes), _ranked(reduced, sizes), slack=min(sizes))


def _wrong_sort(base: Ints, reduced: Ints, sizes: Ints, budget: float) -> list[int]:
    return _turns(base, sizes, budget * sum(sizes), _ranked(reduced, sizes, smallest=True))


def _forgets_reduced(base: Ints, reduced: Ints, sizes: Ints, budget: float) -> list[int]:
    return _turns(base, sizes, budget * sum(sizes), _ranked(reduced, sizes, scaled=False))


def _only_cut(base: Ints, reduced: Ints, sizes: Ints, budget: float) -> list[int]:
    widths = list(base)
    for layer in [k for _ in range(7) for k in _ranked(reduced, sizes)]:
        if sum(m * b for m, b in zip(sizes, widths, strict=True)) > budget * sum(sizes) and widths[layer] > 1:
            widths[layer] -= 1
    return widths


def _drains(base: Ints, reduced: Ints, sizes: Ints, budget: float) -> list[int]:
    return list(pruning_growing(base, reduced, sizes, budget, "drain"))


LESSON = Lesson(
    number="08",
    title="Mixed precision for unequal devices",
    predictions=(
        Prediction(
            "08-planes-a-round",
            "Bell-shaped layers of 2 to 8 bits, ε = 0.03. How many top planes does a layer lose in one round, at most?",
            low=0,
            high=7,
            result=_planes,
            close=0.5,
            because="because one cut halves the scale, and δ of what is left jumps to about 0.3, far above ε.",
        ),
    ),
    exercises=(
        Exercise(
            id="08-pruning-growing",
            then="Every device gets widths within its budget, and small layers are the last to be cut.",
            task="write f(base, reduced, sizes, budget): cut one bit a turn from the layers with the largest "
            "size · (reduced + 1) until the weighed mean fits, then grow one bit a turn from the other end. Return the widths.",
            cases=(
                ([5, 5, 5, 4], [0, 1, 0, 1], [432, 2304, 9216, 36864], 4),
                ([5, 5, 5, 4], [0, 9, 3, 0], [432, 2304, 9216, 36864], 6),
                ([3, 6, 2, 8], [2, 0, 1, 0], [10, 10, 20, 15], 3.3),
                ([4, 4, 4, 4], [0, 0, 0, 0], [30, 7, 8, 100], 4),
            ),
            reference=solve,
            solution="def solve(base, reduced, sizes, budget):\n"
            "    widths, limit = list(base), budget * sum(sizes)\n"
            "    total = lambda: sum(m * b for m, b in zip(sizes, widths))\n"
            "    ranked = sorted(range(len(sizes)), key=lambda k: -sizes[k] * (reduced[k] + 1))\n"
            "    for k in ranked * 7:\n"
            "        if total() > limit and widths[k] > 1:\n"
            "            widths[k] -= 1\n"
            "    for k in ranked[::-1] * 7:\n"
            "        if widths[k] < 8 and total() + sizes[k] <= limit:\n"
            "            widths[k] += 1\n"
            "    return widths",
            hints=(
                "Which mean has to fit the budget: that of the layers, or that of the weights?",
                "Σ M_l b_l ≤ v Σ M_l; rank by M_l (Δb_l + 1), largest first; seven turns take any layer from end to end.",
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
                Mistake(_drains, "You empty one layer before the next: that is the other reading. Here: a bit a turn."),
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
            "You quantize a bell-shaped layer with 4 instead of 8 bits. Its δ ...",
            (
                Option("grows", "Fewer bits, so each is used more? The top bit still splits at half the scale."),
                Option(
                    "stays",
                    "Yes: the top bit asks whether |w| exceeds about half of max |w|, whatever comes below.",
                    True,
                ),
                Option("shrinks", "Only the lower planes are missing; nobody has moved across half the scale."),
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
        Question(
            "Primal-dual: η is so small that λ rises slowly. What goes wrong?",
            (
                Option("Nothing, it only takes longer", "Tempting. While it waits, the bits stay over budget."),
                Option(
                    "Bits stay over budget at first, then λ overshoots",
                    "Yes: λ adds up all the excess, and is still high when the planes are gone.",
                    True,
                ),
                Option("The bits fall below budget at once", "They fall only when λ is large enough to empty planes."),
            ),
        ),
    ),
)
