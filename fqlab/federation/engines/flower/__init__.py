"""Clients on machines of their own, reached through Flower (``pip install 'fqlab[flower]'``).

``fqlab run --engine flower`` starts a SuperLink and SuperNodes on this machine, in processes of their own, and ends
them with the run. ``fqlab flower app DIR`` writes the app for a federation of one's own; how such a one is started and
secured stands in the ``README.md`` it writes. What a round costs and how it grows stands in ``SCALE.md`` beside this
file.

Flower carries messages, starts apps on nodes, and knows who is there. Everything that decides a result is the same as
on one machine: the loop draws the participants, packs, guards and averages; a node trains its clients with the engine
``threads``; packets travel as bytes that Flower does not open. What a client keeps for itself stays in its node's
context, and takes effect only once the server has accepted the upload that came with it.

==================  =====================================================================================
``bundle``          one message as bytes
``post``            the server's side: tasks become messages, answers become results
``node``            a node's side: a message's clients are trained
``grid``            messages through Flower: who is there, timeouts
``server_app``,
``client_app``      what Flower loads
``app``             the folder it loads them from
``network``,
``ground``          the processes on this machine
==================  =====================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from fqlab.federation.engines.flower.network import Network
from fqlab.federation.engines.flower.post import federate
from fqlab.federation.engines.simulation import ClientResult, ClientTask, Simulation

__all__ = ["run"]


def run(
    simulation: Simulation, tasks: list[ClientTask], stop: Callable[[], bool], workers: int = 2
) -> Iterator[ClientResult]:
    """Replies in the order of ``tasks``, of clients that live on ``workers`` nodes, but no more than there are; none if stopped.

    Raises:
        ConfigError: if Flower is not installed.
        NetworkError: if the federation does not start, ends, or no node answers in time.
    """
    nodes = min(workers, simulation.experiment.clients)
    network = simulation.services.get("flower", lambda: Network(simulation.experiment, nodes))
    exchange = partial(network.exchange, stop=stop)
    yield from federate(simulation, tasks, exchange, nodes)
