"""Running statistics of BatchNorm taken anew: what weights need that were averaged, quantized or cut."""

from __future__ import annotations

import torch
from torch import nn
from torch.func import functional_call

from fqlab.models.layers import BatchNorm

__all__ = ["with_fresh_statistics"]


def with_fresh_statistics(
    model: nn.Module, weights: dict[str, torch.Tensor], x: torch.Tensor, *, batch: int = 500
) -> dict[str, torch.Tensor]:
    """``weights`` with every BatchNorm's running mean and variance replaced by those on ``x``.

    The average over batches of the statistics that training would see, in one pass; nothing else changes.

    Args:
        model: the network; its mode afterwards is evaluation.
        weights: its parameters and buffers.
        x: inputs ``[n, ...]``, more than one value a channel.
        batch: samples of one batch.
    """
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, BatchNorm)}
    if not layers:
        return weights
    momentum = {f"{name}.{kind}": layer.momentum for name, layer in layers.items() for kind in _KINDS}
    parts = x.split(batch)
    total = {name: torch.zeros_like(weights[name]) for name in momentum}
    model.train()
    with torch.no_grad():
        for part in parts:
            # From zero, a running value moves to momentum times the batch's.
            seen = {name: torch.zeros_like(value) for name, value in total.items()}
            functional_call(model, {**weights, **seen}, (part,))
            for name, value in seen.items():
                total[name] += value / momentum[name]
    model.eval()
    return weights | {name: value / len(parts) for name, value in total.items()}


_KINDS = ("running_mean", "running_var")
