"""Before a class: ``fqlab.teach()`` makes everything larger and hides the controls one does not want to explain today.

::

    import fqlab
    fqlab.teach(hide=("grid", "seed"))     # in a cell of its own, before the lesson's first panel
    fqlab.teach(1.2)                       # less large, for a screen of 1280 px
    fqlab.teach(False)                     # back

A panel is 960 px wide times the zoom: 1.5 fits a screen of 1600 px and more once Lab's side bar is closed (Ctrl-B).
Panels take the setting over when they are made, so run the panel's cell after this one. A hidden control keeps its
value: presets and tickets still move it. Prose, code and quiz grow at once, in the open notebook only.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from fqlab.errors import ConfigError, in_range, one_of

__all__ = ["Teaching", "hidden", "now", "teach"]

LARGE, LEAST, MOST = 1.5, 1.0, 3.0
"""Enlargement without an argument, and the allowed range; at 1.5 a panel is 1440 px wide."""

SCRIPT = """
function sheet(model) {
  let style = document.getElementById("fqlab-teaching");
  if (!style) {
    style = document.createElement("style");
    style.id = "fqlab-teaching";
    document.head.append(style);
  }
  style.textContent = model.get("css");
}
export default {
  initialize({ model }) {
    sheet(model);
    model.on("change:css", () => sheet(model));
  },
  render({ model, el }) {
    const say = () => { el.textContent = model.get("words"); };
    el.setAttribute("role", "status");
    el.style.fontSize = "var(--jp-content-font-size1)";
    model.on("change:words", say);
    say();
  },
};
"""


@dataclass(frozen=True)
class Teaching:
    """What a panel takes over when it is made: ``zoom`` enlarges it, controls named in ``hide`` are not shown."""

    zoom: float = 1.0
    hide: frozenset[str] = frozenset()

    def css(self) -> str:
        """Style sheet that enlarges the text of a notebook; empty at zoom 1."""
        if self.zoom == 1:
            return ""
        sizes = "".join(f"--jp-content-font-size{i}:{14 * self.zoom * 1.2 ** (i - 1):.1f}px;" for i in range(6))
        return (
            f".jp-Notebook{{{sizes}--jp-code-font-size:{13 * self.zoom:.1f}px;}}"
            f".jp-Notebook .fqlab-quiz{{zoom:{self.zoom:g};}}"
        )

    def words(self) -> str:
        """The setting as a sentence."""
        if self == Teaching():
            return "Teaching is off: normal size, every control shown."
        hidden = f"hidden: {', '.join(sorted(self.hide))}" if self.hide else "every control shown"
        return f"Teaching: {self.zoom:g} times as large, {hidden}. Run a panel's cell again to see it. teach(False) ends it."


_CHOSEN = [Teaching()]


def now() -> Teaching:
    """The current setting."""
    return _CHOSEN[0]


def teach(zoom: float | bool = True, *, hide: str | Sequence[str] = ()) -> Any:
    """Enlarge text and panels for a projector and hide chosen controls; ``teach(False)`` goes back.

    Args:
        zoom: how many times as large, 1 to 3; True is 1.5.
        hide: names of settings, as in a panel's ``state`` (``"seed"``, ``"grid"``); a panel without them is not changed.

    Returns:
        A widget that says what is set; it also carries the larger text into the notebook.

    Raises:
        ConfigError: for a zoom out of range, or a name that no panel knows.
    """
    names = hidden(hide, _known)
    factor = {True: LARGE, False: 1.0}[zoom] if isinstance(zoom, bool) else in_range("zoom", zoom, LEAST, MOST)
    _CHOSEN[0] = Teaching() if zoom is False else Teaching(float(factor), names)
    shown = _widget()
    shown.css = now().css()
    shown.words = now().words()
    return shown


def hidden(hide: Any, allowed: Callable[[], Collection[str]]) -> frozenset[str]:
    """The names in ``hide``, where a string is one name.

    Args:
        known: gives the names that are allowed; asked only if there is a name.

    Raises:
        ConfigError: for something else, or for a name that is not known.
    """
    if isinstance(hide, str):
        hide = (hide,)
    if not isinstance(hide, Collection):
        raise ConfigError(f"hide is {hide!r}, but must be a name or a list of names.")
    return frozenset(one_of("hide", name, allowed()) for name in hide)


@cache
def _known() -> tuple[str, ...]:
    """The names of all settings of all panels."""
    from fqlab import panels
    from fqlab.panels.state import controls

    names = {c.name for name in panels.PANELS for c in controls(getattr(panels, name).State)}
    return tuple(sorted(names))


@cache
def _widget() -> Any:
    """The one widget through which the style sheet reaches the notebook's page."""
    import anywidget
    import traitlets

    class Notice(anywidget.AnyWidget):
        _esm = SCRIPT
        css = traitlets.Unicode().tag(sync=True)
        words = traitlets.Unicode().tag(sync=True)

        def _repr_mimebundle_(self, **kwargs: Any) -> Any:
            bundle = super()._repr_mimebundle_(**kwargs)
            data = bundle[0] if isinstance(bundle, tuple) else bundle
            return {**(data or {}), "text/plain": self.words}

    return Notice()
