"""The small ResNets for 32 x 32 images, the networks of BSQ (depth 20) and FedMPQ (20 and 44)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from fqlab.errors import ConfigError, one_of, shown
from fqlab.models.layers import BatchNorm

__all__ = ["Block", "ResNet"]

_GROUPS = 8


def _norm(kind: str, channels: int) -> nn.Module:
    return BatchNorm(channels) if kind == "batch" else nn.GroupNorm(_GROUPS, channels)


class HeConv(nn.Conv2d):
    """A 3x3 convolution without bias that starts normal with variance 2/(9·outputs) (He et al. 2015, by fan-out)."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, 3, stride, padding=1, bias=False)

    def initialise(self, generator: torch.Generator) -> None:
        """Fill the weights."""
        self.weight.normal_(0, (2 / (9 * self.out_channels)) ** 0.5, generator=generator)


def _plain(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)


class Block(nn.Module):
    """conv 3x3 - norm - act1 - conv 3x3 - norm, plus the shortcut, then act2 (He et al. 2016).

    Where the shape changes, the shortcut is a 1x1 convolution and a norm. ``act1`` and ``act2`` are the
    places where BSQ quantizes activations.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int,
        norm: str,
        activation: Callable[[], nn.Module],
        conv: Callable[..., nn.Conv2d] = _plain,
    ) -> None:
        super().__init__()
        self.conv1 = conv(inputs, outputs, stride)
        self.norm1 = _norm(norm, outputs)
        self.act1 = activation()
        self.conv2 = conv(outputs, outputs)
        self.norm2 = _norm(norm, outputs)
        self.act2 = activation()
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            shortcut.__dict__["quantizable"] = False
            self.shortcut = nn.Sequential(shortcut, _norm(norm, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """``[n, inputs, h, w]`` to ``[n, outputs, h / stride, w / stride]``."""
        out = self.act1(self.norm1(self.conv1(x)))
        return self.act2(self.norm2(self.conv2(out)) + self.shortcut(x))


class ResNet(nn.Module):
    """A 3x3 stem of 16 channels, three stages of (depth − 2)/6 blocks (16, 32, 64 channels), mean, one fc layer.

    The two 1x1 shortcut convolutions (2560 weights) stay in full precision and are not counted, as in the code of
    BSQ and FedMPQ and in HAWQ's 13.107x: at depth 20 there are 268 336 quantizable weights, 268 346 with the
    ten biases of the fc layer.

    Args:
        channels: of the input image.
        classes: number of outputs.
        norm: ``"batch"`` (BSQ, FedMPQ) or ``"group"`` (8 groups: no statistics that differ between clients).
        activation: what makes the two activations of each block; the stem has a plain ReLU.
        depth: 8, 14, 20, ...
        he_start: 3x3 convolutions start as in He et al. (BSQ's and FedMPQ's code), not as PyTorch's do.

    Raises:
        ConfigError: for another norm or depth.
    """

    activation_bits = 4
    """To which FedMPQ, and BSQ in most tables, quantize the activations of this network."""
    stage1: nn.Sequential
    stage2: nn.Sequential
    stage3: nn.Sequential

    def __init__(
        self,
        channels: int = 3,
        classes: int = 10,
        norm: str = "group",
        activation: Callable[[], nn.Module] = nn.ReLU,
        depth: int = 20,
        he_start: bool = False,
    ) -> None:
        super().__init__()
        one_of("norm", norm, ("batch", "group"))
        blocks, rest = divmod(depth - 2, 6)
        if rest or blocks < 1:
            raise ConfigError(f"depth is {shown(depth)}, but must be 8, 14, 20 or another 6n + 2.")
        conv = HeConv if he_start else _plain
        self.conv = conv(channels, 16)
        self.norm = _norm(norm, 16)
        widths = (16, 16, 32, 64)
        strides = (1, 2, 2)
        for k, stride in enumerate(strides):
            first = Block(widths[k], widths[k + 1], stride, norm, activation, conv)
            others = (Block(widths[k + 1], widths[k + 1], 1, norm, activation, conv) for _ in range(blocks - 1))
            setattr(self, f"stage{k + 1}", nn.Sequential(first, *others))
        self.fc = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        """``[n, channels, h, w]`` to logits ``[n, classes]``."""
        x = self.norm(self.conv(x)).relu()
        for stage in (self.stage1, self.stage2, self.stage3):
            x = stage(x)
        return self.fc(x.mean((2, 3)))
