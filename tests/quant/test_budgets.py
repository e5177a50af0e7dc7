"""Algorithm 2 of FedMPQ: the authors' loops written out on their own, and budgets that are never exceeded."""

from __future__ import annotations

import random

import pytest

from fqlab.quant import pruning_growing


def cost(sizes: list[int], widths: list[int]) -> int:
    """Bits of a whole model."""
    return sum(m * b for m, b in zip(sizes, widths, strict=True))


def theirs(base: list[int], history: list[int], sizes: list[int], budget: float) -> tuple[list[int], list[int]]:
    """The public code's pruning or growing: the widths, and those before its last step.

    ``history`` is the shared Δ̄_l, 1 or more. The mean is counted in whole weights and bits, so that equal
    priorities and exact budgets are exact.
    """
    bits = list(base)
    total = sum(sizes)
    order = list(range(len(base)))
    before = list(base)
    spent = cost(sizes, base)
    priority = [m * h for m, h in zip(sizes, history, strict=True)]
    left = set(order)
    while spent > budget * total and left:
        cursor = max(left, key=lambda k: (priority[k], -k))
        if bits[cursor] > 1:
            bits[cursor] = bits[cursor] - 1
            spent = spent - sizes[cursor]
        else:
            left.remove(cursor)
    left = set(order)
    while spent < budget * total and left:
        cursor = min(left, key=lambda k: (priority[k], k))
        if bits[cursor] < 8:
            before = list(bits)
            bits[cursor] = bits[cursor] + 1
            spent = spent + sizes[cursor]
        else:
            left.remove(cursor)
    return bits, before


def tables(count: int):
    """Random layers, half of them with sizes and histories that tie."""
    rng = random.Random(20240602)
    for case in range(count):
        layers = rng.randint(1, 10)
        choose = [16, 144, 144, 640, 2304, 2304, 9216] if case % 2 else range(1, 40_000)
        sizes = [rng.choice(choose) for _ in range(layers)]
        base = [rng.randint(1, 8) for _ in sizes]
        history = [rng.randint(1, 3) for _ in sizes]
        yield base, history, sizes, rng.choice([1, 2, 4, 6, 8, rng.uniform(1, 8)])


def test_ten_thousand_random_networks():
    """Never over the budget; the authors' widths wherever theirs are not over it; else theirs up to the last step."""
    equal = 0
    over = 0
    for base, history, sizes, budget in tables(10_000):
        ours = list(pruning_growing(base, [h - 1 for h in history], sizes, budget))
        spent = cost(sizes, ours)
        assert spent <= budget * sum(sizes) * (1 + 1e-9)
        assert all(1 <= b <= 8 for b in ours)
        published, before = theirs(base, history, sizes, budget)
        if cost(sizes, published) <= budget * sum(sizes):
            assert ours == published
            equal += 1
        else:
            assert all(a >= b for a, b in zip(ours, before, strict=True))
            assert all(a == 8 or spent + m > budget * sum(sizes) * (1 - 1e-9) for a, m in zip(ours, sizes, strict=True))
            over += 1
    assert equal > 1000
    assert over > 1000


def test_draining_by_hand():
    """ResNet-8's layers, a base of 5 bits, 2 bits a weight.

    Of 5 · 74 512 bits 223 536 must go: four of each of the two large layers, one of the third, 6 864 bits are then
    to spare. Three each for stem (432) and fc (1 920) leave 4 512: one more for the first layer of 2 304.
    """
    sizes = [144, 2304, 2304, 4608, 9216, 18432, 36864, 640]
    assert pruning_growing([5] * 8, [0] * 8, sizes, 2) == (8, 6, 5, 5, 4, 1, 1, 8)


def test_equal_layers_go_in_the_order_of_the_network():
    assert pruning_growing([4, 4], [0, 0], [10, 10], 3.5) == (3, 4)
    assert pruning_growing([4, 4], [0, 0], [10, 10], 4.5) == (5, 4)


@pytest.mark.parametrize("cutting", ["drain", "round_robin"])
def test_a_budget_that_is_met_already_moves_nothing(cutting):
    assert pruning_growing([4, 2], [0, 0], [10, 10], 3, cutting) == (4, 2)
