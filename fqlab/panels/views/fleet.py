"""A fleet of cars with laser scanners: turn the street, change the scanner, let eight towns learn together."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from fqlab.data.lidar import GROUND, Scene, scan, towns
from fqlab.panels.frame import Frame, Panel, Settings, control
from fqlab.plots.fleet import Cars, Echoes, Street
from fqlab.studies.lidar import ROUNDS, alone, together

__all__ = ["Fleet", "State", "street"]

FLEET = towns()
NAMES = tuple(town.name for town in FLEET)
BITS = {32: "32 bit", 8: "8 bit", 6: "6 bit", 4: "4 bit", 3: "3 bit", 2: "2 bit"}
MOST = 12_000
"""Echoes that are drawn."""


@dataclass(frozen=True)
class State(Settings):
    """Which street, through which scanner, and how the fleet talks."""

    town: str = control("motorway", label="Town", group="Street", choices={name: name for name in NAMES})
    view: int = control(20, label="Turn the view", unit="°", low=0, high=358, step=2)
    tilt: int = control(32, label="Look from above", unit="°", low=8, high=90, step=2)
    drive: float = control(0.0, label="Drive on", unit="s", low=0.0, high=2.0, step=0.1)
    lift: float = control(0.0, label="Lift the scanner", unit="m", low=-0.5, high=3.0, step=0.1, group="Scanner",
                          mark=0.0, mark_label="this town's")  # fmt: skip
    reach: float = control(1.0, label="Range", unit="× the town's", low=0.2, high=1.5, step=0.1,
                           mark=1.0, mark_label="this town's")  # fmt: skip
    bits: int = control(
        32,
        label="Bits up",
        group="Federation",
        choices=BITS,
        help="bits per weight of what a car uploads; the way down stays 32 bit",
    )
    rounding: str = control("nearest", label="Rounding", when=lambda s: s.bits < 32,
                            choices={"nearest": "nearest", "stochastic": "stochastic"})  # fmt: skip
    seed: int = control(0, label="Seed", low=0, high=999, box=True, help="of the street, the network and the training")


class Fleet(Panel):
    """Look at a street as a scanner does; then let the cars of eight towns learn from each other."""

    name, title = "fleet", "Eight cars, eight towns, 15 rounds: 3-D objects from a laser scanner"
    State = State
    rows = ((Street, Echoes), (Cars,))
    patience = 60.0  # three trainings one after the other, seldom more than 15 s
    presets = {
        "Motorway": {},
        "Forest": {"town": "forest"},
        "Fog": {"town": "fog coast"},
        "High scanner": {"town": "downtown", "lift": 2.5},
        "3 bit, nearest": {"town": "canal", "bits": 3},
        "3 bit, stochastic": {"town": "canal", "bits": 3, "rounding": "stochastic"},
    }
    handles = ("view", "tilt", "drive")
    trains = "presets"

    def instant(self, state: State) -> Frame:
        scene = street(state.town, state.lift, state.reach, state.drive, state.seed)
        seen = _things(scene)
        points, label = _thinned(scene)
        view = Street.Data(points, label, scene.town.sensor_height, state.view, state.tilt, state.town)
        enough = int((seen.echoes >= 12).sum())
        rows = [dict(thing=k, distance=d, echoes=int(e)) for k, (d, e) in enumerate(zip(*_pairs(seen), strict=True))]
        story = f"{scene.town.story.capitalize()}. Scanner {scene.town.sensor_height:.1f} m high, {scene.town.beams} beams, "
        message = f"{story}range {scene.town.max_range:.0f} m: {enough} things with 12 echoes or more."
        return Frame({Street: view, Echoes: seen}, message, rows)

    def run(self, state: State) -> Iterator[Frame]:
        home, away = alone(state.seed)
        cars = Cars.Data(NAMES, home, away, way=_way(state))
        yield Frame({Cars: cars}, progress=0.3)
        if self.stopping():
            return
        cars = replace(cars, full=together(state.seed))
        yield Frame({Cars: cars}, progress=0.7)
        if state.bits < 32 and not self.stopping():
            cars = replace(cars, few=together(state.seed, state.bits, state.rounding))
        lists = {kind: getattr(cars, kind) for kind in ("home", "away", "full", "few")}
        rows = [dict(town=n) | {k: v[i] if v else "" for k, v in lists.items()} for i, n in enumerate(NAMES)]
        message = f"Mean of all towns {np.mean(cars.few or cars.full):.1%}, alone elsewhere {np.mean(away):.1%}."
        yield Frame({Cars: cars}, message, rows)

    @classmethod
    def training(cls, state: State) -> Hashable:
        return (state.seed, state.bits, state.rounding if state.bits < 32 else "")

    def seconds(self, state: State) -> float:
        return 10.0 + 4.0 * (state.bits < 32)

    def megabytes(self, state: State) -> float:
        return ROUNDS * 8 * 19_462 * (32 + state.bits) / 8e6


def _way(state: State) -> str:
    return f"{BITS[state.bits]}, {state.rounding}"


# ------------------------------------------------------------------------------------------------------- the street


@lru_cache(maxsize=48)
def street(town: str, lift: float, reach: float, drive: float, seed: int) -> Scene:
    """One turn of a town's scanner, lifted by ``lift`` m and with ``reach`` times its range."""
    scanner = FLEET[NAMES.index(town)]
    changed = replace(scanner, sensor_height=scanner.sensor_height + lift, max_range=scanner.max_range * reach)
    return scan(changed, seed=seed, time=drive)


def _thinned(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Points from the scanner's foot and their labels: all echoes of things, and as much ground as can be drawn."""
    ground = np.flatnonzero(scene.label == GROUND)
    things = np.flatnonzero(scene.label != GROUND)
    every = max(1, -(-len(ground) // max(MOST - len(things), MOST // 4)))
    kept = np.concatenate([ground[::every], things])
    return scene.points[kept] - np.float32([*scene.sensor[:2], 0]), scene.label[kept]


def _things(scene: Scene) -> Echoes.Data:
    """Distance (m), echoes and class of everything on the street."""
    count = len(scene.standing)
    middle = np.stack([np.bincount(scene.solids.owner, scene.solids.centre[:, k], count) for k in (0, 1)], axis=1)
    middle /= np.bincount(scene.solids.owner, minlength=count)[:, None]
    distance = np.hypot(*(middle - scene.sensor[:2]).T)
    echoes = np.bincount(scene.object[scene.object >= 0], minlength=count)
    return Echoes.Data(distance, echoes, scene.standing, scene.town.attenuation)


def _pairs(seen: Echoes.Data) -> tuple[list[float], list[int]]:
    return seen.distance.round(2).tolist(), seen.echoes.tolist()
