"""A fleet of cars with spinning laser scanners: labelled 3-D point clouds, one town a car (synthetic).

A car drives along a street lined with parametric things (``shapes``, ``street``). Its scanner turns once in
0.1 s while the car moves on; every point is the first thing along its ray (``scanner``), with Gaussian range
noise, and is lost with a chance that grows with range. The classes look as we made them up: nothing here
stands for a published data set or result.

World frame: x along the street, y to the left, z up from flat ground, metres; points are motion-compensated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fqlab.data.scanner import Solids, first_hits
from fqlab.data.shapes import CLASSES
from fqlab.data.street import LANE, Town, furnish, towns
from fqlab.errors import ConfigError, DataError, in_range, one_of, shown

if TYPE_CHECKING:
    from fqlab.data import Dataset

__all__ = ["CLASSES", "COLUMNS", "GROUND", "Scene", "Town", "clouds", "load", "scan", "towns"]

GROUND = -1  # label and object number of a ground point
COLUMNS = 900  # firings a turn, 0.4 degrees apart
PERIOD = 0.1  # seconds a turn
TRAIN = 1 / 3  # share of the objects that is for training: a car has few labels, a test should be sharp
TEST_SCENE = 1_000_000  # scenes from this number on are driven for the test set


@dataclass(frozen=True)
class Scene:
    """One turn of the scanner: N labelled points, and the street they were measured in.

    Attributes:
        town: the town and its scanner.
        points: float32 ``[N, 3]``, metres, world frame.
        label: int64 ``[N]``, index into ``CLASSES``, or ``GROUND``.
        object: int64 ``[N]``, number of the thing hit, or ``GROUND``.
        path: float64 ``[COLUMNS, 3]``, where the sensor was at each firing.
        standing: int64 ``[K]``, class of each thing along the street, seen or not.
        solids: the true shapes; ``owner`` is the number of the thing.
    """

    town: Town
    points: np.ndarray
    label: np.ndarray
    object: np.ndarray
    path: np.ndarray
    standing: np.ndarray
    solids: Solids

    @property
    def sensor(self) -> np.ndarray:
        """Where the sensor was in the middle of the turn, ``[3]``."""
        return self.path[len(self.path) // 2]


def scan(town: Town | str, *, seed: int = 0, scene: int = 0, time: float = 0.0, ground: bool = True) -> Scene:
    """Turn the scanner once and return every echo with its label.

    The street depends on (seed, town number, scene), class mix and density alone, so that a town whose
    scanner is changed by ``dataclasses.replace`` shows the same street through another sensor. An echo from
    range r comes back with chance exp(-2 attenuation r) (Beer-Lambert, there and back).

    Args:
        town: a name of :func:`towns`, or a Town.
        seed: of everything random.
        scene: which stretch of street.
        time: seconds since the car passed x = 0, from 0 to 2.
        ground: also return echoes of the ground; the others are the same either way.

    Returns:
        The scene, points ``[N, 3]`` in metres.

    Raises:
        ConfigError: for an unknown town, or a number out of range.

    >>> cloud = scan("suburb", seed=1)
    >>> cloud.points.shape[1], int(cloud.label.min()) == GROUND
    (3, True)
    """
    town = _checked(town)
    world, noise, _ = _generators(seed, town, scene)
    standing, solids = furnish(town, world)
    path, azimuth, elevation = _beams(town, in_range("time", time, 0, 2))
    distance, owner = first_hits(solids, path, azimuth, elevation, town.max_range)
    distance = _ground(distance, town, elevation) if ground else distance
    column, beam, reach = _echoes(town, distance, noise)
    owner = owner[column, beam]
    level = reach * np.cos(elevation)[beam]
    points = path[column]
    points[:, 0] += level * np.cos(azimuth)[column]
    points[:, 1] += level * np.sin(azimuth)[column]
    points[:, 2] += reach * np.sin(elevation)[beam]
    label = np.where(owner < 0, GROUND, standing[owner])
    return Scene(town, points.astype(np.float32), label, owner, path, standing, solids)


def clouds(
    points: np.ndarray,
    owner: np.ndarray,
    sensor: np.ndarray,
    rng: np.random.Generator,
    *,
    size: int = 64,
    min_points: int = 12,
) -> tuple[np.ndarray, np.ndarray]:
    """Cut objects out of a scan, each as its sensor sees it.

    An object is turned about the vertical until x points away from the sensor, and moved until the mean of
    its x and of its y is 0; z stays the height above ground. Metres, no scaling. Of more than ``size`` points
    a random subset is kept; fewer are repeated in turn, which a maximum over points does not notice.

    Args:
        points: ``[N, 3]``, z = 0 on the ground.
        owner: ``[N]`` object number of each point; negative for none.
        sensor: ``[2]`` or ``[3]``, where it was scanned from.
        rng: chooses the points.
        size: points of each cloud.
        min_points: objects with fewer are left out.

    Returns:
        float32 ``[k, size, 3]``, and the k object numbers, rising.
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
    x, y = np.moveaxis(points[index, :2] - middle[:, None], 2, 0)
    away = middle - np.asarray(sensor)[:2]
    c, s = (away / np.linalg.norm(away, axis=1, keepdims=True)).T[..., None]
    return np.stack([c * x + s * y, c * y - s * x, points[index, 2]], axis=2).astype(np.float32), number[keep]


def load(
    *,
    seed: int = 0,
    objects: int = 3000,
    size: int = 64,
    min_points: int = 12,
    fleet: Sequence[Town] | None = None,
) -> Dataset:
    """Labelled objects of the whole fleet, made in seconds, the same for the same seed.

    Args:
        seed: of streets, noise and choice of points.
        objects: a third for training, by ``Town.share``; the rest for testing, as many in every town.
        size: points of each object.
        min_points: echoes that an object needs to be labelled.
        fleet: the towns, default :func:`towns`; ``Town.number`` is the group.

    Returns:
        Dataset with x float32 ``[n, size, 3]`` in metres (see :func:`clouds`), y int64 ``[n]``;
        ``groups`` and ``test_groups`` are the town numbers; sorted by town.

    Raises:
        ConfigError: for a number out of range.
        DataError: if a town shows no object that is large enough.
    """
    import torch

    from fqlab.data import Dataset

    fleet = towns() if fleet is None else tuple(fleet)
    counts, tests = _counts(fleet, objects)
    in_range("size", size, 1, integer=True)
    in_range("min_points", min_points, 1, integer=True)
    drives = [_drive(town, seed, 0, n, size, min_points) for town, n in zip(fleet, counts, strict=True)]
    drives += [_drive(town, seed, TEST_SCENE, tests, size, min_points) for town in fleet]
    xs, ys = zip(*drives, strict=True)
    towns_of = np.repeat([town.number for town in fleet] * 2, [*counts, *[tests] * len(fleet)])
    x, y, groups = (torch.from_numpy(part) for part in (np.concatenate(xs), np.concatenate(ys), towns_of))
    n = sum(counts)
    return Dataset(
        "lidar", x[:n], y[:n], x[n:], y[n:], CLASSES, groups[:n],
        "synthetic scans of made-up streets; they stand for no published data set", groups[n:],
    )  # fmt: skip


def _checked(town: Town | str) -> Town:
    if not isinstance(town, Town):
        one_of("town", town, [each.name for each in towns()])
        return next(each for each in towns() if each.name == town)
    for name, low, high in (("sensor_height", 0.1, 20), ("max_range", 1, 1000), ("speed", 0, 100)):
        in_range(name, getattr(town, name), low, high)
    for name in ("range_noise", "attenuation"):
        in_range(name, getattr(town, name), 0, 10)
    for name, least, most in (("number", 0, np.inf), ("beams", 1, 256), ("density", 1, 200)):
        in_range(name, getattr(town, name), least, most, integer=True)
    low, high = town.elevation
    if not -85 <= low <= high <= 85:
        raise ConfigError(f"elevation is {shown(town.elevation)}, but must rise and lie from -85 to 85 degrees.")
    mix = town.class_mix
    if len(mix) != len(CLASSES) or min(mix) < 0 or not 0 < sum(mix) < np.inf:
        raise ConfigError(f"class_mix is {shown(mix)}, but must be {len(CLASSES)} numbers from 0, not all 0.")
    return town


def _generators(seed: int, town: Town, scene: int) -> list[np.random.Generator]:
    """One generator each for the street, the measurement and the choice of points."""
    in_range("seed", seed, 0, integer=True)
    in_range("scene", scene, 0, integer=True)
    parts = np.random.SeedSequence([seed, town.number, scene]).spawn(3)
    return [np.random.default_rng(part) for part in parts]


def _beams(town: Town, time: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sensor positions ``[COLUMNS, 3]``, azimuths (clockwise from behind) and elevations, radians."""
    turned = np.arange(COLUMNS) / COLUMNS
    path = np.tile([0.0, LANE, town.sensor_height], (COLUMNS, 1))
    path[:, 0] = town.speed * (time + PERIOD * turned)
    return path, np.pi - 2 * np.pi * turned, np.radians(np.linspace(*town.elevation, town.beams))


def _ground(distance: np.ndarray, town: Town, elevation: np.ndarray) -> np.ndarray:
    """``distance`` ``[COLUMNS, beams]`` with the flat ground where a ray met nothing else."""
    floor = town.sensor_height / np.maximum(-np.sin(elevation), 1e-9)
    return np.where(np.isfinite(distance) | (floor > town.max_range), distance, floor)


def _echoes(town: Town, distance: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Column, beam and measured range of every echo that comes back."""
    noise = rng.standard_normal(distance.shape, np.float32)
    luck = rng.random(distance.shape, np.float32)
    column, beam = np.nonzero(np.isfinite(distance))
    true = distance[column, beam]
    back = luck[column, beam] < np.exp(-2.0 * town.attenuation * true)
    column, beam = column[back], beam[back]
    return column, beam, true[back] + town.range_noise * noise[column, beam]


def _counts(fleet: Sequence[Town], objects: int) -> tuple[list[int], int]:
    """Training objects of each town, and test objects of every town."""
    in_range("towns in fleet", len(fleet), 1)
    in_range("objects", objects, 10 * len(fleet), integer=True)
    for town in fleet:
        in_range("share", town.share, 0, open_low=True)
    edges = np.cumsum([0.0, *(town.share for town in fleet)])
    edges = np.round(edges / edges[-1] * round(objects * TRAIN)).astype(int)
    return np.maximum(np.diff(edges), 1).tolist(), (objects - int(edges[-1])) // len(fleet)


def _drive(town: Town, seed: int, first: int, count: int, size: int, min_points: int) -> tuple[np.ndarray, np.ndarray]:
    """``count`` clouds ``[count, size, 3]`` and their classes ``[count]``, from scene number ``first`` on."""
    xs = []
    ys = []
    drawn = 0
    scene = first
    while drawn < count:
        seen = scan(town, seed=seed, scene=scene, ground=False)
        rng = _generators(seed, town, scene)[2]
        x, number = clouds(seen.points, seen.object, seen.sensor, rng, size=size, min_points=min_points)
        xs.append(x)
        ys.append(seen.standing[number])
        drawn = drawn + len(x)
        scene = scene + 1
        if drawn == 0 and scene - first == 50:
            raise DataError(f"town {shown(town.name)} shows no object with {min_points} echoes in 50 scenes.")
    return np.concatenate(xs)[:count], np.concatenate(ys)[:count]
