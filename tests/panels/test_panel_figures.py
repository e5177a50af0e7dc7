"""The panel of the papers' figures: every point gives its experiment, its row of the ledger, and comes out again."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.lines import Line2D
from matplotlib.text import Text

from fqlab import panels
from fqlab.errors import ConfigError
from fqlab.federation import Experiment
from fqlab.panels.gallery import picture_class
from fqlab.panels.lru import LRUCache
from fqlab.panels.views import figures as view
from fqlab.papers import ruling
from fqlab.papers.charts import CHARTS, chart
from fqlab.papers.charts.drawing import data, marks
from fqlab.papers.charts.model import Point
from fqlab.papers.claims import Observation
from fqlab.papers.claims.table import value_text
from fqlab.papers.reproduce import run_row, seed_by_seed
from fqlab.plots.charts import Card, Rebuilt
from fqlab.plots.picture import draw

MNIST = "05-rounds-mnist"


@pytest.fixture(scope="module")
def panel():
    made = panels.figures()
    assert made.wait()
    yield made
    made.close()


def card(panel) -> dict[str, str]:
    """The lines of the card, and its headline under an empty name."""
    shown = panel.frame.pictures[Card]
    return {"": shown.headline} | dict(shown.lines)


def walk(name: str) -> range:
    return range(1, len(marks(chart(name))) + 1)


@pytest.mark.parametrize("name", list(CHARTS))
def test_every_point_gives_an_experiment_that_reads_back(panel, name):
    assert len(walk(name)) <= view.MOST, "the slider reaches every point"
    for number, mark in zip(walk(name), marks(chart(name)), strict=True):
        panel.set(figure=name, point=number, arm=0, seed="1")
        assert view.picked(panel.state) == mark
        if isinstance(mark.point, Point):
            assert Experiment.from_toml(panel.toml()) == mark.point.experiment(seed=1)
        else:
            with pytest.raises(ConfigError, match="trains no federation"):
                panel.toml()
    panel.reset()


@pytest.mark.parametrize("name", list(CHARTS))
def test_no_line_of_a_figure_or_of_its_card_is_cut_off(panel, name):
    shown = panel.set(figure=name).frame.pictures
    for kind in (Rebuilt, Card):
        figure = draw(kind, shown[kind]).figure
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        for words in figure.findobj(
            lambda artist: isinstance(artist, Text) and artist.get_visible() and artist.get_text()
        ):
            box = words.get_window_extent(canvas.get_renderer())
            assert box.x0 >= 0, words.get_text()
            assert box.x1 <= figure.bbox.width, words.get_text()
    panel.reset()


@pytest.mark.parametrize("name", list(CHARTS))
def test_the_claim_on_the_card_is_the_one_of_the_ledger(panel, name):
    for number, mark in zip(walk(name), marks(chart(name)), strict=True):
        panel.set(figure=name, point=number)
        lines = card(panel)
        shown = [words.get_text() for words in panel.gallery.picture(Card).words]
        assert shown[-1] == "" or shown[-1] in " ".join(lines.values()), "the card has no line to spare"
        assert " ".join(shown).split() == " ".join(text for head, text in lines.items() if head).split()
        if not mark.point.claim:
            assert "no row" in lines["claim"]
            continue
        row = mark.point.ledger
        if isinstance(row, Observation):
            assert lines["ledger"] == f"{row.says} [{row.id}]; an observation, without verdict"
            continue
        told = ruling(row)
        assert lines["claim"] == f"{row.says} [{row.id}]"
        assert lines["verdict"].startswith(f"{told.verdict} ({told.scale})")
        assert told.result is None or value_text(row, told.result) in lines["verdict"]
        assert row.published is None or f"{row.published:.10g}" in lines["verdict"]
    panel.reset()


@pytest.mark.parametrize("seed", ["mean", "0"])
def test_a_point_of_one_seed_says_so_once(panel, seed):
    panel.set(figure="07-layers-cifar", seed=seed, point=1)
    assert panel.frame.pictures[Card].headline == "Point 1 of 60: α = 0.003, layer stem: 8 (one seed)"
    assert panel.gallery.spots[Rebuilt][0].tip.label.count("(one seed)") == 1
    panel.set(figure="07-layers", seed=seed, point=1)
    assert "one seed" not in panel.frame.pictures[Card].headline
    panel.reset()


def test_a_click_on_a_point_is_a_walk_to_it(panel):
    panel.set(figure="09-accuracy", arm=3, point=2)
    spots = panel.gallery.spots[Rebuilt]
    assert len(spots) == len(marks(chart("09-accuracy")))
    for k in (0, 7, len(spots) - 1):
        content = {"picture": picture_class(Rebuilt), "spot": k, "label": panel.gallery.spots[Rebuilt][k].tip.label}
        panel._assistant._handle_custom_msg(content, [])
        assert (panel.state.point, panel.state.arm) == (k + 1, 0)
        assert view.picked(panel.state) == marks(chart("09-accuracy"))[k]
    panel.reset()


def test_a_label_says_value_and_set_up():
    for name in CHARTS:
        for tips in view._tips(name):
            for tip in tips:
                what, _, below = tip.label.partition("\n")
                assert ":" in what
                assert len(below) > 10


@given(figure=st.sampled_from(list(CHARTS)), arm=st.integers(0, 8), point=st.integers(1, view.MOST))
@settings(deadline=None)
def test_the_slider_stays_in_the_arm_and_on_its_last_point(figure, arm, point):
    state = view.State(figure=figure, arm=arm, point=point)
    mark = view.picked(state)
    mine = [m for m in marks(chart(figure)) if m.arm == arm - 1] or list(marks(chart(figure)))
    assert mark == mine[min(point, len(mine)) - 1]


def test_one_arm_is_looked_at_and_the_others_are_pale(panel):
    panel.set(figure="06-widths", arm=2)
    arms = panel.frame.pictures[Rebuilt].arms
    assert [a.name for a in arms if a.shown] == ["KURE"]
    panel.set(arm=8)  # there are five
    assert all(a.shown for a in panel.frame.pictures[Rebuilt].arms)
    panel.reset()


def test_a_seed_takes_the_place_of_the_mean(panel):
    panel.set(figure="06-widths", point=6, seed="2")
    mark = view.picked(panel.state)
    drawn = panel.frame.pictures[Rebuilt].arms[mark.arm]
    assert drawn.y[mark.place] == mark.result.values[2]
    assert not any(drawn.spread)
    panel.reset()


def test_a_seed_that_was_not_run_leaves_a_gap_and_the_card_says_so(panel):
    number, mark = next((n, m) for n, m in zip(walk(MNIST), marks(chart(MNIST)), strict=True) if m.single)
    panel.set(figure=MNIST, point=number, seed="1")
    assert np.isnan(panel.frame.pictures[Rebuilt].arms[mark.arm].y[mark.place])
    assert "not run under this seed" in card(panel)[""]
    panel.set(seed="0")
    assert f"{mark.result.value:.5g} (one seed)" in card(panel)[""]
    panel.set(seed="mean")
    assert "(one seed)" in card(panel)[""]
    panel.reset()


def test_points_of_one_seed_are_white_inside():
    arms = data(chart(MNIST)).arms
    picture = draw(Rebuilt, data(chart(MNIST)))
    assert picture.alt.count("(one seed)") == sum(sum(arm.single) for arm in arms)
    holes = next(
        a for a in picture.figure.findobj(Line2D) if a.get_markerfacecolor() == "#ffffff" and a.get_markersize() < 4
    )
    assert len(holes.get_xdata()) == sum(sum(arm.single) for arm in arms) > 0
    assert set(holes.get_ydata()) == {y for arm in arms for y, one in zip(arm.y, arm.single, strict=True) if one}


def test_a_point_is_run_again_and_put_into_the_picture(panel, monkeypatch):
    monkeypatch.setattr(view, "_RUNS", LRUCache(4))
    panel.set(figure="03-mse", point=4, again=True)
    assert panel.wait(120)
    assert panel.error is None
    mark = view.picked(panel.state)
    fresh = panel.frame.pictures[Rebuilt].again
    assert fresh == pytest.approx((mark.result.value, mark.result.spread), rel=0.02)
    assert "(the cross)" in card(panel)["run again"]
    panel.set(again=False)
    assert panel.frame.pictures[Rebuilt].again is None
    panel.reset()


def test_what_runs_again_is_the_recipe_of_the_point_at_scale_demo(panel, monkeypatch):
    asked = []

    def noted(row, scale):
        asked.append((row.recipe, dict(row.args), row.seeds, scale))
        yield 0.5
        yield run_row(chart("03-mse").row(chart("03-mse").points[0]), "demo")

    monkeypatch.setattr(view, "seed_by_seed", noted)
    monkeypatch.setattr(view, "_RUNS", LRUCache(4))
    panel.set(figure=MNIST, point=3, again=True)
    assert panel.wait(60)
    assert "Press Run" in panel.status.text, "what takes long waits for the button"
    panel.start()
    assert panel.wait(60)
    assert asked == [("clipped:round_accuracy", {"arm": "float", "after": 20}, 3, "demo")]
    panel.reset()


def test_a_published_point_does_not_run(panel):
    number = next(n for n, m in zip(walk("09-bytes"), marks(chart("09-bytes")), strict=True) if m.result is None)
    panel.set(figure="09-bytes", point=number, again=True)
    assert panel.wait()
    assert panel.frame.pictures[Rebuilt].again is None
    assert "run again" not in card(panel)
    panel.reset()


def test_a_run_says_beforehand_what_it_takes_and_stops_between_seeds():
    row = chart("03-mse").row(chart("03-mse").points[0])
    steps = seed_by_seed(row, "demo")
    assert next(steps) == pytest.approx(1 / 3)
    steps.close()
    assert view._expected("bsq:layer_bits") > 5
    assert view.Figures.seconds(panels.figures.__new__(panels.figures), view.State()) == 0


def test_the_table_holds_every_point_of_the_figure(panel):
    panel.set(figure="09-bytes")
    rows = list(csv.DictReader(io.StringIO(panel.csv())))
    assert [float(r["value"]) for r in rows] == pytest.approx([m.value() for m in marks(chart("09-bytes"))])
    assert {r["provenance"] for r in rows} == {"ours", "derived"}
    panel.reset()


def test_another_figure_has_its_own_ticks(panel):
    """Ticks and labels belong to the background, which is drawn anew for another figure of the same limits."""
    panel.set(figure="06-widths")
    panel.set(figure="05-rounds")
    once = bytes(panel.gallery.images[Rebuilt].value)
    fresh = panels.figures(figure="05-rounds")
    assert fresh.wait()
    assert once == bytes(fresh.gallery.images[Rebuilt].value)
    fresh.close()
    panel.reset()
