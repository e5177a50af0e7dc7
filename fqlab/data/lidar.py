"""A fleet of cars with spinning laser scanners: labelled 3-D point clouds, one town a car (synthetic).

A car drives along a street lined with parametric things (``shapes``); its scanner turns once in 0.1 s while the car moves,
and every point is the first thing along its ray (``scanner``), with range noise, and lost with a chance that grows with
range.  What a class looks like is our own invention: nothing here stands for a published data set or result.

World frame: x along the street, y to the left, z up from flat ground, metres; points are motion-compensated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..errors import DataError, in_range, one_of
from .scanner import Solids, extents, first_hits
from .shapes import CLASSES, build, place

if TYPE_CHECKING:
    from . import Dataset

__all__ = ["CLASSES", "GROUND", "Scene", "Town", "clouds", "load", "scan", "towns"]

GROUND = -1  # label and object number of a ground point
COLUMNS = 900  # firings a turn: 0.4 degree apart
PERIOD = 0.1  # seconds a turn
STREET = (-35.0, 65.0)  # metres of street that are furnished, around where the car starts
TEST_SCENE = 1_000_000  # scenes from here on are driven for the test set


@dataclass(frozen=True)
class Town:
    """What stands in a town, and the scanner of the car that drives there."""

    number: int  # client, group and seed of the town
    name: str
    story: str
    class_mix: tuple[float, ...]  # chance of each class of CLASSES among the things that stand along the street
    sensor_height: float = 1.8  # metres above ground
    max_range: float = 60.0  # metres
    beams: int = 32
    elevation: tuple[float, float] = (-25.0, 10.0)  # lowest and highest beam, degrees
    range_noise: float = 0.02  # standard deviation, metres
    attenuation: float = 0.002  # of the air, 1/m: an echo from range r returns with chance exp(-2 attenuation r)
    speed: float = 10.0  # metres a second
    density: int = 30  # things per 100 m of street, before those that would overlap are taken away
    share: float = 1.0  # labelled training objects, relative to the other towns


@dataclass(frozen=True)
class Scene:
    """One turn of the scanner: N labelled points, and the street they were measured in."""

    town: Town
    points: np.ndarray  # [N, 3] float32, metres, world frame
    label: np.ndarray  # [N] int64, index into CLASSES, GROUND for the ground
    object: np.ndarray  # [N] int64, number of the thing hit, GROUND for the ground
    path: np.ndarray  # [COLUMNS, 3] where the sensor was at each firing
    standing: np.ndarray  # [K] int64 class of each thing along the street, seen or not
    solids: Solids  # their shapes; owner = number of the thing

    @property
    def sensor(self) -> np.ndarray:
        """Where the sensor was in the middle of the turn, [3]."""
        return self.path[len(self.path) // 2]


@cache
def towns() -> tuple[Town, ...]:
    """The eight towns of the fleet; class mixes in the order car, pedestrian, cyclist, pole, tree, wall."""
    rows = (
        ("suburb", "parked cars and garden walls", (0.38, 0.10, 0.02, 0.14, 0.20, 0.16), {}),
        ("downtown", "people everywhere", (0.28, 0.40, 0.03, 0.19, 0.05, 0.05), {"max_range": 40.0, "speed": 6.0}),
        ("motorway", "fast and far", (0.62, 0.00, 0.00, 0.20, 0.06, 0.12),
         {"sensor_height": 1.9, "max_range": 80.0, "beams": 64, "elevation": (-24.8, 2.0), "speed": 30.0}),
        ("forest", "a road between trees", (0.12, 0.05, 0.02, 0.08, 0.68, 0.05), {"density": 40}),
        ("works", "a lorry among factory walls", (0.28, 0.06, 0.01, 0.12, 0.03, 0.50), {"sensor_height": 2.8, "speed": 8.0}),
        ("fog coast", "a suburb whose far echoes are lost in fog", (0.36, 0.12, 0.02, 0.16, 0.18, 0.16), {"attenuation": 0.03}),
        ("old town", "narrow lanes, a low and coarse scanner", (0.18, 0.36, 0.04, 0.14, 0.08, 0.20),
         {"sensor_height": 1.3, "max_range": 35.0, "beams": 16, "elevation": (-15.0, 15.0), "speed": 5.0}),
        ("canal", "bicycles, which hardly any other town knows; few drives", (0.10, 0.14, 0.50, 0.10, 0.10, 0.06),
         {"max_range": 40.0, "speed": 6.0, "share": 0.4}),
    )  # fmt: skip
    return tuple(Town(number, name, story, mix, **more) for number, (name, story, mix, more) in enumerate(rows))


# Where a class stands: distance from the middle of the street, metres.  The scanning car drives at y = -1.75.
_LANE = -1.75
_BANDS = {"car": (4.4, 4.8), "pedestrian": (5.9, 9.0), "cyclist": (2.95, 3.4), "pole": (5.7, 6.2), "tree": (6.3, 11.0), "wall": (8.0, 15.0)}


def _spots(labels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Position [K, 2] and yaw [K] of things along the street: one slot each, on either side, in their class's band."""
    k = len(labels)
    slot = (rng.permutation(k) + rng.uniform(0.1, 0.9, k)) / k
    low, high = np.array([_BANDS[name] for name in CLASSES])[labels].T
    side = rng.choice([-1.0, 1.0], k)
    y = side * rng.uniform(low, high)
    y = np.where((labels == 0) & (side > 0) & (rng.random(k) < 0.5), -_LANE, y)  # oncoming traffic
    along = np.where(rng.random(k) < 0.5, 0.0, np.pi) + rng.normal(0.0, 0.1, k)
    across = along + np.where(rng.random(k) < 0.3, np.pi / 2, 0.0)
    free = rng.uniform(-np.pi, np.pi, k)
    yaw = np.select([labels == CLASSES.index("wall"), labels == 0, labels == CLASSES.index("cyclist")], [across, along, along], free)
    return np.stack([STREET[0] + (STREET[1] - STREET[0]) * slot, y], axis=1), yaw


def _free(solids: Solids, k: int) -> np.ndarray:
    """True for each of k things, in order, whose solids' upright boxes overlap none of a thing already there; [k]."""
    half = extents(solids)
    touch = [np.abs(np.subtract.outer(c, c)) < np.add.outer(h, h) for c, h in zip(solids.centre.T, half.T, strict=True)]
    one, other = np.nonzero(touch[0] & touch[1] & touch[2])
    clash = np.zeros((k, k), bool)
    clash[solids.owner[one], solids.owner[other]] = True
    there = np.zeros(k, bool)
    for thing in range(k):
        there[thing] = not (clash[thing] & there).any()
    return there


def _street(town: Town, rng: np.random.Generator) -> tuple[np.ndarray, Solids]:
    """Classes [K] of what stands along a street, and its solids; nothing overlaps."""
    labels = rng.choice(len(CLASSES), town.density, p=np.array(town.class_mix) / sum(town.class_mix))
    solids = place(build(labels, rng), *_spots(labels, rng))
    there = _free(solids, len(labels))
    kept = solids.pick(there[solids.owner])
    return labels[there], replace(kept, owner=(np.cumsum(there) - 1)[kept.owner])


def _generators(seed: int, town: Town, scene: int) -> list[np.random.Generator]:
    """One generator each for the street, the measurement and the choice of points."""
    return [np.random.default_rng(part) for part in np.random.SeedSequence([seed, town.number, scene]).spawn(3)]


def _town(town: Town | str) -> Town:
    if isinstance(town, Town):
        return town
    one_of("town", town, [each.name for each in towns()])
    return next(each for each in towns() if each.name == town)


def _beams(town: Town, time: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sensor positions [COLUMNS, 3], azimuths [COLUMNS] (clockwise, from behind) and elevations [beams] of one turn."""
    turned = np.arange(COLUMNS) / COLUMNS
    path = np.tile([0.0, _LANE, town.sensor_height], (COLUMNS, 1))
    path[:, 0] = town.speed * (time + PERIOD * turned)
    return path, np.pi - 2 * np.pi * turned, np.radians(np.linspace(*town.elevation, town.beams))


def _ground(distance: np.ndarray, town: Town, elevation: np.ndarray) -> np.ndarray:
    """``distance`` [columns, beams] with the flat ground where a ray met nothing else."""
    floor = town.sensor_height / np.maximum(-np.sin(elevation), 1e-9)
    return np.where(np.isfinite(distance) | (floor > town.max_range), distance, floor)


def _echoes(town: Town, distance: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Column, beam and measured range of every echo that comes back: Gaussian error, loss exp(-2 attenuation range)."""
    error, luck = rng.standard_normal(distance.shape, np.float32), rng.random(distance.shape, np.float32)
    column, beam = np.nonzero(np.isfinite(distance))
    true = distance[column, beam]
    back = luck[column, beam] < np.exp(-2.0 * town.attenuation * true)
    column, beam = column[back], beam[back]
    return column, beam, true[back] + town.range_noise * error[column, beam]


def scan(town: Town | str, *, seed: int = 0, scene: int = 0, time: float = 0.0, ground: bool = True) -> Scene:
    """Turn the scanner once and return every echo with its label.

    The street depends on (seed, town number, scene) alone, so that a town changed by ``dataclasses.replace`` shows the same
    street through another sensor.  An echo from range r comes back with chance exp(-2 attenuation r) (Beer-Lambert).

    Args:
        town: a name of ``towns()``, or a Town.
        seed: of everything random.
        scene: which stretch of street.
        time: seconds since the car entered it, 0 to 2.
        ground: also return echoes from the ground; the others are the same either way.

    Returns:
        The scene, points [N, 3] in metres.

    Raises:
        ConfigError: for an unknown town, or a number out of range.

    >>> cloud = scan("suburb", seed=1)
    >>> cloud.points.shape[1], int(cloud.label.min()) == GROUND
    (3, True)
    """
    town, time = _town(town), in_range("time", time, 0, 2)
    world, noise, _ = _generators(seed, town, scene)
    standing, solids = _street(town, world)
    path, azimuth, elevation = _beams(town, time)
    distance, owner = first_hits(solids, path, azimuth, elevation, town.max_range)
    distance = _ground(distance, town, elevation) if ground else distance
    column, beam, reach = _echoes(town, distance, noise)
    owner, flat = owner[column, beam], reach * np.cos(elevation)[beam]
    points = path[column]
    points[:, 0] += flat * np.cos(azimuth)[column]
    points[:, 1] += flat * np.sin(azimuth)[column]
    points[:, 2] += reach * np.sin(elevation)[beam]
    label = np.where(owner < 0, GROUND, standing[owner])
    return Scene(town, points.astype(np.float32), label, owner, path, standing, solids)


def clouds(
    points: np.ndarray, owner: np.ndarray, sensor: np.ndarray, rng: np.random.Generator, *, size: int = 64, min_points: int = 12
) -> tuple[np.ndarray, np.ndarray]:
    """Cut objects out of a scan, each seen from its sensor.

    Every object is turned until x points away from the sensor and moved until the mean of its x and y is 0; z stays the
    height above ground; metres, no scaling.  More than ``size`` points: a random subset; fewer: points are repeated.

    Args:
        points: [N, 3], z = 0 on the ground.
        owner: [N] object number of each point; negative = no object.
        sensor: [2] or [3], where it was scanned from.
        rng: chooses the points.
        size: points of each cloud.
        min_points: objects with fewer are left out.

    Returns:
        clouds [k, size, 3] float32 and the k object numbers, rising.
    """
    order = rng.permutation(len(owner))
    order = order[np.argsort(owner[order], kind="stable")]
    order = order[np.searchsorted(owner[order], 0) :]
    number, start, count = np.unique(owner[order], return_index=True, return_counts=True)
    keep = count >= min_points
    if not keep.any():
        return np.zeros((0, size, 3), np.float32), number[keep]
    middle = (np.add.reduceat(points[order, :2].astype(float), start) / count[:, None])[keep]
    index = order[start[keep, None] + np.arange(size) % count[keep, None]]
    away = middle - np.asarray(sensor)[:2]
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    off = points[index, :2] - middle[:, None]
    ahead = (off * away[:, None]).sum(axis=2)
    left = away[:, None, 0] * off[..., 1] - away[:, None, 1] * off[..., 0]
    return np.stack([ahead, left, points[index, 2]], axis=2).astype(np.float32), number[keep]


def _drive(town: Town, seed: int, first: int, count: int, size: int, min_points: int) -> tuple[np.ndarray, np.ndarray]:
    """``count`` labelled clouds [count, size, 3] and classes [count] from scene ``first`` on."""
    xs, ys, found, scene = [], [], 0, first
    while found < count:
        seen = scan(town, seed=seed, scene=scene, ground=False)
        x, number = clouds(
            seen.points, seen.object, seen.sensor, _generators(seed, town, scene)[2], size=size, min_points=min_points
        )
        xs.append(x)
        ys.append(seen.standing[number])
        found, scene = found + len(x), scene + 1
        if scene - first >= 100 + 10 * found:
            raise DataError(f"town {town.name!r} shows only {found} objects of {min_points} points in {scene - first} scenes.")
    return np.concatenate(xs)[:count], np.concatenate(ys)[:count]


def load(
    *, seed: int = 0, objects: int = 3000, size: int = 64, min_points: int = 12, fleet: Sequence[Town] | None = None
) -> Dataset:
    """Labelled objects of the whole fleet, synthetic and deterministic.

    Args:
        seed: of streets, noise and points.
        objects: two thirds for training, shared by ``Town.share``; one third for testing, the same number in every town.
        size: points of each object.
        min_points: echoes an object needs to be labelled.
        fleet: the towns, default ``towns()``; ``Town.number`` is the group.

    Returns:
        Dataset with x float32 [n, size, 3] (metres; see ``clouds``), y int64 [n], classes ``CLASSES``, groups = town number of
        each training object and test_groups = that of each test object; both sorted by town.

    Raises:
        ConfigError: for a number out of range.
        DataError: when a town shows no object that is large enough.
    """
    from . import Dataset

    fleet = tuple(fleet or towns())
    in_range("objects", objects, 3 * len(fleet), integer=True)
    in_range("size", size, 1, integer=True)
    in_range("min_points", min_points, 1, integer=True)
    shares = np.cumsum([0.0] + [town.share for town in fleet])
    edges = np.round(shares / shares[-1] * round(objects * 2 / 3)).astype(int)
    tests = (objects - edges[-1]) // len(fleet)
    train = [_drive(town, seed, 0, n, size, min_points) for town, n in zip(fleet, np.diff(edges), strict=True)]
    test = [_drive(town, seed, TEST_SCENE, tests, size, min_points) for town in fleet]
    (train_x, train_y), (test_x, test_y) = (map(np.concatenate, zip(*part, strict=True)) for part in (train, test))
    numbers = torch.tensor([town.number for town in fleet])
    return Dataset(
        name="lidar",
        train_x=torch.from_numpy(train_x),
        train_y=torch.from_numpy(train_y),
        test_x=torch.from_numpy(test_x),
        test_y=torch.from_numpy(test_y),
        classes=CLASSES,
        groups=numbers.repeat_interleave(torch.from_numpy(np.diff(edges))),
        test_groups=numbers.repeat_interleave(tests),
        note="Synthetic scans of parametric street furniture; stands for no published data set.",
    )
