"""PointNet without its transform nets (Qi et al., CVPR 2017): one MLP for every point, then a maximum.

The maximum over points makes the answer independent of their order, and of points that occur twice: clouds
of different sizes are padded by repeating points. A LayerNorm follows the maximum, which halves the epochs to
a given accuracy; a norm before it that takes statistics over the points would make repeated points count.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from fqlab.models.layers import stacked_linear
from fqlab.tensors import Weights

__all__ = ["PointNet"]


class PointNet(nn.Module):
    """``channels-32-64-128`` per point, maximum over points, LayerNorm, ``128-64-classes``; ReLU between.

    The last ReLU before the maximum follows it: the same numbers, for a cloud in place of each of its points.

    Args:
        classes: number of classes; 19 462 parameters for 6.
        channels: numbers per point: x, y, z.

    >>> import torch
    >>> cloud = torch.randn(2, 50, 3, generator=torch.Generator().manual_seed(0))
    >>> net = PointNet(classes=6)
    >>> torch.equal(net(cloud), net(cloud.flip(1)))
    True
    """

    POINT = ("point1", "point2", "point3")
    HEAD = ("head1", "head2")

    def __init__(self, classes: int, channels: int = 3) -> None:
        super().__init__()
        widths = (channels, 32, 64, 128, 64, classes)
        for k, name in enumerate(self.POINT + self.HEAD):
            self.add_module(name, nn.Linear(widths[k], widths[k + 1]))
        self.norm = nn.LayerNorm(widths[3])

    def forward(self, x: Tensor) -> Tensor:
        """Clouds ``[n, points, channels]``, in metres, to logits ``[n, classes]``."""
        *inner, widest = self.POINT
        for name in inner:
            x = getattr(self, name)(x).relu()
        x = self.norm(getattr(self, widest)(x).max(1).values.relu())
        hidden, last = (getattr(self, name) for name in self.HEAD)
        return last(hidden(x).relu())

    def stacked(self, weights: Weights, x: Tensor) -> Tensor:
        """Many networks at once: weights ``[clients, ...]``, clouds ``[clients, n, points, channels]``.

        Logits ``[clients, n, classes]`` as ``torch.func.vmap`` of :meth:`forward` gives, as matrix products.
        """
        n, points = x.shape[1:3]
        x = x.flatten(1, 2)
        *inner, widest = self.POINT
        for name in inner:
            x = stacked_linear(weights, name, x).relu()
        x = stacked_linear(weights, widest, x).unflatten(1, (n, points)).max(2).values.relu()
        x = F.layer_norm(x, x.shape[2:], eps=self.norm.eps)
        x = x * weights["norm.weight"].unsqueeze(1) + weights["norm.bias"].unsqueeze(1)
        return stacked_linear(weights, "head2", stacked_linear(weights, "head1", x).relu())
