"""A hand on the pictures: spots lie where the marks are drawn, a click and a drag do what the controls would do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fqlab import panels
from fqlab.panels.canvas import Canvas
from fqlab.panels.frame import Frame, Panel, Settings, control
from fqlab.panels.gallery import picture_class
from fqlab.panels.pointing import dragged
from fqlab.panels.state import changed
from fqlab.plots.clipping import Descent
from fqlab.plots.picture import Picture, PictureView, mosaic
from fqlab.plots.spots import Drag, Spot, Tip, spots_at, spots_on
from fqlab.plots.style import axes, line

RED = (255, 0, 0)


class Dots(Picture):
    """One red dot on logarithmic axes, and nothing else."""

    width, height = 200, 120
    drag = {"x": Drag("turn", -2.0, wraps=True), "y": Drag("tilt", 0.5)}

    def build(self, fig):
        self.axes = axes(fig, 40, 30, 150, 80, xlim=(1, 100), ylim=(0, 1))
        self.axes.set_xscale("log")
        style = {"color": "#ff0000", "linestyle": "", "markersize": 6, "markeredgewidth": 0}
        self.line = self.live(line(self.axes, 0, markers=True, **style))

    def update(self, data, ghost=None):
        self.tips = [Tip(f"{x:g}, {y:g}", {"turn": 10 * k} if k else {}) for k, (x, y) in enumerate(data)]
        self.line.set_data([x for x, _ in data], [y for _, y in data])
        return "A dot."

    def spots(self):
        return spots_on(self.line, self.tips)


def centre(pixels: np.ndarray) -> tuple[float, float]:
    """Middle of all red pixels, from the upper left corner."""
    strong = (pixels[..., :3].astype(int) - RED) ** 2
    rows, columns = np.nonzero(strong.sum(axis=2) < 30_000)
    return columns.mean() + 0.5, rows.mean() + 0.5


PLACES = st.tuples(st.floats(1.2, 80), st.floats(0.05, 0.95))


@cache
def easel(zoom: float) -> Canvas:
    return Canvas(Dots(), zoom)


@given(place=PLACES, zoom=st.sampled_from([1.0, 1.5, 2.0]))
def test_a_spot_lies_where_its_mark_is_drawn(place, zoom):
    """Markers are drawn at whole pixels of the screen, so up to one from where they belong."""
    x, y = centre(easel(zoom).pixels([place])[0])
    (spot,) = easel(zoom).picture.spots()
    assert (spot.x, spot.y) == pytest.approx((x / zoom, y / zoom), abs=0.1 + 1 / zoom)


def test_a_spot_in_a_mosaic_is_counted_from_its_own_picture():
    shown = PictureView(Dots, [(10.0, 0.5)])
    whole = mosaic([[shown, shown], [shown, shown]])
    marks = [artist for part in whole.figure.subfigs for artist in part.axes[0].lines]
    places = {(s.x, s.y) for mark in marks for s in spots_on(mark, [Tip("")])}
    assert len(marks) == 4
    assert len(places) == 1


def test_what_is_not_drawn_is_no_spot():
    canvas = Canvas(Dots())
    canvas.pixels([(10.0, 0.5), (float("nan"), 0.5), (1000.0, 0.5), (10.0, 1.5), (100.0, 1.0)])
    assert [spot.tip.label for spot in canvas.picture.spots()] == ["10, 0.5", "100, 1"]
    assert spots_at(canvas.picture.axes, [], []) == []
    canvas.picture.line.set_visible(False)
    assert canvas.picture.spots() == []


# ---------------------------------------------------------------------------------------------- a panel and its hand


@dataclass(frozen=True)
class State(Settings):
    turn: int = control(0, label="Turn", unit="°", low=0, high=350, step=10)
    tilt: float = control(0.5, label="Tilt", low=0.0, high=1.0, step=0.1)


class Turned(Panel):
    name, title = "turned", "Turned"
    State = State
    rows = ((Dots,),)

    def instant(self, state):
        return Frame({Dots: [(10.0, state.tilt), (20.0, 0.2)]}, f"{state.turn}°")


@pytest.fixture
def panel():
    made = Turned()
    yield made
    made.close()


def hand(panel: Panel, **message) -> None:
    """What the page reports."""
    panel._assistant._handle_custom_msg(message, [])


def test_a_click_makes_the_changes_of_its_spot(panel):
    hand(panel, picture=picture_class(Dots), spot=1, label="20, 0.2")
    assert panel.state.turn == 10
    assert panel.controls.widgets["turn"].value == 10
    assert panel.status.text == "10°"


def test_a_click_on_what_is_gone_does_nothing(panel):
    hand(panel, picture=picture_class(Dots), spot=1, label="something else")
    hand(panel, picture=picture_class(Dots), spot=7, label="20, 0.2")
    assert panel.state == State()


def test_a_link_sets_the_panel_and_a_wrong_one_is_refused_in_words(panel):
    wanted = Turned(turn=40, tilt=0.9)
    hand(panel, ticket=wanted.ticket)
    assert panel.state == wanted.state
    hand(panel, ticket="turned-1-0000")
    assert panel.state == wanted.state
    assert "check digits do not fit" in panel.status.text
    wanted.close()


def pull(panel: Panel, turn: int, x: float, y: float) -> None:
    panel._assistant.hand = {"picture": picture_class(Dots), "turn": turn, "x": x, "y": y}


def test_a_drag_counts_from_where_the_hand_took_hold(panel):
    pull(panel, 1, -10, 0)
    assert panel.state.turn == 20
    pull(panel, 1, -20, 0.4)
    assert (panel.state.turn, panel.state.tilt) == (40, 0.7)
    pull(panel, 2, 30, -99)
    assert (panel.state.turn, panel.state.tilt) == (340, 0.0)


def test_a_drag_leaves_alone_what_does_not_act():
    clip = panels.clipping.State(clip=2.0)
    assert dragged(Descent, clip, 153, 0) == {"clip": 4.0}
    assert dragged(Descent, changed(clip, {"rule": "octav"}), 153, 0) == {}


@given(turn=st.integers(0, 35), x=st.floats(-1000, 1000), y=st.floats(-1000, 1000))
def test_a_drag_turns_in_a_circle_and_ends_at_the_ends(turn, x, y):
    start = State(turn=10 * turn)
    changes = dragged(Dots, start, x, y)
    assert changes == dragged(Dots, start, x + 180, y) or abs(x % 5 - 2.5) < 1e-6  # a whole turn is 180 pixels
    assert 0 <= changes["tilt"] <= 1
    assert State(**changes).turn == changes["turn"]


NUMBERS = st.one_of(st.integers(), st.floats(), st.text(max_size=3), st.none(), st.booleans(), st.lists(st.integers()))
ENTRIES = st.sampled_from(["ticket", "picture", "spot", "label", "turn", "x", "y", "sharp"])
NAMES = st.sampled_from([picture_class(Dots), "", "fqlab-p-none", "20, 0.2"])
REPORTS = st.dictionaries(ENTRIES, st.one_of(NUMBERS, NAMES)) | NUMBERS


@given(report=REPORTS, hand=st.dictionaries(ENTRIES, st.one_of(NUMBERS, NAMES)))
@example(report=0, hand={"picture": picture_class(Dots), "turn": 1, "x": math.nan, "y": 0.0})
@example(report=[], hand={"picture": picture_class(Dots), "turn": 1, "x": 0, "y": -math.inf})
@example(report=None, hand={"picture": picture_class(Dots), "turn": 1, "x": 10**400, "y": 0})
@example(report={"picture": picture_class(Dots), "spot": -1, "label": "20, 0.2"}, hand={})
def test_what_no_page_of_ours_reports_does_nothing(report, hand):
    """A page may be another version's, or be typed by hand: nothing escapes, nothing is said to be broken."""
    panel = kept()
    before = panel.state
    panel.pointing._told(report)
    panel.pointing._pulled(hand)
    assert "broke" not in panel.status.text
    assert len(panel.status.text) < 400
    moved = all(isinstance(hand.get(name), (int, float)) for name in ("turn", "x", "y"))
    assert panel.state == before or (moved and hand.get("picture") == picture_class(Dots))


@cache
def kept() -> Panel:
    return Turned()


@pytest.mark.parametrize("told", [0.0, -3.0, math.nan, math.inf, 1e6, 1.5])
def test_a_screen_is_as_sharp_as_one_or_two(panel, told):
    panel._assistant.sharp = told
    assert panel.gallery._canvases[Dots].figure.dpi == pytest.approx(
        72 * (1.5 if told == 1.5 else 2 if told > 2 else 1)
    )


def test_the_page_hears_what_answers(panel):
    assert panel._assistant.pointers == {
        picture_class(Dots): [200, 120, True, [[*at(panel, 0), "10, 0.5", False], [*at(panel, 1), "20, 0.2", True]]]
    }


def at(panel: Panel, number: int) -> tuple[float, float]:
    spot: Spot = panel.gallery.spots[Dots][number]
    return spot.x, spot.y
