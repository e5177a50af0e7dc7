"""Steps of the signed quantizer: the least squared error, against all codes that any step gives."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch

from fqlab.federation import Experiment, Federation
from fqlab.training.ranges import RANGE_RULES, signed_step

MOST = 0.02
"""How far above the least squared error the rule may end, as a share of it."""


def squared_error(w: np.ndarray, bits: int, step: float) -> float:
    half = 2.0 ** (bits - 1)
    return float(np.square(w - step * np.clip(np.round(w / step), -half, half - 1)).sum())


def least(w: np.ndarray, bits: int) -> float:
    """The least error of all: as the step shrinks, weight after weight moves to its next code, and every step between two
    such moves has the same codes q, whose least error is Σw² − ⟨w, q⟩² / ⟨q, q⟩.
    """
    half = 2 ** (bits - 1)
    moves = []
    for side, codes in ((w[w > 0], half - 1), (-w[w < 0], half)):
        k = np.arange(codes)
        moves += [np.stack(np.broadcast_arrays(side[:, None] / (k + 0.5), side[:, None], 2 * k + 1)).reshape(3, -1)]
    step, along, square = np.concatenate(moves, 1)
    order = np.argsort(-step)
    return float(np.square(w).sum() - np.max(np.cumsum(along[order]) ** 2 / np.cumsum(square[order])))


def excess(w: np.ndarray, bits: int) -> float:
    """How far the rule's error lies above the least, as a share of it."""
    w = w.astype(np.float32)
    step = float(signed_step(torch.from_numpy(w), torch.tensor(float(bits)), "mse"))
    wide = w.astype(np.float64)
    best = least(wide, bits)
    return squared_error(wide, bits, step) / best - 1 if best > 1e-12 * np.square(wide).sum() else 0.0


def test_the_least_error_is_that_of_many_steps():
    w = np.random.default_rng(0).standard_normal(60)
    for bits in range(1, 9):
        tried = min(squared_error(w, bits, step) for step in np.geomspace(1e-3, 6, 20_000))
        assert least(w, bits) == pytest.approx(tried, rel=0.01)
        assert least(w, bits) <= tried


LAWS = {
    "uniform": lambda draw, n: draw.uniform(-1, 1, n),
    "normal": lambda draw, n: draw.standard_normal(n),
    "laplace": lambda draw, n: draw.laplace(size=n),
    "t3": lambda draw, n: draw.standard_t(3, n),
    "t2": lambda draw, n: draw.standard_t(2, n),
    "log-normal": lambda draw, n: draw.standard_normal(n) * np.exp(draw.standard_normal(n)),
}


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("law", LAWS)
def test_of_any_law_the_step_is_within_two_percent(law, bits):
    draw = np.random.default_rng(bits)
    for count in (144, 640, 4096):
        assert excess(LAWS[law](draw, count), bits) <= MOST


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("far", [10, 38, 100, 1000])
@pytest.mark.parametrize("outliers", [1, 3, 40])
def test_with_weights_far_out_too(outliers, far, bits):
    draw = np.random.default_rng(bits)
    for count in (144, 640, 4096):
        w = draw.standard_normal(count)
        w[:outliers] = far * draw.uniform(1, 2, outliers)
        assert excess(w, bits) <= MOST


@functools.cache
def trained() -> tuple[np.ndarray, ...]:
    layers = []
    for model, settings in (("robust_mlp", dict(lr=0.3, rounds=10)), ("digits_cnn", dict(lr=0.1, rounds=5))):
        federation = Federation(Experiment(model=model, engine="vectorized", clients=5, **settings))
        for _ in federation:
            pass
        names = federation.simulation.spec.quantizable
        layers += [federation.server.weights[name].flatten().numpy() for name in names]
    return tuple(layers)


@pytest.mark.parametrize("bits", range(1, 9))
def test_of_trained_layers_too(bits):
    assert len(trained()) >= 5
    for layer in trained():
        assert excess(layer, bits) <= MOST


def test_what_stands_beside_a_layer_with_outliers_is_left_alone():
    """Stacked clients: the step of each is what it has alone."""
    draw = np.random.default_rng(0)
    w = torch.from_numpy(np.stack([LAWS[law](draw, 4096) for law in ("normal", "laplace", "normal", "t3")])).float()
    w[1, 0] = 300
    bits = torch.tensor([3.0, 4.0, 8.0, 2.0])
    alone = [signed_step(layer, b, "mse") for layer, b in zip(w, bits, strict=True)]
    torch.testing.assert_close(signed_step(w, bits, "mse"), torch.stack(alone), rtol=1e-5, atol=0)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1.0, 1e12, 1e30])
def test_a_step_is_as_large_as_its_weights(scale, bits):
    w = np.random.default_rng(0).standard_normal(200) * scale
    assert excess(w / scale, bits) <= MOST
    step = float(signed_step(torch.from_numpy(w).float(), torch.tensor(float(bits)), "mse"))
    unit = float(signed_step(torch.from_numpy(w / scale).float(), torch.tensor(float(bits)), "mse"))
    assert squared_error(w / scale, bits, step / scale) <= (1 + MOST) * squared_error(w / scale, bits, unit)


def test_of_nothing_any_step_will_do():
    for w in (
        torch.zeros(10),
        torch.zeros(2, 10),
        torch.full((10,), 3.0),
        torch.full((10,), -3.0),
        torch.zeros(0),
        torch.zeros(2, 0),
    ):
        bits = torch.full(w.shape[:-1], 4.0)
        for rule in RANGE_RULES:
            step = signed_step(w, bits, rule)
            assert step.shape == bits.shape
            assert bool((step > 0).all() and step.isfinite().all())
