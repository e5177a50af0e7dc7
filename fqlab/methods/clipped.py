"""Communication-efficient federated learning via clipped uniform quantization (Bozorgasl & Chen, CISS 2025).

Clients train quantization-aware, upload each layer as b-bit codes of a clipped uniform quantizer, and the server
averages with weights that are inverse to the quantization errors, so no client reveals how many samples it has.
"""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar

import torch

from fqlab.aggregate import AVERAGES, Form, decode_all, inverse_error, mean
from fqlab.errors import ConfigError, in_range, one_of, shown
from fqlab.methods.base import Client, ClientUpdate, LocalProblem, Method, ReceivedUpdate, Server, split, unless
from fqlab.methods.differences import differences
from fqlab.quant import (
    GRADIENTS,
    KINDS,
    ROUNDINGS,
    RULES,
    Codes,
    Grid,
    clips_for,
    msb_density,
    narrow_bits,
    prune_msb,
    quantize,
    stack_alike,
)
from fqlab.tensors import Weights, stack, unstack
from fqlab.training.objectives import Objective
from fqlab.training.transforms import FakeQuantize
from fqlab.wire import Payload
from fqlab.wire.stacked import PayloadStack

__all__ = ["Clipped", "bits_per_client", "bits_per_layer", "negative_mse", "plausible_mse"]

TRUST = 4.0
"""How much less than is typical the error that a client names is believed to be: honest ones lie within a factor of 4
down to two bits, label skew of α = 0.1 included (max-abs clips at two bits 8; at one bit, where clips decide all, more)."""


def bits_per_layer(bits: int | str | Sequence[int], layers: int | None = None) -> tuple[int, ...]:
    """``4``, ``"4-2-2-4"`` or ``(4, 2, 2, 4)`` as one bit-width a layer.

    Without ``layers`` the number of widths is taken for right.

    Raises:
        ConfigError: for a width outside 1-8, or a list whose length is not ``layers``.
    """
    parts: list[Any] = list(bits) if isinstance(bits, (list, tuple)) else [bits]
    if isinstance(bits, str):
        texts = [part.strip() for part in bits.split("-")]
        parts = [int(part) if part.isascii() and part.isdigit() and len(part) < 9 else part for part in texts]
    if any(isinstance(part, bool) or not isinstance(part, numbers.Integral) for part in parts):
        raise ConfigError(f"bits is {shown(bits)}, but must be a width such as 4, or one a layer such as '4-2-2-4'.")
    layers = layers or len(parts)
    widths = parts * layers if len(parts) == 1 else parts
    if len(widths) != layers:
        many = f"{layers} layers" if layers != 1 else "one layer"
        raise ConfigError(f"bits is {shown(bits)}, {len(widths)} widths, but the model has {many} to quantize.")
    return tuple(int(in_range("bits", width, 1, 8, integer=True)) for width in widths)


def bits_per_client(bits: str, layers: int | None = None) -> tuple[tuple[int, ...], ...]:
    """``"8-2-2"`` or, with one width a layer, ``"8-8, 2-4, 2-4"`` as the bit-widths of each client's layers.

    Without ``layers`` every client's own number of widths is taken for right.

    Raises:
        ConfigError: as for :func:`bits_per_layer`, or if ``bits`` is not such a text.
    """
    if not isinstance(bits, str):
        raise ConfigError(f"client_bits is {shown(bits)}, but must be a text such as '8-2-2' or '8-8, 2-4'.")
    return _read_clients(bits, layers)


@lru_cache(maxsize=64)
def _read_clients(bits: str, layers: int | None) -> tuple[tuple[int, ...], ...]:
    """:func:`bits_per_client`, read once: every client asks for the widths of all, several times a round."""
    clients = [part.strip() for part in bits.split("," if "," in bits else "-")]
    return tuple(bits_per_layer(part, layers) for part in clients)


@dataclass(frozen=True)
class Clipped(Method):
    """Clipped uniform quantization of the uplink.

    The defaults are those of the authors' public code: the mid-rise grid, OCTAV's clip with its textbook constant,
    quantization-aware local training with the identity straight-through estimator, biases and normalisation in full
    precision, the downlink in full precision. Four deviations: the upload quantizes the weights *after* the last step
    (the code sends the pair of the last forward pass, one step stale); what is not quantized is averaged (the code
    copies it from one client); OCTAV makes bits + 6 updates, enough to settle (the code makes 10, which leave an 8-bit
    clip half a percent short); a last batch of one sample is trained on where the network can (the code skips it).

    Args:
        bits: 1-8, or one width a layer such as ``"4-2-2-4"``.
        client_bits: bit-widths by client instead, repeated in turn: ``"8-2-2-2"``, or by client and layer:
            ``"8-8, 2-4, 2-4"``; our extension.
        clip: rule that finds the clip: max_abs, percentile, aciq_gauss, aciq_laplace, octav or sweep.
        level_aware: take OCTAV's constant from the grid and the rounding; our extension.
        clip_factor: multiplies the clip that the rule finds.
        rounding: ``"nearest"`` or ``"stochastic"``.
        grid: levels: midrise, octav, twos_complement, narrow or sign_magnitude.
        averaging: ``"inverse_error"`` (per layer, guarded), ``"size"`` (FedAvg's n_k), ``"equal"``, or robust:
            ``"median"``, ``"trimmed_mean"``.
        limit: the most that one client's inverse-error weight may exceed another's in a layer, 1 for equal weights; 0
            for no limit; our extension.
        qat: quantize in the forward pass of local training; without it only the upload is quantized.
        gradient: backward rule of the quantizer in local training: ste, pwl or mad.
        downlink: quantize what the server sends as well.
        send: ``"weights"``, or ``"differences"`` between the trained weights and those received, which the server adds
            to its own (FedPAQ); our extension. Differences are best sent without ``qat``, which trains the weights to
            bear a quantization that they never meet.
        epsilon: drop empty-enough MSB planes of the upload, δ(l) ≤ ε; needs ``grid="sign_magnitude"``; our extension.

    >>> from fqlab.federation import Experiment, fit
    >>> history = fit(Experiment(method="clipped", rounds=3, options={"bits": 2, "rounding": "stochastic"}))
    >>> history.rounds[-1].bytes_up < history.rounds[-1].bytes_down / 8
    True
    """

    averages: ClassVar[tuple[str, ...]] = ("inverse_error", *AVERAGES)

    bits: int | str | tuple[int, ...] = 4
    client_bits: str = ""
    clip: str = "octav"
    level_aware: bool = False
    clip_factor: float = 1.0
    rounding: str = "nearest"
    grid: str = "midrise"
    averaging: str = "inverse_error"
    limit: float = 0.0
    qat: bool = True
    gradient: str = "ste"
    downlink: bool = False
    send: str = "weights"
    epsilon: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("clip", self.clip, RULES)
        one_of("rounding", self.rounding, ROUNDINGS)
        one_of("grid", self.grid, KINDS)
        one_of("gradient", self.gradient, GRADIENTS)
        one_of("send", self.send, ("weights", "differences"))
        in_range("clip_factor", self.clip_factor, 0, 100, open_low=True)
        in_range("epsilon", self.epsilon, 0, 1)
        if self.limit:
            in_range("limit", self.limit, 1)
        if self.epsilon and self.grid != "sign_magnitude":
            raise ConfigError(f"epsilon is {shown(self.epsilon)}, but pruning MSBs needs grid 'sign_magnitude'.")
        bits_per_layer(self.bits)
        if self.client_bits:
            bits_per_client(self.client_bits)

    def idle(self) -> dict[str, str]:
        return super().idle() | {
            **unless(not self.client_bits or self.downlink, "downlink, because client_bits has the uploads'", "bits"),
            **unless(self.clip == "octav", "clip 'octav'", "level_aware"),
            **unless(self.averaging == "inverse_error", "averaging 'inverse_error'", "limit"),
            **unless(self.qat, "qat", "gradient"),
        }

    def start(self, server: Server) -> Server:
        for client in range(server.clients if self.client_bits else 1):
            self.grids(server.spec.quantizable, client)  # there is a width for each of the model's layers
        return server

    def grids(self, layers: Sequence[str], client: int | None = None) -> tuple[tuple[str, Grid], ...]:
        """``(layer, grid)`` pairs, for one client if bit-widths differ by client."""
        if self.client_bits and client is not None:
            everyone = bits_per_client(self.client_bits, len(layers))
            widths = everyone[client % len(everyone)]
        else:
            widths = bits_per_layer(self.bits, len(layers))
        return tuple((name, Grid(b, self.grid)) for name, b in zip(layers, widths, strict=True))

    def clips(self, weights: Weights, grids: Mapping[str, Grid]) -> Weights:
        """The clips ``[clients]`` of stacked clients' layers, those of ``grids``, by this method's rule and factor."""
        layers = {name: weights[name] for name in grids}
        how: dict[str, Any] = dict(batch_dims=1, level_aware=self.level_aware)
        clips = clips_for(self.clip, layers, grids, self.rounding, **how)
        return {name: self.clip_factor * clip for name, clip in clips.items()}

    def encode(
        self, w: torch.Tensor, clip: torch.Tensor, grid: Grid, generators: Sequence[torch.Generator]
    ) -> tuple[Codes, torch.Tensor | None]:
        """One layer of stacked clients ``[clients, ...]`` clipped, rounded and, if ε > 0, stripped of rare MSBs.

        Returns:
            The codes, stacked, and the bits that each client's need where ε > 0.
        """
        noise = None
        if self.rounding == "stochastic":
            noise = torch.stack([torch.rand(w.shape[1:], generator=g, dtype=torch.float32) for g in generators])
        codes = quantize(w, clip, grid, self.rounding, batch_dims=1, noise=noise)
        return prune_msb(codes, self.epsilon, batch_dims=1) if self.epsilon else (codes, None)

    def download(self, server: Server, client: int, generator: torch.Generator) -> Payload:
        if not self.downlink:
            return Payload(tensors=server.weights)
        grids = dict(self.grids(server.spec.quantizable))
        stacked = stack([server.weights])
        clips = self.clips(stacked, grids)
        coded = {n: self.encode(stacked[n], clips[n], grid, [generator]) for n, grid in grids.items()}
        rest = {name: value[None] for name, value in server.weights.items() if name not in grids}
        return _payloads(coded, rest, 1)[0]

    def prepare(self, payload: Payload, client: Client) -> LocalProblem:
        problem = super().prepare(payload, client)
        if not self.qat:
            return problem
        grids = self.grids(client.spec.quantizable, client.id)
        quantized = FakeQuantize(grids, self.clip, self.rounding, self.gradient, self.level_aware, self.clip_factor)
        return replace(problem, objective=Objective(transform=quantized))

    def uploads(
        self, params: Weights, buffers: Weights, problems: Sequence[LocalProblem], clients: Sequence[Client]
    ) -> list[ClientUpdate]:
        if self.send == "differences":
            params, buffers = split(differences(params, buffers, problems), clients[0].spec)
        kinds = [self.grids(client.spec.quantizable, client.id) for client in clients]
        if len(set(kinds)) == 1:
            return self._stacked(params, buffers, problems, clients)
        updates: dict[int, ClientUpdate] = {}
        for kind in dict.fromkeys(kinds):  # only clients with the same grids stack
            members = [i for i, other in enumerate(kinds) if other == kind]
            part = {name: value[members] for name, value in params.items()}
            rest = {name: value[members] for name, value in buffers.items()}
            stacked = self._stacked(part, rest, [problems[i] for i in members], [clients[i] for i in members])
            updates.update(zip(members, stacked, strict=True))
        return [updates[i] for i in range(len(clients))]

    def _stacked(
        self, params: Weights, buffers: Weights, problems: Sequence[LocalProblem], clients: Sequence[Client]
    ) -> list[ClientUpdate]:
        """The updates of clients that share their grids."""
        grids = dict(self.grids(clients[0].spec.quantizable, clients[0].id))
        rest = {name: value for name, value in (params | buffers).items() if name not in grids}
        generators = [client.generator("upload") for client in clients]
        clips = self.clips(params, grids)
        coded = {name: self.encode(params[name], clips[name], grid, generators) for name, grid in grids.items()}
        mse = {n: (params[n] - codes.dequantize()).square().flatten(1).mean(1) for n, (codes, _) in coded.items()}
        if self.averaging == "inverse_error":
            rest |= {f"{name}/mse": value for name, value in mse.items()}
        named = {name: value.tolist() for name, value in mse.items()}
        return [
            ClientUpdate(sent, problem.state, {name: value[i] for name, value in named.items()})
            for i, (sent, problem) in enumerate(zip(_payloads(coded, rest, len(clients)), problems, strict=True))
        ]

    def upload(self, params: Weights, buffers: Weights, problem: LocalProblem, client: Client) -> ClientUpdate:
        return self.uploads(stack([params]), stack([buffers]), [problem], [client])[0]

    def aggregate(self, server: Server, updates: Sequence[ReceivedUpdate]) -> Server:
        weights = {}
        grids = {u.client: dict(self.grids(server.spec.quantizable, u.client)) for u in updates}
        for name, old in server.weights.items():
            values = decode_all([u.payload for u in updates], name)
            if self.averaging != "inverse_error":
                merged = self.average(values, [u.samples for u in updates])
            elif name in server.spec.quantizable:
                mse = [float(u.payload.tensors[f"{name}/mse"]) for u in updates]
                asked = [grids[u.client][name] for u in updates]
                merged = inverse_error(values, self.floor_errors(plausible_mse(mse, asked, self.rounding)))
            else:
                merged = mean(values)
            weights[name] = old + merged if self.send == "differences" else merged
        return server.next(weights)

    def floor_errors(self, mse: Sequence[float]) -> list[float]:
        """The errors as they count in the average: none below the largest over ``limit``."""
        least = max(mse) / self.limit if self.limit else 0.0
        return [max(value, least) for value in mse]

    def expected_shapes(self, server: Server) -> dict[str, torch.Size | Form]:
        named = server.spec.quantizable if self.averaging == "inverse_error" else ()
        codes = {n: Form(server.weights[n].shape, "codes", self.grid) for n in server.spec.quantizable}
        return super().expected_shapes(server) | codes | {f"{name}/mse": torch.Size([]) for name in named}

    def objection(self, server: Server, payload: Payload) -> str | None:
        return negative_mse(payload)

    def report(self, server: Server, updates: Sequence[ReceivedUpdate]) -> dict[str, float]:
        """Mean bits a weight over the round's uploads, and the largest δ(l) on the sign-magnitude grid."""
        codes = [u.payload.codes[name] for u in updates for name in server.spec.quantizable]
        count = sum(c.values.numel() for c in codes)
        report = {"bits": sum(c.grid.bits * c.values.numel() for c in codes) / count}
        if self.grid == "sign_magnitude":
            report["msb_density"] = max(float(msb_density(batch, batch_dims=1).max()) for batch in stack_alike(codes))
        return report


def _payloads(coded: Mapping[str, tuple[Codes, torch.Tensor | None]], rest: Weights, clients: int) -> Sequence[Payload]:
    """What each client sends: layers as :meth:`Clipped.encode` gives them, narrowed to the bits that they need, and the rest."""
    pruned = {name: (codes, bits) for name, (codes, bits) in coded.items() if bits is not None}
    if not pruned:
        return PayloadStack({name: codes for name, (codes, _) in coded.items()} | rest, clients).members()
    return [
        Payload({name: narrow_bits(codes[i], int(bits[i])) for name, (codes, bits) in pruned.items()}, tensors)
        for i, tensors in enumerate(unstack(rest, clients))
    ]


def plausible_mse(mse: Sequence[float], grids: Sequence[Grid], rounding: str) -> list[float]:
    """The squared errors that clients name for a layer, none below 1/:data:`TRUST` of what is typical on the grid it was asked on.

    Typical is the clients' median of error over the grid's noise constant; of two middle ones the larger, because lies
    go down. Nothing that a client sends, neither its error nor its clip nor its codes, raises its inverse-error weight
    above :data:`TRUST` times that of the typical client, as long as fewer than half lie. ``limit`` binds closer.

    Args:
        mse: what each client names, 0 or more.
        grids: what each was asked to quantize on, or coarser; never what it alone says.
        rounding: the rounding that was asked for.
    """
    constants = [grid.noise(rounding) for grid in grids]
    typical = sorted(value / c for value, c in zip(mse, constants, strict=True))[len(mse) // 2]
    return [max(value, c * typical / TRUST) for value, c in zip(mse, constants, strict=True)]


def negative_mse(payload: Payload) -> str | None:
    """An objection to squared errors below zero."""
    named = ((name, value) for name, value in payload.tensors.items() if name.endswith("/mse"))
    wrong = (name for name, value in named if not bool((value >= 0).all()))  # of any shape: nobody asked for some
    return next((f"{name} is negative" for name in wrong), None)
