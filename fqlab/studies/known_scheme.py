"""BSQ's comparison "train from scratch": a network in full precision, quantized at once to a scheme that is known, and fine-tuned.

So the authors' public code has it: not from random weights, but without the training in bit planes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from fqlab.errors import ConfigError, shown
from fqlab.methods.base import Server
from fqlab.methods.bsq import BSQ, FLOAT, TUNE
from fqlab.quant import Grid, max_abs, quantize

__all__ = ["KnownScheme"]


@dataclass(frozen=True)
class KnownScheme(BSQ):
    """Fine-tuning at given widths right after ``warmup``; the scale is max|W|.

    Args:
        scheme: bits 0-8 of the Conv and Linear weights in turn, ``"8-6-0"``, or one number for all; biases have ``bits``.
    """

    scheme: str = "8"

    def phase(self, done: int) -> int:
        """Full precision, then fine-tuning."""
        return FLOAT if done < self.warmup else TUNE

    def first_codes(self, server: Server) -> Server:
        """The network at the widths of the scheme; a layer of 0 bits is zero.

        Raises:
            ConfigError: if the scheme does not fit the network.
        """
        widths = self.widths_of(server.spec.quantizable)
        codes = {}
        for name in self.layers(server.spec):
            bits = widths.get(name, self.bits)
            weights = server.weights[name] if bits else torch.zeros_like(server.weights[name])
            grid = Grid(max(bits, 1), "sign_magnitude")
            codes[name] = quantize(weights, max_abs(weights, grid), grid)
        return self.with_codes(server, server.weights, codes)

    def widths_of(self, names: tuple[str, ...]) -> dict[str, int]:
        """Layer -> bits."""
        widths = self.scheme.split("-")
        widths = widths * len(names) if len(widths) == 1 else widths
        if len(widths) != len(names) or not set(widths) <= set("012345678"):
            raise ConfigError(
                f"scheme is {shown(self.scheme)}, but must be {len(names)} numbers 0-8 joined by '-', or one."
            )
        return dict(zip(names, map(int, widths), strict=True))
