"""A multi-layer perceptron: flatten, then linear layers with ReLU between them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from fqlab.models.backprop import MLPGradient
from fqlab.models.layers import stacked_linear
from fqlab.tensors import Weights

__all__ = ["MLP"]


class MLP(nn.Module):
    """``inputs - hidden[0] - ... - classes`` with biases.

    64-64-10 (4810 parameters) is the default of the digits; 784-200-10 is the "2NN"-sized net of the 28 x 28
    images with one hidden layer (McMahan et al. 2017 have two); 64-256-128-10 is the robustness smoke test.
    """

    def __init__(self, inputs: int, hidden: Sequence[int], classes: int) -> None:
        super().__init__()
        widths = [inputs, *hidden, classes]
        for k in range(len(widths) - 1):
            self.add_module(f"fc{k + 1}", nn.Linear(widths[k], widths[k + 1]))
            if k + 2 < len(widths):
                self.add_module(f"act{k + 1}", nn.ReLU())
        self.backprop = MLPGradient([f"fc{k + 1}" for k in range(len(widths) - 1)])

    def forward(self, x: Tensor) -> Tensor:
        """``[n, ...]`` to logits ``[n, classes]``."""
        x = x.flatten(1)
        for layer in self.children():
            x = layer(x)
        return x

    def stacked(self, weights: Weights, x: Tensor) -> Tensor:
        """Many networks at once: weights and inputs ``[clients, ...]`` to logits ``[clients, n, classes]``.

        What ``torch.func.vmap`` of :meth:`forward` gives, as batched matrix products without its overhead.
        """
        x = x.flatten(2)
        *hidden, last = (name for name, layer in self.named_children() if isinstance(layer, nn.Linear))
        for name in hidden:
            x = stacked_linear(weights, name, x).relu()
        return stacked_linear(weights, last, x)
