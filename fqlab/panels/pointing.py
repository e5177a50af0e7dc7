"""A hand on the pictures of a panel: a click on a spot changes settings, a drag moves them, a link in the text sets them all.

A hand does what a program would do: all of it goes through the panel's ``set`` and ``restore``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fqlab.panels.state import Control, Settings, controls
from fqlab.plots.picture import Picture
from fqlab.plots.spots import Drag

if TYPE_CHECKING:
    from fqlab.panels.frame import Panel

__all__ = ["Pointing", "dragged"]

FARTHEST = 1e6
"""Pixels that no hand moves; what is no such number (NaN among them) is none of ours either."""


class Pointing:
    """What the page reports about the pointer, done to the panel; a report that no page of ours makes is passed over.

    Args:
        panel: whose pictures they are.
        assistant: the widget that reports, see :func:`fqlab.panels.assist.assistant`.
    """

    def __init__(self, panel: Panel, assistant: Any) -> None:
        self._panel = panel
        self._turn: Any = None
        self._start: Settings = panel.state
        assistant.on_msg(lambda _, content, buffers: self._told(content))
        assistant.observe(lambda change: self._pulled(change["new"]), "hand")

    def _told(self, content: Any) -> None:
        match content:
            case {"ticket": ticket}:
                self._panel.status.attempt(lambda: self._panel.restore(ticket))
            case {"picture": str(picture), "spot": int(number), "label": str(label)}:
                self._panel.status.attempt(lambda: self._click(picture, number, label))

    def _click(self, picture: str, number: int, label: str) -> None:
        """Click on a spot, unless the picture has moved on since the page showed it."""
        with self._panel.lock:
            kind = self._panel.gallery.named(picture)
            spots = self._panel.gallery.spots.get(kind, []) if kind else []
            if 0 <= number < len(spots) and spots[number].tip.label == label:
                self._panel.clicked(spots[number].tip)

    def _pulled(self, hand: Mapping[str, Any]) -> None:
        """The hand moves; where it took hold, the settings were those of the first report."""
        match hand:
            case {"turn": int(turn), "picture": str(picture), "x": int() | float() as x, "y": int() | float() as y}:
                if turn != self._turn:
                    self._turn = turn
                    self._start = self._panel.state
                self._panel.status.attempt(lambda: self._drag(picture, x, y))

    def _drag(self, picture: str, x: float, y: float) -> None:
        kind = self._panel.gallery.named(picture)
        if kind is not None and abs(x) < FARTHEST and abs(y) < FARTHEST:
            self._panel.set(**dragged(kind, self._start, x, y))


def dragged(kind: type[Picture], start: Settings, x: float, y: float) -> dict[str, Any]:
    """The settings that a picture changes when it is dragged ``x`` pixels to the right and ``y`` down; none that do not act.

    >>> from fqlab.panels.views.fleet import State
    >>> from fqlab.plots.fleet import Street
    >>> dragged(Street, State(view=350, tilt=32), -40, 20)
    {'view': 6, 'tilt': 38}
    """
    by_name = {c.name: c for c in controls(type(start))}
    ways = {"x": x, "y": y}
    acting = [(by_name[drag.setting], drag, ways[side]) for side, drag in kind.drag.items()]
    return {c.name: _moved(c, start, drag, way) for c, drag, way in acting if c.when is None or c.when(start)}


def _moved(control: Control, start: Settings, drag: Drag, way: float) -> Any:
    at = control.index(getattr(start, control.name)) + round(drag.rate * way / control.step)
    return control.at(at % control.count if drag.wraps else min(max(at, 0), control.count - 1))
