"""The controls of a panel: a widget for every setting, presets, the ticket, and buttons for reset and files.

A hand does what a program would do: every control calls the panel's own ``set``, ``restore``, ``preset``, ``reset`` or
``save``, and what these refuse is said in the status line.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Any

import ipywidgets as w

from fqlab.panels.state import Settings, changed, controls
from fqlab.panels.widgets import button, column, css_class, marks, widget

if TYPE_CHECKING:
    from fqlab.panels.frame import Panel

__all__ = ["WIDTH", "Controls"]

WIDTH = 264
"""Pixels of the column."""
SAME = 1e-9
"""Two numbers of a slider that are this close are one: the browser counts 1.2999999999999998 where we round to 1.3."""


class Controls:
    """Makes the controls of a panel, and moves them to where its state is.

    Args:
        panel: whose settings they change.
        hidden: names of settings whose controls are not shown; they follow all the same.
        attempt: does what a person asked for, and says in the status line what is refused (see ``StatusBar.attempt``).

    Attributes:
        widgets: name of a setting -> its widget.
        column: the shown ones under their headings, and below them ticket, reset and files.
        presets: one button each.
        names: CSS class of a slider -> its name for screen readers.
        style: rules that mark the recommended values on the sliders.
    """

    def __init__(self, panel: Panel, hidden: Collection[str], attempt: Callable[[Callable[[], Any]], None]) -> None:
        self._panel = panel
        self._attempt = attempt
        self._here = threading.local()
        self._all = controls(panel.State)
        shown = [c for c in self._all if c.name not in hidden]
        self.widgets = {c.name: widget(c, getattr(panel.state, c.name)) for c in self._all}
        for name, box in self.widgets.items():
            box.observe(lambda change, name=name: self._moved(name, change["new"]), "value")
        self._ticket = self._ticket_box()
        self.column = column(shown, self.widgets, WIDTH)
        self.column.children += (self._tools(),)
        self._targets = {name: changed(panel.home, changes) for name, changes in panel.presets.items()}
        self._buttons = {name: self._preset(name) for name in panel.presets}
        layout = w.Layout(width="auto", grid_gap="6px", margin="0 0 6px 0", overflow="visible")
        self.presets = w.HBox(list(self._buttons.values()), layout=layout)
        self.presets.add_class("fqlab-presets")
        self.names = {css_class(c.name): c.title for c in shown if c.choices is None and not c.box}
        self.style = marks(panel.name, shown)

    def sync(self, before: Settings, state: Settings, ticket: str) -> None:
        """Move what changed between two states, without being called back.

        Nothing else is written. A slider that a hand drags meanwhile may be ahead of both states, and what is written to
        it would reach the browser late and pull it back under the hand.
        """
        with self._quiet():
            for control in self._all:
                old, new = getattr(before, control.name), getattr(state, control.name)
                if old != new:
                    self._write(control.name, new)
                if control.when is not None:
                    self.widgets[control.name].disabled = not control.when(state)
            self._ticket.value = ticket
            for name, preset in self._buttons.items():
                (preset.add_class if self._targets[name] == state else preset.remove_class)("fqlab-on")

    @contextlib.contextmanager
    def _quiet(self) -> Iterator[None]:
        """What this thread writes inside is not taken for a hand's doing."""
        self._here.quiet = True
        try:
            yield
        finally:
            self._here.quiet = False

    def _by_hand(self) -> bool:
        return not getattr(self._here, "quiet", False)

    def _write(self, name: str, value: Any) -> None:
        """Move one widget, unless it shows the value already."""
        if not _same(self.widgets[name].value, value):
            self.widgets[name].value = value

    def _moved(self, name: str, value: Any) -> None:
        """A control was moved: follow, and correct what it shows if that was refused or is between two steps."""
        if not self._by_hand():
            return
        self._attempt(lambda: self._panel.set(**{name: value}))
        if self.widgets[name].value == value:  # the hand has not moved on
            with self._quiet():
                self._write(name, getattr(self._panel.state, name))

    def _pasted(self, code: str) -> None:
        """A ticket was pasted; a cleared box gets the current one, and takes the complaint about a bad one away."""
        if self._by_hand():
            self._attempt(lambda: self._panel.restore(code if code.strip() else self._panel.ticket))

    def _preset(self, name: str) -> w.Button:
        preset = button(name, f"Preset: {name}")
        preset.add_class("fqlab-preset")
        preset.on_click(lambda _: self._attempt(lambda: self._panel.preset(name)))
        return preset

    def _ticket_box(self) -> w.Text:
        box = w.Text(description="Ticket", continuous_update=False, tooltip="Copy it; paste one and press Enter")
        box.style.description_width = "44px"
        box.add_class("fqlab-control")
        box.add_class("fqlab-ticket")
        box.observe(lambda change: self._pasted(change["new"]), "value")
        return box

    def _tools(self) -> w.VBox:
        """Ticket, reset, files, and the experiment as text where the panel trains one."""
        actions = {
            ("Reset", "Back to the settings it starts from"): self._panel.reset,
            ("CSV", "Save the numbers as a table"): lambda: self._panel.save("csv"),
            ("SVG", "Save the pictures"): lambda: self._panel.save("svg"),
        }
        if self._panel.has_experiment:
            actions["TOML", "Copy the experiment, for fqlab run --config FILE"] = self._panel.copy
        buttons = [button(*words, f"{100 // len(actions)}%") for words in actions]
        for each, action in zip(buttons, actions.values(), strict=True):
            each.on_click(lambda _, action=action: self._attempt(action))
        row = w.HBox(buttons, layout=w.Layout(grid_gap="4px", margin="2px"))
        return w.VBox([self._ticket, row], layout=w.Layout(margin="6px 0 0 0", overflow="hidden", flex="0 0 auto"))


def _same(shown: Any, value: Any) -> bool:
    """Whether a widget shows ``value`` already."""
    if isinstance(value, float) and isinstance(shown, (int, float)):
        return abs(shown - value) <= SAME
    return bool(shown == value)
