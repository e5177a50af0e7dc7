"""Ray casting for a spinning multi-beam scanner: the first solid along every ray, in NumPy.

A solid is a unit shape, stretched, turned and moved: x = centre + rotation @ (half * u). The unit shapes
differ only in how many axes are round: 0 is the cube |u_i| <= 1, 2 the cylinder u_1^2 + u_2^2 <= 1 and
|u_3| <= 1, 3 the ball |u| <= 1. All are convex: a ray o + t d is inside the round part for one interval of t,
inside the flat part for another, and inside the solid where both hold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["BOX", "CYLINDER", "ELLIPSOID", "Solids", "turn", "extents", "enter", "first_hits"]

BOX, CYLINDER, ELLIPSOID = 0, 2, 3  # number of round axes
_TINY = 1e-12  # stands for a direction of zero, so that a ray along a face gives a huge number and not NaN


@dataclass(frozen=True)
class Solids:
    """P convex solids.

    Attributes:
        round_axes: int ``[P]``: ``BOX``, ``CYLINDER`` or ``ELLIPSOID``.
        centre: ``[P, 3]``, metres.
        half: ``[P, 3]`` half sizes along the own axes, metres.
        rotation: ``[P, 3, 3]``, own axes as columns.
        owner: int ``[P]``, number of the object that the solid is a part of.
    """

    round_axes: np.ndarray
    centre: np.ndarray
    half: np.ndarray
    rotation: np.ndarray
    owner: np.ndarray

    def __len__(self) -> int:
        return len(self.owner)

    def pick(self, which: np.ndarray) -> Solids:
        """The solids that ``which`` (indices, or booleans ``[P]``) selects."""
        parts = (self.round_axes, self.centre, self.half, self.rotation, self.owner)
        return Solids(*(part[which] for part in parts))


def turn(roll: np.ndarray, pitch: np.ndarray, yaw: np.ndarray) -> np.ndarray:
    """Rotation Rz(yaw) Ry(pitch) Rx(roll), angles ``[P]`` in radians, as ``[P, 3, 3]`` acting on columns."""
    a, b, c = np.cos((roll, pitch, yaw))
    u, v, w = np.sin((roll, pitch, yaw))
    rows = [
        [c * b, c * v * u - w * a, c * v * a + w * u],
        [w * b, w * v * u + c * a, w * v * a - c * u],
        [-v, b * u, b * a],
    ]
    return np.moveaxis(np.array(rows), 2, 0)


def extents(solids: Solids) -> np.ndarray:
    """Half sizes ``[P, 3]`` of the upright box around each (exact for boxes, safe for round solids)."""
    return np.einsum("pij,pj->pi", np.abs(solids.rotation), solids.half)


def _flat(o: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Interval of t with |o_i + t d_i| <= 1 on every given axis; o, d ``[axes, M]``."""
    inverse = 1.0 / np.where(d == 0.0, _TINY, d)
    middle = -o * inverse
    width = np.abs(inverse)
    return (middle - width).max(axis=0), (middle + width).min(axis=0)


def _round(o: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Interval of t with sum_i (o_i + t d_i)^2 <= 1; empty where the line misses; o, d ``[axes, M]``."""
    a = np.maximum((d * d).sum(axis=0), _TINY)
    b = (o * d).sum(axis=0)
    c = (o * o).sum(axis=0) - 1.0
    root = b * b - a * c
    width = np.sqrt(np.maximum(root, 0.0)) / a
    return np.where(root < 0.0, np.inf, -b / a - width), np.where(root < 0.0, -np.inf, -b / a + width)


def enter(kind: int, o: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Where rays o + t d (columns of ``[3, M]``) come into a unit shape: t ``[M]``, inf where they miss.

    A ray that starts inside the shape does not hit it.
    """
    first, last = _round(o[:kind], d[:kind]) if kind else (-np.inf, np.inf)
    if kind < ELLIPSOID:
        start, stop = _flat(o[kind:], d[kind:])
        first = np.maximum(first, start)
        last = np.minimum(last, stop)
    return np.where((first <= last) & (first > 0.0), first, np.inf)


_Arrays = tuple[np.ndarray, ...]


def _columns(solids: Solids, origins: np.ndarray, heading: np.ndarray, reach: float) -> _Arrays:
    """Pairs (solid, column) whose half plane meets the solid's upright box, from near to far metres."""
    half = extents(solids)[:, :2]
    side = np.stack([-heading[:, 1], heading[:, 0]])
    across = solids.centre[:, :2] @ side - (origins[:, :2] * side.T).sum(axis=1)
    solid, column = np.divmod(np.flatnonzero(np.abs(across) <= np.hypot(*half.T)[:, None]), len(heading))
    half = half[solid]
    offset = origins[column, :2] - solids.centre[solid, :2]
    near, far = _flat((offset / half).T, (heading[column] / half).T)
    meets = (near <= far) & (far > 0.0) & (near < reach)
    return solid[meets], column[meets], np.maximum(near[meets], 1e-3), far[meets]


def _candidates(solids: Solids, origins: np.ndarray, heading: np.ndarray, slope: np.ndarray, reach: float) -> _Arrays:
    """Pairs (solid, column) and, as (pair, beam), the rays of them that can touch the solid's upright box."""
    solid, column, near, far = _columns(solids, origins, heading, reach)
    height = extents(solids)[solid, 2]
    middle = solids.centre[solid, 2] - origins[column, 2]
    low, high = middle - height, middle + height
    low, high = np.where(low < 0, low / near, low / far), np.where(high > 0, high / near, high / far)
    within = (slope >= low[:, None]) & (slope <= high[:, None])
    return solid, column, *np.divmod(np.flatnonzero(within), len(slope))


def _hits(solids: Solids, origins: np.ndarray, heading: np.ndarray, slope: np.ndarray, reach: float) -> _Arrays:
    """Entries of rays into solids, all of one kind: ray number (column * B + beam), metres and owner."""
    solid, column, pair, beam = _candidates(solids, origins, heading, slope, reach)
    into = np.swapaxes(solids.rotation, 1, 2)[solid] / solids.half[solid][:, :, None]  # world to unit frame
    o = np.einsum("qij,qj->iq", into, origins[column] - solids.centre[solid])
    flat = np.einsum("qij,qj->iq", into[:, :, :2], heading[column])
    rise = np.ascontiguousarray(into[:, :, 2].T)
    tilt = slope[beam]
    t = enter(solids.round_axes[0], o.take(pair, 1), flat.take(pair, 1) + tilt * rise.take(pair, 1))
    t *= np.sqrt(1.0 + tilt * tilt)  # t counted horizontal metres
    hit = np.flatnonzero(t <= reach)
    pair = pair[hit]
    return column[pair] * len(slope) + beam[hit], t[hit], solids.owner[solid[pair]]


def first_hits(
    solids: Solids, origins: np.ndarray, azimuth: np.ndarray, elevation: np.ndarray, max_range: float
) -> tuple[np.ndarray, np.ndarray]:
    """Range to the first solid along every ray, and whose it is.

    Args:
        solids: P solids in world metres.
        origins: ``[C, 3]`` where the sensor is while it fires column c.
        azimuth: ``[C]`` radians, counter-clockwise from x.
        elevation: ``[B]`` radians above the horizon.
        max_range: metres; farther hits are not returned.

    Returns:
        range ``[C, B]`` in metres (inf: nothing hit) and owner ``[C, B]`` (-1: nothing hit).
    """
    heading = np.stack([np.cos(azimuth), np.sin(azimuth)], axis=1)
    slope = np.tan(elevation)
    kinds = [solids.pick(solids.round_axes == kind) for kind in (BOX, CYLINDER, ELLIPSOID)]
    hits = [_hits(part, origins, heading, slope, max_range) for part in kinds if len(part)]
    best = np.full(len(azimuth) * len(elevation), np.inf)
    owner = np.full(len(azimuth) * len(elevation), -1)
    for ray, reach, _ in hits:
        np.minimum.at(best, ray, reach)
    for ray, reach, whose in hits:
        wins = reach == best[ray]
        owner[ray[wins]] = whose[wins]
    shape = (len(azimuth), len(elevation))
    return best.reshape(shape), owner.reshape(shape)
