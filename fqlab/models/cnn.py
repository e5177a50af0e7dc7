"""Small convolutional networks: the clipped-quantization paper's, LeNet-5, and one for the 8 x 8 digits."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from fqlab.models.layers import BatchNorm, max_pooled

__all__ = ["ClippedCNN", "DigitsCNN", "LeNet5"]


class ClippedCNN(nn.Module):
    """The network of "Clipped uniform quantization for FL" (Bozorgasl and Chen, arXiv 2405.13365).

    conv 3x3 (c to 16, pad 1, no bias) - BN - tanh - maxpool 2; conv 3x3 (16 to 16) - BN - tanh - maxpool 2;
    fc to 100 - BN - tanh; fc to classes - BN - log-softmax. 81 848 quantized weights on MNIST, 106 136 on
    CIFAR-10, and 394 other parameters (110 biases, 284 of BN). Cross-entropy on the log-softmax changes
    nothing: log-softmax is idempotent. Any image of 4 x 4 pixels or more fits.
    """

    def __init__(self, shape: tuple[int, int, int] = (1, 28, 28), classes: int = 10) -> None:
        super().__init__()
        channels, height, width = shape
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.bn1 = BatchNorm(16)
        self.conv2 = nn.Conv2d(16, 16, 3, padding=1, bias=False)
        self.bn2 = BatchNorm(16)
        self.fc1 = nn.Linear(16 * (height // 4) * (width // 4), 100)
        self.bn3 = BatchNorm(100)
        self.fc2 = nn.Linear(100, classes)
        self.bn4 = BatchNorm(classes)
        self.act1, self.act2, self.act3 = nn.Tanh(), nn.Tanh(), nn.Tanh()

    def forward(self, x: Tensor) -> Tensor:
        """``[n, c, h, w]`` to log-probabilities ``[n, classes]``."""
        x = max_pooled(self.act1, self.bn1(self.conv1(x)))
        x = max_pooled(self.act2, self.bn2(self.conv2(x)))
        x = self.act3(self.bn3(self.fc1(x.flatten(1))))
        return F.log_softmax(self.bn4(self.fc2(x)), dim=1)


class LeNet5(nn.Module):
    """LeNet-5 (LeCun et al. 1998) as it is used today: ReLU, max-pooling and a linear last layer.

    conv 5x5 (c to 6) - pool - conv 5x5 (6 to 16) - pool - fc 400-120-84-classes. Images of 32 x 32 pixels, or
    of 28 x 28, which the first layer pads by 2. 61 470 weights for one channel, 61 770 for three.
    """

    def __init__(self, shape: tuple[int, int, int] = (1, 28, 28), classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(shape[0], 6, 5, padding=(32 - shape[1]) // 2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, classes)
        self.act1, self.act2, self.act3, self.act4 = (nn.ReLU() for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        """``[n, c, h, w]`` to logits ``[n, classes]``."""
        x = max_pooled(self.act1, self.conv1(x))
        x = max_pooled(self.act2, self.conv2(x))
        x = self.act4(self.fc2(self.act3(self.fc1(x.flatten(1)))))
        return self.fc3(x)


class DigitsCNN(nn.Module):
    """conv 3x3 (c to 16) - ReLU - pool - conv 3x3 (16 to 32) - ReLU - pool - fc.

    6090 parameters on the digits.
    """

    def __init__(self, shape: tuple[int, int, int] = (1, 8, 8), classes: int = 10) -> None:
        super().__init__()
        channels, height, width = shape
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.fc = nn.Linear(32 * (height // 4) * (width // 4), classes)
        self.act1, self.act2 = nn.ReLU(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """``[n, c, h, w]`` to logits ``[n, classes]``."""
        x = max_pooled(self.act1, self.conv1(x))
        x = max_pooled(self.act2, self.conv2(x))
        return self.fc(x.flatten(1))
