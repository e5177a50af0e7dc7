"""Steps on bit planes written out, against autograd through the transform, the penalty and the projection."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fqlab.models import MLP
from fqlab.quant import Codes, Grid
from fqlab.tensors import leading, stack
from fqlab.training import bitplanes
from fqlab.training.gradients import network_grad, objective_grad, stacked_network_grad
from fqlab.training.objectives import WrittenWalk
from fqlab.training.sgd import Batch, Training, sgd

LAYERS = {"fc1.weight": (5, 4), "fc1.bias": (5,), "fc2.weight": (3, 5)}


def problem(client: int, bits: int, proximal: bool, precondition: bool = False):
    """Start and objective of one client's planes; fc2's bias is trained as it is."""
    draw = torch.Generator().manual_seed(client)
    grid = Grid(bits, "sign_magnitude")
    codes = {
        name: Codes(
            torch.randint(grid.low, grid.high + 1, shape, generator=draw).to(torch.int16),
            grid,
            0.1 + torch.rand((), generator=draw),
        )
        for name, shape in LAYERS.items()
    }
    objective = bitplanes.plane_objective(
        codes, [0.3, 0.2, 0.1], lr=0.2, proximal=proximal, width=4, precondition=precondition
    )
    return bitplanes.plane_params(codes, 4) | {"fc2.bias": torch.randn(3, generator=draw)}, objective


def batches(clients: tuple[int, ...]) -> list[Batch]:
    draw = torch.Generator().manual_seed(1)
    return [
        Batch(torch.randn(*clients, 6, 4, generator=draw), torch.randint(3, (*clients, 6), generator=draw))
        for _ in range(4)
    ]


@given(
    client=st.integers(0, 9),
    bits=st.integers(1, 4),
    proximal=st.booleans(),
    precondition=st.booleans(),
    decay=st.sampled_from([0.0, 0.05]),
    momentum=st.sampled_from([0.0, 0.9]),
)
def test_one_client_moves_as_by_autograd(client, bits, proximal, precondition, decay, momentum):
    params, objective = problem(client, bits, proximal, precondition)
    training = Training(lr=0.2, weight_decay=decay, momentum=momentum)
    model = MLP(4, [5], 3)
    walk = objective.walk(training)
    assert isinstance(walk, WrittenWalk)
    network = network_grad(model, {})
    walked, losses = sgd(objective_grad(objective, network, walk=walk), params, batches(()), training, walk=walk)
    project = lambda moved: objective.project(moved, objective.context)
    rates = objective.precondition
    scaled = (lambda slopes, params: rates(slopes, params, objective.context)) if rates else None
    expected, slow = sgd(objective_grad(objective, network), params, batches(()), training, project, scaled)
    assert torch.allclose(torch.stack(losses), torch.stack(slow), rtol=1e-4, atol=1e-5)
    for name, value in expected.items():
        assert torch.allclose(walked[name], value, rtol=1e-3, atol=1e-4), name


@given(st.booleans(), st.integers(1, 3), st.sampled_from([0.0, 0.9]))
def test_stacked_clients_move_as_each_alone_and_stand_still_when_done(proximal, active, momentum):
    training = Training(lr=0.2, weight_decay=0.01, momentum=momentum)
    model = MLP(4, [5], 3)
    problems = [problem(c, 3, proximal, True) for c in (0, 2, 4)]
    objective = replace(problems[0][1], context=stack([o.context for _, o in problems]))
    steps = batches((3,))
    steps[-1] = replace(steps[-1], x=steps[-1].x[:active], y=steps[-1].y[:active], active=active)
    walk = objective.walk(training)
    grad = objective_grad(objective, stacked_network_grad(model, {}), of_stack=True, walk=walk)
    together, losses = sgd(grad, stack([p for p, _ in problems]), steps, training, walk=walk)
    assert [len(loss) for loss in losses] == [3, 3, 3, active]
    for c, (params, single) in enumerate(problems):
        alone = [replace(s, x=s.x[c], y=s.y[c], active=None) for s in steps if c < len(s.x)]
        walk = single.walk(training)
        grad = objective_grad(single, network_grad(model, {}), walk=walk)
        expected, _ = sgd(grad, params, alone, training, walk=walk)
        for name, value in expected.items():
            assert torch.allclose(together[name][c], value, rtol=1e-3, atol=1e-4), name


def test_layers_of_different_widths_move_as_each_alone():
    """Planes that a narrower layer lacks have no penalty, no norm and no cost."""
    training = Training(lr=0.2, weight_decay=0.01)
    draw = torch.Generator().manual_seed(0)
    codes = {}
    for name, bits in (("a", 2), ("b", 4)):
        grid = Grid(bits, "sign_magnitude")
        values = torch.randint(grid.low, grid.high + 1, (7,), generator=draw).to(torch.int16)
        codes[name] = Codes(values, grid, torch.tensor(0.5))
    slope = torch.randn(7, generator=draw)
    ends = []
    for layers in (codes, {"a": codes["a"]}, {"b": codes["b"]}):
        objective = bitplanes.plane_objective(layers, [0.3] * len(layers), lr=0.2, precondition=True)
        params = bitplanes.plane_params(layers)
        walk = objective.walk(training)
        for _ in range(3):
            seen = walk.weights(params, None)
            cost = walk.cost()
            walk.step(params, walk.pull_back(params, dict.fromkeys(seen, slope)), {}, None)
        ends.append((params, float(cost)))
    together, total = ends[0]
    assert total == pytest.approx(ends[1][1] + ends[2][1], rel=1e-6)
    assert all(torch.equal(together[key], value) for params, _ in ends[1:] for key, value in params.items())


def test_leading_members():
    tensors = {"a": torch.arange(6).reshape(3, 2)}
    assert leading(tensors, 2)["a"].tolist() == [[0, 1], [2, 3]]
    assert leading(tensors, None)["a"] is tensors["a"]


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_a_step_makes_nothing_of_the_size_of_the_planes(decay):
    """The planes stay where they are: same memory before and after."""
    params, objective = problem(0, 4, False)
    walk = objective.walk(Training(lr=0.1, weight_decay=decay))
    seen = walk.weights(params, None)
    gradients = walk.pull_back(params, {name: torch.ones_like(value) for name, value in seen.items()})
    moved = walk.step(params, gradients, {}, None)
    assert all(moved[name] is params[name] for name in moved)
    assert gradients["fc1.weight/planes"].numel() == 20
