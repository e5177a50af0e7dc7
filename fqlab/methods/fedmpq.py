"""FedMPQ: mixed-precision quantization for unequal devices (Chen & Vikalo, CVPR 2024, arXiv 2311.18129).

Every client has a budget of bits. It trains bit planes with a group lasso, drops the MSB of layers that
hardly use it, and sends what is left; the server averages the weights in full precision and hands each
client a model of its own: widths cut or grown until they fit the client's budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from fqlab.aggregate import AVERAGES, Form, average, decode_all, inverse_error
from fqlab.errors import ConfigError, in_range, one_of
from fqlab.methods.base import Client, ClientUpdate, LocalProblem, Method, ReceivedUpdate, Server, State, split
from fqlab.methods.changes import Held, Known, receive
from fqlab.methods.clipped import negative_error, plausible_errors
from fqlab.models import quantize_activations
from fqlab.quant import (
    CUTTINGS,
    MAX_BITS,
    RULES,
    Codes,
    Grid,
    clip_for,
    mean_bits,
    narrow_bits,
    parse_budgets,
    prune_msb,
    pruning_growing,
    quantize,
)
from fqlab.tensors import Weights
from fqlab.training import bitplanes as bitwise
from fqlab.wire import Payload

__all__ = ["ABLATION", "FedMPQ"]

ABLATION = {
    "fixed width": {"penalty": 0.0, "pruning": False, "growing": False},
    "group lasso": {"pruning": False, "growing": False},
    "MSB pruning": {"penalty": 0.0, "growing": False},
    "group lasso + MSB pruning": {"growing": False},
    "full method": {},
}
"""The arms of the paper's ablation, as options of :class:`FedMPQ`."""


@dataclass(frozen=True)
class Tables(State):
    """What the server keeps of every client: ``bits`` of its layers, reductions Δb, λ, and the model it holds.

    Attributes:
        bits, reduced: ``[clients, layers]``.
        penalty: ``[clients]``.
        held: flattened :class:`~fqlab.methods.changes.Known`; empty unless only changes travel down.
    """

    bits: torch.Tensor
    reduced: torch.Tensor
    penalty: torch.Tensor
    held: Weights


@dataclass(frozen=True)
class FedMPQ(Method):
    """Mixed precision under a bit budget for every client.

    The body of the paper is not public to us, nor is any code; what follows are the readings of public
    summaries, and a switch where they leave a choice. Ours: sign-magnitude planes as in BSQ, real-valued in
    [0, 2] while a client trains (small gradients add up in them), digits re-formed and MSBs pruned once,
    after the last local step; the scale is max|W| at the download and then trained, so MSBs can empty;
    pruned weights saturate; weights of Conv and Linear layers count, biases and norms travel in full
    precision. A round's accuracy is that of the full-precision average,
    ``personal`` that of each client's quantized model on the labels it holds.

    Args:
        budgets: mean bits a weight, 1-8, one for all or by client in turn.
        penalty: λ of the group lasso, 0-10; reported as harmful above 0.01.
        bit_factor: weigh a layer by M_l b_l/M as in BSQ; False for M_l/M.
        pruning: prune MSBs on the client.
        epsilon: ε, share of weights up to which an MSB is pruned, 0-1; reported as harmful above 0.03.
        saturate: weights that lose their MSB take the largest magnitude left; False drops the bit alone.
        growing: restore each budget at the server (Algorithm 2); without it, a client's widths only fall.
        cutting: order in which bits are cut, see :func:`fqlab.quant.pruning_growing`.
        averaging: ``"budget"`` weighs clients by v_n|D_n|, ``"size"`` by |D_n|, ``"inverse_error"`` layer
            by layer by the inverse of the quantization error (our extension); ``"median"`` and
            ``"trimmed_mean"`` are robust.
        clip: rule for the scale at the download; ``"octav"`` is level-aware here (our extension).
        precondition: let ``lr`` mean about what it means for plain weights, see
            :class:`fqlab.training.bitplanes.LikePlainSGD`; ours, on because a client starts from scratch here.
        activation_bits: see :class:`fqlab.models.QuantizedActivation`; the paper has 4, 0 is full
            precision.
        step: ``"subgradient"`` or ``"proximal"``, as for BSQ.
        dual_step: η. Above 0 the budget is not enforced but has a price: clients start at 8 bits, keep the
            widths that their own training gives them, and λ_n ← max(0, λ_n + η(mean bits − v_n)). Needs
            ``growing=False``.
        downlink: ``"full"``, or ``"changes"``: only the bit planes in which a client's model differs from
            the last one it received (our extension, see :mod:`fqlab.wire.delta`).

    >>> from fqlab.federation import Experiment, fit
    >>> history = fit(Experiment(method="fedmpq", rounds=3, lr=0.3, options={"budgets": "2-4-8"}))
    >>> history.rounds[-1].extras["bits"] <= (4 * 2 + 3 * 4 + 3 * 8) / 10
    True
    """

    broadcast: ClassVar[bool] = False
    personal: ClassVar[bool] = True
    ServerState: ClassVar[type[State]] = Tables
    ClientState: ClassVar[type[State]] = Held
    averages: ClassVar[tuple[str, ...]] = ("budget", "inverse_error", *AVERAGES)

    budgets: float | str = "2-2-4-4-4-6-6-6-8-8"
    penalty: float = 0.001
    bit_factor: bool = False
    pruning: bool = True
    epsilon: float = 0.02
    saturate: bool = True
    growing: bool = True
    cutting: str = "round_robin"
    averaging: str = "budget"
    clip: str = "max_abs"
    precondition: bool = True
    activation_bits: int = 0
    step: str = "subgradient"
    dual_step: float = 0.0
    downlink: str = "full"

    def __post_init__(self) -> None:
        super().__post_init__()
        parse_budgets(self.budgets)
        in_range("penalty", self.penalty, 0, 10)
        in_range("epsilon", self.epsilon, 0, 1)
        one_of("cutting", self.cutting, CUTTINGS)
        one_of("clip", self.clip, RULES)
        in_range("activation_bits", self.activation_bits, 0, 8, integer=True)
        one_of("step", self.step, ("subgradient", "proximal"))
        in_range("dual_step", self.dual_step, 0)
        one_of("downlink", self.downlink, ("full", "changes"))
        if self.dual_step and self.growing:
            raise ConfigError(
                f"dual_step is {self.dual_step!r}, but with growing the budget is kept already: set it False."
            )

    def network(self, model: nn.Module) -> nn.Module:
        return quantize_activations(model, self.activation_bits)

    def budget(self, client: int) -> float:
        """v_n, the mean bits a weight that ``client`` may have."""
        budgets = parse_budgets(self.budgets)
        return budgets[client % len(budgets)]

    def start(self, server: Server) -> Server:
        if not server.spec.quantizable:
            raise ConfigError("model has no Conv or Linear weights, but bit planes need at least one such layer.")
        clients = server.clients
        layers = len(server.spec.quantizable)
        table = [self.first_widths(server, n) for n in range(clients)]
        shapes = {name: server.weights[name].shape for name in server.spec.quantizable}
        tables = Tables(
            bits=torch.tensor(table, dtype=torch.int64),
            reduced=torch.zeros(clients, layers, dtype=torch.int64),
            penalty=torch.full([clients], float(self.penalty), dtype=torch.float32),
            held=Known.nothing(shapes, clients).flatten() if self.downlink == "changes" else {},
        )
        return server.next(server.weights, tables)

    def first_widths(self, server: Server, client: int) -> Sequence[int]:
        """The budget everywhere; 8 bits where the budget has a price only."""
        sizes = layer_sizes(server)
        if self.dual_step:
            return [MAX_BITS] * len(sizes)
        base = [int(self.budget(client))] * len(sizes)
        return pruning_growing(base, [0] * len(sizes), sizes, self.budget(client), self.cutting)

    def codes(self, server: Server, client: int) -> dict[str, Codes]:
        """The global model at the client's own widths."""
        codes = {}
        for name, bits in zip(server.spec.quantizable, server.state.bits[client].tolist(), strict=True):
            w = server.weights[name]
            grid = Grid(bits, "sign_magnitude")
            codes[name] = quantize(w, clip_for(self.clip, w, grid), grid)
        return codes

    def download(self, server: Server, client: int, generator: torch.Generator) -> Payload:
        codes = self.codes(server, client)
        price = {"penalty": server.state.penalty[client]} if self.dual_step else {}
        rest = {name: value for name, value in server.weights.items() if name not in codes} | price
        if self.downlink == "changes":
            changed = Known.unflatten(server.state.held).send(client, codes)
            return Payload(changed.codes, rest | dict(changed.tensors))
        return Payload(codes, rest)

    def personalized(self, server: Server, client: int, state: State | None) -> Weights:
        return server.weights | {name: codes.dequantize() for name, codes in self.codes(server, client).items()}

    def prepare(self, payload: Payload, client: Client) -> LocalProblem:
        codes = dict(payload.codes)
        held = None
        if self.downlink == "changes":
            codes, held = receive(payload, client.spec.quantizable, client.state)
        params, buffers = split(dict(payload.tensors), client.spec)
        sizes, widths = zip(*((client.spec.numel[n], layer.grid.bits) for n, layer in codes.items()), strict=True)
        penalty = float(payload.tensors.get("penalty", self.penalty))
        strengths = [penalty * c for c in bitwise.layer_strengths(sizes, widths if self.bit_factor else None)]
        proximal = self.step == "proximal"
        how = {"lr": client.training.lr, "proximal": proximal, "precondition": self.precondition}
        objective = bitwise.plane_objective(codes, strengths, width=MAX_BITS, **how)
        return LocalProblem(params | bitwise.plane_params(codes, MAX_BITS), buffers, objective, held)

    def upload(self, params: Weights, buffers: Weights, problem: LocalProblem, client: Client) -> ClientUpdate:
        rest = {n: params[n] for n in client.spec.trainable if n in params} | buffers
        coded: dict[str, Codes] = {}
        mse: dict[str, float] = {}
        for name in client.spec.quantizable:
            growth = self.dual_step > 0
            codes, weights = bitwise.to_codes(params, name, problem.objective.context, growth=growth)
            coded[name] = self.pruned(codes)
            mse[name] = float((weights - coded[name].dequantize()).square().mean())
        if self.averaging == "inverse_error":
            rest |= {f"{name}/mse": torch.tensor(error, dtype=torch.float32) for name, error in mse.items()}
        return ClientUpdate(Payload(coded, rest), problem.state, mse)

    def pruned(self, codes: Codes) -> Codes:
        """MSBs dropped while δ(l) ≤ ε."""
        if not self.pruning:
            return codes
        fewer, bits = prune_msb(codes, self.epsilon, saturate=self.saturate)
        return narrow_bits(fewer, int(bits))

    def expected_shapes(self, server: Server) -> dict[str, torch.Size | Form]:
        errors = server.spec.quantizable if self.averaging == "inverse_error" else ()
        shapes = super().expected_shapes(server) | {f"{name}/mse": torch.Size([]) for name in errors}
        codes = {n: Form(server.weights[n].shape, "codes", "sign_magnitude") for n in server.spec.quantizable}
        return shapes | codes

    def objection(self, server: Server, payload: Payload) -> str | None:
        return negative_error(payload)

    def shares(self, updates: Sequence[ReceivedUpdate]) -> list[float]:
        """p_n up to a factor: v_n|D_n|, or |D_n|."""
        return [u.samples * (self.budget(u.client) if self.averaging == "budget" else 1.0) for u in updates]

    def aggregate(self, server: Server, updates: Sequence[ReceivedUpdate]) -> Server:
        shares = self.shares(updates)
        weights = {}
        for name in server.weights:
            values = decode_all([u.payload[name] for u in updates])
            if self.averaging == "inverse_error" and name in server.spec.quantizable:
                errors = [float(u.payload.tensors[f"{name}/mse"]) for u in updates]
                plausible = plausible_errors([u.payload.codes[name] for u in updates], "nearest")
                weights[name] = inverse_error(values, np.maximum(errors, plausible).tolist())
            else:
                rule = self.averaging if self.averaging in AVERAGES else "size"
                weights[name] = average(rule, values, shares, self.cut)
        return server.next(weights, self.next_tables(server, updates))

    def next_tables(self, server: Server, updates: Sequence[ReceivedUpdate]) -> Tables:
        """Widths, reductions Δb and λ of every client after a round; an absent one keeps its Δb and λ."""
        old: Tables = server.state
        left = {u.client: [u.payload.codes[n].grid.bits for n in server.spec.quantizable] for u in updates}
        sizes = layer_sizes(server)
        bits, reduced, penalty = (value.clone() for value in (old.bits, old.reduced, old.penalty))
        for n, widths in left.items():
            reduced[n] = (old.bits[n] - torch.tensor(widths, dtype=torch.int64)).clamp(min=0)
            violation = mean_bits(sizes, widths), self.budget(n)
            penalty[n] = bitwise.dual_ascent(float(penalty[n]), self.dual_step, *violation)
            bits[n] = torch.tensor(widths, dtype=torch.int64)
        if self.growing:
            base = common_base(list(left.values()), self.shares(updates))
            for n in range(server.clients):
                widths = pruning_growing(base, reduced[n].tolist(), sizes, self.budget(n), self.cutting)
                bits[n] = torch.tensor(widths, dtype=torch.int64)
        held = old.held
        if self.downlink == "changes":
            sent = {u.client: self.codes(server, u.client) for u in updates}
            held = Known.unflatten(old.held).accepted(sent).flatten()
        return Tables(bits, reduced, penalty, held)

    def report(self, server: Server, updates: Sequence[ReceivedUpdate]) -> dict[str, float]:
        """Mean ``bits`` of the next models, ``sent_bits`` of uploads, λ, largest ``excess`` over a budget."""
        sizes = layer_sizes(server)
        means = [mean_bits(sizes, row) for row in server.state.bits.tolist()]
        sent = [mean_bits(sizes, [u.payload.codes[n].grid.bits for n in server.spec.quantizable]) for u in updates]
        return {
            "bits": sum(means) / len(means),
            "sent_bits": sum(sent) / len(sent),
            "penalty": float(server.state.penalty.mean()),
            "excess": max(bits - self.budget(n) for n, bits in enumerate(means)),
        }


def layer_sizes(server: Server) -> list[int]:
    """M_l of the quantized layers."""
    return [server.spec.numel[name] for name in server.spec.quantizable]


def common_base(widths: Sequence[Sequence[int]], shares: Sequence[float]) -> list[int]:
    """Algorithm 2, step 1: round(Σ_n p_n b_n), halves to even, in 1-8; one width a layer."""
    p = torch.tensor(shares, dtype=torch.float64)
    mixed = (p / p.sum()) @ torch.tensor(widths, dtype=torch.float64)
    return mixed.round().clamp(1, MAX_BITS).int().tolist()
