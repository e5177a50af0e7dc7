"""From many clients' tensors to one: the averaging rules, and the guard that stands before them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from fqlab.errors import ConfigError, WireError
from fqlab.quant import Codes, stack_alike
from fqlab.wire import Payload

__all__ = [
    "mean",
    "inverse_error",
    "inverse_error_weights",
    "masked_mean",
    "validate_update",
    "validate_updates",
    "decode",
    "decode_all",
]

LIMIT = 1e6
"""Largest magnitude a weight may have; beyond it an update is taken for diverged."""


Stack = torch.Tensor | Sequence[torch.Tensor]
"""One tensor a client: a sequence, or stacked ``[clients, ...]``."""


def _weighted(values: Stack, shares: torch.Tensor) -> torch.Tensor:
    stacked = values if isinstance(values, torch.Tensor) else torch.stack(list(values))
    return torch.tensordot(shares, stacked, dims=1)


def mean(values: Stack, sizes: Sequence[float] | None = None) -> torch.Tensor:
    """FedAvg: Σ n_k v_k / Σ n_k (McMahan et al. 2017); equal weights if ``sizes`` is None.

    Raises:
        ConfigError: for no values, or sizes that are negative or sum to zero.
    """
    if not len(values):
        raise ConfigError("values is empty, but a mean needs at least one client.")
    shares = torch.ones(len(values)) if sizes is None else torch.tensor(list(sizes), dtype=torch.float32)
    if bool((shares < 0).any()) or float(shares.sum()) <= 0:
        raise ConfigError(f"sizes is {list(sizes or [])}, but must be 0 or more with a positive sum.")
    return _weighted(values, shares / shares.sum())


def inverse_error_weights(errors: Sequence[float] | torch.Tensor, *, floor: float = 1e-12) -> torch.Tensor:
    """ω_i = (1/e_i) / Σ_j 1/e_j over the clients that are present; they sum to 1.

    An error below ``floor`` (an exactly representable layer) counts as ``floor``, so nothing divides by zero.
    Source: clipped uniform quantization FL, the rule applied layer by layer.

    Raises:
        ConfigError: for a negative or non-finite error.
    """
    errors = torch.as_tensor(errors, dtype=torch.float64)
    if errors.numel() == 0 or not bool(((errors >= 0) & errors.isfinite()).all()):
        raise ConfigError(f"errors is {errors.tolist()}, but must be finite numbers of 0 or more.")
    inverse = 1.0 / errors.clamp(min=floor)
    return (inverse / inverse.sum()).to(torch.float32)


def inverse_error(values: Stack, errors: Sequence[float] | torch.Tensor) -> torch.Tensor:
    """One layer averaged with :func:`inverse_error_weights`: the least noisy estimate if all clients held one W."""
    return _weighted(values, inverse_error_weights(errors))


def masked_mean(values: Sequence[torch.Tensor], masks: Sequence[torch.Tensor], previous: torch.Tensor) -> torch.Tensor:
    """LotteryFL: per coordinate the mean over the clients that kept it; where nobody did, the old value stays."""
    total, count = torch.zeros_like(previous), torch.zeros_like(previous)
    for value, mask in zip(values, masks, strict=True):
        total += value * mask
        count += mask
    return torch.where(count > 0, total / count.clamp(min=1), previous)


def decode(entry: Codes | torch.Tensor) -> torch.Tensor:
    """A payload entry as the float tensor it stands for."""
    return entry.dequantize() if isinstance(entry, Codes) else entry


def decode_all(entries: Sequence[Codes | torch.Tensor]) -> torch.Tensor:
    """The same entry of many clients as float tensors, stacked ``[clients, ...]``; codes on one grid in one go."""
    codes = [entry for entry in entries if isinstance(entry, Codes)]
    batches = stack_alike(codes) if len(codes) == len(entries) else []
    return batches[0].dequantize() if len(batches) == 1 else torch.stack([decode(entry) for entry in entries])


def validate_update(payload: Payload, expected: Mapping[str, torch.Size]) -> str | None:
    """Why a client's upload must not reach the global model, or None if it may.

    Checks that every expected tensor is there in its shape, and that all numbers are finite and below :data:`LIMIT`.
    """
    for name, shape in expected.items():
        if name not in payload:
            return f"{name} is missing"
        if payload[name].shape != shape:
            return f"{name} has shape {tuple(payload[name].shape)} instead of {tuple(shape)}"
    for name, entry in payload.items():
        if isinstance(entry, Codes):
            grid, (low, high) = entry.grid, entry.values.aminmax() if entry.values.numel() else (0, 0)
            if int(low) < grid.low or int(high) > grid.high:
                return f"{name} holds a code outside {grid.low}..{grid.high}"
        numbers = entry.clip if isinstance(entry, Codes) else entry
        if numbers.is_floating_point() and not float(torch.linalg.vector_norm(numbers, torch.inf)) <= LIMIT:
            return f"{name} is not finite or beyond {LIMIT:g}"
    return None


def validate_updates(
    payloads: Sequence[Payload | WireError], expected: Mapping[str, torch.Size]
) -> list[Payload | WireError]:
    """Each client's payload, or why it must be left out: the guard for a whole round.

    Args:
        payloads: what arrived; an error stays what it is.
        expected: names and shapes, see :func:`validate_update`.
    """
    arrived = [payload.entries() for payload in payloads if not isinstance(payload, WireError)]
    if all(entries.keys() == arrived[0].keys() for entries in arrived) and _sound(arrived, expected):
        return list(payloads)
    return [payload if isinstance(payload, WireError) else _judged(payload, expected) for payload in payloads]


def _judged(payload: Payload, expected: Mapping[str, torch.Size]) -> Payload | WireError:
    problem = validate_update(payload, expected)
    return payload if problem is None else WireError(problem)


def _sound(payloads: Sequence[dict[str, Codes | torch.Tensor]], expected: Mapping[str, torch.Size]) -> bool:
    """Whether nothing is wrong with any of the payloads, which hold the same names: one look at each entry of all."""
    for name, shape in expected.items():
        if payloads and (name not in payloads[0] or any(payload[name].shape != shape for payload in payloads)):
            return False
    for name in payloads[0] if payloads else ():
        entries = [payload[name] for payload in payloads]
        for layers in stack_alike(entry for entry in entries if isinstance(entry, Codes)):
            if not _within(layers.values, layers.grid.low, layers.grid.high):
                return False
        numbers = [entry.clip if isinstance(entry, Codes) else entry for entry in entries]
        small = numbers[0].numel() < 10_000 and all(n.shape == numbers[0].shape for n in numbers)
        for value in [torch.stack(numbers)] if small else numbers:
            if value.is_floating_point() and not _within(value, -LIMIT, LIMIT):
                return False
    return True


def _within(values: torch.Tensor, low: float, high: float) -> bool:
    """Whether all values lie from ``low`` to ``high``; NaN does not."""
    if not values.numel():
        return True
    least, most = values.aminmax()
    return bool(least >= low) and bool(most <= high)
