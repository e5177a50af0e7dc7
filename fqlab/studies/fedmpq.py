"""Numbers of FedMPQ on digits: the ablation, primal-dual sparsity, one setting at a time of the public code's method, and
how the MSBs of bell-shaped layers fall."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from fqlab.federation import Experiment, Federation, fit
from fqlab.federation.engines.crew import one_thread
from fqlab.methods import acting
from fqlab.methods.fedmpq import ABLATION
from fqlab.models.statistics import with_fresh_statistics
from fqlab.quant import Codes, Grid, msb_density, narrow_bits, prune_msb, quantize
from fqlab.training.sgd import accuracy

__all__ = [
    "ARMS", "BUDGETS", "CLIENTS", "ETAS", "OURS", "ROUNDS", "SIZES", "ablation", "bell", "delta", "delta_after",
    "experiment", "gain", "outcome", "planes_a_round", "primal_dual", "residual", "swept",
    "width",
]  # fmt: skip

BUDGETS = "2-2-4-4-4-6-6-6-8-8"
CLIENTS = 10
ROUNDS = 10
OURS = {"update": "latent", "strip": "msb", "bit_factor": False, "averaging": "budget"}
"""What suits this network, which has no norms: the public code's integer update does not train it at all, and its
pruning and penalty leave nothing of it at an ε at which planes fall."""
ARMS = {"penalty": 0.003, "epsilon": 0.5, "cutting": "round_robin", "budgets": BUDGETS}
"""Settings of the ablation. ε is far above the paper's: the digits network starts with uniform weights, whose δ is 0.46."""
ETAS = {"tiny": 0.001, "slow": 0.005, "good": 0.05}
"""Steps η of the price of a bit."""
SIZES = (432, 2304, 9216, 36864)
"""Weights of layers of ResNet-20: the first, and one of each stage."""


def experiment(options: dict[str, object], *, rounds: int = ROUNDS, seed: int = 0) -> Experiment:
    """Ten devices with digits dealt by Dirichlet(0.5), three local epochs a round; options over :data:`OURS`."""
    options = acting("fedmpq_plus", OURS | options)
    shared: dict[str, Any] = dict(
        model="mlp", clients=CLIENTS, rounds=rounds, epochs=3, batch_size=32, lr=0.3, seed=seed
    )
    return Experiment(
        method="fedmpq_plus",
        options=options,
        partition="dirichlet",
        split={"alpha": 0.5},
        engine="vectorized",
        **shared,
    )


@lru_cache(maxsize=16)
def bell(layer: int, bits: int, seed: int = 0) -> Codes:
    """A bell-shaped layer of ``SIZES[layer]`` weights on the sign-magnitude grid with max-abs scale."""
    w = torch.randn(SIZES[layer], generator=torch.Generator().manual_seed(100 * seed + layer))
    return quantize(w, w.abs().max(), Grid(bits, "sign_magnitude"))


def _after(codes: Codes) -> float:
    fewer, bits = prune_msb(codes, 1.0, once=True)
    return float(msb_density(narrow_bits(fewer, int(bits))))


def delta(seed: int) -> float:
    """δ of a bell-shaped layer of 36 864 weights."""
    return float(msb_density(bell(3, 8, seed)))


def delta_after(seed: int) -> float:
    """The same after one plane has been cut."""
    return _after(bell(3, 8, seed))


def planes_a_round() -> float:
    """Most planes that ε = 0.03 cuts off any of the four bell-shaped layers: 30 draws, from 2, 4 and 8 bits."""
    draws = ((layer, bits, draw) for layer in range(len(SIZES)) for bits in (2, 4, 8) for draw in range(30))
    return float(max(bits - int(prune_msb(bell(layer, bits, draw), 0.03)[1]) for layer, bits, draw in draws))


@dataclass(frozen=True)
class Outcome:
    """Accuracy of the last round, and mean bits a weight of its uploads."""

    accuracy: float
    bits: float


@lru_cache(maxsize=64)
def outcome(seed: int, **options: object) -> Outcome:
    """One federation of :func:`experiment`."""
    last = fit(experiment(options, seed=seed)).rounds[-1]
    return Outcome(last.accuracy, last.extras["sent_bits"])


def ablation(seed: int, arm: str, what: str) -> float:
    """``"accuracy"`` or ``"bits"`` sent of an arm of :data:`~fqlab.methods.fedmpq.ABLATION`."""
    return getattr(outcome(seed, **(ARMS | ABLATION[arm])), what)


def gain(seed: int, arm: str, over: str) -> float:
    """Points of accuracy of one arm over another."""
    return 100 * (ablation(seed, arm, "accuracy") - ablation(seed, over, "accuracy"))


def primal_dual(seed: int, eta: float, what: str) -> float:
    """``"accuracy"`` or ``"bits"`` sent of primal-dual training, whose price of a bit moves by ``eta``."""
    return getattr(outcome(seed, penalty=0.0, epsilon=0.05, growing=False, dual_step=eta, budgets=BUDGETS), what)


def residual(
    method: str = "fedmpq", *, epochs: int = 2, clients: int = 10, seed: int = 0, **options: float
) -> Experiment:
    """FedMPQ, or AQFL, with the integer update of the public code: ResNet-8 on digits, 8 rounds.

    Momentum, labels and budgets are that code's; ``options`` are ``epsilon`` and ``penalty``, where they differ.
    """
    shared: dict[str, Any] = dict(model="resnet8", rounds=8, batch_size=32, drop_last=True, lr=0.1, momentum=0.9)
    return Experiment(
        method=method, options={"budgets": BUDGETS, **options}, partition="dirichlet_capped", split={"alpha": 0.5},
        clients=clients, epochs=epochs, evaluate_every=8, seed=seed, **shared,
    )  # fmt: skip


@lru_cache(maxsize=64)
def _residual(seed: int, method: str, **settings: Any) -> tuple[float, tuple[tuple[int, ...], ...]]:
    """Accuracy of the average, BatchNorm statistics taken anew on 1 000 training images, and the widths of all clients."""
    federation = Federation(residual(method, seed=seed, **settings))
    for _ in federation:
        pass
    model = federation.simulation.model
    data = federation.simulation.dataset
    with one_thread():
        weights = with_fresh_statistics(model, federation.server.weights, data.train_x[:1000])
        right = accuracy(model, weights, data.test_x, data.test_y)
    return right, tuple(map(tuple, federation.server.state.bits.tolist()))


def swept(seed: int, method: str = "fedmpq", **settings: Any) -> float:
    """Accuracy in % of the average of :func:`residual`."""
    return 100 * _residual(seed, method, **settings)[0]


def width(seed: int, budget: int, layer: int) -> float:
    """Bits of a layer, 0 to 7, of a device with that budget, after the last round of :func:`residual`."""
    client = [int(bits) for bits in BUDGETS.split("-")].index(budget)
    return float(_residual(seed, "fedmpq")[1][client][layer])
