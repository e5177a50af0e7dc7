"""Lesson 10: bits on the wire."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fqlab.lessons.by_hand import by_hand
from fqlab.lessons.model import Exercise, Lesson, Mistake, Option, Prediction, Question


def _thousand() -> float:
    """Bytes of a packet that carries 1000 codes of 3 bits."""
    import torch

    from fqlab import wire
    from fqlab.quant import Grid, quantize

    x = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    return len(wire.pack({"w": quantize(x, 2.0, Grid(3))}))


def _rows(codes: Sequence[int], bits: int) -> np.ndarray:
    """The bits of the codes: a row a plane, highest first."""
    return np.array([[code >> p & 1 for code in codes] for p in range(bits - 1, -1, -1)], np.uint8)


def planes(codes: Sequence[int], bits: int) -> list[int]:
    """Codes as bytes, plane by plane."""
    return np.packbits(_rows(codes, bits), axis=1).reshape(-1).tolist()


def _little(codes: Sequence[int], bits: int) -> list[int]:
    return np.packbits(_rows(codes, bits), axis=1, bitorder="little").reshape(-1).tolist()


def _lowest_first(codes: Sequence[int], bits: int) -> list[int]:
    return np.packbits(_rows(codes, bits)[::-1], axis=1).reshape(-1).tolist()


def _code_by_code(codes: Sequence[int], bits: int) -> list[int]:
    return np.packbits(_rows(codes, bits).T.reshape(-1)).tolist()


def _no_padding(codes: Sequence[int], bits: int) -> list[int]:
    return np.packbits(_rows(codes, bits).reshape(-1)).tolist()


def _padded_in_front(codes: Sequence[int], bits: int) -> list[int]:
    rows = _rows(codes, bits)
    return np.packbits(np.pad(rows, ((0, 0), (-rows.shape[1] % 8, 0))), axis=1).reshape(-1).tolist()


LESSON = Lesson(
    number="10",
    title="Bits on the wire",
    predictions=(
        Prediction(
            "10-thousand-codes",
            "1000 weights, 3 bits each, in one packet that a stranger can open and check. How many bytes?",
            low=100,
            high=2000,
            result=_thousand,
            close=60,
            unit="bytes",
            because="because 375 bytes are codes: the others say what they are, with name, shape, grid, clip and checksums.",
        ),
    ),
    exercises=(
        Exercise(
            id="10-pack",
            then="In this order, leaving out the top plane is leaving out the first bytes.",
            task="write pack_planes(codes, bits): a list of byte values, plane by plane, highest plane first. In each plane the "
            "first code sits in the highest bit, and zeros fill the last byte.",
            cases=(
                ([5, 1, 7, 0, 2, 6, 3, 4, 1], 3),
                ([1, 0, 0, 0, 0, 0, 0, 0, 1, 1], 1),
                ([15, 8, 4, 2, 1], 4),
            ),
            reference=planes,
            solution="import numpy as np\n\n\ndef pack_planes(codes, bits):\n    rows = [[code >> p & 1 for code in codes] for p in reversed(range(bits))]\n"
            "    return np.packbits(np.array(rows, np.uint8), axis=1).reshape(-1).tolist()",
            hints=(
                "Nine codes of 3 bits: how many bytes does one plane take, and how many bits of it are padding?",
                "Bit p of a code is code >> p & 1. A plane of n codes takes ⌈n/8⌉ bytes, all planes b·⌈n/8⌉.",
                "rows = [[code >> p & 1 for code in codes] for p in reversed(range(bits))]; np.packbits packs a row",
            ),
            mistakes=(
                Mistake(_little, "Bit order: the first code belongs in the highest bit of its byte, not the lowest."),
                Mistake(
                    _lowest_first, "Plane order: the highest plane goes first, so that it can be cut off in front."
                ),
                Mistake(_code_by_code, "You pack code after code. Then no plane lies in one piece: no scissors fit."),
                Mistake(
                    _no_padding, "Each plane ends on a whole byte. Here the next plane starts inside the last one."
                ),
                Mistake(_padded_in_front, "The padding goes behind the last code, not in front of the first."),
            ),
            tolerance=0.0,
        ),
        by_hand(
            "10-entropy",
            then="Fixed length pays two. A good clip fills the rare codes, and then the coder has little left to win.",
            task="on paper: codes 0, 1, 2 and 3 come with chances 1/2, 1/4, 1/8 and 1/8. How many bits a code does the best coder need?",
            value=1.75,
            solution="1 / 2 * 1 + 1 / 4 * 2 + 2 * (1 / 8 * 3)",
            hints=(
                "How long a word may a code of chance 1/8 get?",
                "H = Σ p·log₂(1/p)",
                "words of 1, 2, 3 and 3 bits",
            ),
            mistakes={
                2.0: "That is fixed length. Frequent codes may have shorter words.",
                2.25: "The plain mean of 1, 2, 3 and 3: weigh each word by how often it comes.",
                4 / 7: "The other way round: bits a code, not codes for a bit.",
                1.213: "Bits, so the logarithm is to base 2.",
            },
            tolerance=0.001,
        ),
    ),
    questions=(
        Question(
            "You drop the top bit plane of a plane-major packet. What happens to the lower magnitude planes?",
            (
                Option("All their bytes shift by some bits", "That is so code after code; here planes end on bytes."),
                Option("Not one byte of them changes", "Yes: the plane is a slice of the packet, cut out whole.", True),
                Option("They are rounded again", "Nothing is decoded. Only signs of weights that became 0 go."),
            ),
        ),
        Question(
            "Uploads are entropy coded. How does the best clip for squared error compare with max-abs now?",
            (
                Option("It saves the same bits as before", "Before coding it does. But rare codes are cheap to code."),
                Option("It saves a little less", "Tempting, but the gain is gone, and at 16 levels it turns around."),
                Option(
                    "It costs bits", "Yes, about 0.1 at 16 levels: the coder pays rare large codes by itself.", True
                ),
            ),
        ),
        Question(
            "The ledger says 24 046 bytes, a formula says 20 462. Which did the socket carry?",
            (
                Option("The formula's: the rest is bookkeeping", "Names, clips, biases and checksums travel as well."),
                Option("The ledger's and 8 bytes more", "Yes: the packet, and its length in front of it.", True),
                Option("Something in between", "No part of a packet is left out; only the length is added."),
            ),
        ),
    ),
)
