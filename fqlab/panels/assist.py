"""What core widgets lack, added by a few lines of script: names for screen readers, alt text, sharp pictures, files, copies,
the pointer on a picture, and links in the text around a panel that set it.

Everything works without it (the module is optional and loads nothing from the network): sliders then have no accessible
name, pictures no alt text and no labels, links do nothing, and saving a file takes a second click on a link.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

__all__ = ["SCRIPT", "assistant"]

POINTER = files("fqlab.panels").joinpath("pointer.js").read_text(encoding="utf-8")
"""The script that listens to the pointer; pages without a kernel use it too."""

SCRIPT = """
// The panel that a link of the text belongs to: the last one above it, else the first.
function nearest(link, name) {
  const all = [...document.querySelectorAll(`.fqlab-${name}`)];
  const above = all.filter((panel) => panel.compareDocumentPosition(link) & Node.DOCUMENT_POSITION_FOLLOWING);
  return above.pop() || all[0];
}
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
        if (part) set(part, text, name); else missing = true;
      }
    };
    each(model.get("names"), (name) => `.${name} .noUi-handle`, (x, text) => x.setAttribute("aria-label", text));
    each(model.get("alts"), (name) => `img.${name}`, (x, text) => { x.alt = text; });
    each({ "fqlab-status": "" }, (name) => `.${name}`, (x) => {
      x.setAttribute("role", "status");
      x.setAttribute("aria-live", "polite");
    });
    each(model.get("pointers"), (name) => `img.${name}`, (x, shown, name) => {
      (x.fqlabPointer || new globalThis.fqlab.Pointer(x, hand(name))).show(shown);
    });
    if (missing && tries++ < 200) setTimeout(dress, 50);
  }
  // Clicks are sent one by one; of a drag the newest place, when the kernel is ready for it.
  function hand(picture) {
    return {
      click: (spot, [, , label]) => model.send({ picture, spot, label }),
      drag: (turn, x, y) => {
        model.set("hand", { picture, turn, x, y });
        model.save_changes();
      },
    };
  }
  function follow(event) {
    const link = event.target.closest && event.target.closest("a[href*='#']");
    const ticket = link && link.getAttribute("href").split("#").pop();
    const name = model.get("panel");
    if (!name || !ticket || !ticket.toLowerCase().startsWith(`${name}-`) || nearest(link, name) !== panel()) return;
    event.preventDefault();
    model.send({ ticket });
    panel().scrollIntoView({ block: "nearest" });
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
  model.on("change:pointers", dress);
  model.on("msg:custom", save);
  document.addEventListener("click", follow, true);
  dress();
  const sharp = Math.min(2, Math.max(1, window.devicePixelRatio || 1));
  if (sharp !== model.get("sharp")) {
    model.set("sharp", sharp);
    model.save_changes();
  }
  return () => {
    model.off("change:alts", dress);
    model.off("change:pointers", dress);
    model.off("msg:custom", save);
    document.removeEventListener("click", follow, true);
  };
}
export default { render };
"""


def assistant(names: dict[str, str], panel: str = "") -> Any:
    """The helper widget; where anywidget is not installed, one that does nothing.

    Args:
        names: CSS class of a slider -> its accessible name.
        panel: name of the panel that links to its tickets set.

    Returns:
        A widget with the traits ``alts`` (CSS class of a picture -> alt text), ``pointers`` (CSS class of a picture -> what
        answers to the pointer, see :mod:`fqlab.panels.pointing`), ``hand`` (the drag that goes on) and ``sharp`` (screen
        pixels per CSS pixel, 1 to 2), the last two set by the browser; ``send({"save": filename, "href": address})`` saves a
        file, ``send({"copy": text})`` fills the clipboard.
    """
    return _kind()(names=names, panel=panel)


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
            panel = traitlets.Unicode()
            pointers = traitlets.Dict()
            hand = traitlets.Dict()
            sharp = traitlets.Float(1.0)

        return Silent

    class Assistant(anywidget.AnyWidget):
        _esm = POINTER + SCRIPT
        names = traitlets.Dict().tag(sync=True)
        alts = traitlets.Dict().tag(sync=True)
        panel = traitlets.Unicode().tag(sync=True)
        pointers = traitlets.Dict().tag(sync=True)
        hand = traitlets.Dict().tag(sync=True)
        sharp = traitlets.Float(1.0).tag(sync=True)

    return Assistant
