"""Tensors as they come: views of every sort have the results of the values they show; what is no dense real tensor is refused."""

from __future__ import annotations

import re

import pytest
import torch

from fqlab import aggregate, wire
from fqlab.errors import ConfigError
from fqlab.quant import (
    GRADIENTS,
    KINDS,
    LATTICES,
    ROUNDINGS,
    RULES,
    Grid,
    clip_for,
    code_shape,
    dithered,
    eden_decode,
    eden_encode,
    expected_mse,
    fake_quantize,
    hadamard,
    mse_parts,
    norm,
    quantize,
    requantize_net,
    requantize_to_step,
)  # fmt: skip

BASE = torch.linspace(-1, 1, 64, dtype=torch.float32).reshape(8, 8) ** 3
VIEWS = {
    "transposed": BASE.T,
    "every second": BASE[:, ::2],
    "expanded": torch.tensor([[0.3], [-0.1]]).expand(2, 8),
    "channels last": BASE.reshape(2, 2, 4, 4).to(memory_format=torch.channels_last),
    "overlapping": BASE.unfold(1, 4, 2),
    "one number": torch.tensor(0.5),
    "to be trained": torch.nn.Parameter(BASE.clone()),
    "imaginary part": torch.complex(BASE, BASE).conj().imag,
}
WRONG = {
    "sparse": torch.eye(3, dtype=torch.float32).to_sparse(),
    "complex": torch.complex(BASE, BASE),
    "without data": torch.zeros(3, device="meta", dtype=torch.float32),
}
ONE = torch.tensor(1.0, dtype=torch.float32)


def takers():
    """Name -> a function of one tensor."""
    for rule in RULES:
        for rounding in ROUNDINGS:
            yield f"{rule}, {rounding}", lambda x, r=rule, o=rounding: clip_for(r, x, Grid(3), o)
    for kind in KINDS:
        yield f"quantize, {kind}", lambda x, k=kind: quantize(x, ONE, Grid(3, k)).values
    for gradient in GRADIENTS:
        yield f"fake, {gradient}", lambda x, g=gradient: fake_quantize(x, ONE, Grid(3), None, g)
    for lattice in LATTICES:
        zero = lambda x, at=lattice: torch.zeros(code_shape(at, x.shape), dtype=torch.float32)
        yield f"dithered, {lattice}", lambda x, at=lattice, z=zero: dithered(x, ONE, Grid(3), z(x), at).values
    draw = lambda: torch.Generator().manual_seed(0)
    yield "stochastic", lambda x: quantize(x, ONE, Grid(3), "stochastic", draw()).values
    yield "norm", norm
    yield "parts", lambda x: torch.tensor(mse_parts(x, quantize(x, ONE, Grid(3))), dtype=torch.float64)
    yield "expected", lambda x: expected_mse(x, ONE, Grid(3))
    yield "requantize to step", lambda x: requantize_to_step(x, 0.1).values
    yield "requantize net", lambda x: requantize_net(x, ONE, 3).values
    yield "mean", lambda x: aggregate.mean([x, x], [1, 2])
    yield "median", lambda x: aggregate.median([x, x, x])
    yield "inverse", lambda x: aggregate.inverse_error([x, x], [1, 2])
    yield "packet", lambda x: wire.unpack(wire.pack({"w": x}))["w"]


TAKERS = dict(takers())


@pytest.mark.parametrize("name", TAKERS)
def test_a_view_has_the_result_of_the_values_it_shows(name):
    for kind, view in VIEWS.items():
        plain = view.detach().clone(memory_format=torch.contiguous_format)
        assert torch.equal(TAKERS[name](view).detach(), TAKERS[name](plain).detach()), kind


@pytest.mark.parametrize("name", TAKERS)
@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_dense_real_tensor_is_refused_in_a_sentence(name, kind):
    with pytest.raises(ConfigError, match="must be"):
        TAKERS[name](WRONG[kind])


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 3)])
@pytest.mark.parametrize("name", TAKERS)
def test_what_has_no_value_has_a_result_without_nan_or_is_refused_in_a_sentence(name, shape):
    empty = torch.zeros(shape, dtype=torch.float32)
    if name.partition(",")[0] in {*RULES, "norm", "expected"}:
        with pytest.raises(
            ConfigError, match=f"x has shape {re.escape(str(shape))}, but a clip needs at least one value"
        ):
            TAKERS[name](empty)
        return
    result = TAKERS[name](empty)
    assert not bool(result.isnan().any())
    assert not result.numel() or name == "parts"


def test_rotations_take_views_and_no_single_number():
    assert torch.equal(hadamard(BASE.T), hadamard(BASE.T.contiguous()))
    assert torch.equal(eden_decode(eden_encode(BASE.T, 2)), eden_decode(eden_encode(BASE.T.contiguous(), 2)))
    for function in (hadamard, lambda x: eden_encode(x, 2)):
        with pytest.raises(ConfigError, match="^x "):
            function(torch.tensor(1.0))
    assert not hadamard(torch.nn.Parameter(BASE.clone())).requires_grad


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_averages_keep_the_type_of_what_they_average(dtype):
    values = [BASE.to(dtype), 2 * BASE.to(dtype)]
    for average in (aggregate.mean(values, [1, 1]), aggregate.inverse_error(values, [1, 1])):
        assert average.dtype == dtype
        torch.testing.assert_close(average, 1.5 * BASE.to(dtype), rtol=0.02, atol=0.02)


def test_whole_numbers_have_no_average():
    with pytest.raises(ConfigError, match="values has numbers of type torch.int64"):
        aggregate.mean([torch.arange(3), torch.arange(3)])


def test_an_empty_entry_is_no_reason_to_stop():
    empty = wire.Payload(tensors={"w": torch.zeros(3, 0, dtype=torch.float32)})
    assert aggregate.validate_update(empty, {"w": torch.Size([3, 0])}) is None
