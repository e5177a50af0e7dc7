"""The long part of a panel: offered or started, run in the background, drawn now and then, and stepped through afterwards."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

from fqlab.panels.worker import Worker

if TYPE_CHECKING:
    from fqlab.panels.frame import Frame, Panel

__all__ = ["Runner"]

REDRAW = 0.1
"""Seconds between two pictures of a running job ..."""
REST = 4
"""... or so many times what the last one took, where that is more: a slow machine shall compute, not draw."""
SETTLE = 0.04
"""Seconds that long work waits for a newer setting, and for the instant pictures to leave for the browser."""
BEAT = 0.25
"""Seconds that each step stays when a run is played again."""
LONG = 1.0
"""Seconds from which a run is announced, and shows its progress."""


class Runner:
    """Runs ``panel.run`` for the newest setting, which stops and replaces any earlier one.

    Args:
        panel: whose long part it is; its ``lock`` is held while anything is shown.
    """

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self._worker = Worker(f"fqlab-{panel.name}")
        self._jobs = 0
        self._stop = threading.Event()
        self._steps: list[Frame] = []
        self._at = 0
        self._playing: object | None = None

    # ------------------------------------------------------------------ for the panel

    @property
    def busy(self) -> bool:
        """Whether something runs, waits or is played."""
        return self._worker.busy

    @property
    def steps(self) -> tuple[Frame, ...]:
        """The frames with pictures that the last run yielded."""
        return tuple(self._steps)

    def stopping(self) -> bool:
        """Inside a run: whether its result is no longer wanted."""
        return self._stop.is_set()

    def wait(self, timeout: float | None) -> bool:
        """Block until nothing runs; False after ``timeout`` seconds."""
        return self._worker.wait(timeout)

    def cancel(self) -> None:
        """Ask the running job to stop; what is played again pauses."""
        self._worker.cancel()
        if self._playing is not None:
            self._playing = None
            self._panel.status.show_steps(True)

    def close(self) -> None:
        """Stop for good: the thread ends."""
        self._worker.close()

    # ------------------------------------------------------------------ a run

    def schedule(self, state: Any) -> None:
        """Start the run of ``state``, or offer it if it is expected to outlast the panel's patience (lock held)."""
        self._forget_steps()
        if self._panel.seconds(state) <= self._panel.patience:
            self.launch(state)
            return
        self._jobs += 1  # what an earlier job still has to say is old
        self._panel.gallery.dim(True)
        self._panel.status.show_button("Run")
        self._panel.tell(f"{self._forecast(state)} Press Run.")

    def launch(self, state: Any) -> None:
        """Hand the run of ``state`` to the worker, however long it takes; the newest launch wins."""
        panel = self._panel
        with panel.lock:
            self._jobs += 1
            number = self._jobs
            self._forget_steps()
            long = panel.seconds(state) > LONG
            panel.gallery.dim(False)
            panel.status.show_button("Stop" if long else None)
            if long:
                panel.tell(f"Running: {self._forecast(state)}")
        self._worker.submit(lambda stop: self._work(state, number, stop))

    def _forecast(self, state: Any) -> str:
        """``About 12 s, 3.1 MB.``"""
        traffic = self._panel.megabytes(state)
        return f"About {self._panel.seconds(state):.0f} s" + (f", {traffic:.2g} MB." if traffic else ".")

    def _work(self, state: Any, number: int, stop: threading.Event) -> None:
        """The job: run to the end, drawing now and then."""
        self._stop = stop
        if stop.wait(SETTLE) and number != self._jobs:
            return
        steps: list[Frame] = []
        last: Frame | None = None
        began = drawn = time.perf_counter()
        rest = REDRAW
        try:
            with contextlib.closing(self._panel.run(state)) as frames:
                for last in frames:
                    steps += [last] if last.pictures else []
                    now = time.perf_counter()
                    if stop.is_set():
                        break
                    if now - drawn > rest:
                        self._publish(number, stop, last, now - began)
                        drawn = time.perf_counter()
                        rest = max(REDRAW, REST * (drawn - now))
            self._finish(number, stop, last, steps, time.perf_counter() - began)
        except Exception as wrong:
            with self._panel.lock:
                if number == self._jobs:
                    self._panel.status.show_steps(False)
                    self._panel.status.show_button(None)
                    self._panel.status.fail(wrong)

    def _publish(self, number: int, stop: threading.Event, frame: Frame, seconds: float) -> None:
        """Show an intermediate frame, unless a newer setting has come."""
        panel = self._panel
        with panel.lock:
            if number != self._jobs or stop.is_set():
                return
            panel.show(frame)
            if seconds > LONG:
                panel.status.show_button("Stop")
                panel.status.show_progress(frame.progress)
                panel.tell(f"{frame.progress:.0%} after {seconds:.0f} s.")

    def _finish(
        self, number: int, stop: threading.Event, frame: Frame | None, steps: list[Frame], seconds: float
    ) -> None:
        """Show the result, or say that the run was stopped."""
        panel = self._panel
        with panel.lock:
            if number != self._jobs:
                return
            panel.status.show_button("Run" if stop.is_set() else None)
            if stop.is_set():
                share = f"at {frame.progress:.0%}" if frame else "before its first result"
                panel.tell(f"Stopped {share} after {seconds:.1f} s.")
            elif frame is not None:
                panel.show(frame)
                panel.gallery.complete(frame.pictures)
                panel.tell(f"{seconds:.2f} s.")
                self._keep_steps(steps)

    # ------------------------------------------------------------------ step by step

    def step(self, by: int) -> None:
        """Show the frame ``by`` steps further on; the first and the last are the ends."""
        if self._playing is not None:
            self.cancel()
        with self._panel.lock:
            self._show_step(self._at + by)

    def play(self) -> None:
        """Show the run again from where it is, or from its first frame if that is the last; a second call pauses."""
        if self._playing is not None:
            self.cancel()
            return
        with self._panel.lock:
            if len(self._steps) < 2:
                return
            if self._at == len(self._steps) - 1:
                self._show_step(0)
            self._playing = turn = object()
            self._panel.status.show_steps(True, playing=True)
        self._worker.submit(lambda stop: self._replay(turn, stop))

    def _replay(self, turn: object, stop: threading.Event) -> None:
        """The job of :meth:`play`; a new setting stops it, and leaves it no frames."""
        more = True
        while more and not stop.wait(BEAT):
            with self._panel.lock:
                more = not stop.is_set() and self._show_step(self._at + 1)
        with self._panel.lock:
            if self._playing is turn:
                self._playing = None
                self._panel.status.show_steps(True)

    def _show_step(self, at: int) -> bool:
        """Show a frame of the last run (lock held); whether there are more behind it."""
        last = len(self._steps) - 1
        if last < 1:
            return False
        self._at = min(max(at, 0), last)
        self._panel.show(self._steps[self._at])
        self._panel.tell(f"Step {self._at + 1} of {last + 1}.")
        return self._at < last

    def _keep_steps(self, steps: list[Frame]) -> None:
        self._steps = steps
        self._at = len(steps) - 1
        self._panel.status.show_steps(len(steps) > 1)

    def _forget_steps(self) -> None:
        """A new run begins: the frames of the last one do not belong to the settings any more."""
        self._steps = []
