"""FedMPQ with what is ours: other averages, clips and orders, a price for bits, a downlink of changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from fqlab.aggregate import AVERAGES, Form, decode_all, inverse_error, mean
from fqlab.errors import ConfigError, in_range, one_of, shown
from fqlab.methods.aqfl import Widths, layer_sizes, sent_widths
from fqlab.methods.base import Client, ClientUpdate, LocalProblem, ReceivedUpdate, Server, State, unless
from fqlab.methods.changes import Held, Known, receive
from fqlab.methods.clipped import negative_mse, plausible_mse
from fqlab.methods.fedmpq import FedMPQ
from fqlab.quant import (
    CUTTINGS,
    MAX_BITS,
    RULES,
    Codes,
    Grid,
    clip_for,
    mean_bits,
    narrow_bits,
    prune_msb,
    pruning_growing,
    quantize,
)
from fqlab.tensors import Weights
from fqlab.training.bitplanes import dual_ascent, layer_strengths
from fqlab.training.updates import PLANES, LocalForm, latent_form, trained_codes
from fqlab.wire import Payload

__all__ = ["FedMPQPlus", "Tables"]


@dataclass(frozen=True)
class Tables(Widths):
    """What the server keeps beside the widths.

    Attributes:
        penalty: λ of every client, ``[clients]``.
        held: flattened :class:`~fqlab.methods.changes.Known`; empty unless only changes travel down.
    """

    penalty: torch.Tensor
    held: Weights


@dataclass(frozen=True)
class FedMPQPlus(FedMPQ):
    """:class:`~fqlab.methods.fedmpq.FedMPQ` with switches that the paper does not have; at their defaults it is FedMPQ.

    Args:
        averaging: as everywhere, or ``"budget"`` for weights v_n|D_n|, or ``"inverse_error"`` for the inverse of the
            quantization error, layer by layer (what is not quantized is weighed by |D_n|).
        bit_factor: weigh a layer by M_l b_l/M in the penalty; False for M_l/M.
        strip: ``"both"`` ends by shares counted once, as the public code does; ``"msb"`` drops top planes alone while
            δ(l) ≤ ε, with δ(l) taken anew after every cut (:func:`fqlab.quant.prune_msb`).
        cutting: order in which bits are cut, see :func:`fqlab.quant.pruning_growing`.
        clip: rule for the scale at the download; ``"octav"`` is level-aware here.
        precondition: for latent planes, let ``lr`` mean about what it means for plain weights, see
            :class:`fqlab.training.bitplanes.LikePlainSGD`.
        step: for latent planes, ``"subgradient"`` or ``"proximal"``, as for BSQ.
        dual_step: η. Above 0 the budget is not enforced but has a price: clients start at 8 bits, keep the widths
            that their own training gives them, and λ_n ← max(0, λ_n + η(mean bits − v_n)). Needs ``growing=False``.
        downlink: ``"full"``, or ``"changes"``: only the bit planes in which a client's model differs from the last
            one it received, see :mod:`fqlab.wire.delta`.

    The other settings are those of :class:`~fqlab.methods.fedmpq.FedMPQ`.

    >>> from fqlab.federation import Experiment, fit
    >>> options = {"update": "latent", "growing": False, "dual_step": 0.05, "budgets": 4}
    >>> bits = [r.extras["sent_bits"] for r in fit(Experiment(method="fedmpq_plus", rounds=4, lr=0.3, options=options)).rounds]
    >>> bits[0] > bits[-1]
    True
    """

    ServerState: ClassVar[type[State]] = Tables
    ClientState: ClassVar[type[State]] = Held
    averages: ClassVar[tuple[str, ...]] = ("budget", "inverse_error", *AVERAGES)

    bit_factor: bool = True
    strip: str = "both"
    cutting: str = "drain"
    clip: str = "max_abs"
    precondition: bool = True
    step: str = "subgradient"
    dual_step: float = 0.0
    downlink: str = "full"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("strip", self.strip, ("both", "msb"))
        one_of("cutting", self.cutting, CUTTINGS)
        one_of("clip", self.clip, RULES)
        one_of("step", self.step, ("subgradient", "proximal"))
        in_range("dual_step", self.dual_step, 0)
        one_of("downlink", self.downlink, ("full", "changes"))
        if self.dual_step and self.growing:
            raise ConfigError(
                f"dual_step is {shown(self.dual_step)}, but with growing the budget is kept already: set it False."
            )

    def idle(self) -> dict[str, str]:
        lasso = self.update in PLANES and (self.penalty > 0 or self.dual_step > 0)
        return super().idle() | {
            **unless(lasso, "a penalty or dual_step on the planes of update 'integer' or 'latent'", "bit_factor"),
            **unless(lasso, "penalty or dual_step", "step"),
            **unless(self.update == "latent", "update 'latent'", "step", "precondition"),
            **unless(self.pruning, "pruning", "strip"),
            **unless(self.growing, "growing", "cutting"),
        }

    def start(self, server: Server) -> Server:
        started = super().start(server)
        bits = torch.full_like(started.state.bits, MAX_BITS) if self.dual_step else started.state.bits
        shapes = {name: server.weights[name].shape for name in server.spec.quantizable}
        held = Known.nothing(shapes, server.clients).flatten() if self.downlink == "changes" else {}
        penalty = torch.full([server.clients], float(self.penalty), dtype=torch.float32)
        return server.next(server.weights, Tables(bits, penalty, held))

    def quantize(self, weights: torch.Tensor, grid: Grid) -> Codes:
        return quantize(weights, clip_for(self.clip, weights, grid), grid)

    def download(self, server: Server, client: int, generator: torch.Generator) -> Payload:
        payload = super().download(server, client, generator)
        tensors = dict(payload.tensors)
        if self.dual_step:
            tensors["penalty"] = server.state.penalty[client]
        if self.downlink == "full":
            return Payload(payload.codes, tensors)
        changed = Known.unflatten(server.state.held).send(client, payload.codes)
        return Payload(changed.codes, tensors | dict(changed.tensors))

    def prepare(self, payload: Payload, client: Client) -> LocalProblem:
        if self.downlink == "full":
            return super().prepare(payload, client)
        codes, held = receive(payload, client.spec.quantizable, client.state)
        return replace(super().prepare(Payload(codes, payload.tensors), client), state=held)

    def strengths(self, payload: Payload, client: Client) -> list[float]:
        sizes = [client.spec.numel[name] for name in payload.codes]
        widths = [layer.grid.bits for layer in payload.codes.values()] if self.bit_factor else None
        price = float(payload.tensors.get("penalty", self.penalty))
        return [price * share for share in layer_strengths(sizes, widths)]

    def form(self, codes: Mapping[str, Codes], strengths: Sequence[float], lr: float) -> LocalForm:
        if self.update != "latent":
            return super().form(codes, strengths, lr)
        proximal = self.step == "proximal"
        return latent_form(codes, strengths, lr, proximal=proximal, precondition=self.precondition)

    def trained(self, params: Weights, problem: LocalProblem) -> dict[str, tuple[Codes, torch.Tensor]]:
        return trained_codes(params, problem.objective, growth=self.dual_step > 0)

    def prune(self, codes: Codes) -> Codes:
        if self.strip == "both" or not self.pruning:
            return super().prune(codes)
        fewer, left = prune_msb(codes, self.epsilon)
        return narrow_bits(fewer, int(left))

    def upload(self, params: Weights, buffers: Weights, problem: LocalProblem, client: Client) -> ClientUpdate:
        update = super().upload(params, buffers, problem, client)
        if self.averaging != "inverse_error":
            return update
        mse = {f"{name}/mse": torch.tensor(value, dtype=torch.float32) for name, value in update.mse.items()}
        return replace(update, payload=Payload(update.payload.codes, dict(update.payload.tensors) | mse))

    def expected_shapes(self, server: Server) -> dict[str, torch.Size | Form]:
        named = server.spec.quantizable if self.averaging == "inverse_error" else ()
        return super().expected_shapes(server) | {f"{name}/mse": torch.Size([]) for name in named}

    def objection(self, server: Server, payload: Payload) -> str | None:
        return negative_mse(payload)

    def averaged(self, server: Server, updates: Sequence[ReceivedUpdate]) -> Weights:
        if self.averaging in AVERAGES:
            return super().averaged(server, updates)
        shares = [u.samples * self.budget(u.client) for u in updates]
        weights: Weights = {}
        for name in server.weights:
            values = decode_all([u.payload for u in updates], name)
            if self.averaging == "inverse_error" and name in server.spec.quantizable:
                mse = [float(u.payload.tensors[f"{name}/mse"]) for u in updates]
                asked = server.state.bits[:, server.spec.quantizable.index(name)].tolist()
                sent = [(asked[u.client], u.payload.codes[name].grid.bits) for u in updates]
                grids = [Grid(min(bits), "sign_magnitude") for bits in sent]  # pruned ones are coarser, none is finer
                weights[name] = inverse_error(values, plausible_mse(mse, grids, "nearest"))
            else:
                weights[name] = mean(values, shares if self.averaging == "budget" else [u.samples for u in updates])
        return weights

    def next_widths(self, server: Server, updates: Sequence[ReceivedUpdate]) -> Tables:
        """Widths, λ of every client, and the models that they hold; an absent one keeps what it has."""
        penalty = server.state.penalty.clone()
        for update in updates:
            left = mean_bits(layer_sizes(server), sent_widths(server, update))
            price = float(penalty[update.client])
            penalty[update.client] = dual_ascent(price, self.dual_step, left, self.budget(update.client))
        held = server.state.held
        if self.downlink == "changes":
            sent = {u.client: self.codes(server, u.client) for u in updates}
            held = Known.unflatten(held).accepted(sent).flatten()
        return Tables(super().next_widths(server, updates).bits, penalty, held)

    def spend(self, base: Sequence[int], reduced: Sequence[int], sizes: Sequence[int], budget: float) -> Sequence[int]:
        return pruning_growing(base, reduced, sizes, budget, self.cutting)

    def report(self, server: Server, updates: Sequence[ReceivedUpdate]) -> dict[str, float]:
        """Those of :class:`~fqlab.methods.aqfl.AQFL`, and the mean λ as ``penalty``."""
        return super().report(server, updates) | {"penalty": float(server.state.penalty.mean())}
