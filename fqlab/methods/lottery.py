"""LotteryFL: every client finds a small network of its own (Li et al. 2020, arXiv 2008.03371).

A client whose downloaded model is good enough prunes it a little further and starts the survivors again from their
initial values. Only survivors travel. The server averages each weight over the clients that still have it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from fqlab.aggregate import masked_mean, mean
from fqlab.errors import ConfigError, in_range, one_of
from fqlab.methods.base import Client, ClientUpdate, LocalProblem, Method, ReceivedUpdate, Server, next_state
from fqlab.training.objectives import Objective, Weights
from fqlab.wire import Payload

__all__ = ["PRESETS", "Lottery", "kept_after", "prune", "published_mib"]

PRESETS = {
    "paper": {"epochs": 10, "options": {"gate": 0.5, "gate_on": "validation"}},
    "code": {"epochs": 60, "options": {"gate": 0.2, "gate_on": "test"}},
}
"""Fields of an Experiment: the hyper-parameters of the paper, and those of the authors' final code."""


def prune(weight: torch.Tensor, mask: torch.Tensor, rate: float) -> torch.Tensor:
    """Drop the share ``rate`` of the weights still alive, smallest magnitudes first.

    Args:
        weight: a layer.
        mask: bool, what is alive.
        rate: in (0, 1).

    Returns:
        The new mask.
    """
    alive = weight[mask].abs()
    drop = int(rate * alive.numel())
    if not drop:
        return mask
    threshold = alive.kthvalue(drop).values
    return mask & (weight.abs() > threshold)


def kept_after(target: float, rate: float = 0.2) -> float:
    """Share of weights left when pruning stops: it goes on *while* more than ``target`` is left, so it overshoots."""
    kept = 1.0
    while kept > target:
        kept *= 1 - rate
    return kept


def published_mib(weights: int, clients: int, rounds: int, kept: float = 1.0) -> float:
    """Traffic as the paper counts it: one direction, fp32, weights without biases and masks, in MiB."""
    return 4 * weights * kept * clients * rounds / 2**20


@dataclass(frozen=True)
class Lottery(Method):
    """Personal lottery tickets.

    ``target`` is what the published results and the code mean by it, the share of weights that *remains*; the paper's
    algorithm box reads otherwise. The first download of a client also brings the initial weights θ₀, which the paper
    takes for granted on every client; they are counted here.

    Args:
        target: pruning goes on while more than this share is left, in (0, 1].
        rate: share of the remaining weights that one pruning drops, in (0, 1).
        gate: accuracy that the downloaded model must exceed before it is pruned, in [0, 1].
        gate_on: ``"validation"`` (paper; needs ``Experiment(validation=...)``), or ``"test"`` (the code: 80 test images).
        rewind: start survivors from θ₀ after a pruning.

    >>> from fqlab.federation import Experiment, fit
    >>> history = fit(Experiment(method="lottery", partition="n_class", rounds=4, epochs=5, validation=0.1, lr=0.3))
    >>> history.rounds[-1].personal > 0.5
    True
    """

    broadcast = False
    personal = True

    target: float = 0.1
    rate: float = 0.2
    gate: float = 0.5
    gate_on: str = "validation"
    rewind: bool = True

    def __post_init__(self) -> None:
        in_range("target", self.target, 0, 1, open_low=True)
        in_range("rate", self.rate, 0, 0.99, open_low=True)
        in_range("gate", self.gate, 0, 1)
        one_of("gate_on", self.gate_on, ("validation", "test"))

    def start(self, server: Server) -> Server:
        names = server.spec.quantizable
        if not names:
            raise ConfigError("model has no Conv or Linear weights, but pruning needs at least one such layer.")
        first = {f"first/{name}": value.clone() for name, value in server.weights.items()}
        masks = {
            f"mask/{c}/{n}": torch.ones_like(server.weights[n]).bool() for c in range(server.clients) for n in names
        }
        seen = {"seen": torch.zeros(server.clients, dtype=torch.bool)}
        return next_state(server, server.weights, first | masks | seen)

    def download(self, server: Server, client: int, generator: torch.Generator) -> Payload:
        """The survivors of θ_g on this client's mask, which both sides know; θ₀ the first time."""
        payload: Payload = {}
        for name, value in server.weights.items():
            mask = server.shared.get(f"mask/{client}/{name}")
            payload[name] = value if mask is None else value[mask]
        if not server.shared["seen"][client]:
            payload |= {f"first/{name}": server.shared[f"first/{name}"] for name in server.weights}
        return payload

    def prepare(self, payload: Payload, client: Client) -> LocalProblem:
        first, masks = _own(payload, client)
        weights = {
            n: _spread(v, masks[n]) if n in masks else v for n, v in payload.items() if not n.startswith("first/")
        }
        if self._opens(weights, masks, client):
            masks = {name: prune(weights[name], mask, self.rate) for name, mask in masks.items()}
            weights = dict(first) if self.rewind else weights
        params = {name: weights[name] for name in client.spec.trainable}
        buffers = {name: value for name, value in weights.items() if name not in params}
        params = hold(params, masks)
        memory = {f"first/{n}": v for n, v in first.items()} | {f"mask/{n}": m for n, m in masks.items()}
        return LocalProblem(params, buffers, Objective(project=hold, transform=_held, context=masks), memory)

    def _opens(self, weights: Weights, masks: Weights, client: Client) -> bool:
        """Whether this client prunes now: more is left than the target, and the model is good enough."""
        if _kept(masks) <= self.target:
            return False
        limit = 80 if self.gate_on == "test" else 0
        return client.accuracy(weights, self.gate_on, limit) > self.gate

    def upload(self, params: Weights, buffers: Weights, problem: LocalProblem, client: Client) -> ClientUpdate:
        """Masks, one bit a weight, and the survivors' values."""
        masks = problem.objective.context
        payload: Payload = {n: v[masks[n]] if n in masks else v for n, v in {**params, **buffers}.items()}
        return ClientUpdate(payload | {f"mask/{name}": mask for name, mask in masks.items()}, problem.memory)

    def expected_shapes(self, server: Server) -> dict[str, torch.Size]:
        whole = {n: v.shape for n, v in server.weights.items() if n not in server.spec.quantizable}
        return whole | {f"mask/{n}": server.weights[n].shape for n in server.spec.quantizable}

    def aggregate(self, server: Server, uploads: Sequence[ReceivedUpdate]) -> Server:
        weights, shared = {}, dict(server.shared)
        for name, old in server.weights.items():
            if name in server.spec.quantizable:
                masks = [u.payload[f"mask/{name}"] for u in uploads]
                values = [_spread(u.payload[name], m) for u, m in zip(uploads, masks, strict=True)]
                weights[name] = masked_mean(values, masks, old)
                shared |= {f"mask/{u.client}/{name}": m for u, m in zip(uploads, masks, strict=True)}
            else:
                weights[name] = mean([u.payload[name] for u in uploads])
        shared["seen"] = shared["seen"].clone()
        shared["seen"][[u.client for u in uploads]] = True
        return next_state(server, weights, shared)

    def personalized(self, server: Server, client: int, memory: Weights) -> Weights:
        """θ_g ⊙ m_k."""
        return hold(server.weights, {n: server.shared[f"mask/{client}/{n}"] for n in server.spec.quantizable})

    def report(self, server: Server, uploads: Sequence[ReceivedUpdate]) -> dict[str, float]:
        """Mean share of weights kept, over the round's clients, and the traffic as published (MiB, one direction)."""
        names = server.spec.quantizable
        kept = [_kept({n: u.payload[f"mask/{n}"] for n in names}) for u in uploads]
        weights = sum(server.spec.sizes[n] for n in names)
        return {
            "kept": sum(kept) / len(kept),
            "published_mib": published_mib(weights, len(kept), 1, sum(kept) / len(kept)),
        }


def hold(params: Weights, masks: Weights) -> Weights:
    """Pruned weights are zero."""
    return {name: value * masks[name] if name in masks else value for name, value in params.items()}


def _held(params: Weights, masks: Weights, noise: Weights) -> Weights:
    return hold(params, masks)


def _own(payload: Payload, client: Client) -> tuple[Weights, Weights]:
    """The client's copy of θ₀ and its masks: from memory, or as they arrive the first time."""
    if client.memory:
        part = lambda prefix: {k[len(prefix) :]: v for k, v in client.memory.items() if k.startswith(prefix)}
        return part("first/"), part("mask/")
    first = {name[6:]: value.clone() for name, value in payload.items() if name.startswith("first/")}
    return first, {name: torch.ones_like(first[name]).bool() for name in client.spec.quantizable}


def _spread(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Survivors back in their places, zeros elsewhere."""
    return torch.zeros(mask.shape).masked_scatter(mask, values)


def _kept(masks: Weights) -> float:
    return sum(int(m.sum()) for m in masks.values()) / sum(m.numel() for m in masks.values())
