"""Training on whole magnitudes: the forward pass, its slopes, the walk of one round, codes and back."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fqlab.errors import ConfigError
from fqlab.quant import Codes, Grid
from fqlab.tensors import stack
from fqlab.training.digits import digit_codes, digit_params, frozen_objective, integer_objective
from fqlab.training.integer import accumulate, integer_step, penalty_pull
from fqlab.training.objectives import Objective
from fqlab.training.sgd import Training
from fqlab.training.updates import UPDATES, local_form, trained_codes


def codes(bits: int, seed: int = 0, n: int = 60) -> Codes:
    generator = torch.Generator().manual_seed(seed)
    grid = Grid(bits, "sign_magnitude")
    values = torch.randint(grid.low, grid.high + 1, (n // 4, 4), generator=generator).to(torch.int16)
    return Codes(values, grid, torch.rand((), generator=generator) + 0.1)


@given(st.integers(1, 8), st.integers(0, 2**31))
@settings(max_examples=40)
def test_the_model_sees_what_the_codes_stand_for_with_the_slopes_of_the_formula(bits, seed):
    """∂W/∂r = s·sign/(2^b − 1), ∂W/∂s = sign·r/(2^b − 1)."""
    layer = codes(bits, seed)
    objective = integer_objective({"w": layer}, [0.0])
    params = {key: value.requires_grad_() for key, value in digit_params({"w": layer}).items()}
    seen = objective.weights(params)["w"]
    assert torch.allclose(seen, layer.dequantize(), rtol=1e-6)
    slope = torch.randn(seen.shape, generator=torch.Generator().manual_seed(seed))
    (seen * slope).sum().backward()
    sign = torch.where(layer.values > 0, 1.0, -1.0)
    top = 2**bits - 1
    assert torch.allclose(params["w/magnitude"].grad, layer.clip / top * sign * slope, rtol=1e-5, atol=1e-7)
    assert torch.allclose(params["w/scale"].grad, (layer.values / top * slope).sum(), rtol=1e-3, atol=1e-4)


@given(st.integers(1, 8), st.integers(0, 2**31))
@settings(max_examples=40)
def test_codes_and_back(bits, seed):
    layer = codes(bits, seed)
    objective = integer_objective({"w": layer}, [0.0])
    params = digit_params({"w": layer})
    assert digit_codes(params, "w", objective.context) == layer
    turned = digit_codes(params | {"w/scale": -layer.clip}, "w", objective.context)
    assert torch.equal(turned.dequantize(), -layer.dequantize())


def test_frozen_codes_are_no_parameters():
    layer = codes(4)
    form = local_form("frozen", {"w": layer}, [0.0], 0.1)
    assert list(form.params) == ["w/scale"]
    assert torch.allclose(form.objective.weights(form.params)["w"], layer.dequantize())
    assert trained_codes(form.params, form.objective)["w"][0] == layer
    assert frozen_objective({"w": layer}).draws is False


def take(walk, params, slope, seed, active=None):
    """One step of a walk for slopes of the loss in the weights that the model sees."""
    walk.weights(params, active)
    gradients = walk.pull_back(params, {"w": slope})
    return gradients, walk.step(params, gradients, {"w/seed": seed}, active)


@given(st.integers(1, 8), st.integers(0, 2**31))
@settings(max_examples=40)
def test_what_is_written_out_is_what_autograd_says(bits, seed):
    layer = codes(bits, seed)
    objective = integer_objective({"w": layer}, [0.0])
    params = digit_params({"w": layer})
    slope = torch.randn(layer.shape, generator=torch.Generator().manual_seed(seed))
    leaves = {key: value.clone().requires_grad_() for key, value in params.items()}
    seen = objective.weights(leaves)["w"]
    (seen * slope).sum().backward()
    walk = objective.walk(Training())
    assert torch.allclose(walk.weights(params, None)["w"], seen, rtol=1e-6)
    gradients = walk.pull_back(params, {"w": slope})
    assert torch.allclose(gradients["w/scale"], leaves["w/scale"].grad, rtol=1e-3, atol=1e-4)
    assert gradients["w/scale"].shape == params["w/scale"].shape


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("size", [1e-3, 12.0])
def test_a_walk_is_one_integer_step_after_the_other(momentum, size):
    """Layers that cannot move are left out, with the same result."""
    layer = codes(8, n=400)
    objective = integer_objective({"w": layer}, [0.0002])
    params = digit_params({"w": layer})
    walk = objective.walk(Training(lr=0.1, momentum=momentum))
    generator = torch.Generator().manual_seed(1)
    expected = params["w/magnitude"].flatten().clone()
    buffer = torch.zeros(8, 400)
    sign = torch.where(layer.values > 0, 1.0, -1.0)
    for seed in range(5):
        slope = size * torch.randn(100, 4, generator=generator)
        _, moved = take(walk, params, slope, torch.tensor(seed))
        assert set(moved) == {"w/magnitude"}
        inwards = (slope * sign * (float(layer.clip) / 255)).flatten()
        accumulate(buffer, expected, inwards, penalty_pull(expected, 8, 0.0002), momentum)
        integer_step(expected, buffer, 0.1, torch.rand(400, generator=torch.Generator().manual_seed(seed)))
        assert torch.equal(params["w/magnitude"].flatten(), expected)
    assert torch.equal(expected.reshape(100, 4), layer.values.abs().float()) == (size < 1) or momentum


def test_stacked_clients_walk_as_each_would_alone_and_the_last_may_have_finished():
    layers = [codes(bits, bits) for bits in (8, 5, 2)]
    objectives = [integer_objective({"w": layer}, [0.001]) for layer in layers]
    context = stack([o.context for o in objectives])
    params = stack([digit_params({"w": layer}) for layer in layers])
    members = [digit_params({"w": layer}) for layer in layers]
    together = objectives[0].steps.walk(context, Training(lr=0.1, momentum=0.9))
    alone = [o.walk(Training(lr=0.1, momentum=0.9)) for o in objectives]
    generator = torch.Generator().manual_seed(0)
    for step in range(4):
        left = 3 if step < 2 else 2
        slope = 30 * torch.randn((left, *layers[0].shape), generator=generator)
        seeds = torch.arange(left) + 10 * step
        scales = [take(alone[k], members[k], slope[k], seeds[k])[0]["w/scale"] for k in range(left)]
        leading = {key: value[:left] for key, value in params.items()}
        gradients, _ = take(together, leading, slope, seeds, left)
        assert torch.equal(params["w/magnitude"], torch.stack([p["w/magnitude"] for p in members]))
        assert torch.allclose(gradients["w/scale"], torch.stack(scales))
    assert not torch.equal(params["w/magnitude"][0], layers[0].values.abs().float())


def test_slopes_in_another_memory_format_mean_the_same():
    """Gradients of convolutions may have their channels last; the draws belong to weights, not to places in memory."""
    generator = torch.Generator().manual_seed(0)
    values = torch.randint(-255, 256, (4, 3, 3, 3), generator=generator).to(torch.int16)
    layer = Codes(values, Grid(8, "sign_magnitude"), torch.tensor(1.0))
    slope = 50 * torch.randn(4, 3, 3, 3, generator=generator)
    moved = []
    for form in (torch.contiguous_format, torch.channels_last):
        objective = integer_objective({"w": layer}, [0.001])
        params = digit_params({"w": layer})
        walk = objective.walk(Training(lr=0.1, momentum=0.9))
        take(walk, params, slope.contiguous(memory_format=form), torch.tensor(3))
        moved.append(params["w/magnitude"])
    assert torch.equal(*moved)
    assert not torch.equal(moved[0], values.abs().float())


@pytest.mark.parametrize("update", UPDATES)
def test_every_form_begins_and_ends_with_the_codes_that_came(update):
    layers = {"a": codes(3, 1), "b": codes(7, 2)}
    form = local_form(update, layers, [0.1, 0.1], 0.1)
    after = trained_codes(form.params, form.objective)
    for name, layer in layers.items():
        got, real = after[name]
        # Fake quantization takes its scale from the largest weight, which the other forms keep as it came.
        assert torch.allclose(got.dequantize(), layer.dequantize(), atol=1e-6) or update == "fake"
        assert got.grid == layer.grid
        assert torch.allclose(real, layer.dequantize(), atol=1e-6)


def test_an_objective_of_another_kind_has_no_codes():
    with pytest.raises(ConfigError, match="objective has the transform None"):
        trained_codes({}, Objective())
