"""Parametric things of a street, built of boxes, cylinders and ellipsoids: every call draws new sizes.

Own frame of an object: x forward, y left, z up, metres, origin on the ground under its middle.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fqlab.data.scanner import BOX, CYLINDER, ELLIPSOID, Solids, turn

__all__ = ["CLASSES", "build", "place"]

CLASSES = ("car", "pedestrian", "cyclist", "pole", "tree", "wall")


_Value = float | np.ndarray  # one number for all objects, or an array [n] with one for each of n objects
_Part = tuple[_Value, ...]  # kind, centre x y z, full size x y z, roll, pitch


def _part(kind: int, centre: _Part, size: _Part, *, roll: _Value = 0.0, pitch: _Value = 0.0) -> _Part:
    return (kind, *centre, *size, roll, pitch)


def _car(rng: np.random.Generator, n: int) -> list[_Part]:
    """Body, cabin with sloping screens, two axles; one in five is a van."""
    van = rng.random(n) < 0.2
    length, width = rng.uniform(3.7, 4.9, n), rng.uniform(1.65, 1.95, n)
    height = np.where(van, rng.uniform(1.8, 2.2, n), rng.uniform(1.4, 1.65, n))
    belt = np.where(van, 1.1, 0.58 * height)
    cabin = np.where(van, 0.62, 0.4) * length
    middle = np.where(van, -0.12, -0.05) * length
    glass = height - belt
    screen = (0.06, 0.84 * width, 1.35 * glass)
    upright = (belt + height) / 2 - 0.02
    bonnet = 0.42 * glass
    boot = 0.42 * glass * ~van
    return [
        _part(BOX, (0, 0, (belt + 0.25) / 2), (length, width, belt - 0.25)),
        _part(BOX, (middle, 0, (belt + height) / 2), (cabin, 0.86 * width, glass)),
        _part(BOX, (middle + cabin / 2 + bonnet, 0, upright), screen, pitch=-0.72),
        _part(BOX, (middle - cabin / 2 - boot, 0, upright), screen, pitch=np.where(van, 0.0, 0.72)),
        _part(CYLINDER, (0.31 * length, 0, 0.32), (0.64, 0.64, 0.98 * width), roll=np.pi / 2),
        _part(CYLINDER, (-0.31 * length, 0, 0.32), (0.64, 0.64, 0.98 * width), roll=np.pi / 2),
    ]


def _pedestrian(rng: np.random.Generator, n: int) -> list[_Part]:
    """Head, trunk, two arms and two legs in mid-stride."""
    tall = rng.uniform(1.25, 1.95, n)
    stride = rng.uniform(-0.4, 0.4, n)
    limb = (0.08 * tall, 0.08 * tall, 0.48 * tall)
    arm = (0.055 * tall, 0.055 * tall, 0.38 * tall)
    foot, hand = -0.24 * tall * np.sin(stride), -0.17 * tall * np.sin(stride)
    return [
        _part(ELLIPSOID, (0, 0, 0.93 * tall), (0.13 * tall, 0.11 * tall, 0.15 * tall)),
        _part(ELLIPSOID, (0, 0, 0.66 * tall), (0.16 * tall, 0.27 * tall, 0.44 * tall)),
        _part(CYLINDER, (foot, 0.055 * tall, 0.24 * tall), limb, pitch=stride),
        _part(CYLINDER, (-foot, -0.055 * tall, 0.24 * tall), limb, pitch=-stride),
        _part(CYLINDER, (-hand, 0.15 * tall, 0.62 * tall), arm, pitch=-stride),
        _part(CYLINDER, (hand, -0.15 * tall, 0.62 * tall), arm, pitch=stride),
    ]


def _cyclist(rng: np.random.Generator, n: int) -> list[_Part]:
    """Two wheels (closed discs), a frame, a rider who leans forward."""
    base = rng.uniform(0.98, 1.12, n)
    tall = rng.uniform(1.5, 1.9, n)
    lean = rng.uniform(0.3, 0.8, n)
    wheel = (0.68, 0.68, 0.05)
    trunk = 0.36 * tall
    seat = 0.52 * tall
    reach, rise = trunk * np.sin(lean), trunk * np.cos(lean)
    return [
        _part(CYLINDER, (base / 2, 0, 0.34), wheel, roll=np.pi / 2),
        _part(CYLINDER, (-base / 2, 0, 0.34), wheel, roll=np.pi / 2),
        _part(BOX, (0, 0, 0.6), (0.55 * base, 0.05, 0.45)),
        _part(ELLIPSOID, (reach / 2 - 0.15, 0, seat + rise / 2), (0.26, 0.44, 1.25 * trunk), pitch=lean),
        _part(ELLIPSOID, (reach - 0.08, 0, seat + rise + 0.15), (0.22, 0.19, 0.26)),
        _part(CYLINDER, (0.0, 0.11, 0.62 * seat), (0.13, 0.13, 0.75 * seat), pitch=-0.3),
        _part(CYLINDER, (0.08, -0.11, 0.7 * seat), (0.13, 0.13, 0.6 * seat), pitch=-0.7),
        _part(CYLINDER, (reach / 2 + 0.15, 0, seat + 0.75 * rise), (0.09, 0.42, 0.5), pitch=1.9),
    ]


def _pole(rng: np.random.Generator, n: int) -> list[_Part]:
    """A post with a sign, or a lamp on an arm."""
    lamp = rng.random(n) < 0.5
    height = np.where(lamp, rng.uniform(4.5, 8.0, n), rng.uniform(2.2, 3.2, n))
    thick = np.where(lamp, rng.uniform(0.14, 0.26, n), rng.uniform(0.07, 0.12, n))
    board = rng.uniform(0.45, 0.8, n)
    head = (np.where(lamp, 1.4, 0.04), np.where(lamp, 0.12, board), np.where(lamp, 0.1, board))
    return [
        _part(CYLINDER, (0, 0, height / 2), (thick, thick, height)),
        _part(BOX, (np.where(lamp, 0.7, 0.06), 0, height - head[2] / 2), head),
    ]


def _tree(rng: np.random.Generator, n: int) -> list[_Part]:
    """A trunk under two overlapping crowns (closed: a ray does not pass between leaves)."""
    trunk = rng.uniform(1.4, 2.8, n)
    thick = rng.uniform(0.18, 0.5, n)
    wide = rng.uniform(1.6, 4.0, n)
    high = rng.uniform(1.8, 3.6, n)
    off = rng.uniform(-0.5, 0.5, (2, n))
    return [
        _part(CYLINDER, (0, 0, (trunk + 0.4) / 2), (thick, thick, trunk + 0.4)),
        _part(ELLIPSOID, (0, 0, trunk + high / 2), (wide, wide, high)),
        _part(ELLIPSOID, (*off, trunk + 0.8 * high), (0.7 * wide, 0.7 * wide, 0.8 * high)),
    ]


def _wall(rng: np.random.Generator, n: int) -> list[_Part]:
    """A straight garden or factory wall between two pillars."""
    length, height, thick = rng.uniform(3.0, 9.0, n), rng.uniform(0.9, 3.2, n), rng.uniform(0.2, 0.45, n)
    pillar = (thick + 0.15, thick + 0.15, height + 0.15)
    return [
        _part(BOX, (0, 0, height / 2), (length, thick, height)),
        _part(BOX, (length / 2, 0, height / 2 + 0.075), pillar),
        _part(BOX, (-length / 2, 0, height / 2 + 0.075), pillar),
    ]


_BUILDERS: dict[str, Callable[[np.random.Generator, int], list[_Part]]] = {
    "car": _car, "pedestrian": _pedestrian, "cyclist": _cyclist, "pole": _pole, "tree": _tree, "wall": _wall,
}  # fmt: skip


def build(labels: np.ndarray, rng: np.random.Generator) -> Solids:
    """Solids of one object per label (``[K]`` indices into ``CLASSES``), each in its own frame; owner k."""
    tables = []
    kinds = []
    owners = []
    for number, name in enumerate(CLASSES):
        mine = np.flatnonzero(labels == number)
        for kind, *columns in _BUILDERS[name](rng, len(mine)) if len(mine) else []:
            table = np.empty((8, len(mine)))
            for row, value in enumerate(columns):
                table[row] = value
            tables.append(table)
            kinds.append(np.full(len(mine), kind))
            owners.append(mine)
    table = np.concatenate(tables, axis=1)
    rotation = turn(table[6], table[7], np.zeros(table.shape[1]))
    kind = np.concatenate(kinds)
    owner = np.concatenate(owners)
    return Solids(kind, table[:3].T.copy(), table[3:6].T / 2, rotation, owner)


def place(solids: Solids, position: np.ndarray, yaw: np.ndarray) -> Solids:
    """Move object k to ``position[k]`` (metres, ``[K, 2]``), turned left by ``yaw[k]`` radians."""
    zero = np.zeros(len(yaw))
    rotation = turn(zero, zero, yaw)[solids.owner]
    centre = np.einsum("pij,pj->pi", rotation, solids.centre)
    centre[:, :2] += position[solids.owner]
    return Solids(solids.round_axes, centre, solids.half, rotation @ solids.rotation, solids.owner)
