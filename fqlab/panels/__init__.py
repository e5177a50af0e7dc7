"""Interactive panels, one file each: ``fqlab.panels.tour()`` opens one in a notebook.

A panel's class is loaded on first use, together with ipywidgets and Matplotlib.

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
            return Frame({Levels: ..., Error: ...}, message="Clipping noise takes over below 1.7 σ.")

        def run(self, state):                             # optional: anything longer, in a background thread
            for record in federation.run(experiment):     # a generator: yield as often as you like
                yield Frame({Curve: ...}, progress=record.index / 30, rows=[{"round": ..., "accuracy": ...}])

* Whatever a :class:`Frame` names is handed to ``Picture.update(data, ghost)``; the ghost is what the picture showed when
  the last complete run before this one ended. ``update`` writes the finding into the title and returns the alt text.
* A picture whose marks shall answer to the pointer returns them from ``spots()``, each with a label and, if a click shall
  act, the settings that it changes; ``drag`` names the settings that dragging the picture moves (:mod:`fqlab.plots.spots`).
* The newest setting wins: a change stops the running ``run`` between two yields and drops its frames. Pass
  ``self.stopping`` (a callable) on to code that can stop earlier.
* ``seconds(state)`` and ``megabytes(state)``: override for runs longer than a second; they are shown beforehand. A run
  expected to take longer than ``patience`` seconds waits for the Run button.
* Every frame that ``run`` yields is a step that a person can go back to; its data must not be changed afterwards.
* Raise :class:`~fqlab.errors.ConfigError` for anything a person got wrong: it lands in the status line. Any other
  exception lands there too, as one sentence, and is kept in ``panel.error``.
* Draw from generators seeded by ``state.seed`` only, and hold no state of your own but caches
  (:class:`~fqlab.panels.lru.LRUCache`).
* ``handles`` names the three settings that are worth moving from every preset, ``trains`` says for which states the static
  pages compute ``run``, ``training(state)`` what ``run`` depends on, where that is less than the whole state, and ``opens``
  the choices from each of whose options pages follow a click on a picture, as they do from every preset; where it ``tells``
  its experiment, pages hold that too, below the sentence.
* Register the class in ``fqlab.panels.PANELS``; ``tests/panels/test_panels.py`` then drives it through every control.

Everybody gets from the frame: reset, presets, ticket, CSV and SVG, the static page and the text description, progress
and stop, a walk through a run step by step, names for screen readers, and the headless interface ``set``, ``state``,
``wait``, ``figure``, ``svg``, ``csv``, ``description``.
"""

from __future__ import annotations

import importlib
from typing import Any

PANELS = {
    "tour": "Tour",
    "drift": "Drift",
    "quantizer": "Quantizer",
    "clipping": "Clipping",
    "rounding": "Rounding",
    "clipped": "ClippedFederation",
    "robustness": "Robustness",
    "planes": "Planes",
    "precision": "Precision",
    "lottery": "LotteryPanel",
    "packet": "PacketPanel",
    "fleet": "Fleet",
    "frontier": "Frontier",
    "figures": "Figures",
}
"""Module (and name) of every panel -> name of its class."""

__all__ = ["PANELS", *PANELS]


def __getattr__(name: str) -> Any:
    if name not in PANELS:
        raise AttributeError(f"module 'fqlab.panels' has no attribute {name!r}; panels: {', '.join(PANELS)}")
    return getattr(importlib.import_module(f"fqlab.panels.views.{name}"), PANELS[name])


def __dir__() -> list[str]:
    return sorted(__all__)
