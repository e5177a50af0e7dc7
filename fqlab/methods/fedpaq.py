"""FedPAQ: quantized differences, periodically averaged (Reisizadeh et al., AISTATS 2020, arXiv 1909.13014)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from fqlab.aggregate import Form
from fqlab.errors import in_range, one_of
from fqlab.methods.differences import Differences
from fqlab.quant import KINDS, ROUNDINGS, RULES, Grid, clip_for, norm, quantize
from fqlab.wire import Payload

__all__ = ["PRESETS", "FedPAQ"]

PRESETS = {"qsgd": {"options": {"clip": "norm", "grid": "sign_magnitude"}}}
"""Fields of an Experiment: the quantizer of the paper's experiments."""


@dataclass(frozen=True)
class FedPAQ(Differences):
    """Clients send Q(trained − received) with an unbiased Q; the server adds the mean.

    The paper asks of Q only that it is unbiased with a bounded relative error, and runs QSGD's, whose range is the norm
    of the vector (preset ``"qsgd"``, layer by layer here). The default range is the largest change instead, which errs
    by far less on long layers.

    Args:
        bits: 1-8.
        clip: rule that finds a layer's range: norm, max_abs, percentile, aciq_gauss, aciq_laplace, octav or sweep.
        rounding: ``"stochastic"`` or ``"nearest"``.
        grid: levels: midrise, octav, twos_complement, narrow or sign_magnitude.
        feedback: error feedback (Seide et al. 2014; Karimireddy et al. 2019): what quantization withheld is added to
            the client's next difference. It needs a quantizer that errs by less than what it is given, such as
            ``clip="octav"`` with ``rounding="nearest"``; at one bit that is EF-signSGD. An unbiased one of few bits errs
            by more, and its residual grows without end.

    >>> from fqlab.federation import Experiment, fit
    >>> fit(Experiment(method="fedpaq", rounds=8, options={"bits": 1}, engine="vectorized")).accuracy > 0.7
    True
    """

    bits: int = 4
    clip: str = "max_abs"
    rounding: str = "stochastic"
    grid: str = "midrise"
    feedback: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range("bits", self.bits, 1, 8, integer=True)
        one_of("clip", self.clip, ("norm", *RULES))
        one_of("rounding", self.rounding, ROUNDINGS)
        one_of("grid", self.grid, KINDS)

    def layer_shapes(self, name: str, shape: torch.Size) -> dict[str, Form]:
        return {name: Form(shape, "codes", self.grid, self.bits)}

    def encode(
        self, name: str, x: torch.Tensor, generators: Sequence[torch.Generator]
    ) -> tuple[list[Payload], torch.Tensor]:
        grid = Grid(self.bits, self.grid)
        clip = (
            norm(x, batch_dims=1) if self.clip == "norm" else clip_for(self.clip, x, grid, self.rounding, batch_dims=1)
        )
        noise = torch.stack([torch.rand(x.shape[1:], generator=g, dtype=torch.float32) for g in generators])
        codes = quantize(x, clip, grid, self.rounding, batch_dims=1, noise=noise)
        return [Payload({name: codes[i]}) for i in range(len(x))], codes.dequantize()
