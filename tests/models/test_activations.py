"""Quantized activations, and stacked clients whose samples depend on each other."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fqlab.errors import ConfigError
from fqlab.federation import Experiment, fit
from fqlab.models import MLP, QuantizedActivation, ResNet, quantize_activations


def test_relu_of_four_bits_has_sixteen_levels_up_to_the_largest_value():
    x = torch.linspace(-1, 9, 500)
    y = QuantizedActivation(nn.ReLU(), 4)(x)
    assert torch.allclose(y.unique(), 6 / 15 * torch.arange(16.0), atol=1e-6)  # ReLU6
    assert float((y - x.clamp(0, 6)).abs().max()) <= 6 / 30 + 1e-6


def test_tanh_keeps_its_sign():
    x = torch.linspace(-3, 3, 101)
    y = QuantizedActivation(nn.Tanh(), 2)(x)
    assert torch.allclose(y, -y.flip(0))
    assert len(y.unique()) == 7


def test_gradient_passes_straight_through_and_reaches_the_learned_clip_where_it_cuts():
    layer = QuantizedActivation(nn.ReLU(), 3)
    x = torch.tensor([-1.0, 2.0, 12.0], requires_grad=True)
    layer(x).sum().backward()
    assert x.grad.tolist() == [0, 1, 0]
    assert float(layer.clip.grad) == 1
    assert not list(QuantizedActivation(nn.ReLU(), 4).parameters())


def test_gradient_of_relu6_ends_at_both_edges():
    """As in PyTorch's own: a value at 0 or 6 does not move."""
    x = torch.tensor([-1.0, 0.0, 2.0, 6.0, 7.0], requires_grad=True)
    QuantizedActivation(nn.ReLU(), 4)(x).sum().backward()
    assert x.grad.tolist() == [0, 0, 1, 0, 0]


def test_an_activation_that_is_all_zero_stays_zero():
    assert torch.equal(QuantizedActivation(nn.ReLU(), 4)(-torch.ones(3)), torch.zeros(3))


def test_every_activation_module_is_replaced_but_not_the_stem_of_a_resnet():
    count = lambda model: sum(isinstance(m, QuantizedActivation) for m in model.modules())
    assert count(quantize_activations(ResNet(3, 10), 4)) == 18
    assert count(quantize_activations(MLP(4, (3, 3), 2), 4)) == 2
    assert count(quantize_activations(MLP(4, (3, 3), 2), 0)) == 0


@pytest.mark.parametrize("bits", [9, -1, 2.5])
def test_bad_bits(bits):
    with pytest.raises(ConfigError, match="activation_bits"):
        quantize_activations(MLP(4, (3,), 2), bits)


def test_a_model_without_activation_modules_says_so():
    with pytest.raises(ConfigError, match="Linear has no activation modules"):
        quantize_activations(nn.Linear(2, 2), 4)


def test_batch_statistics_of_stacked_clients_are_those_of_clients_alone():
    """The last batch is shorter than the others and must not be padded."""
    small = {"model": "clipped_cnn", "clients": 3, "rounds": 1, "batch_size": 64}
    serial, stacked = fit(Experiment(**small)), fit(Experiment(**small, engine="vectorized"))
    for name, value in serial.weights.items():
        assert torch.allclose(value, stacked.weights[name], atol=1e-4), name
