"""One state of a panel, computed without a browser: its pictures, their alt texts, the sentence in the status line."""

from __future__ import annotations

import hashlib
import pickle
from collections import deque
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from fqlab.lessons.website.play.ghosts import Ghost, axes_of, ghost
from fqlab.lessons.website.play.pictures import Stored, encode
from fqlab.lessons.website.play.spots import StoredSpot, stored
from fqlab.lessons.website.play.states import bases, home
from fqlab.panels.canvas import Canvas
from fqlab.panels.frame import Frame, Panel
from fqlab.panels.state import Settings, controls
from fqlab.plots.picture import Picture

__all__ = ["SHARP", "Visit", "VisitedPicture", "Visitor", "silent"]

SHARP = 1.5
"""Pixels of a stored picture for one of the page: sharp enough on a projector and on a laptop's screen."""


@dataclass(frozen=True)
class VisitedPicture:
    """A picture of a state.

    Attributes:
        picture: the whole picture, or what differs from that of :func:`~fqlab.lessons.website.play.states.home` if ``layer``.
        alt: its alt text.
        axes: the name of its axes, see :func:`~fqlab.lessons.website.play.ghosts.axes_of`.
        spots: what answers to the pointer, see :mod:`~fqlab.lessons.website.play.spots`.
        ghost: its grey shadow for the state that comes after it, if the panel draws one.
    """

    picture: Stored
    layer: bool
    alt: str
    axes: str
    spots: list[StoredSpot] = field(default_factory=list)
    ghost: Ghost | None = None


@dataclass(frozen=True)
class Visit:
    """What a panel shows in one state.

    Attributes:
        pictures: name of the picture's class -> what it shows; pictures that nothing was computed for are missing.
        message: the sentence in the status line.
        off: names of the controls that do not act in this state.
        toml: the experiment below the sentence, of a panel that ``tells`` it.
    """

    pictures: Mapping[str, VisitedPicture] = field(default_factory=dict)
    message: str = ""
    off: tuple[str, ...] = ()
    toml: str = ""


@dataclass(frozen=True)
class _Run:
    """What a panel shows, before it is drawn: data by picture, the pictures that came from the long part, the sentence."""

    data: Mapping[type[Picture], Any]
    trained: frozenset[type[Picture]]
    message: str


class Visitor:
    """Goes through states of one panel, as a hand would, but without widgets and without a shadow of the state before.

    A panel that trains seldom may keep its runs to show them again. There every training gets a new panel, so that what a
    state shows does not hang on the states that were visited before it.
    """

    def __init__(self, panel: type[Panel]) -> None:
        self._kind = panel
        self._canvases = {kind: Canvas(kind(), SHARP) for row in panel.rows for kind in row}
        self._panel: Panel | None = None
        self._training: Hashable = None
        self._kept: dict[tuple[type[Picture], Settings, bytes], tuple[Stored, bool]] = {}
        self._bases: dict[tuple[type[Picture], Settings], np.ndarray | None] = {}
        self._runs: dict[Settings, _Run] = {}

    def visit(self, state: Settings, *, train: bool) -> Visit:
        """What the panel shows in ``state``; without ``train`` only what it can show at once.

        Raises:
            Exception: whatever the panel's own code raises; nothing is caught.
        """
        shown = self._show(state, train)
        pictures = {kind.__name__: self._shown(kind, shown, state) for kind in self._canvases if kind in shown.data}
        experiment = self._kind.experiment(state) if self._kind.tells else None
        return Visit(pictures, shown.message, _off(state), experiment.to_toml() if experiment else "")

    def close(self) -> None:
        """Close the panel that is open."""
        if self._panel is not None:
            self._panel.close()
            self._panel = None

    def _at(self, state: Settings) -> Panel:
        """A panel that has seen no other training than the state's, if it could remember one."""
        training = self._kind.training(state) if self._kind.trains != "everywhere" else ""
        if self._panel is None or training != self._training:
            self.close()
            self._panel = silent(self._kind)()
            self._training = training
        return self._panel

    def _show(self, state: Settings, train: bool) -> _Run:
        panel = self._at(state)
        first = panel.instant(state)
        last = _last(panel.run(state)) if train else None
        frames = [first, *([last] if last is not None else [])]
        data = {kind: shown for frame in frames for kind, shown in frame.pictures.items()}
        messages = dict.fromkeys(frame.message for frame in frames if frame.message)
        return _Run(data, frozenset(last.pictures if last is not None else ()), " ".join(messages))

    def _named(self, base: Settings) -> _Run:
        """What a state with a name shows, computed once."""
        if base not in self._runs:
            self._runs[base] = self._show(base, True)
        return self._runs[base]

    def _shown(self, kind: type[Picture], shown: _Run, state: Settings) -> VisitedPicture:
        data = shown.data[kind]
        canvas = self._canvases[kind]
        drawn, alt = canvas.pixels(data)
        pixels = drawn[..., :3].copy()
        axes = axes_of(canvas)
        spots = stored(canvas.picture.spots(), state)
        picture, layer = self._encoded(kind, pixels, home(self._kind, state))
        grey = self._ghost(kind, data) if kind in shown.trained else None
        return VisitedPicture(picture, layer, alt, axes, spots, grey)

    def _encoded(self, kind: type[Picture], pixels: np.ndarray, base: Settings) -> tuple[Stored, bool]:
        """The picture, and whether it is a layer over that of ``base``; what comes back again is encoded once."""
        key = (kind, base, hashlib.sha256(pixels.tobytes()).digest())
        if key not in self._kept:
            self._kept[key] = encode(pixels, self._under(kind, base))
        return self._kept[key]

    def _under(self, kind: type[Picture], base: Settings) -> np.ndarray | None:
        """The pixels of a state with a name; None if it does not show the picture."""
        if (kind, base) not in self._bases:
            data = self._named(base).data
            drawn = self._canvases[kind].pixels(data[kind])[0][..., :3].copy() if kind in data else None
            self._bases[kind, base] = drawn
        return self._bases[kind, base]

    def _ghost(self, kind: type[Picture], data: Any) -> Ghost | None:
        """The shadow of this state behind another one: the default, or the first preset whose run is not the same."""
        runs = (self._named(base) for base in bases(self._kind))
        others = (run.data[kind] for run in runs if kind in run.trained)
        other = next((each for each in others if pickle.dumps(each) != pickle.dumps(data)), None)
        return None if other is None else ghost(self._canvases[kind], data, other)


@cache
def silent(kind: type[Panel]) -> type[Panel]:
    """The panel, except that it never starts a run by itself."""
    return type(kind.__name__, (kind,), {"patience": -1.0})


def _last(frames: Iterator[Frame]) -> Frame | None:
    """The last frame of a run, or None."""
    kept = deque(frames, maxlen=1)
    return kept[0] if kept else None


def _off(state: Settings) -> tuple[str, ...]:
    """The controls that do not act in a state."""
    return tuple(c.name for c in controls(type(state)) if c.when is not None and not c.when(state))
