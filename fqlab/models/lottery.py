"""The three networks of LotteryFL (Li et al. 2020, arXiv 2008.03371), known by the costs in its tables."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from fqlab.models.cnn import LeNet5
from fqlab.models.layers import Dropout, max_pooled

__all__ = ["LotteryCIFAR", "LotteryEMNIST", "LotteryMNIST"]


class LotteryMNIST(nn.Module):
    """conv 5x5 (1 to 10) - pool - ReLU; conv 5x5 (10 to 20) - dropout2d - pool - ReLU; fc 320-50-classes.

    Dropout before the last layer. 21 750 weights for ten classes; 28 x 28 grey images.
    """

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 10, 5)
        self.conv2 = nn.Conv2d(10, 20, 5)
        self.drop2 = Dropout(0.5, channels=True)
        self.fc1 = nn.Linear(320, 50)
        self.drop1 = Dropout(0.5)
        self.fc2 = nn.Linear(50, classes)
        self.act1, self.act2, self.act3 = nn.ReLU(), nn.ReLU(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """``[n, 1, 28, 28]`` to logits ``[n, classes]``."""
        x = self.act1(F.max_pool2d(self.conv1(x), 2))
        x = self.act2(F.max_pool2d(self.drop2(self.conv2(x)), 2))
        return self.fc2(self.drop1(self.act3(self.fc1(x.flatten(1)))))


class LotteryCIFAR(LeNet5):
    """LeNet-5 for colour images of 32 x 32 pixels: 61 770 weights for ten classes."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__((3, 32, 32), classes)


class LotteryEMNIST(nn.Module):
    """conv 5x5 pad 2 (1 to 10) - ReLU - pool; conv 5x5 pad 2 (10 to 20) - ReLU - pool; fc 980-512-classes.

    No nonlinearity between the two fc layers, as in the authors' code. 538 754 weights for 62 classes; 28 x
    28 grey images.
    """

    def __init__(self, classes: int = 62) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 10, 5, padding=2)
        self.conv2 = nn.Conv2d(10, 20, 5, padding=2)
        self.fc1 = nn.Linear(980, 512)
        self.fc2 = nn.Linear(512, classes)
        self.act1, self.act2 = nn.ReLU(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """``[n, 1, 28, 28]`` to logits ``[n, classes]``."""
        x = max_pooled(self.act1, self.conv1(x))
        x = max_pooled(self.act2, self.conv2(x))
        return self.fc2(self.fc1(x.flatten(1)))
