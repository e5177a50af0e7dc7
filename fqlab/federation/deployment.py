"""Deployment: a trained full-precision model rounded to the bit-width of whatever chip it lands on."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from fqlab.errors import in_range, one_of
from fqlab.federation.experiment import Experiment
from fqlab.federation.loop import build_simulation
from fqlab.federation.records import History
from fqlab.models import quantize_activations
from fqlab.tensors import Weights
from fqlab.training.sgd import accuracy
from fqlab.training.transforms import RANGE_RULES, signed_round, signed_step

__all__ = ["WIDTHS", "deploy", "robustness"]

WIDTHS = (32, 8, 6, 5, 4, 3, 2)


def deploy(weights: Weights, layers: Sequence[str], bits: int, range_rule: str = "max_abs") -> Weights:
    """``weights`` with ``layers`` rounded to ``bits``; 32 leaves them as they are.

    The quantizer is the signed one of :func:`fqlab.training.transforms.signed_step`.

    Args:
        range_rule: ``"max_abs"``, or ``"mse"`` for the step with the least squared error, found by a sweep of 100 steps.

    Raises:
        ConfigError: for another rule or a width that is neither 32 nor 1-8.
    """
    one_of("range_rule", range_rule, RANGE_RULES)
    if bits == 32:
        return dict(weights)
    width = torch.tensor(float(in_range("bits", bits, 1, 8, integer=True)), dtype=torch.float32)
    return {n: _round(w, width, range_rule) if n in layers else w for n, w in weights.items()}


def _round(w: torch.Tensor, bits: torch.Tensor, range_rule: str) -> torch.Tensor:
    widest = signed_step(w, bits)
    shares = (1.0,) if range_rule == "max_abs" else torch.linspace(0.01, 1, 100, dtype=torch.float32).tolist()
    tried = [signed_round(w, bits, widest * share) for share in shares]
    return min(tried, key=lambda rounded: float((rounded - w).square().sum())).detach()


def robustness(
    history: History, widths: Sequence[int] = WIDTHS, range_rule: str = "max_abs", activation_bits: int = 0
) -> dict[int, float]:
    """Test accuracy of a run's final model at each deployed width.

    Args:
        activation_bits: 1-8 to round activations as well, 0 for full precision.
    """
    experiment: Experiment = history.experiment
    simulation = build_simulation(experiment)
    model = quantize_activations(simulation.model, activation_bits)
    x, y = simulation.dataset.test_x, simulation.dataset.test_y
    layers = simulation.spec.quantizable
    return {bits: accuracy(model, deploy(history.weights, layers, bits, range_rule), x, y) for bits in widths}
