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


def excess(w: torch.Tensor, bits: int) -> float:
    """How far the rule's error lies above the least, as a share of it."""
    step = signed_step(w.float(), torch.tensor(float(bits)), "mse").double()
    return float(squared_error(w, bits, step.reshape(1))) / least(w, bits) - 1


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("law", ["uniform", "normal", "laplace"])
def test_least_squares_step_is_a_few_percent_above_the_best(law, bits):
    """What its docstring says: 11 % on thousands of weights, 35 % on hundreds."""
    assert excess(draw(law, 4096), bits) <= 0.11
    assert excess(draw(law, 640), bits) <= 0.35


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("far", [10, 30, 100])
@pytest.mark.parametrize("outliers", [1, 3, 40])
def test_a_few_weights_far_out_do_not_lead_the_step_astray(outliers, far, bits):
    w = draw("normal", 4096)
    w[:outliers] = far * torch.linspace(1, 2, outliers, dtype=torch.float64)
    assert excess(w, bits) <= 0.11


def test_what_stands_beside_a_layer_with_outliers_is_left_alone():
    """Stacked clients: the step of each is what it has alone."""
    w = torch.stack([draw("normal", 4096), draw("laplace", 4096), draw("normal", 4096)]).float()
    w[1, 0] = 300
    bits = torch.tensor([3.0, 4.0, 8.0])
    alone = [signed_step(layer, b, "mse") for layer, b in zip(w, bits, strict=True)]
    torch.testing.assert_close(signed_step(w, bits, "mse"), torch.stack(alone), rtol=1e-5, atol=0)
