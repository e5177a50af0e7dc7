"""The line below the pictures: what is shown, what runs and how far it is, what went wrong, and buttons to run and step."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import ipywidgets as w

from fqlab.errors import FqlabError
from fqlab.panels.widgets import button

__all__ = ["StatusBar"]

PLAY, PAUSE = "play", "pause"
SIDE = 190
"""Pixels at the right end, whatever stands there: nothing jumps."""


class StatusBar:
    """One line of words; at its right end progress with a button Run or Stop, or the buttons that step through a run.

    Args:
        toggle: called when Run or Stop is pressed.
        step: called with -1 or 1 when a step back or forward is wanted.
        play: called when the run is to be played again, or paused.

    Attributes:
        widget: the line.
        error: what went wrong, if something did.
    """

    def __init__(self, toggle: Callable[[], None], step: Callable[[int], None], play: Callable[[], None]) -> None:
        self._text = w.HTML(layout=w.Layout(height="40px"))
        self._text.add_class("fqlab-status")
        self._words = ""
        self._mistake: Exception | None = None
        self.error: Exception | None = None
        self._progress = w.FloatProgress(min=0, max=1, layout=w.Layout(width="110px", height="18px"))
        self._run = button("Stop", "Run or stop the long part", "72px")
        self._run.on_click(lambda _: toggle())
        self._steps = _step_buttons(step, play)
        self._steppable = False
        side = w.Layout(width=f"{SIDE}px", flex="0 0 auto", justify_content="flex-end", align_items="center")
        self._side = w.HBox([self._progress, self._run, *self._steps], layout=side)
        layout = w.Layout(width="auto", height="44px", align_items="center", overflow="hidden", margin="6px 0 0 0")
        self.widget = w.HBox([self._text, self._side], layout=layout)
        self.widget.add_class("fqlab-bar")
        self.show_button(None)

    @property
    def text(self) -> str:
        """The line as it is shown, as HTML."""
        return self._text.value

    def write(self, words: str, *, link: str = "") -> None:
        """Write the line; ``link`` is HTML behind the words. What went wrong stays in front until it is cleared."""
        self._words = f"{html.escape(words)}{link}"
        if self.error is None:
            self._text.value = self._words

    def fail(self, wrong: Exception) -> None:
        """Say in one sentence what went wrong, until :meth:`clear`."""
        self.error = wrong
        broke = f"Something broke here: {type(wrong).__name__}: {wrong}"
        self._text.value = f"⚠ {html.escape(str(wrong) if isinstance(wrong, FqlabError) else broke)}"

    def clear(self) -> None:
        """Nothing is wrong any more; the words below the error come back."""
        self.error = None
        self._text.value = self._words

    def attempt(self, action: Callable[[], Any]) -> None:
        """Do what a person asked for, and say it where that goes wrong."""
        self.forgive()
        try:
            action()
        except Exception as wrong:
            self._mistake = wrong
            self.fail(wrong)

    def forgive(self) -> None:
        """Clear what :meth:`attempt` said; what else went wrong stays."""
        if self.error is not None and self.error is self._mistake:
            self.clear()
        self._mistake = None

    def show_button(self, text: str | None) -> None:
        """Show the button Run, or Stop with the progress, or the buttons that step where there are steps."""
        self._run.description = text or self._run.description
        _display(self._run, bool(text))
        _display(self._progress, text == "Stop")
        for step in self._steps:
            _display(step, self._steppable and not text)

    def show_progress(self, share: float) -> None:
        """Fill the bar to ``share``, 0 to 1."""
        self._progress.value = share

    def show_steps(self, on: bool, *, playing: bool = False) -> None:
        """Offer the buttons that step through the last run, or take them away; ``playing`` makes the middle one a pause."""
        self._steppable = on
        self._steps[1].icon = PAUSE if playing else PLAY
        for step in self._steps:
            _display(step, on and self._run.layout.display == "none")


def _step_buttons(step: Callable[[int], None], play: Callable[[], None]) -> tuple[w.Button, ...]:
    """Back, play and on."""
    back = button("", "One step back", "40px", icon="step-backward")
    again = button("", "Play the run again, or pause", "40px", icon=PLAY)
    forth = button("", "One step on", "40px", icon="step-forward")
    back.on_click(lambda _: step(-1))
    again.on_click(lambda _: play())
    forth.on_click(lambda _: step(1))
    for each, name in ((back, "back"), (again, "play"), (forth, "forth")):
        each.add_class(f"fqlab-{name}")
    return back, again, forth


def _display(widget: w.DOMWidget, on: bool) -> None:
    widget.layout.display = None if on else "none"
