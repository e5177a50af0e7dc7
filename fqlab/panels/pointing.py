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


class Pointing:
    """What the page reports about the pointer, done to the panel.

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

    def _told(self, content: Mapping[str, Any]) -> None:
        if "ticket" in content:
            self._panel.status.attempt(lambda: self._panel.restore(content["ticket"]))
        elif "spot" in content:
            self._panel.status.attempt(lambda: self._click(content["picture"], content["spot"], content["label"]))

    def _click(self, picture: str, number: int, label: str) -> None:
        """Click on a spot, unless the picture has moved on since the page showed it."""
        with self._panel.lock:
            spots = self._panel.gallery.spots[self._panel.gallery.named(picture)]
            if number < len(spots) and spots[number].tip.label == label:
                self._panel.clicked(spots[number].tip)

    def _pulled(self, hand: Mapping[str, Any]) -> None:
        """The hand moves; where it took hold, the settings were those of the first report."""
        if hand["turn"] != self._turn:
            self._turn = hand["turn"]
            self._start = self._panel.state
        kind = self._panel.gallery.named(hand["picture"])
        changes = dragged(kind, self._start, hand["x"], hand["y"])
        self._panel.status.attempt(lambda: self._panel.set(**changes))


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
