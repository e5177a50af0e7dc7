"""Quantized activations, put in place of a model's own (BSQ, Yang et al. 2021; FedMPQ uses 4 bits)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fqlab.errors import ConfigError, in_range, shown
from fqlab.quant import straight_through

__all__ = ["QuantizedActivation", "quantize_activations"]

ACTIVATIONS = (nn.ReLU, nn.Tanh)
PACT_START = 10.0
"""Where PACT's learned clip starts (Choi et al. 2018; BSQ's code)."""


class QuantizedActivation(nn.Module):
    """An activation rounded to a bits: S·sign(x)·Round(|x|(2^a − 1)/S)/(2^a − 1), straight-through backward.

    S is the largest |x| of the whole minibatch, in training and in evaluation alike (BSQ's code): an accuracy
    depends a little on what is in a batch. A ReLU becomes a ReLU6 at 4 bits and more and PACT, with a learned
    clip, below; a tanh stays what it is.
    """

    couples_samples = True

    def __init__(self, activation: nn.Module, bits: int) -> None:
        super().__init__()
        self.bits = in_range("activation_bits", bits, 1, 8, integer=True)
        self.relu = isinstance(activation, nn.ReLU)
        if self.relu and bits < 4:
            self.clip = nn.Parameter(torch.tensor(PACT_START, dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, all of one client; same shape."""
        if not self.relu:
            x = x.tanh()
        elif self.bits < 4:
            x = torch.minimum(x.relu(), self.clip)
        else:
            x = F.relu6(x)
        levels = 2**self.bits - 1
        step = (x.detach().abs().amax() / levels).clamp(min=1e-12)
        return straight_through(x, (x.detach() / step).round() * step)

    def extra_repr(self) -> str:
        """The bit-width, in ``print(model)``."""
        return f"bits={self.bits}"


def quantize_activations(model: nn.Module, bits: int) -> nn.Module:
    """Replace every activation module of ``model``, in place, by a :class:`QuantizedActivation`.

    0 bits leave the model alone. What is written as a function in ``forward`` stays: the stem's ReLU of a
    ResNet, as in BSQ. Network inputs and what enters the last layer after pooling are not touched either.

    Raises:
        ConfigError: if ``bits`` is not a whole number from 0 to 8, or there is no activation module.
    """
    if in_range("activation_bits", bits, 0, 8, integer=True) == 0:
        return model
    sites = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if isinstance(child, ACTIVATIONS)
    ]
    if not sites:
        raise ConfigError(f"activation_bits is {shown(bits)}, but {type(model).__name__} has no activation modules.")
    for parent, name, child in sites:
        setattr(parent, name, QuantizedActivation(child, bits))
    model.__dict__["stacked"] = None  # the batch maximum is one client's: only vmap keeps clients apart
    return model
