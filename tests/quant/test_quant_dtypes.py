"""The type that PyTorch gives new tensors is a user's setting: no result of the quantizer or the wire may depend on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from fqlab import wire
from fqlab.quant import (
    GRADIENTS,
    KINDS,
    LATTICES,
    ROUNDINGS,
    RULES,
    Codes,
    Grid,
    adjust,
    bit_variables,
    clip_for,
    clips_for,
    code_shape,
    dithered,
    eden_decode,
    eden_encode,
    expected_mse,
    fake_quantize,
    from_planes,
    group_lasso,
    lattice_mse,
    majority,
    msb_density,
    mse_parts,
    narrow_bits,
    norm,
    octav_step,
    pieces,
    plane_density,
    prune_msb,
    quantize,
    random_signs,
    requantize,
    requantize_net,
    requantize_to_step,
    rotate,
    rotate_back,
    signed_sum,
    slope,
    to_planes,
    undithered,
    zero_bits,
)
from fqlab.wire.delta import apply_changes, changes

X = torch.randn(3, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float32)


@contextmanager
def default(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def clips(kind: str) -> Any:
    grids = [Grid(bits, kind) for bits in (1, 3, 8)]
    values = []
    for rounding in ROUNDINGS:
        values += [clip_for(rule, X, g, rounding, batch_dims=d) for rule in RULES for g in grids for d in (0, 1)]
        values += [clip_for("octav", X, g, rounding, level_aware=False) for g in grids]
        values += [expected_mse(X, torch.ones(3, dtype=torch.float32), g, rounding, batch_dims=1) for g in grids]
        values += clips_for("octav", {"a": X, "b": X[:, :7]}, dict.fromkeys("ab", grids[1]), batch_dims=1).values()
    return [*values, octav_step(X, X.abs().mean(-1), 0.01, 0.75)]


def codes(kind: str) -> Any:
    values = []
    for bits in (1, 3, 8):
        for rounding in ROUNDINGS:
            codes = quantize(X, 1.5, Grid(bits, kind), rounding, torch.Generator().manual_seed(1))
            values += [codes, codes.dequantize(), mse_parts(X, codes), wire.pack({"w": codes, "x": X, "m": X > 0})]
            values += [wire.unpack(values[-1])["w"], wire.entropy(codes), wire.measure(values[-1])]
        for gradient in GRADIENTS:
            one = torch.tensor(1.5, dtype=torch.float32)
            values += [fake_quantize(X, one, Grid(bits, kind), gradient=gradient), slope(X, one, gradient)]
    return values


def planes(kind: str) -> Any:
    grid = Grid(4, "sign_magnitude")
    scale = torch.tensor(1.5, dtype=torch.float32)
    codes = quantize(X, scale, grid)
    real = bit_variables(codes, 6)
    pruned, bits = prune_msb(codes, 0.3, batch_dims=0)
    delta = changes(codes.values, 4, requantize(bit_variables(codes), scale))
    return [
        *to_planes(codes), from_planes(*to_planes(codes), scale), real, signed_sum(real), requantize(real, scale),
        requantize_net(X, scale, 3), requantize_to_step(X, 0.125), requantize_to_step(X, 0.125, 3), adjust(codes, threshold=0.1), pruned, bits,
        narrow_bits(pruned, 4), group_lasso(real[0]), zero_bits(codes), msb_density(codes), plane_density(codes), *delta,
        apply_changes(codes.values, 4, *delta),
    ]  # fmt: skip


def rivals(kind: str) -> Any:
    grid = Grid(3)
    draws = lambda: torch.Generator().manual_seed(3)
    signs = random_signs(sum(pieces(50)), [draws(), draws(), draws()])
    rotated = rotate(X, signs)
    coded = [eden_encode(part, 2) for part in rotated]
    values = [norm(X, batch_dims=1), signs, *rotated, *coded, *map(eden_decode, coded), majority(X > 0)]
    values.append(rotate_back(rotated, signs, 50))
    for lattice in LATTICES:
        dither = torch.rand(3, *code_shape(lattice, (50,)), generator=draws(), dtype=torch.float32) - 0.5
        codes = dithered(X, norm(X, batch_dims=1), grid, dither, lattice, batch_dims=1)
        values += [codes, undithered(codes, dither, lattice, (50,)), lattice_mse(lattice, grid, norm(X))]
    return values


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    return a == b and (not isinstance(a, Codes) or (a.values.dtype, a.clip.dtype) == (torch.int16, torch.float32))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("results", [clips, codes, planes, rivals])
def test_results_do_not_depend_on_the_default_dtype(results, kind):
    want = results(kind)
    for dtype in (torch.float64, torch.float16):
        with default(dtype):
            got = results(kind)
        assert len(got) == len(want)
        assert [i for i, (a, b) in enumerate(zip(got, want, strict=True)) if not same(a, b)] == []
