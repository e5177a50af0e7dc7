"""AQFL: every client trains and sends at the one bit-width it can afford (Abdelmoniem & Canini 2021)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from fqlab.aggregate import Form
from fqlab.errors import ConfigError, in_range, one_of
from fqlab.methods.base import Client, ClientUpdate, LocalProblem, Method, ReceivedUpdate, Server, State, split, unless
from fqlab.models import is_normalised, quantize_activations
from fqlab.quant import Codes, Grid, max_abs, mean_bits, parse_budgets, quantize
from fqlab.tensors import Weights
from fqlab.training.bitplanes import layer_strengths
from fqlab.training.updates import PLANES, UPDATES, LocalForm, local_form, trained_codes
from fqlab.wire import Payload

__all__ = ["AQFL", "PRESETS", "Widths", "layer_sizes", "sent_widths"]

PRESETS = {"AQFL": {}, "FP8": {"budgets": 8}}
"""Baselines of FedMPQ's public code, as options of :class:`AQFL`."""


@dataclass(frozen=True)
class Widths(State):
    """What the server keeps: ``bits`` of every client's layers, int64 ``[clients, layers]``."""

    bits: torch.Tensor


@dataclass(frozen=True)
class AQFL(Method):
    """Fixed precision that differs between clients, as FedMPQ's public code has it for a baseline.

    Client n receives the average of the last round quantized to v_n bits (sign-magnitude, scale max|W|), trains it
    and sends its codes; the server averages the weights that they stand for, all clients alike. Conv and Linear
    weights have codes; biases, norms and 1x1 shortcuts travel in full precision. ``budgets=8`` is that code's FP8;
    full precision is the method ``fedavg``. A round's accuracy is that of the average, ``personal`` that of each
    client's quantized model on the labels it holds, its BatchNorm statistics taken anew from its own samples.

    Other than in the public code all clients start from one network, models are evaluated in evaluation mode, a
    client that comes back after an absence gets the newest average, and biases have no digits.

    Args:
        budgets: v_n, bits a weight, 1-8, one for all or by client in turn; the width is the whole number below.
        penalty: λ of the group lasso, 0-10, weighed by M_l b_l/M; it acts where planes are trained.
        update: how a client trains codes, one of :data:`fqlab.training.updates.UPDATES`; ``"integer"`` is theirs.
        activation_bits: see :class:`fqlab.models.QuantizedActivation`; 0 is full precision, ``"auto"`` what the
            network names (4 for a ResNet, as in the code) or else 0.
        averaging, cut: see :class:`fqlab.methods.Method`; the code's is ``"equal"``.

    >>> from fqlab.federation import Experiment, fit
    >>> fit(Experiment(method="aqfl", rounds=2, options={"budgets": "2-8"})).rounds[-1].extras["bits"]
    5.0
    """

    broadcast: ClassVar[bool] = False
    personal: ClassVar[bool] = True
    fresh_statistics: ClassVar[bool] = True
    ServerState: ClassVar[type[State]] = Widths

    averaging: str = "equal"
    budgets: float | str = "2-2-4-4-4-6-6-6-8-8"
    penalty: float = 0.001
    update: str = "integer"
    activation_bits: int | str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        parse_budgets(self.budgets)
        in_range("penalty", self.penalty, 0, 10)
        one_of("update", self.update, UPDATES)
        if self.activation_bits != "auto":
            in_range("activation_bits", self.activation_bits, 0, 8, integer=True)

    def idle(self) -> dict[str, str]:
        return super().idle() | unless(self.update in PLANES, "update 'integer' or 'latent'", "penalty")

    def advice(self, model: nn.Module) -> str:
        if self.update != "integer" or is_normalised(model):
            return ""
        return (
            "update is 'integer', which moves weights by whole digits: a network without norms does not learn that way. "
            "Choose a model with norms, such as resnet8, or update 'latent'."
        )

    def network(self, model: nn.Module) -> nn.Module:
        bits = self.activation_bits
        return quantize_activations(model, bits if isinstance(bits, int) else getattr(model, "activation_bits", 0))

    def budget(self, client: int) -> float:
        """v_n, the mean bits a weight that ``client`` may have."""
        budgets = parse_budgets(self.budgets)
        return budgets[client % len(budgets)]

    def start(self, server: Server) -> Server:
        layers = len(server.spec.quantizable)
        if not layers:
            raise ConfigError("model has no Conv or Linear weights, but bit-widths need at least one such layer.")
        table = [[int(self.budget(n))] * layers for n in range(server.clients)]
        return server.next(server.weights, Widths(torch.tensor(table, dtype=torch.int64)))

    def codes(self, server: Server, client: int) -> dict[str, Codes]:
        """The global model at the client's own widths."""
        codes = {}
        for name, bits in zip(server.spec.quantizable, server.state.bits[client].tolist(), strict=True):
            codes[name] = self.quantize(server.weights[name], Grid(bits, "sign_magnitude"))
        return codes

    def quantize(self, weights: torch.Tensor, grid: Grid) -> Codes:
        """A layer at the download."""
        return quantize(weights, max_abs(weights, grid), grid)

    def download(self, server: Server, client: int, generator: torch.Generator) -> Payload:
        codes = self.codes(server, client)
        return Payload(codes, {name: value for name, value in server.weights.items() if name not in codes})

    def prepare(self, payload: Payload, client: Client) -> LocalProblem:
        params, buffers = split(dict(payload.tensors), client.spec)
        form = self.form(payload.codes, self.strengths(payload, client), client.training.lr)
        return LocalProblem(params | form.params, buffers, form.objective)

    def strengths(self, payload: Payload, client: Client) -> list[float]:
        """λ b_l M_l/M, the group lasso's weight of every layer."""
        sizes = [client.spec.numel[name] for name in payload.codes]
        widths = [layer.grid.bits for layer in payload.codes.values()]
        return [self.penalty * share for share in layer_strengths(sizes, widths)]

    def form(self, codes: Mapping[str, Codes], strengths: Sequence[float], lr: float) -> LocalForm:
        """The layers in the variables of ``update``, with their objective."""
        return local_form(self.update, codes, strengths, lr)

    def trained(self, params: Weights, problem: LocalProblem) -> dict[str, tuple[Codes, torch.Tensor]]:
        """Layer -> its codes, and the real weights that these round."""
        return trained_codes(params, problem.objective)

    def upload(self, params: Weights, buffers: Weights, problem: LocalProblem, client: Client) -> ClientUpdate:
        before, after = (self.trained(weights, problem) for weights in (problem.params, params))
        codes = {name: self.prune(layer) for name, (layer, _) in after.items()}
        rest = {n: params[n] for n in client.spec.trainable if n in params and n not in codes} | buffers
        mse = {name: float((real - codes[name].dequantize()).square().mean()) for name, (_, real) in after.items()}
        moved = {name: _moved(before[name][0].values, layer.values) for name, (layer, _) in after.items()}
        return ClientUpdate(Payload(codes, rest), problem.state, mse, moved)

    def prune(self, codes: Codes) -> Codes:
        """What a client drops before it sends: nothing."""
        return codes

    def expected_shapes(self, server: Server) -> dict[str, torch.Size | Form]:
        codes = {n: Form(server.weights[n].shape, "codes", "sign_magnitude") for n in server.spec.quantizable}
        return super().expected_shapes(server) | codes

    def aggregate(self, server: Server, updates: Sequence[ReceivedUpdate]) -> Server:
        return server.next(self.averaged(server, updates), self.next_widths(server, updates))

    def averaged(self, server: Server, updates: Sequence[ReceivedUpdate]) -> Weights:
        """The average of what the uploads stand for."""
        return super().aggregate(server, updates).weights

    def next_widths(self, server: Server, updates: Sequence[ReceivedUpdate]) -> Widths:
        """Every client's widths for the next round: those of the last."""
        return server.state

    def personalized(self, server: Server, client: int, state: Any) -> Weights:
        return server.weights | {name: codes.dequantize() for name, codes in self.codes(server, client).items()}

    def alike(self, server: Server, client: int, state: Any) -> tuple[int, ...]:
        return tuple(server.state.bits[client].tolist())

    def report(self, server: Server, updates: Sequence[ReceivedUpdate]) -> dict[str, float]:
        """Mean ``bits`` of the next models, ``sent_bits`` of uploads, largest ``excess`` over a budget."""
        sizes = layer_sizes(server)
        means = [mean_bits(sizes, row) for row in server.state.bits.tolist()]
        sent = [mean_bits(sizes, sent_widths(server, update)) for update in updates]
        return {
            "bits": sum(means) / len(means),
            "sent_bits": sum(sent) / len(sent),
            "excess": max(bits - self.budget(n) for n, bits in enumerate(means)),
        }


def _moved(before: torch.Tensor, after: torch.Tensor) -> float:
    """Share of codes that changed, but for all signs at once, which is a scale that passed zero."""
    return min(float((after != before).float().mean()), float((after != -before).float().mean()))


def layer_sizes(server: Server) -> list[int]:
    """M_l of the quantized layers."""
    return [server.spec.numel[name] for name in server.spec.quantizable]


def sent_widths(server: Server, update: ReceivedUpdate) -> list[int]:
    """b_l of the quantized layers in an upload."""
    return [update.payload.codes[name].grid.bits for name in server.spec.quantizable]
