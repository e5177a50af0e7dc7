"""BSQ: bit-level sparsity for mixed-precision quantization (Yang, Duan, Chen & Li, ICLR 2021, arXiv
2102.10462).

Every bit of every weight is a real variable in [0, 2]. A group lasso over whole bit planes empties some of
them; from time to time the planes are re-quantized to digits and those that are empty are cut off, layer by
layer. What is left is the mixed-precision scheme.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import nn

from fqlab.aggregate import Form
from fqlab.errors import ConfigError, in_range, one_of
from fqlab.methods.base import (
    Client,
    ClientUpdate,
    LocalProblem,
    Method,
    ReceivedUpdate,
    Server,
    Spec,
    State,
    split,
    unless,
)
from fqlab.models import quantize_activations
from fqlab.quant import (
    RULES,
    Codes,
    Grid,
    adjust,
    clip_for,
    compression,
    mean_bits,
    quantize,
    requantize_to_step,
)
from fqlab.tensors import Weights
from fqlab.training import bitplanes as bitwise
from fqlab.training.objectives import Objective
from fqlab.wire import Payload

__all__ = ["BSQ"]

FLOAT, HOLD, ADJUST, TUNE = range(4)
"""What a round does: full precision; planes at fixed widths; the same, then adjustment; fine-tuning."""


@dataclass(frozen=True)
class Scheme(State):
    """What the server keeps: rounds ``done``, the ``penalty`` λ, and of every layer its ``bits`` and ``step``."""

    done: torch.Tensor
    penalty: torch.Tensor
    bits: torch.Tensor
    step: torch.Tensor


@dataclass(frozen=True)
class Kept(State):
    """What a client keeps: the ``phase`` of its round, and real-valued planes to go on from (see ``resume``)."""

    phase: torch.Tensor
    planes: Weights


@dataclass(frozen=True)
class BSQ(Method):
    """Bit-level training as a client's local step.

    The paper knows no clients; with one client (``Experiment(clients=1)``) this is its central training, a
    round being
    ``epochs`` epochs. With more, each sends its planes rounded to digits (n bits and a sign a weight), the
    server averages the weights they stand for and rounds the average to the clients' mean step. In a round
    of precision adjustment it takes as many bits as the largest weight needs. In the rounds between, a
    client remembers its real planes and goes on from them wherever they still round to the code that came
    back; that is ours, too.

    As in the authors' code, biases of quantized layers have planes of their own, the scale is trained,
    weight decay acts on planes and scales, momentum is lost at every adjustment (here: every round). Unlike
    there, nothing but bit planes is projected, and the bias survives fine-tuning.

    Args:
        penalty: the paper's α, strength λ of the bit-level group lasso, 0-10.
        reweigh: weigh layers by their memory N_l n_l/N (eq. 5); False weighs all alike.
        interval: rounds from one precision adjustment to the next.
        strip: planes that an adjustment may cut: ``"both"`` ends, ``"msb"`` or ``"none"``.
        threshold: share of ones up to which a plane counts as empty (an option of the code); 0 as
            published.
        growth: let a layer whose planes overflow grow, up to 8 bits (newest code); False clips (first
            code).
        bits: start, 1-8.
        clip: rule for the first scale; max|W| in the paper, others are our extension.
        biases: quantize and count the biases of quantized layers.
        warmup: rounds of plain FedAvg first; the paper starts from a trained network.
        finetune_after: rounds with planes after which the scheme is frozen and the weights are fine-tuned;
            0 for never.
        precondition: let ``lr`` mean about what it means for plain weights, see
            :class:`fqlab.training.bitplanes.LikePlainSGD`; our extension.
        activation_bits: 1-8, see :class:`fqlab.models.QuantizedActivation`; 0 for full precision. The paper
            has 4.
        step: ``"subgradient"`` (the paper) or ``"proximal"``, a group soft-threshold after every step.
        budget: mean bits 1-8 that λ is to reach by dual ascent, λ ← max(0, λ + η(mean bits − budget)).
        dual_step: η of the dual ascent; 0 keeps λ.

    >>> from fqlab.federation import Experiment, fit
    >>> options = {"penalty": 0.3, "warmup": 3}
    >>> central = Experiment(method="bsq", clients=1, rounds=6, batch_size=64, options=options)
    >>> fit(central).rounds[-1].extras["bits"] < 8
    True
    """

    ServerState: ClassVar[type[State]] = Scheme
    ClientState: ClassVar[type[State]] = Kept

    penalty: float = 0.005
    reweigh: bool = True
    interval: int = 1
    strip: str = "both"
    threshold: float = 0.0
    growth: bool = True
    bits: int = 8
    clip: str = "max_abs"
    biases: bool = True
    warmup: int = 0
    finetune_after: int = 0
    precondition: bool = True
    activation_bits: int = 0
    step: str = "subgradient"
    budget: float = 8.0
    dual_step: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range("penalty", self.penalty, 0, 10)
        in_range("interval", self.interval, 1, integer=True)
        one_of("strip", self.strip, ("both", "msb", "none"))
        in_range("threshold", self.threshold, 0, 1)
        in_range("bits", self.bits, 1, 8, integer=True)
        one_of("clip", self.clip, RULES)
        in_range("warmup", self.warmup, 0, integer=True)
        in_range("finetune_after", self.finetune_after, 0, integer=True)
        in_range("activation_bits", self.activation_bits, 0, 8, integer=True)
        one_of("step", self.step, ("subgradient", "proximal"))
        in_range("budget", self.budget, 1, 8)
        in_range("dual_step", self.dual_step, 0)

    def idle(self) -> dict[str, str]:
        return super().idle() | {
            **unless(self.penalty > 0 or self.dual_step > 0, "penalty or dual_step", "reweigh", "step"),
            **unless(self.strip != "none", "strip 'both' or 'msb'", "threshold"),
            **unless(self.dual_step > 0, "dual_step", "budget"),
        }

    def network(self, model: nn.Module) -> nn.Module:
        return quantize_activations(model, self.activation_bits)

    def layers(self, spec: Spec) -> tuple[str, ...]:
        """Tensors that have bit planes.

        Raises:
            ConfigError: for a model without quantizable layers.
        """
        if not spec.quantizable:
            raise ConfigError("model has no Conv or Linear weights, but bit planes need at least one such layer.")
        biases = {name.removesuffix("weight") + "bias" for name in spec.quantizable} if self.biases else set()
        return tuple(name for name in spec.trainable if name in spec.quantizable or name in biases)

    def phase(self, done: int) -> int:
        """What the round after ``done`` others does: FLOAT, HOLD, ADJUST or TUNE."""
        trained = done + 1 - self.warmup
        if trained < 1:
            return FLOAT
        if self.finetune_after and trained > self.finetune_after:
            return TUNE
        return ADJUST if trained == self.finetune_after or trained % self.interval == 0 else HOLD

    def start(self, server: Server) -> Server:
        names = self.layers(server.spec)
        scheme = Scheme(
            done=torch.tensor(0, dtype=torch.int64),
            penalty=torch.tensor(float(self.penalty), dtype=torch.float32),
            bits=torch.full([len(names)], self.bits, dtype=torch.int64),
            step=torch.zeros(len(names), dtype=torch.float32),
        )
        state = server.next(server.weights, scheme)
        return state if self.warmup else self.first_codes(state)

    def first_codes(self, server: Server) -> Server:
        """Post-training quantization to the first bit-width, where bit-level training begins."""
        grid = Grid(self.bits, "sign_magnitude")
        weights = {name: server.weights[name] for name in self.layers(server.spec)}
        codes = {name: quantize(w, clip_for(self.clip, w, grid), grid) for name, w in weights.items()}
        return self.with_codes(server, server.weights, codes)

    def with_codes(self, server: Server, weights: Weights, codes: dict[str, Codes]) -> Server:
        """The server whose quantized model is ``codes``; layers of zeros lose their bits in fine-tuning."""
        step = torch.stack([layer.grid.step(layer.clip) for layer in codes.values()])
        if self.phase(int(server.state.done)) == TUNE:
            step = step * torch.tensor([bool(layer.values.any()) for layer in codes.values()], dtype=torch.bool)
        widths = torch.tensor([layer.grid.bits for layer in codes.values()], dtype=torch.int64)
        rounded = {name: layer.dequantize() for name, layer in codes.items()}
        return server.next(weights | rounded, replace(server.state, bits=widths, step=step))

    def codes(self, server: Server) -> dict[str, Codes]:
        """The quantized layers of the global model."""
        scheme = zip(self.layers(server.spec), server.state.step, server.state.bits.tolist(), strict=True)
        return {name: requantize_to_step(server.weights[name], step, bits) for name, step, bits in scheme}

    def download(self, server: Server, client: int, generator: torch.Generator) -> Payload:
        phase = self.phase(int(server.state.done))
        codes = {} if phase == FLOAT else self.codes(server)
        rest = {name: value for name, value in server.weights.items() if name not in codes}
        price = {"penalty": server.state.penalty} if self.dual_step else {}
        return Payload(codes, rest | {"phase": torch.tensor(phase, dtype=torch.uint8)} | price)

    def prepare(self, payload: Payload, client: Client) -> LocalProblem:
        codes = dict(payload.codes)
        params, buffers = split(dict(payload.tensors), client.spec)
        state = Kept(payload.tensors["phase"], {})
        if int(state.phase) == FLOAT:
            return LocalProblem(params, buffers, Objective(), state)
        objective = self.objective(payload, codes, client)
        start = bitwise.net_params(codes) if int(state.phase) == TUNE else bitwise.plane_params(codes)
        start = bitwise.resume(start, codes, client.state.planes if client.state else {})
        return LocalProblem(params | start, buffers, objective, state)

    def objective(self, payload: Payload, codes: dict[str, Codes], client: Client) -> Objective:
        """Loss of the rounded weights and group lasso on the planes, or the loss alone while fine-tuning."""
        if int(payload.tensors["phase"]) == TUNE:
            return bitwise.net_objective(codes, lr=client.training.lr, precondition=self.precondition)
        sizes, widths = zip(*((client.spec.numel[n], layer.grid.bits) for n, layer in codes.items()), strict=True)
        penalty = float(payload.tensors.get("penalty", self.penalty))
        strengths = [penalty * c for c in bitwise.layer_strengths(sizes, widths, by_size=self.reweigh)]
        proximal = self.step == "proximal"
        how = {"lr": client.training.lr, "proximal": proximal, "precondition": self.precondition}
        return bitwise.plane_objective(codes, strengths, **how)

    def upload(self, params: Weights, buffers: Weights, problem: LocalProblem, client: Client) -> ClientUpdate:
        phase = int(problem.state.phase)
        if phase == FLOAT:
            return ClientUpdate(Payload(tensors=params | buffers))
        context = problem.objective.context
        codes: dict[str, Codes] = {}
        mse: dict[str, float] = {}
        for name in self.layers(client.spec):
            growth = self.growth and phase == ADJUST
            exact, weights = bitwise.to_codes(params, name, context, growth=growth)
            codes[name] = self.adjust_precision(exact) if phase == ADJUST else exact
            mse[name] = float((weights - codes[name].dequantize()).square().mean())
        rest = {name: params[name] for name in client.spec.trainable if name in params}
        kept = None if phase == ADJUST else Kept(problem.state.phase, bitwise.remembered(params))
        return ClientUpdate(Payload(codes, rest | buffers), kept, mse)

    def adjust_precision(self, codes: Codes) -> Codes:
        """Precision adjustment with this method's settings."""
        return adjust(codes, msb=self.strip != "none", lsb=self.strip == "both", threshold=self.threshold)

    def expected_shapes(self, server: Server) -> dict[str, torch.Size | Form]:
        shapes = super().expected_shapes(server)
        if self.phase(int(server.state.done)) == FLOAT:
            return shapes
        layers = self.layers(server.spec)
        return shapes | {name: Form(server.weights[name].shape, "codes", "sign_magnitude") for name in layers}

    def aggregate(self, server: Server, updates: Sequence[ReceivedUpdate]) -> Server:
        done = int(server.state.done)
        phase = self.phase(done)
        samples = [update.samples for update in updates]
        weights = super().aggregate(server, updates).weights
        state = server.next(weights, replace(server.state, done=torch.tensor(done + 1, dtype=torch.int64)))
        if phase == FLOAT:
            return self.first_codes(state) if done + 1 == self.warmup else state
        codes = {}
        for name, bits in zip(self.layers(server.spec), server.state.bits.tolist(), strict=True):
            layers = [update.payload.codes[name] for update in updates]
            step = self.average([layer.grid.step(layer.clip) for layer in layers], samples)
            codes[name] = self.rounded(weights[name], step, bits, free=phase == ADJUST)
        state = self.with_codes(state, weights, codes)
        return state if phase == TUNE else self.update_penalty(state)

    def rounded(self, weights: torch.Tensor, step: torch.Tensor, bits: int, free: bool) -> Codes:
        """A layer's average on the clients' mean step, with the bits it needs if widths are ``free``."""
        if not free:
            return requantize_to_step(weights, step, bits)
        codes = self.adjust_precision(requantize_to_step(weights, step, cap=8 if self.growth else bits))
        return requantize_to_step(weights, step, bits) if self.strip == "none" and codes.grid.bits < bits else codes

    def update_penalty(self, server: Server) -> Server:
        """λ after one step of dual ascent on the scheme's mean bits."""
        penalty = bitwise.dual_ascent(float(server.state.penalty), self.dual_step, self.mean_bits(server), self.budget)
        return server.next(server.weights, replace(server.state, penalty=torch.tensor(penalty, dtype=torch.float32)))

    def widths(self, server: Server) -> dict[str, int]:
        """Bits of every layer; 0 for one of zeros while fine-tuning."""
        scheme = zip(self.layers(server.spec), server.state.bits.tolist(), server.state.step, strict=True)
        tuning = self.phase(int(server.state.done)) == TUNE
        return {name: 0 if tuning and step == 0 else bits for name, bits, step in scheme}

    def mean_bits(self, server: Server) -> float:
        """Bits a weight of the scheme ("#Bits per Para")."""
        widths = self.widths(server)
        return mean_bits([server.spec.numel[name] for name in widths], list(widths.values()))

    def report(self, server: Server, updates: Sequence[ReceivedUpdate]) -> dict[str, float]:
        """``bits`` a weight, ``compression``, λ, ``bits/NAME`` of every layer; nothing in warm-up."""
        if int(server.state.done) < self.warmup:
            return {}
        numbers = {"bits": self.mean_bits(server), "penalty": float(server.state.penalty)}
        layers = {f"bits/{name}": float(bits) for name, bits in self.widths(server).items()}
        return numbers | {"compression": compression(numbers["bits"])} | layers
