"""What core widgets lack, added by a few lines of script: names for screen readers, alt text, sharp pictures, files, copies.

Everything works without it (the module is optional and loads nothing from the network): sliders then have no accessible
name, pictures no alt text, and saving a file takes a second click on a link.
"""

from __future__ import annotations

from functools import cache
from typing import Any

__all__ = ["SCRIPT", "assistant"]

SCRIPT = """
function render({ model, el }) {
  el.style.display = "none";
  const panel = () => el.closest(".fqlab-panel, .fqlab-ask");
  let tries = 0;
  function dress() {
    const root = panel();
    let missing = !root;
    const each = (words, query, set) => {
      for (const [name, text] of Object.entries(words)) {
        const part = root && root.querySelector(query(name));
        if (part) set(part, text); else missing = true;
      }
    };
    each(model.get("names"), (name) => `.${name} .noUi-handle`, (x, text) => x.setAttribute("aria-label", text));
    each(model.get("alts"), (name) => `img.${name}`, (x, text) => { x.alt = text; });
    each({ "fqlab-status": "" }, (name) => `.${name}`, (x) => {
      x.setAttribute("role", "status");
      x.setAttribute("aria-live", "polite");
    });
    if (missing && tries++ < 200) setTimeout(dress, 50);
  }
  function save(message) {
    if (message.copy !== undefined) {
      if (navigator.clipboard) navigator.clipboard.writeText(message.copy).catch(() => {});
      return;
    }
    const link = document.createElement("a");
    link.download = message.save;
    link.href = message.href;
    link.click();
  }
  model.on("change:alts", dress);
  model.on("msg:custom", save);
  dress();
  const sharp = Math.min(2, Math.max(1, window.devicePixelRatio || 1));
  if (sharp !== model.get("sharp")) {
    model.set("sharp", sharp);
    model.save_changes();
  }
  return () => { model.off("change:alts", dress); model.off("msg:custom", save); };
}
export default { render };
"""


def assistant(names: dict[str, str]) -> Any:
    """The helper widget; where anywidget is not installed, one that does nothing.

    Args:
        names: CSS class of a slider -> its accessible name.

    Returns:
        A widget with the traits ``alts`` (CSS class of a picture -> alt text) and ``sharp`` (screen pixels per CSS
        pixel, 1 to 2, set by the browser); ``send({"save": filename, "href": address})`` saves a file, ``send({"copy": text})`` fills
        the clipboard.
    """
    return _kind()(names=names)


@cache
def _kind() -> type:
    import ipywidgets
    import traitlets

    try:
        import anywidget
    except ImportError:

        class Silent(ipywidgets.Box):
            names = traitlets.Dict()
            alts = traitlets.Dict()
            sharp = traitlets.Float(1.0)

        return Silent

    class Assistant(anywidget.AnyWidget):
        _esm = SCRIPT
        names = traitlets.Dict().tag(sync=True)
        alts = traitlets.Dict().tag(sync=True)
        sharp = traitlets.Float(1.0).tag(sync=True)

    return Assistant
