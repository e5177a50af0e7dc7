"""One bit a weight: the sign, and the vote of many signs (Bernstein et al. 2018, 2019)."""

from __future__ import annotations

import torch

from fqlab.errors import ConfigError

__all__ = ["majority"]


def majority(votes: torch.Tensor) -> torch.Tensor:
    """What most clients say, entry by entry: float32 −1, 0 (a tie) or 1, of shape ``votes.shape[1:]``.

    Args:
        votes: bool ``[clients, ...]``, True for up.

    Raises:
        ConfigError: for no clients.
    """
    if not len(votes):
        raise ConfigError("votes is empty, but a majority needs at least one client.")
    return (2 * votes.sum(0) - len(votes)).sign().float()
