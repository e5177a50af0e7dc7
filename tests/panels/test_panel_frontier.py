"""The frontier: stored points, the front, and runs of one's own, against brute force and the ledger."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fqlab import methods
from fqlab.errors import ConfigError
from fqlab.federation import Experiment, Federation
from fqlab.methods.fedpaq import FedPAQ
from fqlab.panels import frontier
from fqlab.panels.shared import experiment_of
from fqlab.panels.views.frontier import State, beaten, own, stored_front
from fqlab.plots.frontier import Cheapest, Plane
from fqlab.studies.frontier import (
    COSTS,
    FAMILIES,
    SETTINGS,
    STOPS,
    cheapest,
    experiment,
    front,
    names,
    points,
    trace,
)

PLACES = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=12)


@given(PLACES)
def test_the_front_is_what_nobody_beats(places):
    def free(i: int) -> bool:
        x, y = places[i]
        return not any(u <= x and v >= y and (u, v) != (x, y) for u, v in places)

    assert {places[i] for i in front(places)} == {places[i] for i in range(len(places)) if free(i)}


def test_every_setting_is_stored_at_every_stop_and_bytes_only_grow():
    for labels in ("even", "two"):
        for name, (family, *_) in names(labels).items():
            mine = [p for p in points() if (p.name, p.labels) == (name, labels)]
            assert [p.round for p in mine] == list(STOPS)
            assert {p.family for p in mine} == {family}
            assert all(0 <= p.everyone <= 1 and 0 <= p.own <= 1 for p in mine)
            for cost in COSTS:
                sent = [p.cost(cost) for p in mine]
                assert sent == sorted(sent)
                assert mine[-1].cost("both") >= mine[-1].cost("both_coded") * 0.99


def test_a_stored_point_is_what_the_federation_gives():
    family, options = SETTINGS["both ways, 2 bit"]
    stored = next(p for p in points() if (p.name, p.labels, p.round) == ("both ways, 2 bit", "even", 5))
    runs = [list(trace(experiment(family, options, "even", seed, rounds=5), stops=(5,)))[-1] for seed in (0, 1, 2)]
    assert stored.everyone == pytest.approx(sum(r["everyone"] for r in runs) / 3, abs=0.01)
    assert stored.cost("both") == pytest.approx(sum(r["bytes_up"] + r["bytes_down"] for r in runs) / 3, rel=0.01)


def test_cheapest_is_brute_force():
    for cost in COSTS:
        reached = [p.cost(cost) for p in points() if p.family == "clipped" and p.labels == "even" and p.everyone >= 0.9]
        assert cheapest("clipped", "even", "everyone", 0.9, cost).cost(cost) == min(reached)
    assert cheapest("standalone", "even", "everyone", 0.9, "up") is None


def test_your_run_is_the_federation_of_the_state_with_the_ledgers_bytes():
    settings = dict(bits=3, rounds=4, participants=6, epochs=2, cost="both")
    panel = frontier(**settings)
    assert panel.wait()
    shown = panel.frame.pictures
    federation = Federation(own(State(**settings)))
    last = list(federation)[-1]
    kilobytes, accuracy = shown[Plane].own[-1]
    assert accuracy == pytest.approx(last.accuracy)
    assert kilobytes == pytest.approx(federation.ledger.total() / 1000)
    assert beaten((kilobytes, accuracy), stored_front("even", "everyone", "both")) == ("below" in shown[Plane].finding)
    panel.set(cost="up")
    assert panel.wait()
    assert panel.frame.pictures[Plane].own[-1][0] == pytest.approx(federation.ledger.total(direction="up") / 1000)
    assert set(panel.frame.pictures[Cheapest].needs) == set(FAMILIES)
    panel.set(bits=2, cap=250, cost="both")
    assert panel.wait()
    assert len(panel.frame.pictures[Plane].earlier) == 1
    panel.close()


def test_a_run_that_is_known_is_said_once():
    panel = frontier(method="fedavg", rounds=2)
    assert panel.wait(60)
    said = panel.frame.message
    assert said.count("Your run") == 1
    panel.set(cost="both")
    assert panel.wait(60)
    assert panel.frame.message.count("Your run") == 1
    panel.close()


@pytest.mark.parametrize("method", ["fedpaq", "uveqfed", "eden", "sign"])
def test_a_rival_is_a_run_of_ones_own(method):
    """Bits where the method has any; packets of one bit a weight up, 32 down."""
    experiment = own(State(method=method, bits=1, rounds=2))
    assert (experiment.method, experiment.options) == (method, {} if method == "sign" else {"bits": 1})
    record = Federation(experiment).step()
    assert record.bytes_up * 12 < record.bytes_down


class Quiet(methods.Method):
    """FedAvg under another name, without bits."""


def last_of(panel) -> tuple[float, float]:
    assert panel.wait()
    assert panel.error is None
    return panel.frame.pictures[Plane].own[-1]


def test_a_method_of_ones_own_is_the_same_run_as_by_its_name():
    mine, named = frontier(method=FedPAQ(bits=1), rounds=2), frontier(method="fedpaq", bits=1, rounds=2)
    assert (mine.state.method, mine.state.bits) == ("own", 1)
    assert last_of(mine) == last_of(named)
    assert mine.frame.message.startswith("FedPAQ: ")
    assert mine.frame.pictures[Plane].who == "FedPAQ"
    mine.set(bits=2)
    named.set(bits=2)
    assert last_of(mine) == last_of(named)
    assert len(mine.frame.pictures[Plane].earlier) == 1
    for panel in (mine, named):
        panel.close()


def test_presets_and_reset_start_from_the_method_that_the_panel_was_given():
    mine = frontier(method=FedPAQ(bits=1), rounds=2)
    wanted = {"Bytes up": ("own", 1), "Two digits each": ("own", 1), "FedPAQ, 1 bit": ("fedpaq", 1)}
    for preset, seen in wanted.items():
        mine.preset(preset)
        mine.stop()
        assert (mine.state.method, mine.state.bits) == seen, preset
        assert mine.controls._buttons[preset]._dom_classes[-1] == "fqlab-on"
    mine.reset()
    mine.stop()
    assert mine.state == State(method="own", bits=1)
    mine.close()


def test_a_method_without_bits_and_a_registered_one():
    ends = []
    for method in (Quiet(), "quiet-one", "fedavg"):
        if method == "quiet-one":
            methods.METHODS.register("quiet-one", Quiet)
        panel = frontier(method=method, rounds=2, bits=3)
        ends.append(last_of(panel))
        panel.close()
    assert ends[0] == ends[1] == ends[2]


def test_a_ticket_says_own_and_holds_no_method():
    mine = frontier(method=Quiet(), rounds=2)
    empty = frontier(method="fedavg", rounds=2)
    last_of(mine)
    assert ",own," in mine.csv()
    assert mine.csv().splitlines()[0].endswith(",accuracy,spread")
    empty.restore(mine.ticket)
    assert empty.wait()
    assert empty.error is None
    assert "no method of yours yet" in empty.frame.message
    assert not empty.frame.pictures[Plane].own
    with pytest.raises(ConfigError, match="name a class in a module"):
        experiment_of(mine.ticket)
    for panel in (mine, empty):
        panel.close()


@pytest.mark.parametrize("method", [Quiet, 3, object()])
def test_what_is_no_method_is_one_sentence(method):
    with pytest.raises(ConfigError, match="must be an object of a class derived from Method"):
        frontier(method=method)


def test_toml_of_a_class_in_a_notebook_says_what_to_do():
    local = type("Local", (methods.Method,), {"__module__": "__main__"})
    text = Federation(Experiment(rounds=1), method=local()).experiment.to_toml()
    methods.METHODS._lent.clear()  # another process knows nothing of it
    with pytest.raises(ConfigError, match="put it into a module of its own"):
        Experiment.from_toml(text)


# ------------------------------------------------------------------------------------------------ the points as spots


@pytest.fixture(scope="module")
def tips():
    """Label -> tip of every stored point, evenly dealt, bytes up."""
    panel = frontier(rounds=2)
    found = [spot.tip for spot in panel.gallery.spots[Plane]]
    panel.close()
    return {tip.label: tip for tip in found}


def test_every_stored_point_says_what_it_is(tips):
    stored = [p for p in points() if p.labels == "even"]
    assert len(tips) == len(stored)
    assert tips["FedAvg, 2 rounds\n65.7 ± 5.2 %, 389 kB up"].changes["method"] == "fedavg"
    for p in stored:
        (label,) = [each for each in tips if each.startswith(f"{p.name}, {p.round} rounds\n")]
        assert f"\n{100 * p.everyone:.1f} ± {100 * p.spread[0]:.1f} %, " in label


@pytest.mark.parametrize("name", ["FedAvg", "clipped, 2 bit, clip 1.3", "both ways, 3 bit", "AQFL, 2 bit", "FedPAQ, 1 bit",
                                  "UVeQFed, 2 bit", "EDEN, 1 bit", "sign, majority vote", "LG-FedAvg"])  # fmt: skip
def test_a_click_runs_the_stored_setting(tips, name):
    """Packets of the same setting weigh the same, whatever the seed, but for a digit more or less in a header."""
    (tip,) = [tip for label, tip in tips.items() if label.startswith(f"{name}, 2 rounds\n")]
    (point,) = [p for p in points() if (p.name, p.labels, p.round) == (name, "even", 2)]
    last = list(trace(own(State(**tip.changes))))[-1]
    assert last["round"] == 2
    assert last["bytes_up"] == pytest.approx(point.bytes_up, rel=1e-3)
    assert last["bytes_down"] == pytest.approx(point.bytes_down, rel=1e-3)


def test_what_the_controls_cannot_run_is_not_clicked(tips):
    """A range by the largest weight, other options of a method: there is no control for them."""
    for name in ("clipped, 2 bit, max-abs", "both ways, differences, 2 bit", "BSQ, gentle", "LotteryFL, 50% left"):
        assert [tip.changes for label, tip in tips.items() if label.startswith(f"{name}, ")] == [{}] * len(STOPS)


def test_who_is_cheapest_says_for_how_much_and_a_click_counts_that_way():
    panel = frontier(rounds=2)
    spots = panel.gallery.spots[Cheapest]
    for family in FAMILIES:
        found = [cheapest(family, "even", "everyone", 0.9, cost) for cost in COSTS]
        said = [spot.tip for spot in spots if spot.tip.label.startswith(f"{FAMILIES[family]}, ")]
        assert [tip.changes for tip in said] == [{"cost": cost} for cost in COSTS if all(found)]
    panel.close()
