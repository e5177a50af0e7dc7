"""Rounds of federated averaging by pfl-research: ``python peer_pfl.py WORK ROUNDS`` in an environment that has it.

Prints the seconds of every round but the first as JSON, the quicker of one and two threads. ``make peers`` calls it.
"""

from __future__ import annotations

import copy
import json
import statistics
import sys
import time

import torch
from peer_work import loop, rounds_between
from pfl.aggregate.simulate import SimulatedBackend
from pfl.algorithm.base import NNAlgorithmParams
from pfl.algorithm.federated_averaging import FederatedAveraging
from pfl.callback.base import TrainingProcessCallback
from pfl.callback.central_evaluation import CentralEvaluationCallback
from pfl.data.federated_dataset import FederatedDataset
from pfl.data.pytorch import PyTorchTensorDataset
from pfl.data.sampling import get_user_sampler
from pfl.hyperparam import NNEvalHyperParams, NNTrainHyperParams
from pfl.metrics import Metrics, Weighted
from pfl.model.pytorch import PyTorchModel
from plain import threads
from rounds import BATCH, LR, WORKS
from torch.nn.functional import cross_entropy


class Network(torch.nn.Module):
    """A network of fqlab with what pfl asks of one."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def loss(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        self.train()
        return cross_entropy(self.network(x), y)

    @torch.no_grad()
    def metrics(self, x: torch.Tensor, y: torch.Tensor) -> dict[str, Weighted]:
        self.eval()
        return {"accuracy": Weighted(int((self.network(x).argmax(1) == y).sum()), len(y))}


class Clock(TrainingProcessCallback):
    """When each round ended."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def after_central_iteration(
        self, aggregate_metrics: Metrics, model: PyTorchModel, *, central_iteration: int
    ) -> tuple[bool, Metrics]:
        self.times.append(time.perf_counter())
        return False, Metrics()


def seconds(number: int, rounds: int) -> list[float]:
    """What each of ``rounds`` rounds with evaluation takes, after a first one."""
    here = loop(number)
    dataset = here.data
    users = {
        str(i): PyTorchTensorDataset((dataset.train_x[part], dataset.train_y[part]))
        for i, part in enumerate(here.parts)
    }
    federated = FederatedDataset(users.__getitem__, get_user_sampler("minimize_reuse", list(users)))
    network = Network(copy.deepcopy(here.model))
    model = PyTorchModel(network, torch.optim.SGD, torch.optim.SGD(network.parameters(), lr=1.0))
    clock = Clock()
    test = PyTorchTensorDataset((dataset.test_x, dataset.test_y))
    FederatedAveraging().run(
        algorithm_params=NNAlgorithmParams(
            central_num_iterations=rounds + 1,
            evaluation_frequency=rounds + 2,
            train_cohort_size=WORKS[number].cohort,
            val_cohort_size=None,
        ),
        backend=SimulatedBackend(training_data=federated, val_data=None),
        model=model,
        model_train_params=NNTrainHyperParams(
            local_num_epochs=1, local_learning_rate=LR, local_batch_size=BATCH, local_num_steps=None
        ),
        model_eval_params=NNEvalHyperParams(local_batch_size=1000),
        callbacks=[CentralEvaluationCallback(test, NNEvalHyperParams(local_batch_size=1000)), clock],
    )
    return rounds_between(clock.times)


def main(number: int, rounds: int) -> None:
    loop(number)  # before threads are chosen: making it sets them to one
    found = []
    for count in (1, 2):
        with threads(count):
            found.append(seconds(number, rounds))
    print(json.dumps(min(found, key=statistics.median)))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
