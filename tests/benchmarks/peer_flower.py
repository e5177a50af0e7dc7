"""Rounds of federated averaging by Flower's simulation: ``python peer_flower.py WORK ROUNDS`` in an environment that has it.

Prints the seconds of every round but the first as JSON. Two clients train at a time, with one thread each. ``make peers``
calls it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable

from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation
from peer_work import loop, rounds_between
from rounds import WORKS


class AllReply(FedAvg):
    """A round in which a client fails is quick, and none."""

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        replies = list(replies)
        for reply in replies:
            if reply.has_error():
                raise RuntimeError(f"round {server_round}: {reply.error.reason}")
        return super().aggregate_train(server_round, replies)


def client(number: int) -> ClientApp:
    """Trains with the weights that come, as one client of the plain loop."""
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        here = loop(number)
        part = here.parts[int(context.node_config["partition-id"])]
        here.state = message.content["arrays"].to_torch_state_dict()
        trained = {"arrays": ArrayRecord(here.train(part)), "metrics": MetricRecord({"num-examples": len(part)})}
        return Message(content=RecordDict(trained), reply_to=message)

    return app


def server(number: int, rounds: int, times: list[float]) -> ServerApp:
    """FedAvg with evaluation on all test data; ``times`` are those at which a round ended."""
    work = WORKS[number]
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        here = loop(number)

        def evaluate(index: int, arrays: ArrayRecord) -> MetricRecord:
            accuracy = here.evaluate(arrays.to_torch_state_dict())
            times.append(time.perf_counter())
            return MetricRecord({"accuracy": accuracy})

        strategy = AllReply(
            fraction_train=work.cohort / work.clients, fraction_evaluate=0.0, min_available_nodes=work.clients
        )
        strategy.start(grid, ArrayRecord(here.state), num_rounds=rounds + 1, evaluate_fn=evaluate)

    return app


def main(number: int, rounds: int) -> None:
    times: list[float] = []
    resources = {"client_resources": {"num_cpus": 1, "num_gpus": 0.0}, "init_args": {"num_cpus": 2}}
    run_simulation(server(number, rounds, times), client(number), WORKS[number].clients, backend_config=resources)
    print(json.dumps(rounds_between(times[1:])))  # the first is that of the evaluation before all rounds


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
