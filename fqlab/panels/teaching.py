"""Before a class: ``fqlab.teach()`` makes everything larger and hides the controls one does not want to explain today.

::

    import fqlab
    fqlab.teach(hide=("grid", "seed"))     # in a cell of its own, before the lesson's first panel
    fqlab.teach(1.2)                       # less large, for a screen of 1280 px
    fqlab.teach(False)                     # back

A panel is 960 px wide times the zoom: 1.5 fits a screen of 1600 px and more once Lab's side bar is closed (Ctrl-B).
Panels take the setting over when they are made, so run the panel's cell after this one. A hidden control keeps its
value: presets and tickets still move it. Prose, code, quiz, tables and figures grow at once, in the open notebook only.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from fqlab import panels
from fqlab.errors import in_range
from fqlab.panels.stage import Teaching, choose, hidden, now

__all__ = ["Teaching", "now", "teach"]

LARGE = 1.5
"""Enlargement without an argument: a panel is 1440 px wide."""
LEAST, MOST = 1.0, 3.0
"""What may be asked for."""

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


def teach(zoom: float | bool = True, *, hide: str | Sequence[str] = ()) -> Any:
    """Enlarge text, tables, figures and panels for a projector and hide chosen controls; ``teach(False)`` goes back.

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
    choose(Teaching() if zoom is False else Teaching(float(factor), names))
    shown = _widget()
    shown.css = now().css()
    shown.words = now().words()
    return shown


@cache
def _known() -> tuple[str, ...]:
    """The names of all settings of all panels."""
    from fqlab.panels.state import controls  # with NumPy; to import the name ``teach`` takes nothing heavy

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
