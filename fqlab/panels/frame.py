"""The frame of every panel: controls left, pictures right, one status line; all of it derived from one typed state.

How to write a panel
--------------------
One file, one state, one or more pictures, at most two functions::

    @dataclass(frozen=True)
    class State(Settings):
        bits: int = control(4, label="Bits per weight", unit="bit", low=1, high=8, group="Quantizer")
        clip: float = control(1.0, label="Clip, times the optimum", unit="×", low=0.2, high=3, step=0.05, mark=1.0)
        grid: str = control("midrise", label="Grid", choices={"midrise": "mid-rise", "octav": "OCTAV"})
        seed: int = control(0, label="Seed", low=0, high=999, box=True, group="Run")

    class Quantizer(Panel):
        name, title = "quantizer", "Uniform quantization"
        State = State
        rows = ((Levels, Error), (Curve,))                # pictures (fqlab.plots.Picture), at most three
        presets = {"2 bit": {"bits": 2}, "No clip": {"clip": 3.0}}   # changes to the default state

        def instant(self, state):                         # at once, on every change: keep it under 15 ms
            return Frame({Levels: ..., Error: ...}, say="Clipping noise takes over below 1.7 σ.")

        def run(self, state):                             # optional: anything longer, in a background thread
            for record in federation.run(experiment):     # a generator: yield as often as you like
                yield Frame({Curve: ...}, progress=record.number / 30, rows=[{"round": ..., "accuracy": ...}])

* Whatever a :class:`Frame` names is handed to ``Picture.update(data, ghost)``; the ghost is what the picture showed when
  the last complete run before this one ended. ``update`` writes the finding into the title and returns the alt text.
* The newest setting wins: a change stops the running ``run`` between two yields and drops its frames. Pass
  ``self.stopping`` (a callable) on to code that can stop earlier.
* ``seconds(state)`` and ``megabytes(state)``: override for runs longer than a second; they are shown beforehand. A run
  expected to take longer than ``patience`` seconds waits for the Run button.
* Raise :class:`~fqlab.errors.ConfigError` for anything a person got wrong: it lands in the status line. Any other
  exception lands there too, as one sentence, and is kept in ``panel.error``.
* Draw from generators seeded by ``state.seed`` only, and hold no state of your own but caches.
* Register the class in ``fqlab.panels.PANELS``; ``tests/test_panels.py`` then drives it through every control.

Everybody gets from the frame: reset, presets, ticket, CSV and SVG, the static page and the text description, progress
and stop, names for screen readers, and the headless interface ``set``, ``state``, ``wait``, ``figure``, ``svg``, ``csv``,
``description``.
"""

from __future__ import annotations

import contextlib
import html
import pickle
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import ipywidgets as w

from fqlab.errors import FqlabError, in_range, one_of
from fqlab.federation import Experiment
from fqlab.panels import page, teaching, ticket
from fqlab.panels.assist import assistant
from fqlab.panels.canvas import Canvas
from fqlab.panels.state import Settings, changed, control, controls, words
from fqlab.panels.widgets import STYLE, button, column, css_class, marks, widget
from fqlab.panels.worker import Worker
from fqlab.plots.picture import Drawing, Picture, PictureView, mosaic, to_svg

__all__ = ["Frame", "Panel", "Settings", "control"]

WIDTH, CONTROLS, GAP = 960, 264, 10
REDRAW = 0.1
"""Seconds between two pictures of a running job."""
SETTLE = 0.04
"""Seconds that long work waits for a newer setting, and for the instant pictures to leave for the browser."""


@dataclass(frozen=True)
class Frame:
    """What a panel shows at one moment.

    Attributes:
        pictures: picture class -> data for its ``update``; pictures that are not named stay as they are.
        say: a sentence or two for the status line.
        rows: the table behind the pictures, for the CSV file; same keys in every row.
        progress: share of the run that is done, 0 to 1.
    """

    pictures: Mapping[type[Picture], Any]
    message: str = ""
    rows: Sequence[Mapping[str, Any]] = field(default=())
    progress: float = 1.0


class Panel(w.VBox):
    """An interactive panel; see the module's text for how to write one.

    Args:
        hide: names of settings whose controls are not shown, besides those that ``fqlab.teach`` hides.
        zoom: enlarges the whole panel, for a projector; without it as ``fqlab.teach`` says, else 1.
        settings: initial settings, changes to the defaults.

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

    def seconds(self, state: Any) -> float:
        """Expected duration of :meth:`run` on this machine; said beforehand if it is more than a second."""
        return 0.0

    def megabytes(self, state: Any) -> float:
        """Simulated traffic of :meth:`run`, said beforehand together with the seconds; 0 says nothing."""
        return 0.0

    def __init__(self, *, hide: Sequence[str] = (), zoom: float | None = None, **settings: Any) -> None:
        for known in hide:
            one_of("hide", known, [c.name for c in controls(self.State)])
        self._state = changed(self.State(), settings)
        self._lock = threading.RLock()
        self._worker = Worker(f"fqlab-{self.name}")
        self._quiet: int | None = None
        self._jobs = 0
        self._frames: dict[str, Frame] = {}
        self._shown: dict[type[Picture], tuple[Any, Any]] = {}
        self._alts: dict[type[Picture], str] = {}
        self._painted: dict[type[Picture], bytes] = {}
        self._finished: dict[type[Picture], Any] = {}
        self._ghosts: dict[type[Picture], Any] = {}
        self._stop = threading.Event()
        self.error: Exception | None = None
        self._zoom = teaching.now().zoom if zoom is None else in_range("zoom", zoom, 0.5, 4)
        super().__init__(self._build({*hide, *teaching.now().hide}))
        self.layout = w.Layout(width="auto", max_width=f"{WIDTH}px")
        self.add_class("fqlab-panel")
        self.add_class(f"fqlab-zoom-{round(100 * self._zoom)}")
        self.add_class(f"fqlab-{self.name}")
        self._refresh()

    # ------------------------------------------------------------------ for programs

    @property
    def state(self) -> Any:
        """The current settings."""
        return self._state

    @property
    def ticket(self) -> str:
        """The code that restores the current settings."""
        return ticket.write(self.name, self.version, self._state)

    @property
    def frame(self) -> Frame:
        """All that is shown now: pictures, sentences and table of the instant and of the long part."""
        parts = list(self._frames.values())
        pictures = {kind: data for part in parts for kind, data in part.pictures.items()}
        rows = next((part.rows for part in reversed(parts) if part.rows), ())
        return Frame(pictures, " ".join(part.message for part in parts if part.message), rows)

    @property
    def description(self) -> str:
        """Settings, pictures and finding in words; the same for the same settings."""
        alts = [self._alts[kind] for row in self.rows for kind in row if kind in self._alts]
        return " ".join([f"{self.title}. Settings: {words(self._state)}.", *alts, self.frame.message]).strip()

    def set(self, **settings: Any) -> Panel:
        """Change settings, as if by hand.

        Raises:
            ConfigError: for an unknown or impossible setting; nothing changes then.
        """
        self._set_state(changed(self._state, settings))
        return self

    def restore(self, code: str) -> Panel:
        """Restore the settings of a ticket.

        Raises:
            ConfigError: for a ticket of another panel or version, or a mistyped one; nothing changes then.
        """
        self._set_state(ticket.read(self.name, self.version, self.State, code))
        return self

    def preset(self, name: str) -> Panel:
        """Go to a preset."""
        self._set_state(changed(self.State(), self.presets[name]))
        return self

    def reset(self) -> Panel:
        """Back to the default settings."""
        self._set_state(self.State())
        return self

    def wait(self, timeout: float | None = 60) -> bool:
        """Block until the background work is done and shown; False after ``timeout`` seconds."""
        return self._worker.wait(timeout)

    def stop(self) -> None:
        """Stop the background work; what it showed so far stays."""
        self._worker.cancel()

    def start(self) -> None:
        """Run the background work for the current settings now, however long it takes."""
        self._launch(self._state)

    def stopping(self) -> bool:
        """Inside :meth:`run`: whether the result is no longer wanted."""
        return self._stop.is_set()

    def drawing(self, zoom: float = 1.0) -> Drawing:
        """All pictures as they are now, in one figure with alt text."""
        with self._lock:
            rows = [[PictureView(kind, *self._shown[kind]) for kind in row if kind in self._shown] for row in self.rows]
        return mosaic([row for row in rows if row], zoom=zoom, gap=GAP)

    def figure(self, zoom: float = 1.0) -> Any:
        """All pictures as they are now, as one Matplotlib figure."""
        return self.drawing(zoom).figure

    def svg(self) -> str:
        """All pictures as they are now, as SVG text."""
        return to_svg(self.drawing())

    def csv(self) -> str:
        """The table behind the pictures; every row starts with the ticket and the settings."""
        return page.table(self.ticket, self._state, self.frame.rows)

    def close(self) -> None:
        """Stop the work and take the panel off the page."""
        if "_worker" in vars(self):  # not there if a bad argument stopped the panel from being made
            self._worker.cancel()
        super().close()

    # ------------------------------------------------------------------ building

    def _build(self, hide: set[str]) -> list[w.Widget]:
        """The children of the panel, top to bottom."""
        known = [c for c in controls(self.State) if c.name not in hide]
        self._widgets = {c.name: widget(c, getattr(self._state, c.name)) for c in controls(self.State)}
        for name, made in self._widgets.items():
            made.observe(lambda change, name=name: self._moved(name, change["new"]), "value")
        zoomed = "" if self._zoom == 1 else f".fqlab-zoom-{round(100 * self._zoom)} {{ zoom: {self._zoom:g}; }}"
        style = w.HTML(f"<style>{STYLE}{marks(self.name, known)}{zoomed}</style>", layout=w.Layout(display="none"))
        left = column(known, self._widgets, CONTROLS)
        left.children += (self._tools(),)
        names = {css_class(c.name): c.title for c in known if c.choices is None and not c.box}
        self._assist = assistant(names)
        if self._assist is not None:
            self._assist.observe(lambda change: self._sharpen(change["new"]), "sharp")
        # Beside each other where the page is wide enough, else the pictures below the controls.
        layout = w.Layout(width="auto", overflow="visible", flex_flow="row wrap", grid_gap=f"{GAP}px")
        body = w.HBox([left, self._gallery()], layout=layout)
        rest = [self._assist] if self._assist is not None else []
        return [style, *self._preset_bar(), body, self._status_bar(), *rest]

    def _gallery(self) -> w.VBox:
        """The pictures, in rows."""
        self._canvases = {kind: Canvas(kind(), self._zoom) for row in self.rows for kind in row}
        self._images: dict[type[Picture], w.Image] = {}
        for kind in self._canvases:
            layout = w.Layout(width=f"{kind.width}px", height=f"{kind.height}px", flex="0 0 auto")
            image = w.Image(value=b"", format="png", layout=layout)
            image.add_class("fqlab-picture")
            image.add_class(f"fqlab-p-{kind.__name__.lower()}")
            self._images[kind] = image
        between = w.Layout(width="auto", grid_gap=f"{GAP}px", overflow="visible")
        lines = [w.HBox([self._images[kind] for kind in row], layout=between) for row in self.rows]
        return w.VBox(lines, layout=w.Layout(grid_gap=f"{GAP}px", overflow="visible"))

    def _preset_bar(self) -> list[w.Widget]:
        """One button per preset, in the order in which one shows them."""
        self._preset_buttons = {}
        for name in self.presets:
            made = button(name, f"Preset: {name}")
            made.add_class("fqlab-preset")
            made.on_click(lambda _, name=name: self.preset(name))
            self._preset_buttons[name] = made
        if not self._preset_buttons:
            return []
        layout = w.Layout(width="auto", grid_gap="6px", margin="0 0 6px 0", overflow="visible")
        return [w.HBox(list(self._preset_buttons.values()), layout=layout)]

    def _tools(self) -> w.VBox:
        """Ticket, reset, files."""
        self._ticket = w.Text(
            description="Ticket", continuous_update=False, tooltip="Copy it; paste one and press Enter"
        )
        self._ticket.style.description_width = "44px"
        self._ticket.add_class("fqlab-control")
        self._ticket.observe(lambda change: self._pasted(change["new"]), "value")
        reset = button("Reset", "Back to the default settings", "33%")
        csv = button("CSV", "Save the numbers as a table", "33%")
        svg = button("SVG", "Save the pictures", "33%")
        reset.on_click(lambda _: self.reset())
        csv.on_click(lambda _: self._save("csv"))
        svg.on_click(lambda _: self._save("svg"))
        row = w.HBox([reset, csv, svg], layout=w.Layout(grid_gap="4px", margin="2px"))
        return w.VBox([self._ticket, row], layout=w.Layout(margin="6px 0 0 0", overflow="hidden", flex="0 0 auto"))

    def _status_bar(self) -> w.HBox:
        """One line of words, progress, Run and Stop."""
        self._status = w.HTML(layout=w.Layout(height="40px"))
        self._status.add_class("fqlab-status")
        self._progress = w.FloatProgress(
            min=0, max=1, layout=w.Layout(width="110px", height="18px", visibility="hidden")
        )
        self._run_button = button("Stop", "Run or stop the long part", "72px")
        self._run_button.layout.visibility = "hidden"
        self._run_button.on_click(lambda _: self.stop() if self._worker.busy else self.start())
        layout = w.Layout(width="auto", height="44px", align_items="center", overflow="hidden", margin="6px 0 0 0")
        return w.HBox([self._status, self._progress, self._run_button], layout=layout)

    # ------------------------------------------------------------------ changes

    def _moved(self, name: str, value: Any) -> None:
        """A control was moved by hand."""
        if self._quiet != threading.get_ident():
            self._attempt(lambda: self.set(**{name: value}))

    def _pasted(self, code: str) -> None:
        """A ticket was pasted."""
        if self._quiet != threading.get_ident() and code.strip() not in ("", self.ticket):
            self._attempt(lambda: self.restore(code))

    def _attempt(self, action: Any) -> None:
        """Do what a person asked for; what goes wrong is said in the status line."""
        try:
            action()
        except Exception as wrong:
            self._show_error(wrong)

    def _set_state(self, state: Settings) -> None:
        """Take over ``state``: stop the old work first, then move the controls and draw."""
        if state == self._state:
            with self._lock:
                self._sync_controls()
            return
        self._worker.cancel()
        with self._lock:
            self._state = state
            self._refresh()

    def _refresh(self) -> None:
        """Show the current state: the instant part now, the long part in the background."""
        state = self._state
        self.error = None
        self._ghosts = dict(self._finished)
        self._frames = {}
        try:
            self._show("instant", self.instant(state))
        except Exception as wrong:
            self._show_error(wrong)
        self._sync_controls()
        if type(self).run is not Panel.run:
            self._schedule(state)

    def _sync_controls(self) -> None:
        """Move controls, ticket and presets to where the state is, without being called back."""
        self._quiet = threading.get_ident()
        try:
            for known in controls(self.State):
                made = self._widgets[known.name]
                made.value = getattr(self._state, known.name)
                if known.when is not None:
                    made.disabled = not known.when(self._state)
            self._ticket.value = self.ticket
            for name, made in self._preset_buttons.items():
                on = changed(self.State(), self.presets[name]) == self._state
                (made.add_class if on else made.remove_class)("fqlab-on")
        finally:
            self._quiet = None

    # ------------------------------------------------------------------ showing

    def _show(self, part: str, frame: Frame) -> None:
        """Draw a frame (lock held)."""
        self._frames[part] = frame
        for kind, data in frame.pictures.items():
            self._shown[kind] = (data, self._ghosts.get(kind))
            self._paint(kind)
        if self._assist is not None:
            self._assist.alts = {f"fqlab-p-{kind.__name__.lower()}": alt for kind, alt in self._alts.items()}
        if part == "instant":
            self._write_status(self.frame.message)

    def _paint(self, kind: type[Picture]) -> None:
        """Draw one picture, unless it shows just this already."""
        shown = pickle.dumps((self._shown[kind], self._canvases[kind].figure.dpi))
        if self._painted.get(kind) == shown:
            return
        pixels, self._alts[kind] = self._canvases[kind].render(*self._shown[kind])
        self._images[kind].value, self._painted[kind] = pixels, shown

    def _sharpen(self, factor: float) -> None:
        """The browser's screen has ``factor`` pixels per CSS pixel: draw with as many."""
        with self._lock:
            for kind, canvas in self._canvases.items():
                canvas.zoom(factor * self._zoom)
                if kind in self._shown:
                    self._paint(kind)

    def _write_status(self, text: str, *, raw: str = "") -> None:
        """Write the status line; ``raw`` is HTML after the text."""
        self._status.value = f"{html.escape(text)}{raw}"

    def _show_error(self, wrong: Exception) -> None:
        """One sentence about what went wrong."""
        self.error = wrong
        text = str(wrong) if isinstance(wrong, FqlabError) else f"Something broke here: {type(wrong).__name__}: {wrong}"
        self._write_status(f"⚠ {text}")

    def _save(self, kind: str) -> None:
        """Offer the table or the pictures as a file; the data address is made only now."""
        self._attempt(lambda: self._offer_file(f"fqlab-{self.ticket}.{kind}", kind))

    def _offer_file(self, filename: str, kind: str) -> None:
        text, mime = (self.csv(), "text/csv") if kind == "csv" else (self.svg(), "image/svg+xml")
        address = page.data_uri(text, mime)
        link = f'<a download="{filename}" href="{address}">{filename}</a> ({len(text) / 1000:.0f} kB)'
        self._write_status("File: ", raw=link)
        if self._assist is not None:
            self._assist.send({"save": filename, "href": address})

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """The live widget, and beside it what a page without a kernel shows: the figure, a caption, a description."""
        self.wait(self.patience + 10)
        return super()._repr_mimebundle_(**kwargs) | page.bundle(self.title, self.description, self.drawing(zoom=2))

    # ------------------------------------------------------------------ the long part

    def _schedule(self, state: Settings) -> None:
        """Start the long part, or offer it if it is expected to outlast the patience."""
        if self.seconds(state) <= self.patience:
            self._launch(state)
            return
        self._stale(True)
        self._buttons("Run")
        self._write_status(f"{self.frame.message} {self._forecast(state)} Press Run.")

    def _forecast(self, state: Settings) -> str:
        """``About 12 s, 3.1 MB.``"""
        traffic = self.megabytes(state)
        return f"About {self.seconds(state):.0f} s" + (f", {traffic:.2g} MB." if traffic else ".")

    def _stale(self, on: bool) -> None:
        """Dim the pictures that still show an earlier run."""
        fresh = self._frames["instant"].pictures if "instant" in self._frames else {}
        for kind, image in self._images.items():
            (image.add_class if on and kind not in fresh else image.remove_class)("fqlab-stale")

    def _buttons(self, text: str | None) -> None:
        """Show the button Run or Stop (with progress), or none."""
        self._run_button.description = text or self._run_button.description
        self._run_button.layout.visibility = "visible" if text else "hidden"
        self._progress.layout.visibility = "visible" if text == "Stop" else "hidden"

    def _launch(self, state: Settings) -> None:
        """Hand the long part to the worker; the newest launch wins."""
        with self._lock:
            self._jobs += 1
            number = self._jobs
            long = self.seconds(state) > 1
            self._stale(False)
            self._buttons("Stop" if long else None)
            if long:
                self._write_status(f"{self.frame.message} Running: {self._forecast(state)}")
        self._worker.submit(lambda stop: self._work(state, number, stop))

    def _work(self, state: Settings, number: int, stop: threading.Event) -> None:
        """The job: run to the end, drawing now and then."""
        self._stop = stop
        if stop.wait(SETTLE) and number != self._jobs:
            return
        began = drawn = time.perf_counter()
        last: Frame | None = None
        try:
            with contextlib.closing(self.run(state)) as frames:
                for last in frames:
                    now = time.perf_counter()
                    if stop.is_set():
                        break
                    if now - drawn > REDRAW:
                        self._publish(number, stop, last, now - began)
                        drawn = time.perf_counter()
            self._finish(number, stop, last, time.perf_counter() - began)
        except Exception as wrong:
            with self._lock:
                if number == self._jobs:
                    self._buttons(None)
                    self._show_error(wrong)

    def _publish(self, number: int, stop: threading.Event, frame: Frame, seconds: float) -> None:
        """Show an intermediate frame, unless a newer setting has come."""
        with self._lock:
            if number != self._jobs or stop.is_set():
                return
            self._show("run", frame)
            if seconds > 1:
                self._buttons("Stop")
                self._progress.value = frame.progress
                self._write_status(f"{self.frame.message} {frame.progress:.0%} after {seconds:.0f} s.")

    def _finish(self, number: int, stop: threading.Event, frame: Frame | None, seconds: float) -> None:
        """Show the result, or say that the run was stopped."""
        with self._lock:
            if number != self._jobs:
                return
            self._buttons("Run" if stop.is_set() else None)
            if stop.is_set():
                share = f"at {frame.progress:.0%}" if frame else "before its first result"
                self._write_status(f"{self.frame.message} Stopped {share} after {seconds:.1f} s.")
            elif frame is not None:
                self._show("run", frame)
                self._finished |= frame.pictures
                self._write_status(f"{self.frame.message} {seconds:.2f} s.")
