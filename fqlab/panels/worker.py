"""One background thread for long work, in which the newest job always wins.

A job is a function of one argument, the event that asks it to stop. A new job stops the running one and replaces the
waiting one, so at most one job runs and at most one waits. Every job runs in a copy of the context it was handed in
from: in a notebook, a thread that sends widget messages from a bare context dies silently (``LookupError`` on the
kernel's parent message).
"""

from __future__ import annotations

import contextvars
import threading
import traceback
from collections.abc import Callable

__all__ = ["Job", "Worker"]

Job = Callable[[threading.Event], None]
LINGER = 10.0
"""Seconds an idle thread waits for the next job before it ends."""


class Worker:
    """Runs jobs one after the other in a thread that starts on demand and ends when idle."""

    def __init__(self, name: str = "fqlab-worker") -> None:
        self._name = name
        self._state = threading.Condition()
        self._waiting: tuple[contextvars.Context, Job] | None = None
        self._stop: threading.Event | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    @property
    def busy(self) -> bool:
        """Whether a job runs or waits."""
        with self._state:
            return self._stop is not None or self._waiting is not None

    def submit(self, job: Job) -> None:
        """Run ``job`` as soon as the running one, which is asked to stop, has ended."""
        with self._state:
            self._waiting = (contextvars.copy_context(), job)
            self._closed = False
            if self._stop is not None:
                self._stop.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name=self._name, daemon=True)
                self._thread.start()
            self._state.notify_all()

    def cancel(self) -> None:
        """Ask the running job to stop and forget the waiting one."""
        with self._state:
            self._waiting = None
            if self._stop is not None:
                self._stop.set()
            self._state.notify_all()

    def close(self) -> None:
        """Cancel everything, and let the thread end now instead of after a quiet time."""
        self.cancel()
        with self._state:
            self._closed = True
            self._state.notify_all()

    def wait(self, timeout: float | None = None) -> bool:
        """Block until nothing runs or waits; False if that took longer than ``timeout`` seconds."""
        with self._state:
            return self._state.wait_for(lambda: self._stop is None and self._waiting is None, timeout)

    def _next(self) -> tuple[contextvars.Context, Job, threading.Event] | None:
        """The next job, or None (and the end of the thread) after a quiet time, or once closed."""
        with self._state:
            self._state.wait_for(lambda: self._waiting is not None or self._closed, LINGER)
            if self._waiting is None:
                self._thread = None
                return None
            context, job = self._waiting
            self._waiting = None
            self._stop = threading.Event()
            return context, job, self._stop

    def _loop(self) -> None:
        while (job := self._next()) is not None:
            context, work, stop = job
            try:
                context.run(work, stop)
            except (
                BaseException
            ):  # a job reports its own errors; a thread that died here would take every later job along
                traceback.print_exc()
            finally:
                with self._state:
                    self._stop = None
                    self._state.notify_all()
