"""Quantization-robust training: kurtosis in closed form, gradients by formula, noise by its variance, engines alike."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fqlab.errors import ConfigError
from fqlab.federation import Experiment, Federation, fit
from fqlab.federation.deployment import deploy, robustness
from fqlab.federation.engines import ClientTask
from fqlab.methods.robust import Robust
from fqlab.training.objectives import KurtosisPenalty, kurtosis
from fqlab.training.ranges import RANGE_RULES, signed_round, signed_step
from fqlab.training.transforms import MultiBit, PseudoNoise

N = 1_000_001
MIDPOINTS = (torch.arange(N, dtype=torch.float64) + 0.5) / N


def test_kurtosis_of_known_laws():
    assert float(kurtosis(torch.tensor([1.0, -1.0] * 50))) == pytest.approx(1)
    for m in (2, 3, 16):
        levels = torch.arange(m, dtype=torch.float64).repeat(100)
        assert float(kurtosis(levels)) == pytest.approx(0.6 * (3 * m * m - 7) / (m * m - 1))
    assert float(kurtosis(MIDPOINTS)) == pytest.approx(1.8, abs=1e-5)
    assert float(kurtosis(torch.special.ndtri(MIDPOINTS))) == pytest.approx(3, abs=1e-3)
    centred = MIDPOINTS - 0.5
    assert float(kurtosis(-centred.sign() * torch.log1p(-2 * centred.abs().clamp(max=0.5 - 1e-9)))) == pytest.approx(
        6, abs=0.01
    )


def test_kurtosis_gradient_is_the_closed_form():
    w = torch.randn(200, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    (slope,) = torch.autograd.grad(kurtosis(w), w)
    w = w.detach()
    z = (w - w.mean()) / w.std(correction=0)
    formula = 4 / (200 * float(w.std(correction=0))) * (z**3 - (z**3).mean() - (z**4).mean() * z)
    assert torch.allclose(slope, formula, atol=1e-14)


def test_penalty_averages_layers_and_knows_both_estimators():
    params = {"a": torch.tensor([1.0, -1.0] * 8), "b": torch.linspace(-1, 1, 101), "c": torch.randn(5)}
    expected = 0.5 * ((1 - 1.8) ** 2 + (float(kurtosis(params["b"])) - 1.8) ** 2) / 2
    assert float(KurtosisPenalty(("a", "b"), 0.5)(params, {})) == pytest.approx(expected, rel=1e-5)
    w = params["b"]
    assert float(kurtosis(w, unbiased=True)) == pytest.approx(float(kurtosis(w)) * (100 / 101) ** 2, rel=1e-5)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_signed_quantizer_against_its_definition(bits):
    w = torch.randn(500, generator=torch.Generator().manual_seed(bits))
    b = torch.tensor(float(bits))
    step = float(w.abs().max()) / (2 ** (bits - 1) - 1)
    assert float(signed_step(w, b)) == pytest.approx(step)
    by_hand = [max(-(2 ** (bits - 1)), min(2 ** (bits - 1) - 1, round(v / step))) * step for v in w.tolist()]
    assert torch.allclose(signed_round(w, b, signed_step(w, b)), torch.tensor(by_hand), atol=1e-5)


@given(
    bits=st.integers(2, 8),
    scale=st.sampled_from([1e-44, 1e-37, 1e-20, 1e-3, 1.0, 3e37]),
    seed=st.integers(0, 2**32 - 1),
    special=st.sampled_from([0.0, 1.0, math.inf, math.nan]),
)
def test_the_range_of_the_largest_weight_leaves_nothing_to_clip(bits, scale, seed, special):
    w = scale * torch.randn(300, generator=torch.Generator().manual_seed(seed))
    w[0] = special
    b = torch.tensor(float(bits))
    with torch.no_grad():
        unclipped = MultiBit(("w",), (bits, 8))({"w": w}, {}, {"bits": b})["w"]
        clipped = signed_round(w, b, signed_step(w, b))
    torch.testing.assert_close(unclipped, clipped, rtol=0, atol=0, equal_nan=True)


def test_at_one_bit_the_upper_half_is_clipped():
    w = torch.tensor([-2.0, -0.5, 0.5, 2.0])
    for widths in ((1,), (1, 4)):
        assert MultiBit(("w",), widths)({"w": w}, {}, {"bits": torch.tensor(1.0)})["w"].tolist() == [-2, 0, 0, 0]


def test_pseudo_noise_has_the_variance_of_its_name():
    params = {"w": torch.randn(100_000, generator=torch.Generator().manual_seed(0))}
    draw = torch.Generator().manual_seed(1)
    for kind, variance in (("uniform", 1 / 12), ("gauss", 1 / 4)):
        noisy = PseudoNoise(("w",), (4,), kind=kind)
        moved = noisy(params, {}, noisy.draw(params, draw))["w"] - params["w"]
        step = float(signed_step(params["w"], torch.tensor(4.0)))
        assert float(moved.var()) == pytest.approx(variance * step**2, rel=0.02)
        assert abs(float(moved.mean())) < 5 * step * math.sqrt(variance / 100_000)


def test_widths_are_drawn_evenly_and_the_gradient_passes_through():
    transform = MultiBit(("w",), (2, 4, 8))
    draw = torch.Generator().manual_seed(0)
    seen = [float(transform.draw({}, draw)["bits"]) for _ in range(3000)]
    assert all(abs(seen.count(b) / 3000 - 1 / 3) < 0.05 for b in (2.0, 4.0, 8.0))
    w = torch.randn(20).requires_grad_()
    (slope,) = torch.autograd.grad(transform({"w": w}, {}, {"bits": torch.tensor(2.0)})["w"].sum(), w)
    assert torch.equal(slope, torch.ones(20))


@pytest.mark.parametrize("options", [
    {"variant": "kure"}, {"variant": "apqn"}, {"variant": "apqn", "bits": 0, "noise": "gauss", "range_rule": "mse"},
    {"variant": "qat", "bits": 3}, {"variant": "mqat"}, {"variant": "mqat", "per": "client"},
], ids=lambda o: "-".join(map(str, o.values())))  # fmt: skip
def test_every_variant_learns_on_every_engine(options):
    settings = dict(method="robust", rounds=2, epochs=2, options=options, clients=4)
    runs = [fit(Experiment(**settings, engine=e)) for e in ("serial", "threads", "vectorized")]
    assert runs[0].accuracy > 0.4
    for name, value in runs[0].weights.items():
        assert torch.equal(value, runs[1].weights[name])
        assert torch.allclose(value, runs[2].weights[name], atol=2e-3), name


def test_a_uniform_layer_survives_two_bits_better():
    """The direction of the smoke table: a data-free term on kurtosis saves two bits with max-abs ranges."""
    shared = dict(rounds=25, epochs=2, batch_size=32, engine="vectorized")
    plain = robustness(fit(Experiment(**shared)))
    kure = robustness(fit(Experiment(method="robust", options={"variant": "kure", "penalty": 0.1}, **shared)))
    assert kure[32] > plain[32] - 0.03
    assert kure[2] > plain[2]


def test_all_layers_are_regularised_the_first_and_the_last_too():
    """KURE's code leaves out the first Conv layer and all Linear ones."""
    federation = Federation(Experiment(method="robust", model="digits_cnn", clients=2))
    server = federation.server
    client = federation.simulation.client(ClientTask(0, 1, b""), federation.simulation.model)
    payload = federation.method.download(server, 0, torch.Generator())
    penalty = federation.method.prepare(payload, client).objective.penalty
    assert penalty.layers == ("conv1.weight", "conv2.weight", "fc.weight")


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_range_rule_means_at_deployment_what_it_means_in_training(bits):
    """Max-abs to the bit; of the two searches for the least error, deployment's errs hardly more and not much less."""
    w = torch.randn(4096, generator=torch.Generator().manual_seed(bits))
    for rule in RANGE_RULES:
        with torch.no_grad():
            trained = MultiBit(("w",), (bits,), rule)({"w": w}, {}, {"bits": torch.tensor(float(bits))})["w"]
        deployed = deploy({"w": w}, ["w"], bits, rule)["w"]
        if rule == "max_abs":
            assert torch.equal(trained, deployed)
        errors = [float((rounded - w).square().sum()) for rounded in (deployed, trained)]
        assert errors[0] <= errors[1] * 1.01
        assert errors[1] <= errors[0] * 1.06
    assert Robust(range_rule="mse").range_rule in RANGE_RULES


def test_a_range_is_what_its_name_says():
    """No rule is called OCTAV, for none is; max_abs cuts nothing off, and mse errs least of a thousand steps, up to 2 %."""
    with pytest.raises(ConfigError, match=r"^range_rule is 'octav', but must be one of max_abs, mse\.$"):
        Robust(variant="qat", range_rule="octav")
    w = torch.randn(500, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
    for bits in (2, 3, 4, 8):
        rounded = {rule: deploy({"w": w}, ["w"], bits, rule)["w"] for rule in RANGE_RULES}
        step = float(w.abs().max()) / (2 ** (bits - 1) - 1)
        assert float((rounded["max_abs"] - w).abs().max()) <= step * 0.5001
        tried = torch.logspace(-3, 0, 1000, dtype=torch.float64).unsqueeze(1) * w.abs().max()
        codes = torch.clamp(torch.round(w / tried), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        least = float((codes * tried - w).square().sum(1).min())
        assert float((rounded["mse"] - w).double().square().sum()) <= 1.02 * least


def test_deployed_layers_have_few_levels_and_mse_ranges_err_less():
    w = {"a": torch.randn(4096, generator=torch.Generator().manual_seed(0)), "b": torch.ones(3)}
    for bits in (2, 4):
        wide, tight = (deploy(w, ["a"], bits, r) for r in ("max_abs", "mse"))
        assert len(wide["a"].unique()) <= 2**bits
        assert (tight["a"] - w["a"]).square().mean() < (wide["a"] - w["a"]).square().mean()
        assert torch.equal(wide["b"], w["b"])
    assert torch.equal(deploy(w, ["a"], 32)["a"], w["a"])


@pytest.mark.parametrize("options, words", [
    ({"variant": "magic"}, "variant is 'magic'"), ({"penalty": -1.0}, "penalty is -1.0"), ({"variant": "qat", "bits": 9}, "bits is 9"),
    ({"variant": "mqat", "bit_set": "2-x"}, "bit_set is '2-x'"), ({"per": "year"}, "per is 'year'"), ({"target": 0.5}, "target is 0.5"),
])  # fmt: skip
def test_bad_settings(options, words):
    with pytest.raises(ConfigError, match=words):
        Robust(**options)
    for call in (lambda: deploy({}, [], 9), lambda: deploy({}, [], 4, "wide")):
        with pytest.raises(ConfigError):
            call()
