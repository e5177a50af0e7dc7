"""What a scheme of bit-widths costs, and how a budget of bits is spent on layers (FedMPQ, Algorithm 2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fqlab.errors import ConfigError, in_range, one_of, shown

__all__ = ["CUTTINGS", "compression", "mean_bits", "moves", "parse_budgets", "pruning_growing"]

CUTTINGS = ("drain", "round_robin")
TOLERANCE = 1e-9


def mean_bits(sizes: Sequence[int], widths: Sequence[int]) -> float:
    """b̄ = Σ_l M_l b_l / Σ_l M_l, "#Bits per Para": magnitude bits, neither signs nor scales; a width may
    be 0.

    Raises:
        ConfigError: if there is not one width a layer, or no weights at all.
    """
    if len(sizes) != len(widths) or sum(sizes) <= 0:
        raise ConfigError(f"widths is {list(widths)}, but must name one width for each of {len(sizes)} layers.")
    return sum(m * b for m, b in zip(sizes, widths, strict=True)) / sum(sizes)


def compression(bits: float) -> float:
    """32/bits, the "Comp" column of BSQ's tables."""
    return 32 / bits if bits else float("inf")


def parse_budgets(budgets: float | str) -> tuple[float, ...]:
    """``4`` or ``"2-2-4-4-4-6-6-6-8-8"`` as mean bits a weight, to be repeated over the clients in turn.

    Raises:
        ConfigError: for a budget that is not a number from 1 to 8.
    """
    try:
        values = [float(part) for part in budgets.split("-")] if isinstance(budgets, str) else [budgets]
    except ValueError:
        raise ConfigError(
            f"budgets is {shown(budgets)}, but must be bits such as 4, or '2-4-8' for clients in turn."
        ) from None
    return tuple(float(in_range("budgets", value, 1, 8)) for value in values)


def pruning_growing(
    base: Sequence[int],
    reduced: Sequence[int],
    sizes: Sequence[int],
    budget: float,
    cutting: str = "drain",
) -> tuple[int, ...]:
    """One client's bit-widths for the next round: the common base, cut or grown to its budget (Algorithm
    2).

    Layers are ranked by ρ_l = M_l(Δb_l + 1): large layers, and layers that gave up bits of their own
    accord, come first when bits must go and last when bits are to spare. Among equals the layer nearer the
    input comes first both ways; the ranking is made once. The public code is ``"drain"``, with
    ρ_l = (M_l/M) Δ̄_l and the same Δ̄_l = Δb_l + 1 for all clients; there the last step of growing may pass the
    budget, here it is not taken and the next layers are tried.

    Args:
        base: widths 1-8 of the common base.
        reduced: Δb_l ≥ 0, the bits each layer lost in the client's last local training.
        sizes: M_l ≥ 1.
        budget: v, the largest mean width (:func:`mean_bits`), from 1 to 8.
        cutting: ``"drain"`` empties the first layer down to 1 bit before it goes on to the next;
            ``"round_robin"``, ours, takes one bit from every layer in turn.

    Returns:
        Widths 1-8 with mean at most ``budget``. What is left of the budget does not pay for one more bit in
        any layer below 8.
    """
    *_, widths = moves(base, reduced, sizes, budget, cutting)
    return widths


def moves(
    base: Sequence[int],
    reduced: Sequence[int],
    sizes: Sequence[int],
    budget: float,
    cutting: str = "drain",
) -> Iterator[tuple[int, ...]]:
    """Algorithm 2 one move at a time: the base, then the widths after each bit that is cut or grown.

    Arguments as for :func:`pruning_growing`, which returns the last of them.
    """
    one_of("cutting", cutting, CUTTINGS)
    in_range("budget", budget, 1, 8)
    widths = list(base)
    yield tuple(widths)
    spare = budget * sum(sizes) * (1 + TOLERANCE) - sum(m * b for m, b in zip(sizes, widths, strict=True))
    priority = [size * (lost + 1) for size, lost in zip(sizes, reduced, strict=True)]
    for layer in _turns(sorted(range(len(widths)), key=lambda k: -priority[k]), cutting):
        if spare >= 0:
            break
        if widths[layer] > 1:
            widths[layer] = widths[layer] - 1
            spare = spare + sizes[layer]
            yield tuple(widths)
    for layer in _turns(sorted(range(len(widths)), key=lambda k: priority[k]), cutting):
        if widths[layer] < 8 and sizes[layer] <= spare:
            widths[layer] = widths[layer] + 1
            spare = spare - sizes[layer]
            yield tuple(widths)


def _turns(ranked: Sequence[int], cutting: str) -> Iterator[int]:
    """Layers in the order in which each may move by one bit; seven moves take any width from end to end."""
    if cutting == "drain":
        return (layer for layer in ranked for _ in range(7))
    return (layer for _ in range(7) for layer in ranked)
