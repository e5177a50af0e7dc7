"""The ray caster against closed forms and brute force; streets, scans and the data set they make."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fqlab.data import lidar
from fqlab.data.lidar import CLASSES, GROUND, clouds, load, scan, towns
from fqlab.data.scanner import BOX, CYLINDER, ELLIPSOID, Solids, enter, extents, first_hits, turn
from fqlab.data.shapes import build, place
from fqlab.data.street import furnish
from fqlab.errors import ConfigError, DataError

TOWNS = {town.name: town for town in towns()}


def solids(*rows):
    """Each row: kind, centre, half, (roll, pitch, yaw)."""
    kind, centre, half, angles = zip(*rows, strict=True)
    rotation = turn(*np.array(angles, float).T)
    return Solids(np.array(kind), np.array(centre, float), np.array(half, float), rotation, np.arange(len(rows)))


def level(shapes, points):
    """Implicit function of every solid at every point [N, P]: below 1 inside, 1 on the surface."""
    values = []
    for k in range(len(shapes)):
        u = (np.linalg.inv(shapes.rotation[k]) @ (points - shapes.centre[k]).T).T / shapes.half[k]
        ends = np.abs(u).max(axis=1)
        disc = np.maximum(np.sqrt(u[:, 0] ** 2 + u[:, 1] ** 2), np.abs(u[:, 2]))
        values.append({BOX: ends, CYLINDER: disc, ELLIPSOID: np.sqrt((u**2).sum(1))}[int(shapes.round_axes[k])])
    return np.stack(values, axis=1)


def one_ray(shapes, origin=(0, 0, 0), azimuth=0.0, elevation=0.0, reach=100.0):
    distance, owner = first_hits(shapes, np.array([origin], float), np.array([azimuth]), np.array([elevation]), reach)
    return distance[0, 0], owner[0, 0]


# the ray caster


@pytest.mark.parametrize("offset", [0.0, 0.5, 1.2])
def test_ball_and_cylinder_in_closed_form(offset):
    """A ray along x past a ball or an upright cylinder of radius 1.5 at 10 m, ``offset`` from the middle."""
    expected = 10 - np.sqrt(1.5**2 - offset**2)
    for kind in (ELLIPSOID, CYLINDER):
        assert one_ray(solids((kind, (10, offset, 0), (1.5, 1.5, 1.5), (0, 0, 0)))) == (
            pytest.approx(expected, abs=1e-9),
            0,
        )
    assert one_ray(solids((ELLIPSOID, (10, 1.6, 0), (1.5, 1.5, 1.5), (0, 0, 0)))) == (np.inf, -1)


def test_box_lying_cylinder_and_slanted_rays_in_closed_form():
    turned = solids((BOX, (10, 0, 0), (2, 1, 1), (0, 0, np.pi / 2)))  # its short side, 1 m, now points at us
    assert one_ray(turned)[0] == pytest.approx(9)
    corner_on = solids((BOX, (10, 0, 0), (1, 1, 1), (0, 0, np.pi / 4)))
    assert one_ray(corner_on)[0] == pytest.approx(10 - np.sqrt(2))
    wheel = solids((CYLINDER, (10, 0, 0), (0.5, 0.5, 3), (np.pi / 2, 0, 0)))  # axis along y
    assert one_ray(wheel, azimuth=np.arctan2(2.5, 10))[0] == pytest.approx(9.5 * np.hypot(10, 2.5) / 10)
    slab = solids((BOX, (0, 0, 5), (50, 50, 1), (0, 0, 0)))  # a ceiling 4 m above
    assert one_ray(slab, elevation=np.radians(30))[0] == pytest.approx(8)
    assert one_ray(slab, elevation=np.radians(30), reach=7.9) == (np.inf, -1)
    assert one_ray(slab, elevation=-0.1) == (np.inf, -1)


def test_behind_and_inside_are_no_hits():
    behind = solids((BOX, (-10, 0, 0), (1, 1, 1), (0, 0, 0)))
    around = solids((ELLIPSOID, (0, 0, 0), (1, 1, 1), (0, 0, 0)))
    assert one_ray(behind) == one_ray(around) == (np.inf, -1)


def test_first_of_several_and_rays_along_a_face():
    row = solids(*[(BOX, (x, 0, 0), (1, 1, 1), (0, 0, 0)) for x in (30, 10, 20)])
    assert one_ray(row) == (9, 1)
    with np.errstate(all="raise"):  # o = 1 and d = 0 in the unit frame: 0 / 0 unless guarded
        assert one_ray(row, origin=(0, 1, 0))[0] in (9, np.inf)


def test_occlusion_hides_what_stands_behind():
    person = place(build(np.array([1]), np.random.default_rng(0)), np.array([[15.0, 0.0]]), np.zeros(1))
    wall = solids((BOX, (8, 0, 1.5), (0.2, 5, 1.5), (0, 0, 0)))
    fields = ("round_axes", "centre", "half", "rotation", "owner")
    both = Solids(*(np.concatenate([getattr(s, f) for s in (person, replace(wall, owner=[1]))]) for f in fields))
    azimuth, elevation = np.radians(np.arange(-10, 10, 0.2)), np.radians(np.arange(-10, 5, 0.5))
    origins = np.tile([0.0, 0.0, 1.8], (len(azimuth), 1))
    _, alone = first_hits(person, origins, azimuth, elevation, 60)
    _, hidden = first_hits(both, origins, azimuth, elevation, 60)
    assert (alone == 0).sum() > 50
    assert (hidden == 0).sum() == 0
    assert (hidden == 1).sum() > (alone == 0).sum()


@st.composite
def worlds(draw):
    """A few random solids of every kind, turned at random, and a sensor that moves while it turns."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    n = draw(st.integers(1, 8))
    shapes = Solids(
        rng.choice([BOX, CYLINDER, ELLIPSOID], n),
        rng.uniform(-15, 15, (n, 3)),
        rng.uniform(0.05, 4, (n, 3)),
        turn(*rng.uniform(-4, 4, (3, n))),
        rng.permutation(n),
    )
    azimuth, elevation = np.sort(rng.uniform(-np.pi, np.pi, 40)), np.sort(rng.uniform(-1.2, 1.2, 12))
    origins = rng.uniform(-1, 1, 3) + np.linspace(0, 2, 40)[:, None] * rng.normal(size=3)
    return shapes, origins, azimuth, elevation, draw(st.sampled_from([8.0, 100.0]))


@given(worlds())
def test_equals_every_ray_against_every_solid(world):
    """Candidates left out by the bounding boxes never matter: equal to all pairs, with normalised rays."""
    shapes, origins, azimuth, elevation, reach = world
    distance, owner = first_hits(*world)
    a, e = np.meshgrid(azimuth, elevation, indexing="ij")
    rays = np.stack([np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)], axis=-1).reshape(-1, 3)
    start = np.repeat(origins, len(elevation), axis=0)
    every = []
    for k in range(len(shapes)):
        o = shapes.rotation[k].T @ (start - shapes.centre[k]).T / shapes.half[k][:, None]
        d = shapes.rotation[k].T @ rays.T / shapes.half[k][:, None]
        every.append(enter(int(shapes.round_axes[k]), o, d))
    every = np.array(every)
    every[every > reach] = np.inf
    np.testing.assert_allclose(distance.ravel(), every.min(axis=0), rtol=1e-9, atol=1e-9)
    expected = np.where(np.isfinite(every.min(axis=0)), shapes.owner[every.argmin(axis=0)], -1)
    assert (owner.ravel() == expected).mean() > 0.999  # two entries may tie in the last digit


@given(worlds())
def test_hits_lie_on_the_owner_and_the_way_there_is_free(world):
    """Marching along each ray through the implicit functions, which know nothing of intervals."""
    shapes, origins, azimuth, elevation, _ = world
    distance, owner = first_hits(*world)
    column, beam = np.nonzero(np.isfinite(distance))
    column, beam = column[:60], beam[:60]
    a = azimuth[column]
    e = elevation[beam]
    r = distance[column, beam]
    rays = np.stack([np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)], axis=1)
    if not len(r):
        return
    hit = level(shapes, origins[column] + r[:, None] * rays)
    solid = np.argmax(shapes.owner == owner[column, beam][:, None], axis=1)
    np.testing.assert_allclose(hit[np.arange(len(r)), solid], 1, atol=1e-6)
    inside_at_start = level(shapes, origins[column]) < 1
    for part in np.linspace(0, 0.999, 40):
        there = level(shapes, origins[column] + part * r[:, None] * rays)
        assert (there[~inside_at_start] > 1 - 1e-9).all()


def test_extents_bound_the_solid():
    rng = np.random.default_rng(0)
    for kind in (BOX, CYLINDER, ELLIPSOID):
        shape = solids((kind, (0, 0, 0), (1, 2, 0.5), (0.4, -0.7, 2.0)))
        points = rng.uniform(-2.5, 2.5, (20000, 3))
        within = points[level(shape, points)[:, 0] < 1]
        assert (np.abs(within) <= extents(shape)[0]).all()
    assert np.abs(within).max(axis=0) == pytest.approx([1, 2, 1], abs=1.2)


def test_turn_is_yaw_after_pitch_after_roll():
    quarter = np.array([np.pi / 2])
    np.testing.assert_allclose(turn(0 * quarter, 0 * quarter, quarter)[0] @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(turn(0 * quarter, quarter, 0 * quarter)[0] @ [1, 0, 0], [0, 0, -1], atol=1e-12)
    np.testing.assert_allclose(turn(quarter, quarter, quarter)[0] @ [0, 1, 0], [0, 1, 0], atol=1e-12)


# streets and scans


def test_there_are_towns_enough_and_their_mixes_are_distributions():
    assert len(TOWNS) >= 5
    assert [town.number for town in towns()] == list(range(len(TOWNS)))
    assert all(sum(town.class_mix) == pytest.approx(1) for town in towns())
    cyclists = {town.name: town.class_mix[CLASSES.index("cyclist")] for town in towns()}
    assert cyclists.pop("canal") >= 10 * max(cyclists.values())  # the class of one town


@pytest.mark.parametrize("name", ["suburb", "downtown", "motorway", "forest", "canal"])
def test_streets_follow_the_class_mix(name):
    """Within 6 points of the mix: 30 streets of 30 things leave a standard error of at most 1.7 points."""
    town = TOWNS[name]
    things = np.concatenate([furnish(town, np.random.default_rng(k))[0] for k in range(30)])
    shares = np.bincount(things, minlength=len(CLASSES)) / len(things)
    np.testing.assert_allclose(shares, town.class_mix, atol=0.06)
    assert not shares[np.array(town.class_mix) == 0].any()


def test_things_stand_apart_on_the_ground_and_off_the_lane():
    for k in range(5):
        labels, shapes = furnish(TOWNS["downtown"], np.random.default_rng(k))
        half = extents(shapes)
        low, high = shapes.centre - half, shapes.centre + half
        assert set(shapes.owner) == set(range(len(labels)))
        assert low[:, 2].min() > -0.05
        assert not ((low[:, 1] < -0.85) & (high[:, 1] > -2.65)).any()  # the car is 1.8 m wide
        overlap = ((low[:, None] < high) & (low < high[:, None])).all(axis=2)
        assert (shapes.owner[:, None] == shapes.owner)[overlap].all()


@pytest.mark.parametrize("name", list(TOWNS))
def test_exact_scans_lie_on_surfaces_and_on_the_ground(name):
    seen = scan(replace(TOWNS[name], range_noise=0.0, attenuation=0.0), seed=3)
    ground = seen.label == GROUND
    assert (ground == (seen.object == GROUND)).all()
    assert np.abs(seen.points[ground, 2]).max() < 1e-4
    things = ~ground
    assert (seen.standing[seen.object[things]] == seen.label[things]).all()
    values = level(seen.solids, seen.points[things].astype(float))
    mine = seen.solids.owner == seen.object[things][:, None]
    assert np.abs(np.where(mine, values, np.inf).min(axis=1) - 1).max() < 2e-3  # float32 metres on a 4 cm pole
    assert values.min() > 0.998  # and inside nothing
    away = np.linalg.norm(seen.points - seen.path.mean(0), axis=1)
    assert away.max() <= seen.town.max_range + seen.town.speed * lidar.PERIOD


def test_ground_rings_are_where_the_beams_meet_the_plane():
    """Distance to the path = height / tan(angle below the horizon), for a car that stands still."""
    town = replace(TOWNS["suburb"], range_noise=0.0, attenuation=0.0, speed=0.0)
    seen = scan(town)
    rings = np.hypot(*(seen.points[seen.label == GROUND, :2] - seen.sensor[:2]).T)
    beams = np.radians(np.linspace(*town.elevation, town.beams))
    expected = town.sensor_height / np.tan(-beams[beams < -1e-9])
    nearest = np.abs(rings[:, None] - expected).min(axis=1)
    assert nearest.max() < 1e-3
    assert len(np.unique(np.abs(rings[:, None] - expected).argmin(axis=1))) > 12


def test_the_sensor_moves_with_the_car():
    seen = scan("motorway", time=1.0)
    assert seen.path[0, 0] == pytest.approx(30)
    assert seen.path[-1, 0] - seen.path[0, 0] == pytest.approx(30 * 0.1, rel=0.002)
    assert (seen.path[:, 2] == TOWNS["motorway"].sensor_height).all()
    still = scan("motorway")
    assert (still.standing == seen.standing).all()
    assert len(still.points) != len(seen.points)


def test_another_sensor_sees_the_same_street():
    town = TOWNS["canal"]
    low, high = scan(town, seed=5), scan(replace(town, sensor_height=3.0, max_range=20.0, beams=64), seed=5)
    assert (low.standing == high.standing).all()
    assert (low.solids.centre == high.solids.centre).all()
    assert len(low.points) != len(high.points)


def test_scans_depend_on_the_seed_alone():
    before = np.random.get_state()[1].copy(), torch.random.get_rng_state()
    one, two = scan("old town", seed=7, scene=2), scan("old town", seed=7, scene=2)
    assert (one.points == two.points).all()
    assert (one.label == two.label).all()
    for other in (
        scan("old town", seed=8, scene=2),
        scan("old town", seed=7, scene=3),
        scan("canal", seed=7, scene=2),
    ):
        assert one.points.shape != other.points.shape or (one.points != other.points).any()
    assert (np.random.get_state()[1] == before[0]).all()
    assert (torch.random.get_rng_state() == before[1]).all()


def test_without_ground_the_other_echoes_are_the_same():
    full, bare = scan("fog coast", seed=1), scan("fog coast", seed=1, ground=False)
    assert (full.points[full.label != GROUND] == bare.points).all()
    assert (full.object[full.label != GROUND] == bare.object).all()
    assert (full.label == GROUND).any()


def test_range_noise_is_gaussian_along_the_ray():
    exact = scan(replace(TOWNS["suburb"], range_noise=0.0, speed=0.0), seed=2)
    noisy = scan(replace(TOWNS["suburb"], range_noise=0.05, speed=0.0), seed=2)
    ray = (exact.points - exact.sensor) / np.linalg.norm(exact.points - exact.sensor, axis=1, keepdims=True)
    error = noisy.points - exact.points
    along = (error * ray).sum(axis=1)
    assert np.abs(error - along[:, None] * ray).max() < 1e-4
    assert along.mean() == pytest.approx(0, abs=5 * 0.05 / np.sqrt(len(along)))
    assert along.std() == pytest.approx(0.05, rel=5 / np.sqrt(2 * len(along)))


def test_echoes_are_lost_with_range_as_beer_and_lambert_say():
    clear = scan(replace(TOWNS["suburb"], attenuation=0.0, range_noise=0.0, speed=0.0), seed=2)
    foggy = scan(replace(TOWNS["suburb"], attenuation=0.03, range_noise=0.0, speed=0.0), seed=2)
    near, far = (np.linalg.norm(s.points - s.sensor, axis=1) for s in (clear, foggy))
    for low, high in ((4, 6), (6, 9), (9, 14), (14, 25), (25, 50)):
        all_of_them = near[(near > low) & (near <= high)]
        back = ((far > low) & (far <= high)).sum()
        chance = np.exp(-2 * 0.03 * all_of_them)
        assert abs(back - chance.sum()) < 4.5 * np.sqrt((chance * (1 - chance)).sum())


@pytest.mark.parametrize(
    "arguments, word",
    [
        ({"town": "atlantis"}, "town"),
        ({"town": "suburb", "time": 3.0}, "time"),
        ({"town": replace(TOWNS["suburb"], number=-1)}, "number"),
        ({"town": "suburb", "seed": -1}, "seed"),
        ({"town": "suburb", "scene": 0.5}, "scene"),
        ({"town": replace(TOWNS["suburb"], beams=0)}, "beams"),
        ({"town": replace(TOWNS["suburb"], sensor_height=0.0)}, "sensor_height"),
        ({"town": replace(TOWNS["suburb"], max_range=float("nan"))}, "max_range"),
        ({"town": replace(TOWNS["suburb"], class_mix=(1.0,))}, "class_mix"),
        ({"town": replace(TOWNS["suburb"], elevation=(10.0, -25.0))}, "elevation"),
    ],
)
def test_bad_input_is_named(arguments, word):
    with pytest.raises(ConfigError, match=f"^{word} is "):
        scan(**arguments)


# objects


def test_clouds_of_a_hand_made_scan():
    """An L of three points 10 m left of the sensor, which sees it along +y: x is away, y to the left (-x)."""
    points = np.array([[0, 9, 0.5], [0, 10, 1.5], [3, 11, 1], [50, 50, 0], [7, 7, 7]], np.float32)
    owner = np.array([4, 4, 4, GROUND, 2])
    x, number = clouds(points, owner, np.array([1.0, 0.0, 1.8]), np.random.default_rng(0), size=7, min_points=2)
    assert number.tolist() == [4]
    expected = {(-1.0, 1.0, 0.5), (0.0, 1.0, 1.5), (1.0, -2.0, 1.0)}
    assert {tuple(np.round(p, 5).tolist()) for p in x[0]} == expected
    times = [sum(np.allclose(p, e, atol=1e-5) for p in x[0]) for e in expected]
    assert sorted(times) == [2, 2, 3]  # repeated in turn, never zeros
    assert clouds(points, owner, np.zeros(2), np.random.default_rng(0))[0].shape == (0, 64, 3)


@given(st.integers(0, 10**6), st.floats(-3.1, 3.1))
def test_clouds_do_not_depend_on_where_the_sensor_looks_from(seed, angle):
    """Turning sensor and scan together about the vertical, and moving both, changes no cloud."""
    rng = np.random.default_rng(seed)
    owner = rng.integers(-1, 4, 200)
    points = rng.normal(size=(200, 3)) + np.array([[8, 0, 1], [0, 9, 1], [-7, 0, 1], [5, 5, 1], [0, 0, 0]])[owner]
    rotation = turn(*np.array([[0.0], [0.0], [angle]]))[0]
    shift = np.array([rng.normal(), rng.normal(), 0])
    one, first = clouds(points, owner, np.zeros(3), np.random.default_rng(1), size=16)
    two, second = clouds(points @ rotation.T + shift, owner, shift, np.random.default_rng(1), size=16)
    assert (first == second).all()
    np.testing.assert_allclose(one, two, atol=1e-4)


def test_clouds_keep_sizes_in_metres_and_height_above_ground():
    seen = scan("suburb", seed=4)
    x, number = clouds(seen.points, seen.object, seen.sensor, np.random.default_rng(0), size=4096)
    assert x.dtype == np.float32
    for cloud, k in zip(x, number, strict=True):
        echoes = seen.points[seen.object == k]
        assert len(echoes) >= 12
        assert len(np.unique(cloud, axis=0)) == len(np.unique(echoes, axis=0))
        np.testing.assert_allclose(np.sort(np.unique(cloud[:, 2])), np.unique(echoes[:, 2]))
        widest = lambda p: np.linalg.norm(p[:, None, :2] - p[None, :, :2], axis=-1).max()
        sample = echoes[:: max(1, len(echoes) // 50)]
        assert widest(cloud[: len(echoes)]) >= widest(sample) - 1e-3
        np.testing.assert_allclose(cloud[: len(echoes), :2].mean(axis=0), 0, atol=1e-3)


@pytest.fixture(scope="module")
def small():
    return load(seed=3, objects=480, size=32)


def test_data_set_has_the_stated_shapes_and_towns(small):
    n = 160
    k = len(TOWNS)
    shares = np.array([town.share for town in towns()])
    assert small.train_x.shape == (n, 32, 3)
    assert small.test_x.shape == (40 * k, 32, 3)
    assert small.train_x.dtype == torch.float32
    assert small.train_y.dtype == small.test_y.dtype == small.groups.dtype == torch.int64
    assert small.classes == CLASSES
    assert torch.bincount(small.test_groups).tolist() == [40] * k
    np.testing.assert_allclose(torch.bincount(small.groups), n * shares / shares.sum(), atol=1)
    assert torch.isfinite(small.train_x).all()
    assert small.train_x.abs().max() < 15
    assert len(torch.unique(small.train_y)) == len(CLASSES)
    assert not torch.isin(small.train_y[small.groups == TOWNS["motorway"].number], torch.tensor([1, 2])).any()


def test_training_and_test_objects_differ_and_repeat_with_the_seed(small):
    again, other = load(seed=3, objects=480, size=32), load(seed=4, objects=80, size=32)
    assert torch.equal(small.train_x, again.train_x)
    assert torch.equal(small.test_y, again.test_y)
    assert not torch.equal(small.train_x[:2], other.train_x[:2])
    train = {x.numpy().tobytes() for x in small.train_x}
    assert not train & {x.numpy().tobytes() for x in small.test_x}


def test_more_objects_begin_with_the_same(small):
    more = load(seed=3, objects=600, size=32)
    for town in range(len(TOWNS)):
        few, many = small.train_x[small.groups == town], more.train_x[more.groups == town]
        assert torch.equal(few, many[: len(few)])


def test_a_fleet_of_ones_own():
    fleet = [replace(TOWNS["forest"], number=0, share=1.0), replace(TOWNS["canal"], number=1, share=3.0)]
    data = load(objects=60, size=8, fleet=fleet)
    assert torch.bincount(data.groups).tolist() == [5, 15]
    assert torch.bincount(data.test_groups).tolist() == [20, 20]


@pytest.mark.parametrize(
    "options, error, word",
    [
        ({"objects": 10}, ConfigError, "objects"),
        ({"size": 0}, ConfigError, "size"),
        ({"min_points": 0}, ConfigError, "min_points"),
        ({"fleet": []}, ConfigError, "fleet"),
        ({"objects": 60, "fleet": [replace(TOWNS["canal"], share=0.0)]}, ConfigError, "share"),
        ({"objects": 60, "min_points": 10**6, "fleet": [TOWNS["canal"]]}, DataError, "canal"),
    ],
)
def test_bad_options_are_named(options, error, word):
    with pytest.raises(error, match=word):
        load(**options)
