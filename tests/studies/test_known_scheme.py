"""BSQ's "train from scratch": the network in full precision at the widths that were found, nothing between."""

from __future__ import annotations

import numpy as np
import pytest

from fqlab.errors import ConfigError
from fqlab.federation import Experiment, Federation
from fqlab.studies.scale import bsq
from fqlab.studies.scale.store import committed, read

SCHEME = (8, 3, 1, 4, 5, 0, 0, 8)


def federation(scheme: str, rounds: int = 4) -> Federation:
    options = {"warmup": 1, "scheme": scheme}
    method = "fqlab.studies.known_scheme:KnownScheme"
    return Federation(
        Experiment(method=method, options=options, model="resnet8", clients=1, rounds=rounds, batch_size=64, lr=0.1)
    )


def by_hand(weights: np.ndarray, bits: int) -> np.ndarray:
    """s · sign(w) · round(|w|(2^b − 1)/s)/(2^b − 1) with s = max|w|, float64."""
    top = 2**bits - 1
    s = np.abs(weights).max()
    return np.sign(weights) * np.round(np.abs(weights) * top / s) * s / top if bits else np.zeros_like(weights)


def test_the_network_is_quantized_once_by_its_largest_weight_and_keeps_the_widths():
    plain = Federation(Experiment(model="resnet8", clients=1, rounds=1, batch_size=64, lr=0.1, seed=0))
    ours = federation("-".join(map(str, SCHEME)))
    first = ours.step()
    assert first is not None
    assert plain.step() is not None
    names = ours.server.spec.quantizable
    for name, bits in zip(names, SCHEME, strict=True):
        expected = by_hand(plain.server.weights[name].double().numpy(), bits)
        step = np.abs(expected).max() / (2**bits - 1) if bits else 1.0
        np.testing.assert_allclose(ours.server.weights[name].numpy(), expected, atol=1e-3 * step)
    for record in ours:
        assert [record.extras[f"bits/{name}"] for name in names] == list(SCHEME)
        levels = [len(ours.server.weights[name].unique()) for name in names]
        assert all(seen <= 2 ** (bits + 1) - 1 for seen, bits in zip(levels, SCHEME, strict=True))


@pytest.mark.parametrize("scheme", ["8-8", "8-8-8-4-5-0-0-9", "x", "8-8-8-4-5-0-0--1"])
def test_a_scheme_that_does_not_fit_is_refused_by_name(scheme):
    with pytest.raises(ConfigError, match="scheme is"):
        list(federation(scheme))


def test_the_scheme_is_that_of_the_stored_run_with_its_bits_a_weight(monkeypatch):
    """The bits that the stored run counted come out of its scheme again."""
    monkeypatch.setenv("FQLAB_RUNS", str(committed()))
    arm = bsq.ARMS["small", "scratch-a02"]
    earlier = read(bsq.ARMS["small", "a02"].file(committed(), 1))
    found = arm.at(1)
    assert (found.seed, found.options["scheme"]) == (1, "8-8-8-4-5-0-0-8")
    last = federation(str(found.options["scheme"]), rounds=2)
    counted = [record.extras.get("bits") for record in last]
    assert counted[-1] == pytest.approx(earlier.measures["bits"], rel=1e-5)
