"""The gradient by hand against autograd through the textbook modules."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from fqlab.models import MLP
from fqlab.models.backprop import Buffers, MLPGradient

sizes = st.integers(1, 5)


def networks(widths: list[int], clients: int, seed: int) -> tuple[dict[str, torch.Tensor], list[MLP]]:
    """Stacked weights, and the same as plain modules."""
    torch.manual_seed(seed)
    nets = [MLP(widths[0], widths[1:-1], widths[-1]) for _ in range(clients)]
    rows = [dict(net.named_parameters()) for net in nets]
    return {name: torch.stack([row[name].detach() for row in rows]) for name in rows[0]}, nets


@given(st.lists(sizes, min_size=2, max_size=4), sizes, sizes, st.booleans(), st.integers(0, 99))
def test_gradients_are_those_of_autograd(widths, clients, n, padded, seed):
    weights, nets = networks(widths, clients, seed)
    x = torch.randn(clients, n, widths[0])
    y = torch.randint(widths[-1], (clients, n))
    real = torch.randint(1, n + 1, (clients,)) if padded else torch.full((clients,), n)
    weight = (torch.arange(n) < real[:, None]).float() if padded else None
    layers = [f"fc{k + 1}" for k in range(len(widths) - 1)]
    gradients, losses = MLPGradient(layers)(weights, x, y, weight)
    for c, net in enumerate(nets):
        loss = cross_entropy(net(x[c, : real[c]]), y[c, : real[c]])
        assert losses[c].item() == pytest.approx(loss.item(), rel=1e-5, abs=1e-6)
        assert gradients.keys() == weights.keys()
        for name, expected in zip(weights, torch.autograd.grad(loss, list(net.parameters())), strict=True):
            assert torch.allclose(gradients[name][c], expected, rtol=1e-4, atol=1e-6)


@given(st.lists(sizes, min_size=2, max_size=4), sizes, sizes, st.booleans(), st.booleans(), st.integers(0, 99))
def test_a_step_down_subtracts_the_gradient(widths, clients, n, padded, apart, seed):
    """Also where the network sees other weights than those that move."""
    weights, _ = networks(widths, clients, seed)
    x = torch.randn(clients, n, widths[0])
    y = torch.randint(widths[-1], (clients, n))
    weight = torch.randint(2, (clients, n)).float() if padded else None
    written = MLPGradient([f"fc{k + 1}" for k in range(len(widths) - 1)])
    gradients, losses = written(weights, x, y, weight)
    params = {name: value + 1 for name, value in weights.items()} if apart else weights
    expected = {name: value - 0.3 * gradients[name] for name, value in params.items()}
    assert torch.equal(written.descend(weights, params, x, y, weight, lr=0.3), losses)
    for name, value in params.items():
        assert torch.allclose(value, expected[name], rtol=1e-5, atol=1e-6)


def test_a_client_without_samples_has_no_loss_and_no_gradient():
    weights, _ = networks([3, 4, 2], 2, 0)
    gradients, losses = MLPGradient(["fc1", "fc2"])(
        weights, torch.randn(2, 3, 3), torch.zeros(2, 3, dtype=torch.int64), torch.tensor([[1.0, 1, 0], [0, 0, 0]])
    )
    assert losses[0] > 0
    assert losses[1] == 0
    assert all(g[0].any() for g in gradients.values())
    assert not any(g[1].any() for g in gradients.values())


def test_buffers_give_the_same_memory_again_and_grow_where_they_must():
    buffer = Buffers()
    first = buffer("a", 2, 3)
    assert buffer("a", 3, 2).data_ptr() == first.data_ptr() == buffer("a", 2, 3).data_ptr()
    assert buffer("b", 2, 3).data_ptr() != first.data_ptr()
    assert buffer("a", 4, 4).shape == (4, 4)
