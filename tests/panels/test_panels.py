"""Every panel of the registry, driven from Python: all controls, presets, tickets, files, and what it leaves on a page."""

from __future__ import annotations

import csv
import gc
import html
import io
import re
import resource
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fqlab import panels
from fqlab.errors import ConfigError
from fqlab.federation import Experiment
from fqlab.panels.beside import RULE, VIEW
from fqlab.panels.frame import Panel
from fqlab.panels.gallery import Gallery
from fqlab.panels.state import changed, controls, words
from fqlab.panels.widgets import close_children
from fqlab.plots.picture import to_svg

KINDS = {name: getattr(panels, name) for name in panels.PANELS}


@pytest.fixture(scope="module", params=list(KINDS))
def panel(request):
    panel = KINDS[request.param]()
    panel.wait()
    yield panel
    panel.close()


def settled(panel: Panel) -> None:
    """The instant part is shown; the long part, which every panel's own test covers, is stopped."""
    panel.stop()
    assert panel.wait(120)
    assert panel.error is None, panel.error


def test_a_panel_says_what_it_is(panel):
    assert panel.name in panels.PANELS
    assert panel.title
    assert 1 <= sum(len(row) for row in panel.rows) <= 3
    assert all(len(c.title) < 60 for c in controls(panel.State))
    assert "seed" in [c.name for c in controls(panel.State)]


def test_every_control_goes_to_both_ends(panel):
    for c in controls(panel.State):
        for value in {c.at(0), c.at(c.count - 1)}:
            panel.reset()
            panel.set(**{c.name: value})
            settled(panel)
            assert getattr(panel.state, c.name) == value
    panel.reset()
    settled(panel)


def test_every_preset(panel):
    assert panel.presets
    for name in panel.presets:
        panel.preset(name)
        settled(panel)
    panel.reset()
    settled(panel)


def test_pictures_take_the_frozen_data_they_declare(panel):
    assert panel.frame.pictures
    for picture, data in panel.frame.pictures.items():
        assert picture.Data.__dataclass_params__.frozen
        assert data is None or isinstance(data, picture.Data)


def test_every_spot_lies_in_its_picture_says_something_and_changes_what_can_be_changed(panel):
    for kind, spots in panel.gallery.spots.items():
        for spot in spots:
            assert 0 <= spot.x <= kind.width
            assert 0 <= spot.y <= kind.height
            assert spot.tip.label.strip()
            after = changed(panel.state, spot.tip.changes)
            assert {name: getattr(after, name) for name in spot.tip.changes} == dict(spot.tip.changes)
        steady = {c.name for c in controls(panel.State) if c.choices is None}
        assert {drag.setting for drag in kind.drag.values()} <= steady


def test_no_reachable_setting_raises(panel):
    space = {c.name: st.integers(0, c.count - 1).map(c.at) for c in controls(panel.State)}

    @settings(max_examples=25, suppress_health_check=list(HealthCheck))
    @given(st.fixed_dictionaries(space))
    def instant(values):
        panel.instant(panel.State(**values))

    instant()


def test_a_ticket_restores_and_a_mistyped_one_is_refused(panel):
    panel.preset(next(iter(panel.presets)))
    settled(panel)
    code = panel.ticket
    state = panel.state
    words = panel.description
    panel.reset()
    assert panel.restore(code).state == state
    settled(panel)
    assert panel.description.partition(".")[2][:200] == words.partition(".")[2][:200]
    for bad in (code[:-1], code + "0", "nonsense", code.replace(panel.name, "other")):
        with pytest.raises(ConfigError):
            panel.restore(bad)
    assert panel.state == state
    panel.reset()
    settled(panel)


def test_bad_settings_get_one_sentence_and_change_nothing(panel):
    before = panel.state
    with pytest.raises(ConfigError, match="setting is 'no_such'"):
        panel.set(no_such=1)
    for c in controls(panel.State):
        with pytest.raises(ConfigError, match=c.name):
            panel.set(**{c.name: "?" if c.choices else c.high + 1})
    assert panel.state == before


def test_files_and_the_page_without_a_kernel(panel, displayed):
    rows = list(csv.DictReader(io.StringIO(panel.csv())))
    assert rows[0]["ticket"] == panel.ticket
    assert {c.name for c in controls(panel.State)} <= set(rows[0])
    assert panel.svg().startswith("<?xml")
    view, bundle = displayed(panel)
    assert list(view) == [VIEW]
    assert RULE in bundle["text/html"]
    assert RULE not in panel.without_kernel()["text/html"]
    assert panel.title in bundle["text/html"]
    assert bundle["text/plain"] == panel.description
    assert len(panel.description) > 100
    for image in panel.gallery.images.values():
        assert len(image.value) > 2000


def test_what_is_built_for_readers_waits_for_the_result(panel, displayed, monkeypatch):
    waits = []
    monkeypatch.setattr(panel, "wait", waits.append)
    displayed(panel)
    monkeypatch.setenv("FQLAB_UNHURRIED", "1")
    displayed(panel)
    assert waits == [panel.patience + 10, None]


def test_the_experiment_behind_a_panel_can_be_copied(panel):
    """What the button writes is what ``fqlab run --config FILE`` would run; a panel that trains none has no such button."""
    buttons = {each.description: each for each in panel.controls.column.children[-1].children[-1].children}
    assert list(buttons) == ["Reset", "CSV", "SVG", *["TOML"] * panel.has_experiment]
    if not panel.has_experiment:
        with pytest.raises(ConfigError, match=f"panel '{panel.name}' trains no federation"):
            panel.toml()
        return
    wanted = type(panel).experiment(panel.state)
    buttons["TOML"].click()
    assert panel.error is None
    shown = re.search(r'<pre class="fqlab-text"[^>]*>(.*)</pre>', panel.status.text, re.DOTALL)
    assert shown is not None
    assert Experiment.from_toml(html.unescape(shown[1])) == wanted == Experiment.from_toml(panel.toml())


def test_pictures_do_not_hang_on_somebodys_matplotlib(panel, somebodys_matplotlib):
    def painted():
        fresh = Gallery(panel.rows)
        fresh.show({kind: view.data for kind, view in panel.gallery.views.items()})
        pictures = {kind: bytes(image.value) for kind, image in fresh.images.items()}
        close_children(fresh.widget)
        return pictures, to_svg(fresh.drawing())

    wanted = painted()
    with somebodys_matplotlib():
        assert painted() == wanted


def test_memory_stays_flat_over_500_moves(panel):
    c = next(c for c in controls(panel.State) if c.choices is None and not c.box)
    moves = [panel.State(**{c.name: c.at(i % c.count)}) for i in range(500)]

    def move(state):
        with panel.lock:
            panel.show(panel.instant(state), "instant")

    def held():
        gc.collect()
        unit = 1 if sys.platform == "darwin" else 1024
        return len(gc.get_objects()), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

    for state in moves[: max(60, c.count)]:  # every value once: caches are full, and stay so
        move(state)
    before = held()
    for state in moves:
        move(state)
    after = held()
    assert after[0] - before[0] < 2000, "objects pile up"
    assert after[1] - before[1] < 30e6, "memory piles up"


@pytest.mark.parametrize("name", sorted(KINDS))
def test_settings_read_as_words(name):
    said = words(KINDS[name].State())
    assert not re.search(r"\b[a-z][A-Z]{2,}", said), said
    assert not re.search(r"of (\d+) \1\b", said), said
