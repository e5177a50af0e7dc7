"""The towns of the fleet, and streets furnished after their class mix (synthetic).

World frame: x along the street, y to the left, z up from flat ground, metres; y = 0 is mid-street.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fqlab.data.scanner import Solids, extents
from fqlab.data.shapes import CLASSES, build, place

__all__ = ["LANE", "STREET", "Town", "furnish", "towns"]

LANE = -1.75  # y of the lane that the scanning car drives in
STREET = (-35.0, 65.0)  # x from and to which the street is furnished; the car starts at 0

# Where a class stands: distance from the middle of the street.
_BANDS = {
    "car": (4.4, 4.8),
    "pedestrian": (5.9, 9.0),
    "cyclist": (2.95, 3.4),
    "pole": (5.7, 6.2),
    "tree": (6.3, 11.0),
    "wall": (8.0, 15.0),
}
_CAR, _CYCLIST, _WALL = (CLASSES.index(name) for name in ("car", "cyclist", "wall"))


@dataclass(frozen=True)
class Town:
    """What stands in a town, and the scanner of the one car that drives there.

    Attributes:
        number: client and group of the town; also seeds its streets.
        name: for ``load`` and ``scan``.
        story: one line for people.
        class_mix: chance of each class of ``CLASSES`` for a thing that stands along the street.
        sensor_height: metres above ground.
        max_range: metres.
        beams: lasers above each other.
        elevation: of the lowest and the highest beam, degrees.
        range_noise: standard deviation, metres.
        attenuation: of the air, 1/m; an echo from range r comes back with chance exp(-2 attenuation r).
        speed: of the car, metres a second.
        density: things on the furnished 100 m of street, before those that would overlap are taken away.
        share: of the fleet's training objects, relative to the other towns.
    """

    number: int
    name: str
    story: str
    class_mix: tuple[float, ...]
    sensor_height: float = 1.8
    max_range: float = 60.0
    beams: int = 32
    elevation: tuple[float, float] = (-25.0, 10.0)
    range_noise: float = 0.02
    attenuation: float = 0.002
    speed: float = 10.0
    density: int = 30
    share: float = 1.0


def towns() -> tuple[Town, ...]:
    """The eight towns; the canal town has the fewest objects, half of them of a class rare elsewhere."""
    return (
        Town(0, "suburb", "parked cars and garden walls", (0.38, 0.10, 0.02, 0.14, 0.20, 0.16)),
        Town(1, "downtown", "people everywhere", (0.28, 0.40, 0.03, 0.19, 0.05, 0.05),
             max_range=40.0, speed=6.0),
        Town(2, "motorway", "fast, far, and nobody on foot", (0.62, 0.00, 0.00, 0.20, 0.06, 0.12),
             sensor_height=1.9, max_range=80.0, beams=64, elevation=(-24.8, 2.0), speed=30.0),
        Town(3, "forest", "a road between trees", (0.12, 0.05, 0.02, 0.08, 0.68, 0.05), density=40),
        Town(4, "works", "a lorry among factory walls", (0.28, 0.06, 0.01, 0.12, 0.03, 0.50),
             sensor_height=2.8, speed=8.0),
        Town(5, "fog coast", "a suburb in fog: far echoes are lost", (0.36, 0.12, 0.02, 0.16, 0.18, 0.16),
             attenuation=0.03),
        Town(6, "old town", "narrow lanes, a low and coarse scanner", (0.18, 0.36, 0.04, 0.14, 0.08, 0.20),
             sensor_height=1.3, max_range=35.0, beams=16, elevation=(-15.0, 15.0), speed=5.0),
        Town(7, "canal", "bicycles, and few drives", (0.10, 0.14, 0.50, 0.10, 0.10, 0.06),
             max_range=40.0, speed=6.0, share=0.2),
    )  # fmt: skip


def furnish(town: Town, rng: np.random.Generator) -> tuple[np.ndarray, Solids]:
    """Put things along a street: their classes ``[K]`` and solids, whose upright boxes do not overlap."""
    labels = rng.choice(len(CLASSES), town.density, p=np.array(town.class_mix) / sum(town.class_mix))
    solids = place(build(labels, rng), *_spots(labels, rng))
    stands = _free(solids, len(labels))
    kept = solids.pick(stands[solids.owner])
    return labels[stands], replace(kept, owner=(np.cumsum(stands) - 1)[kept.owner])


def _spots(labels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Position ``[K, 2]`` and yaw ``[K]``: a slot of the street each, either side, in their class's band."""
    k = len(labels)
    x = STREET[0] + (STREET[1] - STREET[0]) * (rng.permutation(k) + rng.uniform(0.1, 0.9, k)) / k
    low, high = np.array([_BANDS[name] for name in CLASSES])[labels].T
    side = rng.choice([-1.0, 1.0], k)
    y = side * rng.uniform(low, high)
    y = np.where((labels == _CAR) & (side > 0) & (rng.random(k) < 0.5), -LANE, y)  # oncoming traffic
    along = np.where(rng.random(k) < 0.5, 0.0, np.pi) + rng.normal(0.0, 0.1, k)
    across = along + np.where(rng.random(k) < 0.3, np.pi / 2, 0.0)
    anyhow = rng.uniform(-np.pi, np.pi, k)
    driving = (labels == _CAR) | (labels == _CYCLIST)
    return np.stack([x, y], axis=1), np.select([driving, labels == _WALL], [along, across], anyhow)


def _free(solids: Solids, k: int) -> np.ndarray:
    """Whether each of k things, in turn, touches no upright box of one that already stands, bool ``[k]``."""
    touch = np.ones((len(solids), len(solids)), bool)
    for centre, half in zip(solids.centre.T, extents(solids).T, strict=True):
        touch &= np.abs(np.subtract.outer(centre, centre)) < np.add.outer(half, half)
    one, other = np.nonzero(touch)
    clash = np.zeros((k, k), bool)
    clash[solids.owner[one], solids.owner[other]] = True
    stands = np.zeros(k, bool)
    for thing in range(k):
        stands[thing] = not (clash[thing] & stands).any()
    return stands
