"""From many clients' tensors to one: the averaging rules, and the guard that stands before them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch

from fqlab.errors import ConfigError, WireError, in_range, one_of, shown
from fqlab.quant import Codes, Grid, stack_alike
from fqlab.tensors import dense_real
from fqlab.wire import Payload
from fqlab.wire.stacked import stack_of, whole_stack

__all__ = [
    "AVERAGES", "Form", "average", "decode", "decode_all", "inverse_error", "inverse_error_weights", "masked_mean", "mean",
    "median", "trimmed_mean", "validate_update", "validate_updates",
]  # fmt: skip

AVERAGES = ("size", "equal", "median", "trimmed_mean")
"""The rules of :func:`average`."""

LIMIT = 1e6
"""Largest magnitude a weight may have; beyond it an update is taken for diverged."""


Stack = torch.Tensor | Sequence[torch.Tensor]
"""One tensor a client: a sequence, or stacked ``[clients, ...]``."""


def _stacked(values: Stack) -> torch.Tensor:
    """``values`` as one tensor ``[clients, ...]`` of float numbers."""
    stacked = values if isinstance(values, torch.Tensor) else torch.stack(list(values))
    if not dense_real("values", stacked).is_floating_point():
        raise ConfigError(f"values has numbers of type {stacked.dtype}, but an average needs floating point ones.")
    return stacked


def _weighted(values: Stack, shares: torch.Tensor) -> torch.Tensor:
    stacked = _stacked(values)
    return torch.tensordot(shares.to(stacked.dtype), stacked, dims=1)


def mean(values: Stack, samples: Sequence[float] | None = None) -> torch.Tensor:
    """FedAvg: Σ n_k v_k / Σ n_k (McMahan et al. 2017); equal weights if ``samples`` is None.

    Raises:
        ConfigError: for no values, or samples that are negative or sum to zero.
    """
    if not len(values):
        raise ConfigError("values is empty, but a mean needs at least one client.")
    shares = torch.tensor([1.0] * len(values) if samples is None else list(samples), dtype=torch.float32)
    if len(shares) != len(values):
        raise ConfigError(f"samples has {len(shares)} entries, but there are {len(values)} values.")
    whole = shares.sum()
    if not (float(shares.min()) >= 0 and 0 < float(whole) < math.inf):  # False for NaN
        raise ConfigError(
            f"samples is {shown(list(samples or []))}, but must be 0 or more with a positive, finite sum."
        )
    return _weighted(values, shares / whole)


def median(values: Stack, masks: Stack | None = None) -> torch.Tensor:
    """The middle value of each coordinate, the mean of the two middle ones of an even number (Yin et al. 2018).

    Whatever fewer than half of the clients send, each coordinate stays between the least and the largest of the others.

    Args:
        values: one tensor a client.
        masks: bool, of the same shapes: which clients count in a coordinate; 0 where none does.

    Raises:
        ConfigError: for no values.
    """
    ordered, count = _ordered(values, masks)
    last = (count - 1).clamp(min=0)
    low = ordered.gather(0, (last // 2)[None])[0]
    high = ordered.gather(0, torch.minimum(count // 2, last)[None])[0]
    middle = low / 2 + high / 2  # not (low + high) / 2, which may overflow
    return torch.where(count > 0, middle, torch.zeros_like(middle))


def trimmed_mean(values: Stack, cut: float = 0.1, masks: Stack | None = None) -> torch.Tensor:
    """The mean of each coordinate without its ⌊cut·n⌋ largest and ⌊cut·n⌋ least values (Yin et al. 2018).

    Survives ⌊cut·n⌋ clients that send anything at all: each coordinate stays within the range of the others.

    Args:
        values: one tensor a client.
        cut: β, from 0 (the mean) to less than one half.
        masks: as for :func:`median`; n is then the number of clients that count.

    Raises:
        ConfigError: for no values, or ``cut`` out of range.
    """
    in_range("cut", cut, 0, 0.499)
    ordered, count = _ordered(values, masks)
    drop = torch.floor(cut * count.double() + 1e-9).long()  # 0.3 of 10 is 3, not 2.9999
    place = torch.arange(len(ordered), dtype=torch.int64).reshape((-1,) + (1,) * count.dim())
    kept = (place >= drop) & (place < count - drop)
    total = torch.where(kept, ordered, torch.zeros_like(ordered)).sum(0)
    return total / (count - 2 * drop).clamp(min=1)


def _ordered(values: Stack, masks: Stack | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Each coordinate's values in increasing order ``[clients, ...]``, those that do not count last, and how many do."""
    if not len(values):
        raise ConfigError("values is empty, but an average needs at least one client.")
    stacked = _stacked(values)
    if masks is None:
        return stacked.sort(0).values, torch.full(stacked.shape[1:], len(stacked), dtype=torch.int64)
    kept = (masks if isinstance(masks, torch.Tensor) else torch.stack(list(masks))).bool()
    return torch.where(kept, stacked, torch.full_like(stacked, math.inf)).sort(0).values, kept.sum(0)


def average(rule: str, values: Stack, samples: Sequence[float], cut: float = 0.1) -> torch.Tensor:
    """One tensor of many by a rule's name.

    Args:
        rule: ``"size"`` (FedAvg's n_k), ``"equal"``, ``"median"`` or ``"trimmed_mean"``; the last two know no samples.
        values: one tensor a client.
        samples: each client's number of samples.
        cut: of ``"trimmed_mean"``.

    Raises:
        ConfigError: for an unknown rule.
    """
    match one_of("averaging", rule, AVERAGES):
        case "size":
            return mean(values, samples)
        case "equal":
            return mean(values)
        case "median":
            return median(values)
    return trimmed_mean(values, cut)


def inverse_error_weights(mse: Sequence[float] | torch.Tensor, *, floor: float = 1e-12) -> torch.Tensor:
    """ω_i = (1/e_i) / Σ_j 1/e_j over the clients that are present; they sum to 1.

    An error below ``floor`` (an exactly representable layer) counts as ``floor``, so nothing divides by zero.
    Source: clipped uniform quantization FL, the rule applied layer by layer.

    Raises:
        ConfigError: for a negative or non-finite error.
    """
    mse = torch.as_tensor(mse, dtype=torch.float64)
    if mse.numel() == 0 or not bool(((mse >= 0) & mse.isfinite()).all()):
        raise ConfigError(f"mse is {shown(mse.tolist())}, but must be finite numbers of 0 or more.")
    inverse = 1.0 / mse.clamp(min=floor)
    return (inverse / inverse.sum()).to(torch.float32)


def inverse_error(values: Stack, mse: Sequence[float] | torch.Tensor) -> torch.Tensor:
    """One layer averaged with :func:`inverse_error_weights`: the least noisy estimate if all clients held one W."""
    return _weighted(values, inverse_error_weights(mse))


def masked_mean(values: Sequence[torch.Tensor], masks: Sequence[torch.Tensor], previous: torch.Tensor) -> torch.Tensor:
    """LotteryFL: per coordinate the mean over the clients that kept it; where nobody did, the old value stays."""
    total = torch.zeros_like(previous)
    count = torch.zeros_like(previous)
    for value, mask in zip(values, masks, strict=True):
        total += value * mask
        count += mask
    return torch.where(count > 0, total / count.clamp(min=1), previous)


def decode(entry: Codes | torch.Tensor) -> torch.Tensor:
    """A payload entry as the float tensor it stands for."""
    return entry.dequantize() if isinstance(entry, Codes) else entry


def decode_all(payloads: Sequence[Payload], name: str) -> torch.Tensor:
    """An entry of many clients' payloads as float tensors, stacked ``[clients, ...]``: nobody may write to them."""
    stack = whole_stack(payloads)
    if stack is not None:
        return decode(stack.entries[name])
    entries = [payload[name] for payload in payloads]
    codes = [entry for entry in entries if isinstance(entry, Codes)]
    batches = stack_alike(codes) if len(codes) == len(entries) else []
    return batches[0].dequantize() if len(batches) == 1 else torch.stack([decode(entry) for entry in entries])


class Form(NamedTuple):
    """What an entry of an upload must be.

    Attributes:
        shape: its shape.
        kind: ``"number"`` (float32, or codes that stand for numbers), ``"codes"``, ``"mask"`` (bool) or ``"integer"``.
        grid: kind of the grid that codes must have; empty for any.
        bits: width of that grid; 0 for any.
    """

    shape: torch.Size
    kind: str = "number"
    grid: str = ""
    bits: int = 0


_TYPES = {"mask": torch.bool, "integer": torch.int64}
"""Kinds of a :class:`Form` that are not float32."""


def validate_update(payload: Payload, expected: Mapping[str, torch.Size | Form]) -> str | None:
    """Why a client's upload must not reach the global model, or None if it may.

    Checks that every expected entry is there, of its shape and its kind (a bare shape means numbers), and that all
    numbers are finite and below :data:`LIMIT`.
    """
    return _misshapen(payload, expected) or _out_of_range(payload)


def _misshapen(payload: Payload, expected: Mapping[str, torch.Size | Form]) -> str | None:
    """The first entry that is missing or not what is expected, in words."""
    for name, form in expected.items():
        if name not in payload:
            return f"{name} is missing"
        if (problem := _unlike(payload[name], form)) is not None:
            return f"{name} {problem}"
    return None


def _out_of_range(entries: Mapping[str, Codes | torch.Tensor]) -> str | None:
    """The first entry, of one client or of many stacked, with a number that is none or far too large, in words."""
    for name, entry in entries.items():
        if isinstance(entry, Codes):
            grid = entry.grid
            if not _within(entry.values, grid.low, grid.high):
                return f"{name} holds a code outside {grid.low}..{grid.high}"
        numbers = entry.clip if isinstance(entry, Codes) else entry
        if numbers.is_floating_point() and not _within(numbers, -LIMIT, LIMIT):
            return f"{name} is not finite or beyond {LIMIT:g}"
    return None


def _unlike(entry: Codes | torch.Tensor, form: torch.Size | Form) -> str | None:
    """How ``entry`` differs from ``form``, in words; a bare shape means numbers."""
    form = form if isinstance(form, Form) else Form(form)
    if entry.shape != form.shape:
        return f"has shape {tuple(entry.shape)} instead of {tuple(form.shape)}"
    wanted = _TYPES.get(form.kind, torch.float32)
    if isinstance(entry, Codes):
        if wanted is not torch.float32:
            return f"holds codes, but must be {wanted}"
        grid = Grid(form.bits or entry.grid.bits, form.grid or entry.grid.kind)
        return None if entry.grid == grid else f"is on {entry.grid} instead of {grid}"
    if form.kind == "codes" or entry.dtype != wanted:
        return f"holds {entry.dtype}, but must be {'codes' if form.kind == 'codes' else wanted}"
    return None


def validate_updates(
    payloads: Sequence[Payload | WireError], expected: Mapping[str, torch.Size | Form]
) -> list[Payload | WireError]:
    """Each client's payload, or why it must be left out: the guard for a whole round.

    Args:
        payloads: what arrived; an error stays what it is.
        expected: names and forms, see :func:`validate_update`.
    """
    sound: dict[int, bool] = {}  # stacks: where nothing is wrong with any number, nobody has to be looked at alone

    def judged(payload: Payload) -> Payload | WireError:
        stack = stack_of(payload)
        if stack is not None and id(stack) not in sound:
            sound[id(stack)] = not (_misshapen(payload, expected) or _out_of_range(stack.entries))
        if stack is not None and sound[id(stack)]:
            return payload
        problem = validate_update(payload, expected)
        return payload if problem is None else WireError(problem)

    return [payload if isinstance(payload, WireError) else judged(payload) for payload in payloads]


def _within(values: torch.Tensor, low: float, high: float) -> bool:
    """Whether all values lie from ``low`` to ``high``; NaN does not."""
    if not values.numel():
        return True
    # One after the other: `aminmax` copies a tensor that does not lie in one piece.
    return bool(values.amin() >= low) and bool(values.amax() <= high)
