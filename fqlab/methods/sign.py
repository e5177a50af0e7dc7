"""Sign with majority vote, one bit a weight (Bernstein et al. 2018, 2019, arXiv 1802.04434 and 1810.05291)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from fqlab.aggregate import Form
from fqlab.errors import in_range
from fqlab.methods.base import ReceivedUpdate
from fqlab.methods.differences import Differences
from fqlab.quant import majority
from fqlab.wire import Payload

__all__ = ["Sign"]


@dataclass(frozen=True)
class Sign(Differences):
    """Each client says up or down for every weight, and the server moves each by one fixed step the way most say.

    The papers send signs of gradients every step; here they are those of a local round's change. Every client has one
    vote, whatever its number of samples. What is not quantized moves by the clients' mean.

    Args:
        server_lr: the step, in units of a weight.

    >>> from fqlab.federation import Experiment, fit
    >>> fit(Experiment(method="sign", rounds=8, engine="vectorized")).accuracy > 0.7
    True
    """

    server_lr: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range("server_lr", self.server_lr, 0, 1, open_low=True)

    def encode(
        self, name: str, x: torch.Tensor, generators: Sequence[torch.Generator]
    ) -> tuple[list[Payload], torch.Tensor]:
        votes = x >= 0
        return [Payload(tensors={name: vote}) for vote in votes], self._step(votes)

    def decode(self, name: str, shape: torch.Size, updates: Sequence[ReceivedUpdate]) -> torch.Tensor:
        return self._step(torch.stack([u.payload.tensors[name] for u in updates]))

    def layer_shapes(self, name: str, shape: torch.Size) -> dict[str, Form]:
        return {name: Form(shape, "mask")}

    def combine(self, values: torch.Tensor, samples: Sequence[int]) -> torch.Tensor:
        return self.server_lr * majority(values > 0)

    def _step(self, votes: torch.Tensor) -> torch.Tensor:
        """One client's votes as the step it asks for."""
        return self.server_lr * (2.0 * votes - 1)
