"""The frame of every panel: controls left, pictures right, one status line; all of it derived from one typed state.

This file is the contract between a panel and its frame; how to write a panel stands in :mod:`fqlab.panels`.
:mod:`~fqlab.panels.headless` is what a program does with a panel, :mod:`~fqlab.panels.controls` holds what a hand moves,
:mod:`~fqlab.panels.gallery` the pictures, :mod:`~fqlab.panels.pointing` a hand on them, :mod:`~fqlab.panels.runner` the
long part and :mod:`~fqlab.panels.status` the line below.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import ipywidgets as w

from fqlab.errors import in_range
from fqlab.federation import Experiment
from fqlab.panels import beside, stage
from fqlab.panels.assist import assistant
from fqlab.panels.controls import Controls
from fqlab.panels.gallery import GAP, Gallery
from fqlab.panels.headless import Headless
from fqlab.panels.pointing import Pointing
from fqlab.panels.runner import Runner
from fqlab.panels.state import Settings, changed, control, controls
from fqlab.panels.status import StatusBar
from fqlab.panels.widgets import STYLE, close_children
from fqlab.plots.picture import Picture
from fqlab.plots.spots import Tip

__all__ = ["Frame", "Panel", "Settings", "control"]

WIDTH = 960


@dataclass(frozen=True)
class Frame:
    """What a panel shows at one moment.

    Attributes:
        pictures: picture class -> data for its ``update``; pictures that are not named stay as they are.
        message: a sentence or two for the status line.
        rows: the table behind the pictures, for the CSV file; same keys in every row.
        progress: share of the run that is done, 0 to 1.
    """

    pictures: Mapping[type[Picture], Any]
    message: str = ""
    rows: Sequence[Mapping[str, Any]] = field(default=())
    progress: float = 1.0


class Panel(Headless, w.VBox):
    """An interactive panel; :mod:`fqlab.panels` says how to write one.

    Args:
        hide: name or names of settings whose controls are not shown, besides those that ``fqlab.teach`` hides.
        zoom: enlarges the whole panel, for a projector; without it as ``fqlab.teach`` says, else 1.
        settings: initial settings, changes to the defaults.

    Attributes:
        lock: held while the panel changes or draws.
        gallery, controls, pointing, status, runner: its parts.

    Raises:
        ConfigError: for an unknown or impossible setting.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    version: ClassVar[int] = 1
    State: ClassVar[type[Settings]]
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    rows: ClassVar[Sequence[Sequence[type[Picture]]]]
    patience: ClassVar[float] = 20.0
    handles: ClassVar[Sequence[str]] = ()
    trains: ClassVar[Literal["everywhere", "default", "presets"]] = "everywhere"
    opens: ClassVar[Sequence[str]] = ()
    tells: ClassVar[bool] = False

    def instant(self, state: Any) -> Frame:
        """What can be shown at once; runs in the callback on every change of a control."""
        return Frame({})

    def run(self, state: Any) -> Iterator[Frame]:
        """Longer work, in a background thread: yields frames, the last one is the result."""
        yield from ()

    @classmethod
    def experiment(cls, state: Any) -> Experiment | None:
        """The federation that :meth:`run` trains, if it is one that could run by itself: for TOML and ``fqlab run``."""
        return None

    @classmethod
    def training(cls, state: Any) -> Hashable:
        """What :meth:`run` computes depends on: states with the same need one training, shown in different lights."""
        return state

    def seconds(self, state: Any) -> float:
        """Expected duration of :meth:`run` on this machine; said beforehand if it is more than a second."""
        return 0.0

    def megabytes(self, state: Any) -> float:
        """Simulated traffic of :meth:`run`, said beforehand together with the seconds; 0 says nothing."""
        return 0.0

    def clicked(self, tip: Tip) -> None:
        """A spot of a picture was clicked that says ``tip`` (lock held): make its changes."""
        if tip.changes:
            self.set(**tip.changes)

    def stopping(self) -> bool:
        """Inside :meth:`run`: whether the result is no longer wanted."""
        return self.runner.stopping()

    def __init__(self, *, hide: str | Sequence[str] = (), zoom: float | None = None, **settings: Any) -> None:
        hidden = stage.hidden(hide, lambda: [c.name for c in controls(self.State)]) | stage.now().hide
        self._state = changed(self.State(), settings)
        self._zoom = stage.now().zoom if zoom is None else in_range("zoom", zoom, 0.5, 4)
        self.lock = threading.RLock()
        self._parts: dict[str, Frame] = {}
        self.gallery = Gallery(self.rows, self._zoom)
        self.status = StatusBar(self._toggle, self.step, self.play)
        self.controls = Controls(self, hidden, self.status.attempt)
        self.runner = Runner(self)
        self._assistant = assistant(self.controls.names, self.name)
        self.pointing = Pointing(self, self._assistant)
        self._assistant.observe(lambda change: self._sharpen(change["new"]), "sharp")
        super().__init__(self._children(), layout=w.Layout(width="auto", max_width=f"{WIDTH}px"))
        for name in ("fqlab-panel", f"fqlab-zoom-{round(100 * self._zoom)}", f"fqlab-{self.name}"):
            self.add_class(name)
        self._refresh(self._state)

    def close(self) -> None:
        """Stop the work, end its thread, and take the panel with all its parts off the page."""
        if "runner" in vars(self):  # not there if a bad argument stopped the panel from being made
            self.runner.close()
            close_children(self)
            self.layout.close()
        super().close()

    # ------------------------------------------------------------------ for the parts

    @property
    def frame(self) -> Frame:
        """All that is shown now: pictures, sentences and table of the instant and of the long part."""
        parts = list(self._parts.values())
        pictures = {kind: data for part in parts for kind, data in part.pictures.items()}
        messages = dict.fromkeys(part.message for part in parts if part.message)  # both may say the same
        rows = next((part.rows for part in reversed(parts) if part.rows), ())
        return Frame(pictures, " ".join(messages), rows)

    def show(self, frame: Frame, part: str = "run") -> None:
        """Draw a frame of the instant or of the long part (lock held)."""
        self._parts[part] = frame
        self.gallery.show(frame.pictures)
        self._assistant.alts = self.gallery.alts
        self._assistant.pointers = self.gallery.pointers

    def tell(self, more: str = "") -> None:
        """Write the message of what is shown into the status line, and ``more`` behind it."""
        self.status.write(f"{self.frame.message} {more}".strip())

    # ------------------------------------------------------------------ changes

    def _set_state(self, state: Settings) -> None:
        """Take over ``state``: stop the old work first, then move the controls and draw."""
        self.status.forgive()
        if state != self._state:
            self.runner.cancel()
        with self.lock:
            before = self._state
            self._state = state
            if state == before:
                self._sync_controls(before)
            else:
                self._refresh(before)

    def _refresh(self, before: Settings) -> None:
        """Show the current state: the instant part now, the long part in the background (lock held)."""
        self._parts = {}
        self.gallery.next_run()
        self.status.clear()
        try:
            self.show(self.instant(self._state), "instant")
            self.tell()
        except Exception as wrong:
            self.status.fail(wrong)
        self._sync_controls(before)
        if type(self).run is not Panel.run:
            self.runner.schedule(self._state)

    def _sync_controls(self, before: Settings) -> None:
        """Move controls, ticket and presets to where the state is."""
        self.controls.sync(before, self._state, self.ticket)

    def _toggle(self) -> None:
        """The button Run or Stop."""
        if self.runner.busy:
            self.stop()
        else:
            self.status.attempt(self.start)

    def _sharpen(self, factor: float) -> None:
        """The browser has said how sharp its screen is: 1 to 2, whatever it says."""
        with self.lock:
            self.gallery.sharpen(min(2.0, factor) if factor >= 1 else 1.0)

    # ------------------------------------------------------------------ on the page

    def _children(self) -> list[w.Widget]:
        """The children of the panel, top to bottom."""
        zoomed = "" if self._zoom == 1 else f".fqlab-zoom-{round(100 * self._zoom)} {{ zoom: {self._zoom:g}; }}"
        style = w.HTML(f"<style>{STYLE}{self.controls.style}{zoomed}</style>", layout=w.Layout(display="none"))
        # Beside each other where the page is wide enough, else the pictures above the controls.
        layout = w.Layout(width="auto", overflow="visible", flex_flow="row wrap", grid_gap=f"{GAP}px")
        body = w.HBox([self.controls.column, self.gallery.widget], layout=layout)
        body.add_class("fqlab-body")
        presets = [self.controls.presets] if self.presets else []
        return [style, *presets, body, self.status.widget, self._assistant]

    def _ipython_display_(self) -> None:
        """The live widget at once, and when it has shown its result what a page without a kernel shows in its place.

        A student is not kept waiting for long; what is built for readers waits however slow the machine is.
        """
        beside.view(self)
        self.wait(None if os.environ.get("FQLAB_UNHURRIED") == "1" else self.patience + 10)
        beside.behind(self.without_kernel())
