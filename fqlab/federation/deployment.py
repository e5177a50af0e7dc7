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
from fqlab.training.ranges import RANGE_RULES, signed_round, signed_step
from fqlab.training.sgd import accuracy

__all__ = ["WIDTHS", "deploy", "robustness"]

WIDTHS = (32, 8, 6, 5, 4, 3, 2)


def deploy(weights: Weights, layers: Sequence[str], bits: int, range_rule: str = "max_abs") -> Weights:
    """``weights`` with ``layers`` rounded to ``bits``; 32 leaves them as they are.

    The quantizer is the signed one of :func:`fqlab.training.ranges.signed_step`.

    Args:
        range_rule: ``"max_abs"``, or ``"mse"`` for the least squared error.

    Raises:
        ConfigError: for another rule or a width that is neither 32 nor 1-8.
    """
    one_of("range_rule", range_rule, RANGE_RULES)
    if bits == 32:
        return dict(weights)
    width = torch.tensor(float(in_range("bits", bits, 1, 8, integer=True)), dtype=torch.float32)
    rounded = {n: signed_round(weights[n], width, signed_step(weights[n], width, range_rule)).detach() for n in layers}
    return {**weights, **rounded}


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
