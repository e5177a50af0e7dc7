"""The three pictures of the fleet: a street as the scanner sees it, echoes against distance, accuracy car by car."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import FigureBase

from fqlab.data.lidar import CLASSES
from fqlab.plots.picture import Picture
from fqlab.plots.spots import Drag, Spot, Tip, spots_on
from fqlab.plots.style import COLORS, INK, MUTED, axes, line, note, style_for, title
from fqlab.studies.lidar import elsewhere

__all__ = ["HUES", "Cars", "Echoes", "Street"]


HUES = dict(
    zip(CLASSES, (COLORS["blue"], COLORS["vermilion"], "#a1477a", "#1f2328", "#00805c", "#b07d00"), strict=True)
)
"""Class -> colour. Text in the same colour names the classes."""
GROUND_HUE = "#d4d8dd"
REACH = 38.0
"""Half the width of the view (metres)."""


class Street(Picture):
    """One turn of the scanner, seen from above and aside: every echo in the colour of what it hit."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        points: np.ndarray  # [n, 3], metres from the scanner's foot
        label: np.ndarray  # [n]
        height: float  # of the scanner, metres
        view: float  # degrees
        tilt: float  # how far the eye stands above the street, degrees
        town: str

    width, height = 446, 300
    drag = {"x": Drag("view", -0.4, wraps=True), "y": Drag("tilt", 0.3)}

    def build(self, fig: FigureBase) -> None:
        """One axis in metres across the view, a line of points a class, and the names of the classes."""
        self.title = self.live(title(fig))
        tall = REACH * 232 / 430
        ax = axes(fig, 8, 34, 430, 232, xlim=(-REACH, REACH), ylim=(-tall, tall), grid="", spines=())
        ax.set(xticks=[], yticks=[])
        dot = {"linestyle": "", "marker": ".", "clip_on": True}
        (self.ground,) = ax.plot([], [], color=GROUND_HUE, markersize=1.7, **dot)
        self.live(self.ground)
        self.points = {n: self.live(ax.plot([], [], color=c, markersize=3.4, **dot)[0]) for n, c in HUES.items()}
        self.sensor = self.live(line(ax, "full precision", markers=True, marker="^", markersize=8, linestyle=""))
        self.car = self.live(note(ax, "scanner"))
        for name, x in zip(HUES, (-37.5, -30.5, -14.0, -1.5, 7.5, 16.5), strict=True):
            note(ax, name, x=x, y=-tall - 3, color=HUES[name], fontweight="bold", halo=False)
        note(ax, f"{2 * REACH:.0f} m wide", x=REACH - 1, y=-tall - 3, ha="right", color=MUTED)

    def update(self, data: Data, ghost: Data | None = None) -> str:
        flat = _project(data.points, data.view, data.tilt)
        for k, name in enumerate(HUES):
            self.points[name].set_data(*flat[data.label == k].T)
        self.ground.set_data(*flat[data.label < 0].T)
        x, y = _project(np.array([[0.0, 0.0, data.height]]), data.view, data.tilt)[0]
        self.sensor.set_data([x], [y])
        self.car.set(x=x + 1.6, y=y + 1.2)
        echoes = int((data.label >= 0).sum())
        self.title.set_text(f"{data.town[:1].upper()}{data.town[1:]}: {echoes:,} echoes from things")
        seen = [f"{name} {int((data.label == k).sum())}" for k, name in enumerate(HUES)]
        return f"A street of the town {data.town} as a scanner {data.height:.1f} m high sees it, turned by {data.view}° and looked at from {data.tilt}° above; echoes: {', '.join(seen)}."


def _project(points: np.ndarray, view: float, tilt: float) -> np.ndarray:
    """Points [n, 3] on the picture plane [n, 2], seen from direction ``view`` and ``tilt`` above the street, in degrees."""
    c = np.cos(np.radians(view))
    s = np.sin(np.radians(view))
    across, depth = c * points[:, 0] + s * points[:, 1], c * points[:, 1] - s * points[:, 0]
    return np.stack([across, depth * np.sin(np.radians(tilt)) + points[:, 2] * np.cos(np.radians(tilt))], axis=1)


class Echoes(Picture):
    """Echoes of every thing on the street against its distance; what lies below the line gets no label."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        distance: np.ndarray  # metres, of every thing on the street
        echoes: np.ndarray
        kind: np.ndarray
        attenuation: float  # of the air, 1/m

    width, height = 230, 300

    def build(self, fig: FigureBase) -> None:
        """Two logarithmic axes."""
        self.title = self.live(title(fig))
        limits = {"xlim": (2, 100), "ylim": (0.55, 9000)}
        ax = axes(fig, 52, 42, 162, 222, xlabel="distance (m)", ylabel="echoes", yscale="log", grid="both", **limits)
        ax.set_xscale("log")
        ax.minorticks_off()
        ax.set_xticks([2, 5, 10, 20, 50, 100], ["2", "5", "10", "20", "50", "100"])
        ax.set_yticks([1, 10, 100, 1000], ["1", "10", "100", "1000"])
        ax.axhline(12, color=MUTED, linewidth=1.2)
        note(ax, "12 echoes: enough", x=2.15, y=16, color=MUTED)
        dot = {"linestyle": "", "marker": "o", "markersize": 6.5, "markeredgecolor": "#ffffff"}
        self.dots = {name: self.live(ax.plot([], [], color=color, **dot)[0]) for name, color in HUES.items()}
        (self.missed,) = ax.plot([], [], color=MUTED, linestyle="", marker="x", markersize=5)
        self.live(self.missed)
        self.none = self.live(note(ax, "", x=2.15, y=0.9, color=MUTED))
        self.law = self.live(line(ax, "theory", linewidth=1.2))
        self.power = self.live(note(ax, "∝ exp(−2αr)/r²", x=10, color="#a1477a"))

    def update(self, data: Data, ghost: Data | None = None) -> str:
        distance = data.distance
        echoes = data.echoes
        kind = data.kind
        self._tips: dict[str, list[Tip]] = {}
        for k, name in enumerate(HUES):
            hit = (kind == k) & (echoes > 0)
            self.dots[name].set_data(distance[hit], echoes[hit])
            self._tips[name] = [
                Tip(f"{name}, {r:.0f} m\n{n:,.0f} {'echo' if n == 1 else 'echoes'}")
                for r, n in zip(distance[hit], echoes[hit], strict=True)
            ]
        lost = echoes == 0
        self.missed.set_data(distance[lost], np.full(lost.sum(), 0.75))
        self.none.set_text(f"× {lost.sum()} not hit at all" if lost.any() else "")
        seen = ~lost
        clear = echoes * distance**2 * np.exp(2 * data.attenuation * distance)
        level = np.exp(np.mean(np.log(clear[seen]))) if seen.any() else 1.0
        r = np.geomspace(2, 100, 60)
        fog = np.exp(-2 * data.attenuation * r)
        self.law.set_data(r, level / r**2 * fog)
        self.power.set_y(float(np.clip(np.interp(5, r, level / r**2 * fog), 1.2, 6000)))
        enough = int((echoes >= 12).sum())
        self.title.set_text(f"{enough} of {len(echoes)} give enough echoes")
        return f"Of {len(echoes)} things on this street {enough} give 12 echoes or more, {lost.sum()} none."

    def spots(self) -> list[Spot]:
        return [spot for name, tips in self._tips.items() for spot in spots_on(self.dots[name], tips)]


class Cars(Picture):
    """Two columns a car: on the streets of its own town, and on those of the other seven; alone and together."""

    @dataclass(frozen=True)
    class Data:
        """What it shows."""

        towns: Sequence[str]  # as the setting calls them
        home: Sequence[float]
        away: Sequence[float]
        full: Sequence[float] = ()
        few: Sequence[float] = ()
        way: str = ""  # of rounding, in words

    width, height = 686, 166
    SIDE = 0.17

    def build(self, fig: FigureBase) -> None:
        """One axis with a place for each car."""
        self.title = self.live(title(fig))
        ax = axes(fig, 62, 24, 484, 102, ylabel="accuracy", xlim=(-0.5, 7.5), ylim=(0, 1.03))
        ax.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
        ax.set_xticks(range(8))
        ax.tick_params(axis="x", length=0, labelcolor=INK)
        self.axis = ax
        self.gains = [self.live(line(ax, "weights", linewidth=3.5)) for _ in range(16)]
        few = style_for("accuracy").color
        marks = {
            "home": {"marker": "s", "color": MUTED},
            "away": {"marker": "s", "color": MUTED, "markerfacecolor": "#ffffff"},
            "full": {"marker": "_", "color": INK, "markersize": 14, "markeredgewidth": 2.2},
            "full_away": {"marker": "_", "color": INK, "markersize": 14, "markeredgewidth": 2.2},
            "few": {"marker": "o", "color": few, "markersize": 8},
            "few_away": {"marker": "o", "color": few, "markersize": 8, "markerfacecolor": "#ffffff"},
        }
        style = {"markers": True, "linestyle": "", "markersize": 7}
        self.before = self.live(line(ax, "previous", **(style | {"marker": "o", "markersize": 8})))
        self.marks = {name: self.live(line(ax, "weights", **(style | more))) for name, more in marks.items()}
        self._build_key(fig)

    def _build_key(self, fig: FigureBase) -> None:
        """The marks in words, on the right."""
        key = axes(fig, 558, 24, 124, 102, grid="", spines=())
        key.set(xticks=[], yticks=[])
        few = "#00704f"
        rows = (("■", "alone, at home", MUTED), ("□", "alone, elsewhere", MUTED), ("–", "together, 32 bit", INK))
        for k, (sign, text, color) in enumerate(rows):
            note(key, sign, x=0.0, y=0.95 - 0.17 * k, color=color, halo=False)
            note(key, text, x=0.13, y=0.95 - 0.17 * k, color=color, halo=False)
        self.few = [self.live(note(key, "", x=0.0, y=0.95 - 0.17 * k, color=few, halo=False)) for k in (3, 4)]
        self.ghost = self.live(note(key, "", x=0.0, y=0.95 - 0.17 * 5, color=MUTED, halo=False))

    def update(self, data: Data, ghost: Data | None = None) -> str:
        shown: dict[str, Sequence[float]] = {"home": data.home, "away": data.away, "full": data.full, "few": data.few}
        shown |= {"full_away": elsewhere(data.full), "few_away": elsewhere(data.few)}
        self.axis.set_xticks(range(8), data.towns)
        for name, marks in self.marks.items():
            side = self.SIDE if "away" in name else -self.SIDE
            marks.set_data(np.arange(len(shown[name])) + side, shown[name])
        self._tips = {
            name: [
                Tip(f"{town}, {NAMES[name]}: {share:.0%}", {"town": town})
                for town, share in zip(data.towns, shares, strict=True)
            ]
            for name, shares in shown.items()
            if len(shares)
        }
        best = ("few", "few_away") if data.few else ("full", "full_away")
        for k, gain in enumerate(self.gains):
            car = k // 2
            start = ("home", "away")[k % 2]
            stop = best[k % 2]
            x = car + (self.SIDE if k % 2 else -self.SIDE)
            gain.set_data([x, x] if shown[stop] else [], [shown[start][car], shown[stop][car]] if shown[stop] else [])
        for text, words in zip(self.few, (f"●  {data.way},", "○  elsewhere"), strict=True):
            text.set_text(words if data.few else "")
        before = ghost.few if ghost and data.few and ghost.way != data.way else []
        self.before.set_data(np.arange(len(before)) - self.SIDE, before)
        self.ghost.set_text(f"●  {ghost.way}" if before else "")
        self.title.set_text(self._finding(data))
        return "Accuracy by car. " + " ".join(
            f"{town}: " + ", ".join(f"{n} {shown[k][i]:.0%}" for k, n in NAMES.items() if shown[k]) + "."
            for i, town in enumerate(data.towns)
        )

    def spots(self) -> list[Spot]:
        return [spot for name, tips in self._tips.items() for spot in spots_on(self.marks[name], tips)]

    @staticmethod
    def _finding(data: Data) -> str:
        full, few = data.full, data.few
        home, away = data.home, data.away
        towns = data.towns
        if not full:
            return "Eight cars learn alone; now together ..."
        if few:
            loss = [f - g for f, g in zip(full, few, strict=True)]
            k = int(np.argmax(loss))
            if loss[k] < 0.03:
                return f"{data.way}: no town loses more than 3 points"
            rest = 100 * float(np.mean([x for i, x in enumerate(loss) if i != k]))
            return f"{data.way}: {100 * loss[k]:.0f} points lost in the {towns[k]} town, {rest:.1f} in the mean of the others"
        gains = [f - a for f, a in zip(elsewhere(full), away, strict=True)]
        k = int(np.argmax(gains))
        at_home = f"{100 * (full[k] - home[k]):+.0f}".replace("-", "−")
        return f"Together the {towns[k]} car gains {100 * gains[k]:.0f} points in other towns, {at_home} in its own"


NAMES = {
    "home": "alone at home", "away": "alone elsewhere", "full": "together in 32 bit at home",
    "full_away": "together in 32 bit elsewhere", "few": "together in few bits at home",
    "few_away": "together in few bits elsewhere",
}  # fmt: skip
"""What the numbers of a car are called in the alt text."""
