"""One client after the other: the reference, and the one to debug with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from fqlab.errors import FqlabError
from fqlab.federation.engines.crew import one_thread
from fqlab.federation.engines.simulation import ClientResult, ClientTask, Simulation, local_round

__all__ = ["ClientError", "located", "run"]


class ClientError(FqlabError):
    """Something failed inside a client; the message names round, client and layer."""


@contextmanager
def located(task: ClientTask, model: torch.nn.Module) -> Iterator[None]:
    """Add round, client and the layer last entered to any exception."""
    entered: list[str] = []
    leaves = [(name, module) for name, module in model.named_modules() if not list(module.children())]
    hooks = [m.register_forward_pre_hook(lambda *_, name=name: entered.append(name)) for name, m in leaves]
    try:
        yield
    except Exception as error:
        layer = entered[-1] if entered else "none yet"
        where = f"round {task.round_index}, client {task.client}, last layer {layer}"
        raise ClientError(f"{where}: {type(error).__name__}: {error}") from error
    finally:
        for hook in hooks:
            hook.remove()


def run(
    simulation: Simulation, tasks: list[ClientTask], stop: Callable[[], bool], workers: int = 1
) -> Iterator[ClientResult]:
    """Replies in the order of ``tasks``; stops between two clients once ``stop()`` is true."""
    for task in tasks:
        if stop():
            return
        with one_thread(), located(task, simulation.model):
            result = local_round(simulation, task, simulation.model)
        yield result
