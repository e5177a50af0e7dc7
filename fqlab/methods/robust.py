"""Quantization-robust federated averaging: one model for any bit-width (Gupta et al., TMLR 2023, arXiv 2206.10844).

Weights travel in full precision; what changes is the local objective. The body of the paper was not available: names
and meaning of the four variants follow its abstract, the matching patent claims and the methods they build on (KURE,
DiffQ). Settings that the sources leave open are switches here, and no default is claimed to be the paper's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from fqlab.errors import ConfigError, in_range, one_of, shown
from fqlab.methods.base import Client, LocalProblem, Method, ReceivedUpdate, Server, unless
from fqlab.training.objectives import KurtosisPenalty, Objective, kurtosis
from fqlab.training.ranges import RANGE_RULES
from fqlab.training.transforms import MultiBit, PseudoNoise
from fqlab.wire import Payload

__all__ = ["Robust"]


@dataclass(frozen=True)
class Robust(Method):
    """FedAvg whose clients train for quantization that happens later.

    ========  =====================================================================================
    variant   local objective
    ========  =====================================================================================
    ``kure``  loss + λ · mean over layers of (Kurt[W] − target)²
    ``apqn``  loss at w + Δ_b · u, u uniform on [−½, ½], drawn anew every step
    ``qat``   loss at Q_b(w), straight-through gradient
    ``mqat``  the same with b drawn from ``bit_set``
    ========  =====================================================================================

    Layers are all Conv and Linear weights. KURE's code means by "all" the Conv weights but the first, which would be
    none of an MLP's; ``range_rule`` and that of :func:`fqlab.federation.deployment.deploy` are the same rules.

    Args:
        variant: see above.
        penalty: λ of ``kure``, 0-100.
        target: kurtosis to reach; 1.8 is that of a uniform law.
        unbiased: kurtosis with the n−1 standard deviation of KURE's code instead of n.
        bits: width of ``apqn`` and ``qat``, 1-8.
        bit_set: widths of ``mqat`` and, if ``bits`` is 0, of ``apqn``: ``"2-3-4-6-8"``.
        per: ``mqat`` draws a width every ``"step"`` (our reading of the patent claim), or one a ``"client"`` and round.
        noise: ``"uniform"`` (variance Δ²/12), or ``"gauss"`` with standard deviation Δ/2, DiffQ's default.
        range_rule: ``"max_abs"``, or ``"mse"`` for the least squared error; use the same at deployment.

    >>> from fqlab.federation import Experiment, fit
    >>> history = fit(Experiment(method="robust", rounds=3, options={"variant": "kure", "penalty": 0.1}))
    >>> history.rounds[-1].extras["kurtosis"] < 3
    True
    """

    variant: str = "kure"
    penalty: float = 0.1
    target: float = 1.8
    unbiased: bool = False
    bits: int = 4
    bit_set: str = "2-3-4-6-8"
    per: str = "step"
    noise: str = "uniform"
    range_rule: str = "max_abs"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("variant", self.variant, ("kure", "apqn", "qat", "mqat"))
        in_range("penalty", self.penalty, 0, 100)
        in_range("target", self.target, 1)
        in_range("bits", self.bits, 0 if self.variant == "apqn" else 1, 8, integer=True)
        one_of("per", self.per, ("step", "client"))
        one_of("noise", self.noise, ("uniform", "gauss"))
        one_of("range_rule", self.range_rule, RANGE_RULES)
        self.widths()

    def idle(self) -> dict[str, str]:
        v = self.variant
        one = v == "qat" or (v == "apqn" and self.bits > 0)
        return super().idle() | {
            **unless(v == "kure", "variant 'kure'", "penalty", "target", "unbiased"),
            **unless(v != "kure" or self.penalty > 0, "penalty", "target", "unbiased"),
            **unless(one, "variant 'qat' or 'apqn'", "bits"),
            **unless(v != "kure" and not one, "variant 'mqat', or 'apqn' with bits 0", "bit_set"),
            **unless(v == "mqat", "variant 'mqat'", "per"),
            **unless(v == "apqn", "variant 'apqn'", "noise"),
            **unless(v != "kure", "variant 'apqn', 'qat' or 'mqat'", "range_rule"),
        }

    def widths(self) -> tuple[int, ...]:
        """The bit-widths a client may draw.

        Raises:
            ConfigError: for a ``bit_set`` that is not a list of widths from 1 to 8.
        """
        if self.variant == "qat" or (self.variant == "apqn" and self.bits):
            return (self.bits,)
        parts = self.bit_set.split("-") if isinstance(self.bit_set, str) else [""]
        if not all(part in tuple("12345678") for part in parts):
            raise ConfigError(f"bit_set is {shown(self.bit_set)}, but must be widths from 1 to 8 such as '2-3-4-6-8'.")
        return tuple(int(part) for part in parts)

    def start(self, server: Server) -> Server:
        if not server.spec.quantizable:
            raise ConfigError("model has no Conv or Linear weights, but robust training needs at least one such layer.")
        return server

    def prepare(self, payload: Payload, client: Client) -> LocalProblem:
        problem = super().prepare(payload, client)
        layers = client.spec.quantizable
        widths = self.widths()
        if self.variant == "kure":
            objective = Objective(penalty=KurtosisPenalty(layers, self.penalty, self.target, self.unbiased))
        elif self.variant == "apqn":
            noisy = PseudoNoise(layers, widths, self.range_rule, self.noise)
            objective = Objective(transform=noisy)
        else:
            if self.variant == "mqat" and self.per == "client":
                pick = torch.randint(len(widths), (), generator=client.generator("bits"))
                widths = (widths[int(pick)],)
            rounded = MultiBit(layers, widths, self.range_rule)
            objective = Objective(transform=rounded)
        return replace(problem, objective=objective)

    def report(self, server: Server, updates: Sequence[ReceivedUpdate]) -> dict[str, float]:
        """Kurtosis of the aggregated layers: each one, and their mean."""
        each = {name: float(kurtosis(server.weights[name])) for name in server.spec.quantizable}
        return {"kurtosis": sum(each.values()) / len(each), **{f"kurtosis/{name}": k for name, k in each.items()}}
