"""The script files of a panel: what its controls are, and pictures and words of every stored state.

``NAME.js`` holds the specification and the default state, ``NAME-1.js`` the presets, every further file one control moved
from one of them, the last ones what clicks on their pictures lead to. Each is one call ``fqlab.store("NAME", NUMBER, {...})``:
a page that was opened as a file may load scripts from its own folder, and nothing else. A picture (a WebP file in base 85), or a
list of spots, lies in the first file that needs it, and nowhere else.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from fqlab.lessons.website.play.clicks import clicks
from fqlab.lessons.website.play.pictures import DIGITS, Stored
from fqlab.lessons.website.play.spots import StoredSpot, drags
from fqlab.lessons.website.play.states import Place, bases, home, moved, places, stops, sweeps
from fqlab.lessons.website.play.visit import Visit
from fqlab.panels import ticket
from fqlab.panels.frame import Panel
from fqlab.panels.state import Control, Settings, controls
from fqlab.panels.widgets import decimals

__all__ = ["Writer", "specification"]

DEFAULT, PRESETS, FIRST_SWEEP = 0, 1, 2
"""Numbers of the files."""


class Writer:
    """Writes the files of one panel.

    Args:
        panel: the panel.
        visit: the visit of a state.
    """

    def __init__(self, panel: type[Panel], visit: Callable[[Settings], Visit]) -> None:
        self._panel = panel
        self._visit = visit
        self._kinds = [kind.__name__ for row in panel.rows for kind in row]
        self._numbers = {c.name: k for k, c in enumerate(controls(panel.State))}
        self._known: set[Place] = set()
        self._homes: dict[str, int] = {}

    def write(self, folder: Path) -> list[Path]:
        """Write the files into ``folder``; returns them, the first is ``NAME.js``."""
        default, *presets = bases(self._panel)
        files = [self._file(DEFAULT, [default]), self._file(PRESETS, presets)]
        for number, sweep in enumerate(sweeps(self._panel), FIRST_SWEEP):
            files.append(self._file(number, self._worthy(moved(self._panel, sweep))))
        for number, group in enumerate(clicks(self._panel), len(files)):
            files.append(self._file(number, self._worthy(group.states)))
        about = specification(self._panel) | {"sweeps": self._sweeps(files), "clicks": self._clicks(files)}
        files[0] = {"about": about} | files[0]
        return [self._save(folder, number, content) for number, content in enumerate(files)]

    def _worthy(self, states: Iterable[Settings]) -> list[Settings]:
        """The states that show something of their own."""
        return [state for state in states if self._visit(state).pictures]

    def _sweeps(self, files: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """From where, which control, and where it stands in each state that its file holds."""
        return [
            {"base": sweep.base, "control": sweep.control, "stops": [at[sweep.control] for at in content["places"]]}
            for sweep, content in zip(sweeps(self._panel), files[FIRST_SWEEP:], strict=False)
        ]

    def _clicks(self, files: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """From where, and every control of each state that a file of clicks holds."""
        after = FIRST_SWEEP + len(sweeps(self._panel))
        groups = zip(clicks(self._panel), files[after:], strict=True)
        return [{"base": group.base, "places": content["places"]} for group, content in groups]

    def _file(self, number: int, states: Sequence[Settings]) -> dict[str, Any]:
        """The states that no earlier file holds, and their pictures."""
        pictures: dict[str, str] = {}
        spots: dict[str, list[StoredSpot]] = {}
        kept = []
        shown = []
        for state in states:
            place = places(state)
            if place in self._known and number != PRESETS:
                continue
            self._known.add(place)
            kept.append(place)
            shown.append(self._record(number, state, pictures, spots))
        return {"places": kept, "states": shown, "pictures": pictures} | ({"spots": spots} if spots else {})

    def _record(self, number: int, state: Settings, pictures: dict[str, str], spots: dict[str, Any]) -> list[Any]:
        """Pictures as they hang (0 for one that was not computed), sentence, controls that do not act; where its TOML is."""
        visit = self._visit(state)
        rows = [
            self._row(number, state, kind, pictures, spots) if kind in visit.pictures else 0 for kind in self._kinds
        ]
        record = [rows, visit.message, [self._numbers[name] for name in visit.off]]
        return [*record, self._named_in(number, visit.toml, spots)] if visit.toml else record

    def _row(
        self, number: int, state: Settings, kind: str, pictures: dict[str, str], spots: dict[str, list[StoredSpot]]
    ) -> list[Any]:
        """A picture: where its bytes are, over which picture it is laid (or 0), alt text, axes, its spots (or 0), its ghost."""
        shown = self._visit(state).pictures[kind]
        under: str | int = 0
        if shown.layer:
            base = self._visit(home(self._panel, state)).pictures[kind].picture.name
            under = f"{self._homes[base]}.{base}"
        answers = self._named_in(number, shown.spots, spots) if shown.spots else 0
        row = [self._kept_in(number, shown.picture, pictures), under, shown.alt, shown.axes, answers]
        return [*row, self._kept_in(number, shown.ghost.picture, pictures), shown.ghost.axes] if shown.ghost else row

    def _kept_in(self, number: int, picture: Stored, pictures: dict[str, str]) -> str:
        """``FILE.NAME`` of a picture, which is put into this file unless an earlier one holds it."""
        name = picture.name
        if name not in self._homes:
            self._homes[name] = number
            pictures[name] = base64.b85encode(picture.body).decode()
        return f"{self._homes[name]}.{name}"

    def _named_in(self, number: int, found: list[StoredSpot] | str, spots: dict[str, Any]) -> str:
        """``FILE.NAME`` of a list of spots, or of a text, which is put into this file unless an earlier one holds it."""
        name = hashlib.sha256(json.dumps(found).encode()).hexdigest()[:DIGITS]
        if name not in self._homes:
            self._homes[name] = number
            spots[name] = found
        return f"{self._homes[name]}.{name}"

    def _save(self, folder: Path, number: int, content: dict[str, Any]) -> Path:
        name = self._panel.name
        sent = {key: value for key, value in content.items() if key != "places"}
        text = json.dumps(sent, ensure_ascii=False, separators=(",", ":"))
        path = folder / (f"{name}-{number}.js" if number else f"{name}.js")
        path.write_text(f'fqlab.store("{name}",{number},{text});\n', encoding="utf-8")
        return path


def specification(panel: type[Panel]) -> dict[str, Any]:
    """What the page must know to build the controls of a panel and to read and write its tickets."""
    return {
        "name": panel.name,
        "title": panel.title,
        "seal": zlib.crc32(ticket.sealed(panel.name, panel.version, panel.State).encode()),
        "rows": [[[kind.__name__, kind.width, kind.height, drags(panel, kind)] for kind in row] for row in panel.rows],
        "controls": [
            _control(control) | {"stops": stops(panel, number)}
            for number, control in enumerate(controls(panel.State))
        ],
        "bases": [places(state) for state in bases(panel)],
        "presets": list(panel.presets),
    }  # fmt: skip


def _control(control: Control) -> dict[str, Any]:
    """One control as the page needs it."""
    shared = {"title": control.title, "label": control.label, "group": control.group, "help": control.help}
    shared |= {"half": True} if control.half else {}
    if control.choices is not None:
        return shared | {"name": control.name, "count": control.count, "words": list(control.choices.values())}
    number = {"low": control.low, "step": control.step, "decimals": decimals(control.step), "unit": control.unit}
    mark = {} if control.mark is None else {"mark": control.index(control.mark), "by": control.mark_label}
    return shared | {"name": control.name, "count": control.count, "box": control.box} | number | mark
