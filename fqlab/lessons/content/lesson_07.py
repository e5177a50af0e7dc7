"""Lesson 07: bit planes."""

from __future__ import annotations

from collections.abc import Sequence

from fqlab.lessons.by_hand import by_hand
from fqlab.lessons.model import Exercise, Lesson, Mistake, Option, Prediction, Question

Rows = Sequence[tuple[str, int, int]]


def _first_plane() -> float:
    """The plane of the first layer that is empty first, in the panel's default run; 0 is the LSB."""
    from fqlab.panels.views.planes import State, key, recording
    from fqlab.quant import plane_density
    from fqlab.studies.bsq import PLANES

    run = recording(*key(State()))
    bits = 8
    for epoch in range(PLANES + 1):
        codes = run.at(epoch).codes["fc1.weight"]
        empty = [b for b, share in enumerate(plane_density(codes).tolist()) if share == 0]
        if codes.grid.bits < bits:
            return float(bits - 1)
        if empty:
            return float(empty[0])
    return -1.0


def resnet20(stage1: Sequence[int] = (6, 6, 6, 6, 8, 8)) -> Rows:
    """ResNet-20 at HAWQ's bit-widths, shortcuts included."""
    rows = [("conv", 432, 8), *(("conv", 2304, bits) for bits in stage1)]
    rows += [("shortcut", 512, 32), ("conv", 4608, 3), *(("conv", 9216, 3),) * 5]
    rows += [("shortcut", 2048, 32), ("conv", 18432, 2), *(("conv", 36864, 2),) * 5]
    return (*rows, ("fc", 640, 3), ("bias", 10, 3))


SMALL = (("conv", 100, 4), ("shortcut", 50, 32), ("fc", 200, 1), ("bias", 10, 8))
ZERO = (("conv", 100, 0), ("conv", 300, 3), ("bias", 3, 2))


def compression(layers: Rows) -> float:
    """32 over the mean bits a quantized weight."""
    counted = [(n, bits) for kind, n, bits in layers if kind != "shortcut"]
    return 32 * sum(n for n, _ in counted) / sum(n * bits for n, bits in counted)


def _counts_shortcuts(layers: Rows) -> float:
    return 32 * sum(n for _, n, _ in layers) / sum(n * bits for _, n, bits in layers)


def _forgets_bias(layers: Rows) -> float:
    return compression([row for row in layers if row[0] != "bias"])


def _wrong_way(layers: Rows) -> float:
    return 1 / compression(layers)


def _plain_mean(layers: Rows) -> float:
    bits = [b for kind, _, b in layers if kind != "shortcut"]
    return 32 * len(bits) / sum(bits)


def _only_bits(layers: Rows) -> float:
    return 32 / compression(layers)


LESSON = Lesson(
    number="07",
    title="Bit planes",
    predictions=(
        Prediction(
            "07-first-plane",
            "Eight planes, 0 (lowest bits) to 7 (highest). A penalty pulls on all of them alike. Which one of the first "
            "layer is empty first?",
            low=0,
            high=7,
            result=_first_plane,
            close=0.5,
            because="because few weights use the top plane, and the pull on a digit is one over its plane's norm: the rarest is pulled hardest.",
        ),
    ),
    exercises=(
        Exercise(
            id="07-compression",
            then="Leave out the shortcuts or count them, and the same network is 13.1 or 11.8 times smaller.",
            task="write f(layers) for rows (kind, weights, bits): 32 over the mean bits a weight. Shortcuts are not "
            "quantized and do not count; biases do.",
            cases=((resnet20(),), (SMALL,), (ZERO,)),
            reference=compression,
            solution="def compression(layers):\n"
            "    counted = [(n, bits) for kind, n, bits in layers if kind != 'shortcut']\n"
            "    return 32 * sum(n for n, _ in counted) / sum(n * bits for n, bits in counted)",
            hints=(
                "Which rows have bit planes at all, and how many bits do all their weights take together?",
                "Comp = 32 · Σ N_l / Σ N_l n_l, over all rows but the shortcuts.",
                "counted = [(n, bits) for kind, n, bits in layers if kind != 'shortcut']",
            ),
            mistakes=(
                Mistake(
                    _counts_shortcuts,
                    "You count the shortcuts. They stay in full precision, and the paper leaves them out of the size.",
                ),
                Mistake(
                    _forgets_bias,
                    "The bias is missing: it has planes of its own and counts, tiny as it is (13.1074 or 13.1075).",
                ),
                Mistake(_wrong_way, "That is a share of the size, not a compression: divide the other way round."),
                Mistake(_plain_mean, "A mean over layers: weigh each by its number of weights."),
                Mistake(_only_bits, "Those are the bits a weight. The compression is 32 over that."),
            ),
        ),
        by_hand(
            "07-both-ends",
            then="Not one weight moves when these six planes fall: the step grows fourfold, the codes shrink fourfold.",
            task="on paper: an 8-bit layer whose magnitudes are all 0, 4, 8 or 12. How many bits does it have after a precision "
            "adjustment that cuts empty planes at both ends?",
            value=2.0,
            solution="len('1100'.strip('0'))",
            hints=(
                "Write 4, 8 and 12 in binary. Which planes have a one anywhere?",
                "bits left = highest used plane − lowest used plane + 1",
                "4 = 100, 8 = 1000, 12 = 1100",
            ),
            mistakes={
                4.0: "The top is cut. The two lowest planes are empty as well, and come off at the other end.",
                6.0: "Those are the planes that come off. Asked for are the bits that stay.",
                8.0: "Nothing cut? Four planes at the top hold no one at all.",
                3.0: "Count again from plane 2 to plane 3, both included.",
            },
        ),
    ),
    questions=(
        Question(
            "An adjustment cuts two planes off a layer, both empty. The accuracy ...",
            (
                Option("falls a little", "Tempting: fewer bits. But no weight used these two, and none moves."),
                Option(
                    "stays as it is", "Yes: scale and levels shrink together, the step stays, no weight moves.", True
                ),
                Option("rises", "Nothing that the network computes has changed, so nothing can get better."),
            ),
        ),
        Question(
            "Why is the top plane the first to go, though all planes are penalized alike?",
            (
                Option("High bits matter least", "They matter most: one of them moves a weight by half the scale."),
                Option(
                    "Few weights use it, so each one is pulled harder",
                    "Yes: the slope on a digit is B over the plane's norm, and a rare plane has a small norm.",
                    True,
                ),
                Option(
                    "The penalty has a factor 2^b",
                    "It has none. That factor stands in the gradient of the loss, and speaks for the top plane.",
                ),
            ),
        ),
        Question(
            "A plane in the middle is empty, those above and below are not. BSQ ...",
            (
                Option("cuts it out", "The weights above would halve: a digit's value is its place."),
                Option(
                    "leaves it",
                    "Yes: only planes at the two ends come off. On the wire an empty plane costs one flag.",
                    True,
                ),
                Option("moves it to the top", "That would change every weight that uses a higher plane."),
            ),
        ),
    ),
)
