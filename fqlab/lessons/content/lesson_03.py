"""Lesson 03: optimal clipping."""

from __future__ import annotations

import numpy as np

from fqlab.lessons.by_hand import by_hand
from fqlab.lessons.model import Exercise, Lesson, Mistake, Option, Prediction, Question

C = 4.0**-4 / 3


def _gain() -> float:
    """How many times smaller the 4-bit error is with OCTAV's clip than with max-abs, on a million normal weights."""
    import torch

    from fqlab.quant import Grid, clip_for, expected_mse

    x = torch.from_numpy(np.random.default_rng(0).standard_normal(10**6)).float()
    grid = Grid(4)
    wide, tight = (expected_mse(x, clip_for(rule, x, grid), grid) for rule in ("max_abs", "octav"))
    return float(wide / tight)


def _over(total: float, weight: float, s: float) -> float:
    """A quotient; ``s`` where there is nothing to weigh."""
    return float(total / weight) if weight else float(s)


def step(x: np.ndarray, s: float, c: float = C) -> float:
    """One OCTAV update."""
    size = np.abs(np.asarray(x, dtype=float))
    outside, inside = size > s, (size > 0) & (size <= s)
    return _over(size[outside].sum(), c * inside.sum() + outside.sum(), s)


def _counts_zeros(x: np.ndarray, s: float, c: float = C) -> float:
    size = np.abs(np.asarray(x, dtype=float))
    return _over(size[size > s].sum(), c * (size <= s).sum() + (size > s).sum(), s)


def _forgets_inside(x: np.ndarray, s: float, c: float = C) -> float:
    size = np.abs(np.asarray(x, dtype=float))
    return _over(size[size > s].sum(), (size > s).sum(), s)


def _forgets_abs(x: np.ndarray, s: float, c: float = C) -> float:
    x = np.asarray(x, dtype=float)
    return _over(x[x > s].sum(), c * ((x != 0) & (np.abs(x) <= s)).sum() + (x > s).sum(), s)


def _sums_inside(x: np.ndarray, s: float, c: float = C) -> float:
    size = np.abs(np.asarray(x, dtype=float))
    return _over(size.sum(), c * ((size > 0) & (size <= s)).sum() + (size > s).sum(), s)


def _never_guards(x: np.ndarray, s: float, c: float = C) -> float:
    size = np.abs(np.asarray(x, dtype=float))
    return step(x, s, c) if size.any() else float("nan")


def _keeps_when_nothing_is_cut(x: np.ndarray, s: float, c: float = C) -> float:
    return step(x, s, c) if (np.abs(x) > s).any() else s


def _cuts_the_edge(x: np.ndarray, s: float, c: float = C) -> float:
    size = np.abs(np.asarray(x, dtype=float))
    outside, inside = size >= s, (size > 0) & (size < s)
    return _over(size[outside].sum(), c * inside.sum() + outside.sum(), s)


LESSON = Lesson(
    number="03",
    title="Optimal clipping",
    predictions=(
        Prediction(
            "03-clip-gain",
            "4 bits, a million bell-shaped weights: how many times smaller is the error if we clip the largest weights away?",
            low=0.2,
            high=10,
            result=_gain,
            close=0.7,
            unit="×",
            because="because the step shrinks with the clip for every weight, and only a few weights are cut.",
        ),
    ),
    exercises=(
        Exercise(
            id="03-octav-step",
            then="A few of these steps replace a search over all clips. Each step is one pass over the weights.",
            task="write one OCTAV update f(x, s, c): Σ|x| beyond s, over c times the nonzero count within s plus the "
            "count beyond s. Return s itself where that would be 0/0.",
            cases=(
                (np.array([-1, -0.5, 0, 0.25, 0.5, 2]), 0.85, 4.0**-2 / 3),
                (np.array([-1, -0.5, 0, 0.25, 0.5, 2]), 1.45454545, 4.0**-4 / 3),
                (np.array([0.0, 0.0, 3.0, -4.0, 1.0]), 2.0, 4.0**-3 / 3),
                (np.zeros(5), 1.5, 4.0**-4 / 3),
                (np.array([0.5, -0.25, 0.0]), 2.0, 4.0**-2 / 3),
                (np.array([1.0, -1.0, 0.5, -3.0]), 1.0, 4.0**-2 / 3),
            ),
            reference=step,
            solution="import numpy as np\n\n\ndef step(x, s, c):\n    size = np.abs(x)\n    outside = size > s\n"
            "    inside = (size > 0) & (size <= s)\n    weight = c * inside.sum() + outside.sum()\n"
            "    return size[outside].sum() / weight if weight else s",
            hints=(
                "Which weights make an error when we clip at s, and which make one when we round?",
                "s ← Σ|x|·1[|x|>s] / (c·#{0<|x|≤s} + #{|x|>s})",
                "size = np.abs(x); outside = size > s",
            ),
            mistakes=(
                Mistake(_counts_zeros, "You count zeros as rounded. A zero is a level of the grid: it makes no noise."),
                Mistake(
                    _forgets_inside, "The term c·#inside is missing: it holds the rounding noise, which pulls s down."
                ),
                Mistake(_forgets_abs, "Negative weights are clipped too: take |x| first."),
                Mistake(
                    _never_guards,
                    "Right, except for a tensor of zeros: 0/0 is NaN, and NaN would spread. Return s there.",
                ),
                Mistake(
                    _keeps_when_nothing_is_cut,
                    "You return s wherever nothing is clipped. Only 0/0 asks for that: with weights inside, the update falls "
                    "to 0, and the next one climbs back.",
                ),
                Mistake(
                    _cuts_the_edge,
                    "A weight of exactly ±s is not clipped: it lies on the last level. Use > s, not >= s.",
                ),
                Mistake(_sums_inside, "The numerator sums only weights beyond s, not all of them."),
            ),
        ),
        by_hand(
            "03-constant",
            then="That is eight times the textbook's 1/48. Whoever clips with the textbook's constant clips far too wide here.",
            task="on paper: the narrow grid at 2 bits has the levels −s, 0 and s. With stochastic rounding, what is c in "
            "rounding noise = c·s²?",
            value=1 / 6,
            solution="1**2 / 6",
            hints=(
                "How far apart are the levels, in units of s?",
                "Δ²/6 with stochastic rounding, Δ²/12 with nearest; here Δ = s",
                "c = Δ² / 6 / s²",
            ),
            mistakes={
                1 / 12: "That is nearest rounding. Stochastic rounding makes twice the noise, Δ²/6.",
                4.0**-2 / 3: "That is the textbook's 4^−b/3: it belongs to a step of 2s/2^b = s/2, half of this one.",
                1 / 24: "Δ²/6 is right, but the step is s here, not s/2.",
                2 / 3: "The range is 2s, but the step is what counts: neighbouring levels are s apart.",
            },
            tolerance=0.002,
        ),
    ),
    questions=(
        Question(
            "Why does a smaller clip lower the error at 4 bits?",
            (
                Option(
                    "Large weights do not matter to the network", "Tempting, but the error counts every weight alike."
                ),
                Option(
                    "All small weights get a finer grid", "Yes: Δ shrinks with s, and most weights are small.", True
                ),
                Option(
                    "Clipping is exact for large weights", "No: a clipped weight errs by |x| − s, more than before."
                ),
            ),
        ),
        Question(
            "You move from 4 to 8 bits. The best clip ...",
            (
                Option("moves out", "Yes: rounding noise fell 256-fold, so clipping must fall too.", True),
                Option("moves in", "That would raise the clipping noise, which now dominates."),
                Option("stays", "It would if both noises fell alike; only the rounding noise knows the bits."),
            ),
        ),
        Question(
            "OCTAV's constant 4^−B/3 belongs to which step?",
            (
                Option("2s/2^B", "Yes: Δ²/12 with Δ = 2s/2^B is s²·4^−B/3.", True),
                Option("2s/(2^B − 1)", "That is the mid-rise grid; its constant is 1/(3(2^B − 1)²)."),
                Option(
                    "s/(2^B − 1)",
                    "That is sign-magnitude: finer steps, so the textbook constant clips it too tight (2 bits: 1.74 σ, not 1.99).",
                ),
            ),
        ),
    ),
)
