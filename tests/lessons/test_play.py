"""States that play without a kernel: which are stored, that they are what the live panel shows, and that they are small."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playing import assert_alike

from fqlab import panels
from fqlab.errors import DataError
from fqlab.lessons.website import cells
from fqlab.lessons.website.markup import Markup
from fqlab.lessons.website.play import animation, clicks, states, visits
from fqlab.lessons.website.play.animation import scenes
from fqlab.lessons.website.play.cache import Cache
from fqlab.lessons.website.play.ghosts import axes_of, ghost
from fqlab.lessons.website.play.pictures import encode
from fqlab.lessons.website.play.states import bases, moved, opened, places, stops, sweeps, swept, trained
from fqlab.lessons.website.play.store import Writer
from fqlab.lessons.website.play.visit import SHARP, Visit, Visitor
from fqlab.panels import ticket
from fqlab.panels.canvas import Canvas
from fqlab.panels.state import changed, controls
from fqlab.plots.tour import TrainingCurve

PANELS = [getattr(panels, name) for name in panels.PANELS]
NAMES = list(panels.PANELS)


def pixels_of(body: bytes, mode: str = "RGB") -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(body)).convert(mode)).astype(int)


@pytest.mark.parametrize("panel", PANELS, ids=NAMES)
def test_the_states_are_the_default_the_presets_and_one_control_moved(panel):
    found = clicks.visits(panel)
    named = bases(panel)
    assert named == (panel.State(), *(changed(panel.State(), changes) for changes in panel.presets.values()))
    assert all(found[state] for state in named), "every state with a name is trained"
    names = [c.name for c in controls(panel.State)]
    assert len(panel.handles) == 3
    assert set(panel.handles) <= set(names)
    for state in swept(panel):
        least = min(sum(a != b for a, b in zip(places(state), places(base), strict=True)) for base in named)
        assert least <= 1
    for sweep in sweeps(panel):
        assert sweep.base == 0 or names[sweep.control] in panel.handles
    moving = {sweep.control for sweep in sweeps(panel) if sweep.base == 0}
    still = [c for k, c in enumerate(controls(panel.State)) if k not in moving]
    assert all(c.when is not None and not c.when(panel.State()) for c in still)


@pytest.mark.parametrize("name", ["quantizer", "figures", "frontier"])
def test_every_mark_of_the_default_leads_to_a_state_that_is_visited(name):
    """As the live panel has them: what a click changes there, pages hold."""
    panel = getattr(panels, name)
    found = clicks.visits(panel)
    shown = panel()
    marks = [spot.tip.changes for spots in shown.gallery.spots.values() for spot in spots if spot.tip.changes]
    shown.close()
    assert len(marks) > 20
    assert all(found[changed(panel.State(), changes)] for changes in marks)


def test_a_mark_of_a_preset_leads_there_where_nothing_is_trained_for_it():
    panel = panels.frontier
    even = panel.State()
    two = changed(even, panel.presets["Two digits each"])
    runs = {panel.training(state) for group in clicks.clicks(panel) for state in group.states}
    own = {panel.training(state) for state in states.swept(panel)}
    assert any(run not in own for run in runs), "from the default a run is trained for a click"
    started = [s for group in clicks.clicks(panel) if group.base for s in group.states]
    assert all(panel.training(state) in own for state in started)
    assert all(state.labels == even.labels for state in started)
    assert two.labels != even.labels


@pytest.mark.parametrize("panel", PANELS, ids=NAMES)
def test_a_slider_keeps_its_ends_its_default_its_mark_and_the_presets(panel):
    for number, control in enumerate(controls(panel.State)):
        kept = stops(panel, number)
        assert list(kept) == sorted(set(kept))
        assert {places(state)[number] for state in bases(panel)} <= set(kept)
        if control.choices is not None:
            assert len(kept) == control.count
        elif not control.box:
            assert len(kept) <= 25
            assert {0, control.count - 1} <= set(kept)
            assert control.mark is None or control.index(control.mark) in kept
            assert len(kept) == control.count or len(kept) > 8, "thinned more than needed"


def test_pictures_in_few_colours_are_alike_and_their_layers_fit():
    draws = np.random.default_rng(0)
    base = np.full((60, 90, 3), 255, np.uint8)
    base[10:50, 20:22] = (0, 114, 178)
    now = base.copy()
    now[30:34, 5:80] = (213, 94, 0)
    whole, layer = encode(now)
    assert not layer
    assert (pixels_of(whole.body) == now).all(), "few colours are kept exactly"
    part, layer = encode(now, base)
    assert layer
    over = pixels_of(part.body, "RGBA")
    laid = np.where(over[..., 3:] > 0, over[..., :3], base)
    assert (laid == now).all()
    noise = draws.integers(0, 255, (60, 90, 3)).astype(np.uint8)
    assert encode(noise, base)[1] in (True, False)
    assert encode(now, base)[0].name == part.name
    assert encode(now, now) == (whole, False), "the base itself is stored whole"


@pytest.mark.parametrize(
    ("name", "changes"), [("quantizer", {"bits": 3}), ("packet", {"at": 301}), ("tour", {"grid": "midrise", "bits": 3})]
)
def test_a_stored_state_is_the_live_panels(name, changes):
    kind = getattr(panels, name)
    state = changed(kind.State(), changes)
    visitor = Visitor(kind)
    visit = visitor.visit(state, train=True)
    first = visitor.visit(states.home(kind, state), train=True)
    visitor.close()
    panel = kind(**changes)
    assert panel.wait()
    panel._sharpen(SHARP)
    assert list(visit.pictures) == [k.__name__ for row in kind.rows for k in row]
    for row in kind.rows:
        for picture in row:
            live = pixels_of(panel.gallery.images[picture].value)
            shown = visit.pictures[picture.__name__]
            stored = pixels_of(shown.picture.body, "RGBA" if shown.layer else "RGB")
            if shown.layer:
                under = pixels_of(first.pictures[picture.__name__].picture.body)
                stored = np.where(stored[..., 3:] > 0, stored[..., :3], under)
            assert_alike(stored, live)
            assert shown.alt == panel.gallery._alts[picture]
    assert visit.message == panel.frame.message
    panel.close()


def test_what_a_state_shows_does_not_hang_on_what_was_visited_before():
    kind = panels.frontier
    one, other = changed(kind.State(), {"rounds": 2}), changed(kind.State(), {"rounds": 3})
    alone = Visitor(kind).visit(one, train=True)
    after = Visitor(kind)
    after.visit(other, train=True)
    assert after.visit(one, train=True) == alone


def test_the_ghost_is_the_grey_part_of_the_live_picture():
    def data(top):
        return TrainingCurve.Data([top * k / 10 for k in range(1, 11)], [0.9] * 10, 24_000, 20_000.0, 190_000, 190_000)

    canvas = Canvas(TrainingCurve(), SHARP)
    found = ghost(canvas, data(0.5), data(0.8))
    grey = pixels_of(found.picture.body, "RGBA")
    live = canvas.pixels(data(0.8), data(0.5))[0][..., :3].astype(int)
    alone = canvas.pixels(data(0.8))[0][..., :3].astype(int)
    assert found.axes == axes_of(canvas)
    drawn = grey[..., 3] > 240
    assert drawn.sum() > 300
    close = np.abs(live - grey[..., :3]).max(axis=2) < 24
    assert close[drawn].mean() > 0.9, "opaque pixels of the ghost are grey in the live picture"
    laid = np.minimum(alone, 255 + (grey[..., :3] - 255) * grey[..., 3:] // 255)
    curves = np.s_[: int(live.shape[0] * 0.8), 150:600]
    assert (np.abs(laid - live).max(axis=2) > 64)[curves].mean() < 0.005, (
        "darkening draws the curve as the live picture does"
    )
    assert ghost(Canvas(panels.quantizer.rows[0][0](), 1.0), *[_ladders()] * 2) is None


def _ladders():
    kind = panels.quantizer
    panel = kind()
    shown = panel.gallery.views[kind.rows[0][0]].data
    panel.close()
    return shown


class Trial(panels.quantizer):
    """A panel of few states."""

    handles = ("bits",)
    presets = {"1 bit": {"bits": 1}, "Default": {}}


def stored(folder, name, number=0):
    text = (folder / (f"{name}-{number}.js" if number else f"{name}.js")).read_text()
    call = re.fullmatch(rf'fqlab\.store\("{name}",{number},(.*)\);\n', text, re.DOTALL)
    return json.loads(call[1])


def test_the_script_files_hold_every_state_once_and_every_picture_once(tmp_path, monkeypatch):
    monkeypatch.setattr(states, "MOST", 4)
    visitor = Visitor(Trial)
    seen = {}
    written = Writer(Trial, lambda state: seen.setdefault(state, visitor.visit(state, train=True))).write(tmp_path)
    content = [stored(tmp_path, "quantizer", number) for number in range(len(written))]
    about = content[0]["about"]
    homes = [name for each in content for name in [*each["pictures"], *each.get("spots", ())]]
    assert len(homes) == len(set(homes))
    for each in content:
        for rows, _, off in each["states"]:
            for place, under, alt, _, answers, *_ in rows:
                for x, y, label, changes in (
                    content[int(answers.split(".")[0])]["spots"][answers.split(".")[1]] if answers else ()
                ):
                    assert 0 <= x <= 686
                    assert 0 <= y <= 262
                    assert label
                    assert all(0 <= at < about["controls"][k]["count"] for k, at in changes)
                number, name = place.split(".")
                assert not under or int(under.split(".")[0]) < 2
                assert base64.b85decode(content[int(number)]["pictures"][name])[8:12] == b"WEBP"
                assert alt
            assert all(0 <= k < len(about["controls"]) for k in off)
    assert len(content[1]["states"]) == 2
    known = {tuple(base) for base in about["bases"]}
    after = 2 + len(about["sweeps"])
    for sweep, file in zip(about["sweeps"], content[2:after], strict=True):
        assert len(sweep["stops"]) == len(file["states"])
        for stop in sweep["stops"]:
            place = list(about["bases"][sweep["base"]])
            place[sweep["control"]] = stop
            assert tuple(place) not in known
            known.add(tuple(place))
    assert len(content[after:]) == len(about["clicks"]) > 0
    for group, file in zip(about["clicks"], content[after:], strict=True):
        assert len(group["places"]) == len(file["states"])
        for place in group["places"]:
            assert tuple(place) not in known
            known.add(tuple(place))
    assert known == {places(state) for state in clicks.visits(Trial)}
    again = tmp_path / "again"
    again.mkdir()
    Writer(Trial, seen.__getitem__).write(again)
    assert all(path.read_bytes() == (again / path.name).read_bytes() for path in written)


def test_states_without_pictures_are_not_offered(tmp_path, monkeypatch):
    monkeypatch.setattr(states, "MOST", 4)
    visitor = Visitor(Trial)
    whole = [visitor.visit(state, train=True) for state in bases(Trial)]
    Writer(Trial, lambda state: dict(zip(bases(Trial), whole, strict=True)).get(state, Visit())).write(tmp_path)
    assert all(not sweep["stops"] for sweep in stored(tmp_path, "quantizer")["about"]["sweeps"])


def test_pages_hold_the_experiment_of_a_panel_that_tells_it(tmp_path):
    kind = panels.figures
    ours = kind.State(figure="09-bytes-mnist", point=8)
    printed = kind.State(figure="09-bytes-mnist")
    visitor = Visitor(kind)
    visits = {state: visitor.visit(state, train=False) for state in (ours, printed)}
    assert visits[ours].toml == kind.experiment(ours).to_toml()
    assert visits[printed].toml == "", "a published point trains nothing"
    store = Cache(tmp_path, "one")
    store.put("figures-1-2", visits[ours])
    assert store.get("figures-1-2") == visits[ours]
    texts: dict[str, object] = {}
    name = Writer(kind, visits.__getitem__)._named_in(3, visits[ours].toml, texts)
    assert texts == {name.removeprefix("3."): visits[ours].toml}


def test_a_visit_survives_the_disk_and_other_code_is_forgotten(tmp_path):
    store = Cache(tmp_path, "one")
    visitor = Visitor(panels.tour)
    visit = visitor.visit(panels.tour.State(), train=True)
    assert visit.pictures["TrainingCurve"].ghost is not None
    assert visit.toml == "", "only a panel that tells its experiment keeps it"
    assert not store.has("tour-1-2")
    store.put("tour-1-2", visit)
    assert store.get("tour-1-2") == visit
    Cache(tmp_path, "two").prune()
    assert visit.toml == "", "only a panel that tells its experiment keeps it"
    assert not store.has("tour-1-2")


def test_a_state_that_cannot_be_shown_is_named(tmp_path, monkeypatch):
    def broken(name):
        raise ValueError("no such thing")

    monkeypatch.setattr(visits, "_visitor", broken)
    code = "quantizer-" + visits._ticket(panels.quantizer, panels.quantizer.State()).partition("-")[2]
    with pytest.raises(DataError, match=f"panel quantizer cannot show {code}: ValueError: no such thing"):
        visits._visit(("quantizer", ((code, True),)), tmp_path, "digest")


@pytest.fixture(autouse=True)
def _fresh():
    yield
    for each in (stops, sweeps, swept, opened, trained, clicks.clicks):
        each.cache_clear()


def test_moving_a_control_goes_through_its_stops(monkeypatch):
    monkeypatch.setattr(states, "MOST", 4)
    sweep = next(
        s for s in sweeps(panels.tour) if s.base == 0 and controls(panels.tour.State)[s.control].name == "clip"
    )
    assert [state.clip for state in moved(panels.tour, sweep)] == [0.2, 1.0, 1.3, 1.5, 2.0, 3.0]


def test_the_animation_lasts_ten_seconds_and_is_small():
    folder = Path(__file__).resolve().parents[2] / "notebooks"
    film = folder / "tour.webp"
    assert film.stat().st_size <= 2_000_000
    times = []
    with Image.open(film) as shown:
        assert shown.size == (960, 560)
        for frame in range(shown.n_frames):
            shown.seek(frame)
            shown.load()
            times.append(shown.info["duration"])
    assert 9_000 < sum(times) < 12_000
    with Image.open(folder / "social.png") as card:
        assert card.size == (1280, 640)
    planned = list(scenes({"bits": 7, "clip": len(stops(panels.tour, 0)) - 1}))
    assert sum(stays for _, _, stays in planned) == sum(times)
    presets = {doing.partition(" ")[2] for doing, how, _ in planned if how is None}
    assert presets <= set(panels.tour.presets)


def test_the_animation_needs_a_built_site(tmp_path, capsys):
    pytest.importorskip("playwright.sync_api")
    assert animation.main(["--site", str(tmp_path), "--film", str(tmp_path / "a.webp")]) == 2
    assert "must be a built site" in capsys.readouterr().err
    assert not (tmp_path / "a.webp").exists()


@pytest.mark.parametrize(
    ("made", "changes"),
    [("quantizer()", None), ('figures(figure="09-bytes")', {"figure": "09-bytes"}), ("tour(bits=2)", ...)],
)
def test_a_panel_on_a_page_starts_where_the_notebook_starts_it(made, changes):
    """With choices as arguments the section names the ticket; what a page cannot read stays a still picture."""
    cell = {
        "cell_type": "code", "source": f"paper = {made}\npaper", "metadata": {"tags": ["panel"]},
        "outputs": [{"output_type": "display_data", "data": {"text/html": "<figure>still</figure>"}, "metadata": {}}],
    }  # fmt: skip
    *_, block = cells.blocks({"cells": [cell]}, Markup(), cells.Place(plays=NAMES))
    name = made.partition("(")[0]
    panel = getattr(panels, name)
    assert "<figure>still</figure>" in block.html
    assert (f'data-panel="{name}"' in block.html) == (changes is not ...)
    start = re.search(r'data-start="([^"]*)"', block.html)
    if changes is None or changes is ...:
        assert start is None
    else:
        assert ticket.read(name, panel.version, panel.State, start[1]) == panel.State(**changes)
