"""The five grids that papers call "b bits".

Each grid is a ladder of equally spaced levels scaled by a clipping threshold ``clip`` (s):

===================  =============  ===============  ====================  ========================
kind                 levels         step Δ           level of code k      who
===================  =============  ===============  ====================  ========================
``midrise``          2^b            2s/(2^b−1)       s(2k/(2^b−1) − 1)    clipped-quantization FL
``octav``            2^b + 1        2s/2^b           kΔ, both ends        OCTAV, eq. (3); KURE's analysis
``twos_complement``  2^b            2s/2^b           kΔ, top end s−Δ      integer hardware
``narrow``           2^b − 1        s/(2^(b−1)−1)    kΔ                   symmetric int8
``sign_magnitude``   2^(b+1) − 1    s/(2^b−1)        kΔ                   BSQ, FedMPQ
===================  =============  ===============  ====================  ========================

In ``sign_magnitude`` the sign is not counted among the b bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import torch

from fqlab.errors import in_range, one_of

__all__ = ["KINDS", "ROUNDINGS", "Grid"]

KINDS = ("midrise", "octav", "twos_complement", "narrow", "sign_magnitude")
ROUNDINGS = ("nearest", "stochastic")

Scalar = TypeVar("Scalar", float, torch.Tensor)


@dataclass(frozen=True)
class Grid:
    """A quantization grid: ``bits`` (1-8) in one of the conventions :data:`KINDS`.

    Raises:
        ConfigError: if ``bits`` is not a whole number from 1 to 8 or ``kind`` is unknown.
    """

    bits: int
    kind: str = "midrise"

    def __post_init__(self) -> None:
        object.__setattr__(self, "bits", in_range("bits", self.bits, 1, 8, integer=True))
        one_of("grid", self.kind, KINDS)

    @property
    def low(self) -> int:
        """Lowest code."""
        half = 2 ** (self.bits - 1)
        return {
            "midrise": 0,
            "octav": -half,
            "twos_complement": -half,
            "narrow": 1 - half,
            "sign_magnitude": 1 - 2**self.bits,
        }[self.kind]

    @property
    def high(self) -> int:
        """Highest code."""
        if self.kind == "midrise":
            return 2**self.bits - 1
        return -self.low - 1 if self.kind == "twos_complement" else -self.low

    @property
    def levels(self) -> int:
        """Number of levels."""
        return self.high - self.low + 1

    @property
    def code_bits(self) -> int:
        """Bits that hold one code at fixed length; more than ``bits`` on ``octav`` and ``sign_magnitude``."""
        return max(1, (self.levels - 1).bit_length())

    def step(self, clip: Scalar) -> Scalar:
        """Distance Δ between neighbouring levels, in the unit of ``clip``.

        A one-bit ``narrow`` grid has the single level 0; its step is the width 2s of that cell.
        """
        if self.kind == "midrise":
            return clip * (2 / (2**self.bits - 1))
        return clip / max(-self.low, 0.5)

    @property
    def top(self) -> float:
        """Highest level, as a multiple of the clip."""
        return self.high / max(-self.low, 0.5) if self.kind != "midrise" else 1.0

    @property
    def bottom(self) -> float:
        """Lowest level, as a multiple of the clip."""
        return self.low / max(-self.low, 0.5) if self.kind != "midrise" else -1.0

    @property
    def offset(self) -> float:
        """Code (possibly fractional) that stands for the value 0."""
        return self.high / 2 if self.kind == "midrise" else 0.0

    def noise(self, rounding: str = "nearest") -> float:
        """The constant c in *granular noise variance = c · clip²*.

        Δ²/12 for nearest rounding, Δ²/6 for stochastic rounding (f(1−f)Δ² averaged over the cell).
        """
        one_of("rounding", rounding, ROUNDINGS)
        return self.step(1.0) ** 2 / (12 if rounding == "nearest" else 6)

    def decode(self, values: torch.Tensor, clip: torch.Tensor) -> torch.Tensor:
        """Levels (float32) of codes, which may be fractional; ``clip`` broadcasts against ``values``."""
        return (values.to(torch.float32) - self.offset) * self.step(clip)
