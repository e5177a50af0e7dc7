"""Frames of the KITTI object benchmark (Geiger, Lenz, Urtasun, CVPR 2012): reading, and cutting objects out.

For looking at, and to hold beside the synthetic scanner: a handful of frames is no test set. Coordinates are
*velo*, the scanner's (x forward, y left, z up), *cam*, the grey left camera's, and *rect*, cam turned by
``R0_rect`` (x right, y down, z forward), in which ``label_2`` gives its boxes:
rect = R0_rect (Tr_velo_to_cam [velo; 1]).
"""

from __future__ import annotations

import math
import os
from codecs import BOM_UTF8
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fqlab import files
from fqlab.errors import DataError

__all__ = ["OURS", "Calib", "Crop", "Label", "corners", "crop_objects", "frames", "inside", "read_calib",
           "read_frame", "read_labels", "read_velodyne"]  # fmt: skip

OURS = {"Car": "car", "Pedestrian": "pedestrian", "Cyclist": "cyclist"}
LARGEST = 1e6
"""Beyond it no number of a label (metres, radians, pixels) or a calibration (1000 = absent) is meant."""
MOST_LINES = 1000
"""Of one frame's labels; the benchmark's busiest frame has some dozens."""
_KINDS = ("Car", "Van", "Truck", "Pedestrian", "Person_sitting", "Cyclist", "Tram", "Misc", "DontCare")


@dataclass(frozen=True)
class Label:
    """One line of ``label_2``; regions that were not labelled are DontCare and have no box in space.

    Attributes:
        kind: KITTI's class name.
        truncated: 0 (wholly in the picture) to 1.
        occluded: 0 visible, 1 partly, 2 largely, 3 unknown.
        size: height, width, length in metres.
        bottom: middle of the box's floor in rect, metres.
        yaw: ``rotation_y`` about rect's y axis, radians; 0 heads along rect's x.
    """

    kind: str
    truncated: float
    occluded: int
    size: tuple[float, float, float]
    bottom: tuple[float, float, float]
    yaw: float


@dataclass(frozen=True, eq=False)
class Calib:
    """``rect`` ``[3, 3]`` (R0_rect) and ``velo_to_cam`` ``[3, 4]`` (Tr_velo_to_cam)."""

    rect: np.ndarray
    velo_to_cam: np.ndarray

    def to_rect(self, points: np.ndarray) -> np.ndarray:
        """Points of velo ``[n, 3]`` in rect, ``[n, 3]``."""
        return (points @ self.velo_to_cam[:, :3].T + self.velo_to_cam[:, 3]) @ self.rect.T

    def to_velo(self, points: np.ndarray) -> np.ndarray:
        """Inverse of :meth:`to_rect`."""
        cam = np.linalg.solve(self.rect, points.T).T
        return np.linalg.solve(self.velo_to_cam[:, :3], (cam - self.velo_to_cam[:, 3]).T).T


@dataclass(frozen=True, eq=False)
class Crop:
    """The points inside one labelled box.

    Attributes:
        label: the line it comes from.
        name: our class, or None for a kind that we have no class for.
        points: float32 ``[n, 4]``, x, y, z in velo (metres) and reflectance.
        corners: ``[8, 3]`` of the box in velo, metres; the first four are its floor.
    """

    label: Label
    name: str | None
    points: np.ndarray
    corners: np.ndarray


def read_velodyne(path: str | Path) -> np.ndarray:
    """Read a scan: float32 ``[n, 4]``, x, y, z in velo (metres) and reflectance (0 to 1).

    Raises:
        DataError: if the file is missing, empty, cut off, or holds numbers that no scan has.
    """
    data = _bytes(path)
    if not data or len(data) % 16:
        raise DataError(f"File {path} is {len(data)} bytes long, but a scan has 16 bytes for each point.")
    points = np.frombuffer(data, "<f4").reshape(-1, 4).astype(np.float32)
    if not (np.abs(points) < 1000).all():  # False for NaN as well
        raise DataError(f"File {path} is damaged: it holds values that are not finite or beyond 1000 m.")
    return points


def read_labels(path: str | Path) -> list[Label]:
    """Read the labels of a frame, DontCare regions included (15 fields a line, 16 with a detector's score).

    Raises:
        DataError: if the file is missing, or a line is not a label; the message names the line.
    """
    lines = _lines(path)
    if len(lines) > MOST_LINES:
        raise DataError(f"File {path} has {len(lines)} lines, but no frame has more than {MOST_LINES} objects.")
    rows = [(line.split(), f"{path} line {i}") for i, line in enumerate(lines, 1)]
    return [_label(fields, where) for fields, where in rows if fields]


def read_calib(path: str | Path) -> Calib:
    """Read the two transforms that lead from the scanner to the labels.

    Raises:
        DataError: if the file or one of them is missing, cut off or no rotation.
    """
    rows = dict(line.split(":", 1) for line in _lines(path) if ":" in line)
    parts = {}
    for key, shape in (("R0_rect", (3, 3)), ("Tr_velo_to_cam", (3, 4))):
        if key not in rows:
            raise DataError(f"File {path} has no line {key}.")
        numbers = _numbers(rows[key].split(), f"{path} line {key}")
        if len(numbers) != shape[0] * shape[1]:
            raise DataError(f"File {path} line {key} has {len(numbers)} numbers, not {shape[0] * shape[1]}.")
        part = parts[key] = np.array(numbers).reshape(shape)
        turn = part[:, :3]
        if np.abs(turn @ turn.T - np.eye(3)).max() > 1e-3 or np.linalg.det(turn) < 0:
            raise DataError(f"File {path} line {key} is damaged: it is no rotation.")
    return Calib(parts["R0_rect"], parts["Tr_velo_to_cam"])


def corners(label: Label, calib: Calib) -> np.ndarray:
    """The box's corners in velo ``[8, 3]``, metres: round its floor, then its top in the same order."""
    height, width, length = label.size
    x = length / 2 * np.array([1, 1, -1, -1] * 2)
    y = -height * np.array([0] * 4 + [1] * 4)
    z = width / 2 * np.array([1, -1, -1, 1] * 2)
    return calib.to_velo(np.stack([x, y, z], axis=1) @ _about_y(label.yaw).T + np.array(label.bottom))


def inside(points: np.ndarray, label: Label, calib: Calib) -> np.ndarray:
    """Whether each point of velo ``[n, >= 3]`` lies in the label's box, bool ``[n]``."""
    height, width, length = label.size
    in_box = (calib.to_rect(points[:, :3].astype(float)) - np.array(label.bottom)) @ _about_y(label.yaw)
    x, y, z = in_box.T
    return (np.abs(x) <= length / 2) & (y <= 0) & (y >= -height) & (np.abs(z) <= width / 2)


def crop_objects(points: np.ndarray, labels: list[Label], calib: Calib) -> list[Crop]:
    """Cut every labelled object out of a scan; DontCare regions are left out, empty boxes are not.

    Args:
        points: ``[n, 4]`` of :func:`read_velodyne`.
        labels: of :func:`read_labels`.
        calib: of :func:`read_calib`.

    Returns:
        One crop a label, in order.
    """
    return [
        Crop(label, OURS.get(label.kind), points[inside(points, label, calib)], corners(label, calib))
        for label in labels
        if label.kind != "DontCare"
    ]


def frames(folder: str | Path | None = None) -> tuple[str, ...]:
    """Names of the complete frames in ``folder``; default is ``kitti/`` in the folder ``FQLAB_DATA``.

    Raises:
        DataError: if there is no such folder, or no frame in it.
    """
    root = _root(folder)
    names = sorted(file.stem for file in root.glob("velodyne/*.bin"))
    names = [name for name in names if all((root / part).is_file() for part in _files(name)[1:])]
    if not names:
        raise DataError(f"Folder {root} needs velodyne/*.bin, label_2/*.txt and calib/*.txt of one name.")
    return tuple(names)


def read_frame(name: str, folder: str | Path | None = None) -> tuple[np.ndarray, list[Label], Calib]:
    """Scan, labels and calibration of one of :func:`frames`.

    Raises:
        DataError: if a file is missing or damaged.
    """
    scan, labels, calib = (_root(folder) / part for part in _files(name))
    return read_velodyne(scan), read_labels(labels), read_calib(calib)


def _files(name: str) -> tuple[str, str, str]:
    return f"velodyne/{name}.bin", f"label_2/{name}.txt", f"calib/{name}.txt"


def _root(folder: str | Path | None) -> Path:
    if folder is None and not os.environ.get("FQLAB_DATA"):
        raise DataError("KITTI frames are not fetched: point FQLAB_DATA at a folder that holds kitti/.")
    root = files.expand(os.environ["FQLAB_DATA"], "FQLAB_DATA") / "kitti" if folder is None else Path(folder)
    if not root.is_dir():
        raise DataError(f"Folder {root} does not exist; KITTI frames are looked for there.")
    return root


def _bytes(path: str | Path) -> bytes:
    try:
        if Path(path).exists() and not Path(path).is_file():
            raise DataError(f"File {path} cannot be read (it is no plain file).")
        return Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"File {path} cannot be read ({error.strerror}).") from None


def _lines(path: str | Path) -> list[str]:
    try:
        return _bytes(path).removeprefix(BOM_UTF8).decode("ascii").splitlines()
    except UnicodeDecodeError:
        raise DataError(f"File {path} is damaged: it is not plain text.") from None


def _numbers(fields: list[str], where: str) -> list[float]:
    try:
        numbers = [float(field) for field in fields]
    except ValueError:
        numbers = [math.nan]
    if not all(abs(number) < LARGEST for number in numbers):  # False for NaN as well
        raise DataError(f"File {where} is damaged: {' '.join(fields)[:60]!r} are not all numbers below {LARGEST:g}.")
    return numbers


def _label(fields: list[str], where: str) -> Label:
    if len(fields) not in (15, 16) or fields[0] not in _KINDS:
        raise DataError(f"File {where} is no label: {' '.join(fields)[:60]!r}.")
    truncated, occluded, _, _, _, _, _, h, w, length, x, y, z, yaw = _numbers(fields[1:15], where)
    if fields[0] != "DontCare" and min(h, w, length) <= 0:
        raise DataError(f"File {where} is damaged: the box measures {h:g} x {w:g} x {length:g} m.")
    return Label(fields[0], truncated, int(occluded), (h, w, length), (x, y, z), yaw)


def _about_y(angle: float) -> np.ndarray:
    """Rotation about rect's y axis, ``[3, 3]`` acting on columns: x turns towards -z."""
    c = np.cos(angle)
    s = np.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
