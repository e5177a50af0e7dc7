"""Visits every state that pages need, on all processors, with progress; what was visited before is taken from the cache."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from fqlab import panels
from fqlab.errors import DataError
from fqlab.lessons.website.play.cache import Cache, code_digest
from fqlab.lessons.website.play.clicks import visits
from fqlab.lessons.website.play.store import Writer
from fqlab.lessons.website.play.visit import Visitor
from fqlab.panels import ticket
from fqlab.panels.frame import Panel
from fqlab.panels.state import Settings

__all__ = ["build_store"]

AT_ONCE = 2
"""Processes, each with one thread: a panel's networks are too small to share."""
TOGETHER = 12
"""States that one process visits in a row."""

Job = tuple[str, tuple[tuple[str, bool], ...]]
"""A panel's name, and tickets with whether the long part is computed."""


def build_store(names: Sequence[str], out: Path, home: Path) -> list[Path]:
    """The script files of these panels in the folder ``out``.

    Args:
        names: keys of ``fqlab.panels.PANELS``.
        out: made if it is not there.
        home: the cache, see :class:`~fqlab.lessons.website.play.cache.Cache`.

    Raises:
        DataError: if a state cannot be shown, with its ticket.
    """
    store = Cache(home, code_digest())
    store.prune()
    _visit_all(names, store)
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for name in names:
        panel = getattr(panels, name)
        stored = cache(lambda state, panel=panel: store.get(_ticket(panel, state)))
        written += Writer(panel, stored).write(out)
    return written


def _ticket(panel: type[Panel], state: Settings) -> str:
    return ticket.write(panel.name, panel.version, state)


def _visit_all(names: Sequence[str], store: Cache) -> None:
    """Visit what is not in the cache yet."""
    from tqdm import tqdm

    jobs = [job for name in names for job in _jobs(getattr(panels, name), store)]
    if not jobs:
        return
    context = multiprocessing.get_context("spawn")  # a fork would copy PyTorch's threads
    bar = tqdm(total=sum(len(states) for _, states in jobs), unit="state", desc="panels", smoothing=0.05)
    with bar, ProcessPoolExecutor(AT_ONCE, mp_context=context, initializer=_one_thread) as pool:
        waiting = {pool.submit(_visit, job, store.home, store.folder.name): job for job in jobs}
        try:
            for done in as_completed(waiting):
                name, states = waiting[done]
                done.result()
                bar.set_postfix_str(name)
                bar.update(len(states))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _jobs(panel: type[Panel], store: Cache) -> Iterator[Job]:
    """The states of a panel that have to be visited, some at a time."""
    codes = ((_ticket(panel, state), train) for state, train in visits(panel).items())
    missing = iter([(code, train) for code, train in codes if not store.has(code)])
    while states := tuple(islice(missing, TOGETHER)):
        yield panel.name, states


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@cache
def _visitor(name: str) -> Visitor:
    return Visitor(getattr(panels, name))


def _visit(job: Job, home: Path, digest: str) -> None:
    """In a process of its own: visit some states, and keep what they show."""
    name, states = job
    panel: Any = getattr(panels, name)
    store = Cache(home, digest)
    for code, train in states:
        state = ticket.read(panel.name, panel.version, panel.State, code)
        try:
            visit = _visitor(name).visit(state, train=train)
        except Exception as wrong:
            raise DataError(f"panel {name} cannot show {code}: {type(wrong).__name__}: {wrong}.") from wrong
        store.put(code, visit)
