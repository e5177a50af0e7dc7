"""LotteryFL written a second time, as its public code has it, in plain PyTorch: sixteen rounds agree to the bit.

Where that code errs, or cuts one weight more of a layer, the second writing does as ours; see the list of
:class:`fqlab.methods.lottery.Lottery`. Shared are the data, the first network, who takes part and the order of samples.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from fqlab.federation import Experiment, Federation
from fqlab.federation.engines import ClientTask

TARGET, RATE, GATE = 0.5, 0.2, 0.5
RUN = Experiment(
    method="lottery", options={"target": TARGET, "rate": RATE, "gate": GATE}, rounds=16, epochs=5,
    batch_size=32, lr=0.1, clients=6, participants=4, partition="n_class",
    split={"samples_per_class": 40}, validation=0.1,
)  # fmt: skip


def network() -> torch.nn.Module:
    """Two layers, trained by autograd on both sides; kernels of convolutions add up in an order of their own."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return torch.nn.Sequential(
            torch.nn.Flatten(), torch.nn.Linear(64, 48), torch.nn.ReLU(), torch.nn.Linear(48, 10)
        )


class Clients:
    """Everything of the public code that a round needs, with masks as 0 and 1."""

    def __init__(self, federation: Federation) -> None:
        self.federation = federation
        self.model = copy.deepcopy(federation.simulation.model)
        self.shared = {name: value.clone() for name, value in federation.server.weights.items()}
        self.first = {name: value.clone() for name, value in self.shared.items()}
        self.layers = [name for name in self.shared if "weight" in name]
        ones = {name: torch.ones_like(self.shared[name]) for name in self.layers}
        self.masks = [dict(ones) for _ in range(RUN.clients)]
        self.left = [1.0] * RUN.clients

    def round(self, number: int, chosen: Sequence[int]) -> None:
        """Every chosen client's turn, then the server's."""
        trained = [self.turn(number, k) for k in chosen]
        for name in self.shared:
            if name not in self.layers:
                self.shared[name] = sum(w[name] for w in trained) / len(trained)
                continue
            held = sum(self.masks[k][name] for k in chosen)
            total = sum(w[name] * self.masks[k][name] for k, w in zip(chosen, trained, strict=True))
            self.shared[name] = torch.where(held >= 1, total / held, self.shared[name])

    def turn(self, number: int, k: int) -> dict[str, torch.Tensor]:
        """Gate, pruning, rewinding and training of client ``k``."""
        start = self.cut(self.shared, k)
        if self.left[k] > TARGET and self.accuracy(start, k) > GATE:
            self.left[k] *= 1 - RATE
            for name in self.layers:
                self.prune(start[name], name, k)
            start = self.cut(self.first, k)
        self.model.load_state_dict(start)
        self.train(number, k)
        return {name: value.detach().clone() for name, value in self.model.named_parameters()}

    def cut(self, weights: dict[str, torch.Tensor], k: int) -> dict[str, torch.Tensor]:
        """Weights times the client's mask."""
        return {name: value * self.masks[k].get(name, 1.0) for name, value in weights.items()}

    def prune(self, weight: torch.Tensor, name: str, k: int) -> None:
        """The fifth of the living that is smallest: what is below the first that stays."""
        alive = np.sort(np.abs(weight[self.masks[k][name] == 1].numpy()))
        self.masks[k][name] = self.masks[k][name] * (weight.abs() >= float(alive[int(RATE * len(alive) + 1e-9)]))

    def accuracy(self, weights: dict[str, torch.Tensor], k: int) -> float:
        """On the client's held-back samples."""
        data = self.federation.simulation.dataset
        held = self.federation.simulation.validation[k]
        self.model.load_state_dict(weights)
        with torch.no_grad():
            guess = self.model.eval()(data.train_x[held]).argmax(1)
        return int((guess == data.train_y[held]).sum()) / len(held)

    def train(self, number: int, k: int) -> None:
        """Plain SGD; the gradients of pruned weights are zeroed at every step."""
        simulation = self.federation.simulation
        data = simulation.dataset
        optimiser = torch.optim.SGD(self.model.train().parameters(), RUN.lr)
        for samples in simulation.plan(simulation.client(ClientTask(k, number, b""), self.model)):
            optimiser.zero_grad()
            cross_entropy(self.model(data.train_x[samples]), data.train_y[samples]).backward()
            for name, weight in self.model.named_parameters():
                if name in self.layers:
                    weight.grad.mul_(self.masks[k][name])
            optimiser.step()


def test_sixteen_rounds_agree_to_the_bit():
    federation = Federation(RUN, model=network())
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        by_hand = Clients(federation)
        for number, record in enumerate(federation, 1):
            by_hand.round(number, record.participants)
            for name, value in federation.server.weights.items():
                assert torch.equal(by_hand.shared[name], value), f"{name}, round {number}"
    finally:
        torch.set_num_threads(threads)
    for k, masks in enumerate(by_hand.masks):
        for name, mask in masks.items():
            assert torch.equal(mask.bool(), federation.server.state.masks[name][k])
    assert min(by_hand.left) < TARGET < max(by_hand.left)  # some have pruned all they may, not all have
