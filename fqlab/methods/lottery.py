"""LotteryFL: every client finds a small network of its own (Li et al. 2020, arXiv 2008.03371).

A client whose downloaded model is good enough prunes it a little further and starts the survivors again from their
initial values. Only survivors travel. The server averages each weight over the clients that still have it.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from fqlab.aggregate import Form, masked_mean, median, trimmed_mean
from fqlab.errors import ConfigError, in_range, one_of, shown
from fqlab.methods.base import Client, ClientUpdate, LocalProblem, Method, ReceivedUpdate, Server, State, split, unless
from fqlab.tensors import Weights, with_prefix
from fqlab.training.objectives import Objective
from fqlab.training.transforms import HoldMasked, masked
from fqlab.wire import Payload

__all__ = ["Lottery", "kept_after", "prune", "prunings_until", "published_mib"]


def prune(weight: torch.Tensor, mask: torch.Tensor, rate: float) -> torch.Tensor:
    """Drop exactly ⌊rate · n⌋ of the n weights still alive, smallest magnitudes first, of equal ones the first.

    The authors' code drops what is below NumPy's 20th percentile, ⌈rate · (n − 1)⌉ weights where no two are equal: at
    most one more in a layer.

    Args:
        weight: a layer.
        mask: bool, what is alive.
        rate: in (0, 1).

    Returns:
        The new mask.
    """
    size = np.abs(kept_values(weight, mask).numpy())
    drop = math.floor(rate * len(size) + 1e-9)  # 0.29 of 100 is 29, not 28.999...
    if not drop:
        return mask
    threshold = np.partition(size, drop - 1)[drop - 1]
    gone = size < threshold
    gone[np.flatnonzero(size == threshold)[: drop - np.count_nonzero(gone)]] = True  # of equals, the first ones
    new = mask.flatten().clone()
    new[torch.from_numpy(np.flatnonzero(new.numpy())[gone])] = False
    return new.reshape(mask.shape)


def prunings_until(target: float, rate: float = 0.2) -> int:
    """How often a client prunes: *while* more than ``target`` is left of (1 − rate)^k, so it overshoots.

    Prunings are counted, not weights: that ⌊rate · n⌋ leaves a few more than it should is no reason for one more.
    """
    count = 0
    while (1 - rate) ** count > target * (1 + 1e-9):  # .8² is .64 and not a little more
        count += 1
    return count


def kept_after(target: float, rate: float = 0.2) -> float:
    """Share of weights left when pruning stops, (1 − rate)^:func:`prunings_until`, up to ⌊ ⌋ in every layer."""
    return (1 - rate) ** prunings_until(target, rate)


def published_mib(weights: int, clients: int, rounds: int, kept: float = 1.0) -> float:
    """Traffic as the paper counts it: one direction, fp32, weights without biases and masks, in MiB."""
    return 4 * weights * kept * clients * rounds / 2**20


@dataclass(frozen=True)
class Tickets(State):
    """What the server keeps: θ₀ (``first``), every client's mask of each layer ``[clients, ...]``, who was ``seen``."""

    first: Weights
    masks: Weights
    seen: torch.Tensor


@dataclass(frozen=True)
class Ticket(State):
    """What a client keeps: its copy of θ₀ (``first``), its ``masks``, and how many ``prunings`` made them."""

    first: Weights
    masks: Weights
    prunings: torch.Tensor


@dataclass(frozen=True)
class Lottery(Method):
    """Personal lottery tickets.

    ``target`` is what the published results and the code mean by it, the share of weights that *remains*; the paper's
    algorithm box reads otherwise. The first download of a client also brings the initial weights θ₀, which the paper
    takes for granted on every client; they are counted here.

    Not as in the public code: a pruning drops ⌊rate · n⌋ weights of a layer (:func:`prune`), no live weight is frozen
    for being below 1e-6, training leaves the biases of θ₀ alone, and held-back samples are counted by
    ``Experiment.validation`` (in some sizes one image apart). All else being equal the same rounds come out to the bit.

    Args:
        target: pruning goes on while more than this share is left, in (0, 1].
        rate: share of the remaining weights that one pruning drops, in (0, 1).
        gate: accuracy that the downloaded model must exceed before it is pruned, in [0, 1].
        gate_on: ``"validation"`` (paper; needs ``Experiment(validation=...)``), or ``"test"`` (the code: 80 test images).
        rewind: start survivors from θ₀ after a pruning.
        averaging: ``"equal"`` (the paper's), or robust, over those that have a weight: ``"median"``, ``"trimmed_mean"``.

    >>> from fqlab.federation import Experiment, fit
    >>> history = fit(Experiment(method="lottery", partition="n_class", rounds=4, epochs=5, validation=0.1, lr=0.3))
    >>> history.rounds[-1].personal > 0.5
    True
    """

    broadcast: ClassVar[bool] = False
    personal: ClassVar[bool] = True
    ServerState: ClassVar[type[State]] = Tickets
    ClientState: ClassVar[type[State]] = Ticket
    averages: ClassVar[tuple[str, ...]] = ("equal", "median", "trimmed_mean")

    averaging: str = "equal"
    target: float = 0.1
    rate: float = 0.2
    gate: float = 0.5
    gate_on: str = "validation"
    rewind: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range("target", self.target, 0, 1, open_low=True)
        in_range("rate", self.rate, 0, 0.99, open_low=True)
        in_range("gate", self.gate, 0, 1)
        one_of("gate_on", self.gate_on, ("validation", "test"))

    def idle(self) -> dict[str, str]:
        return super().idle() | {
            **unless(self.target < 1, "a target below 1", "rate", "gate", "rewind"),
            **unless(self.gate < 1, "a gate below 1", "target", "rate", "rewind"),
        }

    def check(self, experiment: Any) -> None:
        if self.gate_on == "validation" and not experiment.validation:
            raise ConfigError(
                f"gate_on is 'validation', but validation is {shown(experiment.validation)}, so that no client would ever "
                "prune; hold samples back with validation (0.1), or set gate_on to 'test'."
            )

    def start(self, server: Server) -> Server:
        names = server.spec.quantizable
        if not names:
            raise ConfigError("model has no Conv or Linear weights, but pruning needs at least one such layer.")
        masks = {n: torch.ones(server.clients, *server.weights[n].shape, dtype=torch.bool) for n in names}
        first = {name: value.clone() for name, value in server.weights.items()}
        return server.next(server.weights, Tickets(first, masks, torch.zeros(server.clients, dtype=torch.bool)))

    def download(self, server: Server, client: int, generator: torch.Generator) -> Payload:
        """The survivors of θ_g on this client's mask, which both sides know; θ₀ the first time."""
        state: Tickets = server.state
        survivors = {
            n: kept_values(v, state.masks[n][client]) if n in state.masks else v for n, v in server.weights.items()
        }
        first = {} if state.seen[client] else {f"first/{name}": value for name, value in state.first.items()}
        return Payload(tensors=survivors | first)

    def prepare(self, payload: Payload, client: Client) -> LocalProblem:
        ticket = client.state or new_ticket(payload, client)
        weights = received(payload, ticket, client)
        if self._opens(weights, ticket, client):
            masks = {name: prune(weights[name], mask, self.rate) for name, mask in ticket.masks.items()}
            ticket = Ticket(ticket.first, masks, ticket.prunings + 1)
            weights = ticket.first if self.rewind else weights
        params, buffers = split(weights, client.spec)
        objective = Objective(project=HoldMasked(), context={n: mask.float() for n, mask in ticket.masks.items()})
        return LocalProblem(masked(params, ticket.masks), buffers, objective, ticket)

    def _opens(self, weights: Weights, ticket: Ticket, client: Client) -> bool:
        """Whether this client prunes now: it has not done so often enough, and the model is good enough."""
        if int(ticket.prunings) >= prunings_until(self.target, self.rate):
            return False
        limit = 80 if self.gate_on == "test" else 0
        return client.accuracy(weights, self.gate_on, limit) > self.gate

    def upload(self, params: Weights, buffers: Weights, problem: LocalProblem, client: Client) -> ClientUpdate:
        """Tickets, one bit a weight, and the survivors' values."""
        masks = problem.state.masks
        survivors = {n: kept_values(v, masks[n]) if n in masks else v for n, v in (params | buffers).items()}
        return ClientUpdate(
            Payload(tensors=survivors | {f"mask/{n}": mask for n, mask in masks.items()}), problem.state
        )

    def expected_shapes(self, server: Server) -> dict[str, torch.Size | Form]:
        whole = {n: v.shape for n, v in server.weights.items() if n not in server.spec.quantizable}
        return whole | {f"mask/{n}": Form(server.weights[n].shape, "mask") for n in server.spec.quantizable}

    def objection(self, server: Server, payload: Payload) -> str | None:
        """One float32 number a survivor."""
        for name in server.spec.quantizable:
            mask = payload.tensors[f"mask/{name}"]
            values = payload.tensors.get(name)
            if values is None or values.dtype != torch.float32 or values.shape != (int(mask.sum()),):
                return f"{name} does not hold one number for each weight that its mask keeps"
        return None

    def aggregate(self, server: Server, updates: Sequence[ReceivedUpdate]) -> Server:
        state: Tickets = server.state
        samples = [u.samples for u in updates]
        weights = {}
        masks = {name: mask.clone() for name, mask in state.masks.items()}
        for name, old in server.weights.items():
            values = [u.payload.tensors[name] for u in updates]
            if name in masks:
                sent = [u.payload.tensors[f"mask/{name}"] for u in updates]
                weights[name] = self.merged([scatter(v, m) for v, m in zip(values, sent, strict=True)], sent, old)
                masks[name][[u.client for u in updates]] = torch.stack(sent)
            else:
                weights[name] = self.average(values, samples)
        seen = state.seen.clone()
        seen[[u.client for u in updates]] = True
        return server.next(weights, Tickets(state.first, masks, seen))

    def merged(self, values: Sequence[torch.Tensor], masks: Sequence[torch.Tensor], old: torch.Tensor) -> torch.Tensor:
        """Each weight over the clients that still have it; where nobody does, the old value stays."""
        if self.averaging == "equal":
            return masked_mean(values, masks, old)
        middle = median(values, masks) if self.averaging == "median" else trimmed_mean(values, self.cut, masks)
        return torch.where(torch.stack(list(masks)).any(0), middle, old)

    def personalized(self, server: Server, client: int, state: Ticket | None) -> Weights:
        """θ_g ⊙ m_k."""
        return masked(server.weights, {name: masks[client] for name, masks in server.state.masks.items()})

    def alike(self, server: Server, client: int, state: Ticket | None) -> Hashable | None:
        """Whoever has not pruned has the global model."""
        return () if all(bool(masks[client].all()) for masks in server.state.masks.values()) else None

    def report(self, server: Server, updates: Sequence[ReceivedUpdate]) -> dict[str, float]:
        """Mean share of weights kept, over the round's clients, and the traffic as published (MiB, one direction)."""
        names = server.spec.quantizable
        kept = [_kept({n: u.payload.tensors[f"mask/{n}"] for n in names}) for u in updates]
        weights = sum(server.spec.numel[n] for n in names)
        return {
            "kept": sum(kept) / len(kept),
            "published_mib": published_mib(weights, len(kept), 1, sum(kept) / len(kept)),
        }


def received(payload: Payload, ticket: Ticket, client: Client) -> Weights:
    """What came down, on the client's mask: θ_g ⊙ m_k."""
    weights = {name: payload.tensors[name] for name in client.spec.numel}
    return weights | {name: scatter(weights[name], mask) for name, mask in ticket.masks.items()}


def new_ticket(payload: Payload, client: Client) -> Ticket:
    """Everything is alive in the first download, which brings θ₀."""
    first = with_prefix(payload.tensors, "first/")
    masks = {name: torch.ones_like(first[name], dtype=torch.bool) for name in client.spec.quantizable}
    return Ticket(first, masks, torch.zeros((), dtype=torch.int64))


def kept_values(weight: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """``weight[mask]``, flat; NumPy takes half as long as PyTorch."""
    return torch.from_numpy(weight.numpy()[mask.numpy()])


def scatter(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Survivors back in their places, zeros elsewhere."""
    return torch.zeros(mask.shape, dtype=torch.float32).masked_scatter(mask, values)


def _kept(masks: Weights) -> float:
    return sum(int(np.count_nonzero(m.numpy())) for m in masks.values()) / sum(m.numel() for m in masks.values())
