"""ResNet-20 for 32 x 32 images, the network of BSQ and FedMPQ."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from fqlab.errors import one_of
from fqlab.models.layers import BatchNorm

__all__ = ["Block", "ResNet20"]

_GROUPS = 8


def _norm(kind: str, channels: int) -> nn.Module:
    return BatchNorm(channels) if kind == "batch" else nn.GroupNorm(_GROUPS, channels)


class Block(nn.Module):
    """conv 3x3 - norm - act1 - conv 3x3 - norm, plus the shortcut, then act2 (He et al. 2016).

    Where the shape changes, the shortcut is a 1x1 convolution and a norm. ``act1`` and ``act2`` are the
    places where BSQ quantizes activations.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, norm: str, activation: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = _norm(norm, outputs)
        self.act1 = activation()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
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


class ResNet20(nn.Module):
    """ResNet-20: a 3x3 stem of 16 channels, three stages of three blocks (16, 32, 64), mean, one fc layer.

    The two 1x1 shortcut convolutions (2560 weights) stay in full precision and are not counted, as in BSQ's
    code and in HAWQ's 13.107x: 268 336 quantizable weights, 268 346 with the ten biases of the fc layer.

    Args:
        channels: of the input image.
        classes: number of outputs.
        norm: ``"batch"`` (BSQ) or ``"group"`` (8 groups: no statistics that differ between clients).
        activation: what makes the two activations of each block; the stem has a plain ReLU.

    Raises:
        ConfigError: if ``norm`` is neither.
    """

    stage1: nn.Sequential
    stage2: nn.Sequential
    stage3: nn.Sequential

    def __init__(
        self,
        channels: int = 3,
        classes: int = 10,
        norm: str = "group",
        activation: Callable[[], nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        one_of("norm", norm, ("batch", "group"))
        self.conv = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.norm = _norm(norm, 16)
        widths, strides = (16, 16, 32, 64), (1, 2, 2)
        for k, stride in enumerate(strides):
            first = Block(widths[k], widths[k + 1], stride, norm, activation)
            rest = (Block(widths[k + 1], widths[k + 1], 1, norm, activation) for _ in range(2))
            setattr(self, f"stage{k + 1}", nn.Sequential(first, *rest))
        self.fc = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        """``[n, channels, h, w]`` to logits ``[n, classes]``."""
        x = self.norm(self.conv(x)).relu()
        for stage in (self.stage1, self.stage2, self.stage3):
            x = stage(x)
        return self.fc(x.mean((2, 3)))
