"""The step of the signed quantizer against a sweep over all steps."""

from __future__ import annotations

import pytest
import torch

from fqlab.training.transforms import signed_step


def squared_error(w: torch.Tensor, bits: int, steps: torch.Tensor) -> torch.Tensor:
    """Of every step in ``steps``, in double precision."""
    half = 2.0 ** (bits - 1)
    codes = torch.round(w / steps[:, None]).clamp(-half, half - 1)
    return (w - steps[:, None] * codes).square().sum(1)


def least(w: torch.Tensor, bits: int) -> float:
    """The least error of 2000 steps from 1/1000 of the widest one upwards, then of 100 between the neighbours of the best."""
    widest = float(w.abs().max()) * 2 / max(2 ** (bits - 1) - 1, 1)
    steps = torch.logspace(-3, 0, 2000, dtype=torch.float64) * widest
    best = int(torch.cat([squared_error(w, bits, part) for part in steps.split(50)]).argmin())
    near = torch.linspace(float(steps[max(best - 1, 0)]), float(steps[min(best + 1, 1999)]), 100, dtype=torch.float64)
    return float(squared_error(w, bits, near).min())


def draw(law: str, count: int) -> torch.Tensor:
    u = torch.rand(count, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 0.5
    return {"uniform": u, "laplace": -u.sign() * torch.log1p(-2 * u.abs()), "normal": torch.special.ndtri(u + 0.5)}[law]


@pytest.mark.parametrize("bits", [2, 3, 4, 6, 8])
@pytest.mark.parametrize("law", ["uniform", "normal", "laplace"])
def test_least_squares_step_is_a_few_percent_above_the_best(law, bits):
    """What its docstring says: 6 % on thousands of weights, 10 % on hundreds."""
    for count, excess in ((4096, 0.06), (640, 0.10)):
        w = draw(law, count)
        step = signed_step(w.float(), torch.tensor(float(bits)), "mse").double()
        assert float(squared_error(w, bits, step.reshape(1))) <= (1 + excess) * least(w, bits)
