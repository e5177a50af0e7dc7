"""KITTI frames: boxes by hand and by half spaces, damaged files, and real frames where there are any."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fqlab.data import kitti
from fqlab.data.kitti import Calib, Label, corners, crop_objects, inside
from fqlab.errors import DataError

AXES = np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])  # velo (forward, left, up) to rect (right, down, forward)
PLAIN = Calib(np.eye(3), np.hstack([AXES, [[0.1], [-0.2], [-0.3]]]))


def label(yaw=0.0, size=(1.5, 2.0, 4.0), bottom=(1.0, 1.6, 10.0), kind="Car"):
    return Label(kind, 0.0, 0, size, bottom, yaw)


def rotation(rng):
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q if np.linalg.det(q) > 0 else -q


def half_spaces(points, eight):
    """Inside the six planes through the box's corners, from three edges at one corner."""
    edges = eight[[1, 3, 4]] - eight[0]
    along = (points - eight[0]) @ edges.T
    return ((along >= 0) & (along <= (edges**2).sum(axis=1))).all(axis=1)


# A box by hand


def test_a_point_through_the_two_transforms():
    """Velo (10, 2, 1) is 2 m left, 1 m up and 10 m ahead; then the offset, then a quarter turn about z."""
    assert PLAIN.to_rect(np.array([[10.0, 2, 1]]))[0] == pytest.approx([-1.9, -1.2, 9.7])
    quarter = Calib(np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]), PLAIN.velo_to_cam)
    assert quarter.to_rect(np.array([[10.0, 2, 1]]))[0] == pytest.approx([1.2, -1.9, 9.7])


SLANT = np.arctan2(3, 4)
HEADINGS = [(0.0, (1, 0)), (np.pi / 2, (0, -1)), (np.pi, (-1, 0)), (SLANT, (0.8, -0.6)), (-SLANT, (0.8, 0.6))]


@pytest.mark.parametrize("yaw, heading", HEADINGS)
def test_a_car_of_four_metres_heads_where_its_yaw_says(yaw, heading):
    """In rect, yaw 0 heads along +x (right) and a quarter turn heads along -z (towards the camera)."""
    (x, z) = heading
    middle = np.array([1.0, 1.6 - 0.75, 10.0])
    probes = ((1.9, 0.9, 0.7, True), (2.1, 0, 0, False), (0, 1.1, 0, False), (0, 0, 0.8, False))
    for ahead, aside, height, expected in probes:
        for sign in (1, -1):
            rect = middle + sign * np.array([ahead * x - aside * z, -height, ahead * z + aside * x])
            assert inside(PLAIN.to_velo(rect[None]), label(yaw), PLAIN)[0] == expected


def test_corners_by_hand():
    """Yaw 0: length along rect x = -velo y, width along rect z = velo x; the floor is 1.8 m below us."""
    eight = corners(label(), PLAIN)
    assert eight.min(axis=0) == pytest.approx([9 + 0.3, -(3 - 0.1), -1.6 - 0.2])
    assert eight.max(axis=0) == pytest.approx([11 + 0.3, 1 + 0.1, -0.1 - 0.2])
    assert eight[:4, 2] == pytest.approx([-1.8] * 4)


@given(st.integers(0, 10**6), st.floats(-4, 4))
def test_cropping_equals_six_half_spaces(seed, yaw):
    """Any calibration and any box: the points kept are those between the planes through the eight corners."""
    rng = np.random.default_rng(seed)
    calib = Calib(rotation(rng), np.hstack([rotation(rng), rng.normal(size=(3, 1))]))
    box = label(yaw, tuple(rng.uniform(0.5, 5, 3)), tuple(rng.uniform(-10, 10, 3)))
    eight = corners(box, calib)
    points = np.hstack([eight.mean(0) + rng.uniform(-4, 4, (2000, 3)), rng.random((2000, 1))]).astype(np.float32)
    crop = crop_objects(points, [label(kind="DontCare"), box], calib)
    assert len(crop) == 1
    assert (crop[0].points == points[half_spaces(points[:, :3].astype(float), eight)]).all()
    edges = np.linalg.norm(eight[[3, 1, 4]] - eight[0], axis=1)  # length, width, height
    h, w, long = box.size
    assert edges == pytest.approx([long, w, h])


@given(st.integers(0, 10**6))
def test_to_velo_undoes_to_rect(seed):
    rng = np.random.default_rng(seed)
    calib = Calib(rotation(rng), np.hstack([rotation(rng), rng.normal(size=(3, 1))]))
    points = rng.normal(size=(7, 3)) * 20
    np.testing.assert_allclose(calib.to_velo(calib.to_rect(points)), points, atol=1e-9)


def test_classes_we_have_and_classes_we_have_not():
    labels = [label(kind=kind) for kind in ("Car", "Van", "Pedestrian", "Cyclist", "DontCare", "Tram")]
    crops = crop_objects(np.zeros((0, 4), np.float32), labels, PLAIN)
    assert [crop.name for crop in crops] == ["car", None, "pedestrian", "cyclist", None]


# Files


def write_frame(folder, *, scan=b"", text="", calib=""):
    for part in ("velodyne", "label_2", "calib"):
        (folder / part).mkdir(exist_ok=True)
    (folder / "velodyne/000007.bin").write_bytes(scan)
    (folder / "label_2/000007.txt").write_text(text)
    (folder / "calib/000007.txt").write_text(calib)


def calib_text(rect=None, tr=None):
    show = lambda a: " ".join(f"{v:e}" for v in np.ravel(a))
    rect = PLAIN.rect if rect is None else rect
    tr = PLAIN.velo_to_cam if tr is None else tr
    return f"P0: {show(np.zeros(12))}\nR0_rect: {show(rect)}\nTr_velo_to_cam: {show(tr)}\n\n"


CAR = "Car 0.25 1 1.85 387.6 181.5 423.8 203.1 1.5 2.0 4.0 1.0 1.6 10.0 0.0"


def test_a_frame_that_was_written_is_read_back(tmp_path):
    points = np.random.default_rng(0).random((9, 4), np.float32)
    nothing = "DontCare -1 -1 -10 503.8 169.7 590.6 190.1 -1 -1 -1 -1000 -1000 -1000 -10"
    write_frame(tmp_path, scan=points.tobytes(), text=f"{CAR}\n{nothing}\n{CAR} 0.9\n", calib=calib_text())
    assert kitti.frames(tmp_path) == ("000007",)
    scan, labels, calib = kitti.read_frame("000007", tmp_path)
    assert scan.dtype == np.float32
    assert (scan == points).all()
    assert labels[0] == labels[2] == Label("Car", 0.25, 1, (1.5, 2.0, 4.0), (1.0, 1.6, 10.0), 0.0)
    assert labels[1].kind == "DontCare"
    np.testing.assert_allclose(calib.velo_to_cam, PLAIN.velo_to_cam)


@pytest.mark.parametrize(
    "scan", [b"", b"x" * 15, np.array([[1, np.nan, 0, 0]], "f4").tobytes(), b"\xff" * 32, b"\x7f" * 16]
)
def test_damaged_scans_are_named(tmp_path, scan):
    write_frame(tmp_path, scan=scan)
    with pytest.raises(DataError, match="000007.bin"):
        kitti.read_velodyne(tmp_path / "velodyne/000007.bin")


@pytest.mark.parametrize(
    "text",
    [
        CAR[:40],
        CAR.replace("387.6", "38,7"),
        CAR.replace("1.5 2.0", "0.0 2.0"),
        CAR.replace("10.0", "nan"),
        "Caar" + CAR[3:],
        CAR + " 1 2",
        "\x00\x01",
    ],
)
def test_damaged_labels_are_named_with_their_line(tmp_path, text):
    write_frame(tmp_path, text=f"{CAR}\n{text}\n")
    with pytest.raises(DataError, match="000007.txt line 2"):
        kitti.read_labels(tmp_path / "label_2/000007.txt")


@pytest.mark.parametrize(
    "text",
    [
        "",
        calib_text()[:200],
        calib_text().replace("R0_rect", "R_rect"),
        calib_text(rect=2 * np.eye(3)),
        calib_text(rect=-np.eye(3)),
        calib_text(tr=np.eye(4)),
        calib_text().replace("e+00", "e+0x"),
    ],
)
def test_damaged_calibrations_are_named(tmp_path, text):
    write_frame(tmp_path, calib=text)
    with pytest.raises(DataError, match="000007.txt"):
        kitti.read_calib(tmp_path / "calib/000007.txt")


def test_missing_files_and_folders_are_named(tmp_path, monkeypatch):
    (tmp_path / "not text").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="not plain text"):
        kitti.read_labels(tmp_path / "not text")
    with pytest.raises(DataError, match="none.bin"):
        kitti.read_velodyne(tmp_path / "none.bin")
    with pytest.raises(DataError, match="velodyne"):
        kitti.frames(tmp_path)
    with pytest.raises(DataError, match="nowhere"):
        kitti.frames(tmp_path / "nowhere")
    monkeypatch.delenv("FQLAB_DATA", raising=False)
    with pytest.raises(DataError, match="FQLAB_DATA"):
        kitti.frames()


# Real frames


@pytest.fixture
def frames():
    if not (Path(os.environ.get("FQLAB_DATA", "nowhere")) / "kitti").is_dir():
        pytest.skip("needs KITTI frames: point FQLAB_DATA at a folder that holds kitti/")
    return [kitti.read_frame(name) for name in kitti.frames()]


def test_every_labelled_object_of_the_real_frames_has_points_between_its_planes(frames):
    crops = 0
    for points, labels, calib in frames:
        for crop in crop_objects(points, labels, calib):
            xyz = points[:, :3].astype(float)
            assert len(crop.points) == half_spaces(xyz, crop.corners).sum() > 5
            top = crop.points[:, 2].max()
            floor = crop.corners[:4, 2].mean()
            assert 0 < top - floor <= crop.label.size[0] + 0.1
            crops += 1
    assert crops >= 6


def test_objects_of_the_real_frames_stand_on_the_road_and_are_hit_from_the_front(frames):
    """The scanner is 1.73 m above the road; a near object shows the half that faces it."""
    for points, labels, calib in frames:
        for crop in crop_objects(points, labels, calib):
            middle = crop.corners.mean(axis=0)
            if np.linalg.norm(middle) < 40:
                assert crop.corners[:4, 2].mean() == pytest.approx(-1.73, abs=0.6)
            if crop.name:
                facing = ((crop.points[:, :2] - middle[:2]) @ middle[:2] < 0).mean()
                assert facing > 0.6


def test_special_files_and_byte_order_marks(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="is no plain file"):
        kitti.read_labels(tmp_path / "pipe")
    text = b"Car 0.00 0 1.85 387.63 181.54 423.81 203.12 1.67 1.87 3.69 -16.53 2.39 58.49 1.57\r\n"
    (tmp_path / "a").write_bytes(text)
    (tmp_path / "b").write_bytes(b"\xef\xbb\xbf" + text)
    assert kitti.read_labels(tmp_path / "a") == kitti.read_labels(tmp_path / "b")


def test_numbers_that_no_scene_has(tmp_path):
    (tmp_path / "c").write_text("R0_rect: 1e200 0 0 0 1 0 0 0 1\nTr_velo_to_cam: 1 0 0 0 0 1 0 0 0 0 1 0\n")
    with pytest.raises(DataError, match="not all numbers below 1e"):
        kitti.read_calib(tmp_path / "c")


def test_frames_may_lie_in_a_folder_named_from_home(monkeypatch, tmp_path):
    (tmp_path / "d/kitti").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FQLAB_DATA", "~/d")
    with pytest.raises(DataError, match=f"Folder {tmp_path}/d/kitti needs"):
        kitti.frames()
