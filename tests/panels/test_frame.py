"""The frame that all panels share, on a small panel of its own: controls, tickets, steps, errors, long use."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import ipywidgets as w
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ipywidgets.widgets.widget import _instances

from fqlab.errors import ConfigError
from fqlab.panels import ticket, worker
from fqlab.panels.frame import Frame, Panel, Settings, control
from fqlab.panels.lru import LRUCache
from fqlab.panels.state import controls, words
from fqlab.plots.picture import Picture
from fqlab.plots.style import axes, line, number_of, title

ROUNDS = 5


class Curve(Picture):
    width, height = 120, 80

    def build(self, fig):
        self.title = self.live(title(fig))
        self.line = self.live(line(axes(fig, 30, 20, 80, 40, xlim=(0, ROUNDS)), "accuracy"))

    def update(self, data, ghost=None):
        self.line.set_data(range(len(data)), data)
        self.title.set_text(f"{data[-1]:g}")
        return f"A line that ends at {data[-1]:g}."


@dataclass(frozen=True)
class State(Settings):
    level: float = control(1.0, label="Level", low=-4.0, high=4.0, step=0.05)
    bits: int = control(4, label="Bits", unit="bit", low=1, high=8)
    mode: str = control("plain", label="OCTAV's mode", choices={"plain": "plain", "slow": "slow", "broken": "broken"})
    seed: int = control(0, label="Seed", low=0, high=999, box=True)


class Trial(Panel):
    name, title = "trial", "A trial"
    State = State
    rows = ((Curve,),)
    presets = {"Low": {"level": -4.0}, "Slow": {"mode": "slow"}}

    def instant(self, state):
        if state.mode == "broken":
            raise ZeroDivisionError("nothing to divide by")
        return Frame({}, "At once.")

    def run(self, state):
        for k in range(1, ROUNDS + 1):
            if state.mode == "slow":
                time.sleep(0.05)
            yield Frame(
                {Curve: [state.level * i for i in range(k + 1)]}, f"After {number_of(k, 'round')}.", progress=k / ROUNDS
            )


@pytest.fixture
def panel():
    trial = Trial()
    assert trial.wait(20)
    yield trial
    trial.close()


def report(panel: Trial, name: str, value) -> None:
    """What the page does when a hand moves a control; of a list it reports the place."""
    widget = panel.controls.widgets[name]
    place = (
        {"index": list(widget.options).index((value, value))} if isinstance(widget, w.Dropdown) else {"value": value}
    )
    widget.set_state(place)


# ------------------------------------------------------------------------------------------------ sliders and hands


def test_the_last_digit_of_a_slider_is_not_written_back(panel):
    for value, wanted in ((1.2999999999999998, 1.3), (1.35, 1.35), (-3.9999999999999996, -4.0)):
        report(panel, "level", value)
        assert panel.state.level == wanted
        assert panel.controls.widgets["level"].value == value


def test_a_typed_value_between_two_steps_is_corrected(panel):
    for value in (1.33, 1.36):
        report(panel, "level", value)
        assert panel.controls.widgets["level"].value == panel.state.level == 1.35


def test_a_slider_on_which_the_hand_has_moved_on_is_left_alone(panel):
    slider = panel.controls.widgets["level"]
    with slider.hold_trait_notifications():  # the page has reported 2.0, and nobody has handled it yet
        slider.value = 2.0
        panel.set(bits=3)
        assert slider.value == 2.0
    assert (panel.state.level, panel.state.bits) == (2.0, 3)


def test_programs_presets_and_tickets_move_every_control(panel):
    panel.set(level=2.5, mode="slow", seed=7)
    shown = {name: widget.value for name, widget in panel.controls.widgets.items()}
    assert shown == {"level": 2.5, "bits": 4, "mode": "slow", "seed": 7}
    panel.preset("Low")
    assert panel.controls.widgets["level"].value == -4.0
    assert panel.controls.widgets["mode"].value == "plain"
    with pytest.raises(ConfigError, match="preset is 'High', but must be one of Low, Slow"):
        panel.preset("High")


# --------------------------------------------------------------------------------------------------- what is refused


def box(panel: Trial) -> w.Text:
    return panel.controls.column.children[-1].children[0]


def test_a_bad_ticket_is_said_and_forgotten_when_the_box_is_cleared(panel):
    good = panel.status.text
    box(panel).set_state({"value": "trial-nonsense"})
    assert panel.status.text.startswith("⚠ ticket is &#x27;trial-nonsense&#x27;")
    assert isinstance(panel.error, ConfigError)
    box(panel).set_state({"value": ""})
    assert panel.error is None
    assert panel.status.text == good
    assert box(panel).value == panel.ticket


def test_a_mistake_is_forgotten_with_the_next_right_move_and_not_hidden_by_a_run(panel):
    box(panel).set_state({"value": "trial-nonsense"})
    panel.start()
    assert panel.wait(20)
    assert panel.status.text.startswith("⚠"), "a run that ends meanwhile does not wipe it away"
    report(panel, "bits", 3)
    assert panel.wait(20)
    assert panel.error is None
    assert "After 5 rounds." in panel.status.text


def test_an_error_of_the_settings_stays_as_long_as_they_do(panel):
    report(panel, "mode", "broken")
    assert panel.status.text == "⚠ Something broke here: ZeroDivisionError: nothing to divide by"
    box(panel).set_state({"value": ""})
    assert isinstance(panel.error, ZeroDivisionError)
    panel.reset()
    assert panel.error is None


@given(
    st.one_of(st.text(max_size=300), st.text("0123456789ABCDEFGHJKMNPQRSTVWXYZ-", max_size=60).map("trial-{}".format))
)
def test_any_ticket_is_read_or_refused_in_a_sentence(code):
    message = ""
    try:
        assert isinstance(ticket.read("trial", 1, State, code), State)
    except ConfigError as refused:
        message = str(refused)
    assert len(message) < 250


@pytest.mark.parametrize(
    "code", ["trial-" + "Z" * 10**6, "x" * 10**7, "trial-" + "Z" * 150, None, 5, b"trial", ["a"] * 999]
)
def test_a_hostile_ticket_is_refused_in_a_short_sentence(code):
    with pytest.raises(ConfigError) as refused:
        ticket.read("trial", 1, State, code)
    assert len(str(refused.value)) < 200
    assert str(refused.value).endswith(".")


def test_a_number_beyond_the_last_state_is_refused_though_its_check_digits_fit():
    count = int(np.prod([c.count for c in controls(State)]))
    forged = f"trial-{ticket.spell(count)}-{ticket.spell(ticket.seal('trial', 1, State, count), 4)}"
    with pytest.raises(ConfigError, match="check digits"):
        ticket.read("trial", 1, State, forged)


def test_numpys_numbers_are_numbers(panel):
    panel.set(level=np.float32(0.5), bits=np.int64(3), mode=np.str_("slow"), seed=np.uint8(9))
    assert panel.state == State(level=0.5, bits=3, mode="slow", seed=9)
    assert [type(v) for v in vars(panel.state).values()] == [float, int, str, int]
    for wrong in (np.float64(2.5), np.array([3]), np.bool_(True), True, None, [3], 2.5, "3"):
        with pytest.raises(ConfigError, match="bits is .*, but must be a whole number from 1 to 8"):
            panel.set(bits=wrong)
        with pytest.raises(ConfigError, match="mode is .*, but must be one of plain, slow, broken"):
            panel.set(mode=wrong)


def test_hide_takes_one_name_or_several():
    for hide, count in (("seed", 3), (("seed", "bits"), 2), ([], 4), ({"level"}, 3)):
        trial = Trial(hide=hide)
        assert sum(child in trial.controls.widgets.values() for child in trial.controls.column.children) == count
        trial.close()
    for hide, message in (
        ("sead", "hide is 'sead', but must be one of level"),
        (5, "hide is 5, but must be a name or"),
    ):
        with pytest.raises(ConfigError, match=message):
            Trial(hide=hide)


def test_settings_in_words():
    assert words(State()) == "level: 1; bits: 4 bit; OCTAV's mode: plain; seed: 0"
    assert [number_of(n, "level") for n in (0, 1, 2, 4096)] == ["0 levels", "1 level", "2 levels", "4,096 levels"]


# ------------------------------------------------------------------------------------------------------ step by step


def test_a_run_can_be_walked_through_and_ends_where_it_ended(panel):
    end = panel.frame.pictures[Curve], bytes(panel.gallery.images[Curve].value)
    panel.step(-2)
    assert panel.frame.pictures[Curve] == [0, 1, 2, 3]
    assert panel.gallery.alts == {"fqlab-p-curve": "A line that ends at 3."}
    assert panel.status.text == "At once. After 3 rounds. Step 3 of 5."
    panel.step(-99)
    assert panel.status.text == "At once. After 1 round. Step 1 of 5."
    panel.step(99)
    assert (panel.frame.pictures[Curve], bytes(panel.gallery.images[Curve].value)) == end


def test_a_run_is_played_paused_and_given_up_for_a_new_setting(panel, monkeypatch):
    monkeypatch.setattr("fqlab.panels.runner.BEAT", 0.05)
    seen = []
    panel.gallery.images[Curve].observe(lambda _: seen.append(panel.frame.message), "value")
    panel.play()
    assert panel.wait(20)
    assert seen == [f"At once. After {number_of(k, 'round')}." for k in range(1, 6)]
    panel.play()
    panel.play()
    assert panel.wait(20)
    assert "Step 5 of 5" not in panel.status.text, "paused"
    for _ in range(2):
        panel.play()
        panel.stop()  # perhaps before the thread has seen it
    panel.play()
    assert panel.wait(20)
    assert "Step 5 of 5" in panel.status.text
    panel.play()
    panel.set(level=2.0)
    assert panel.wait(20)
    assert panel.frame.pictures[Curve] == [0, 2, 4, 6, 8, 10]
    assert "Step" not in panel.status.text


def test_there_are_no_steps_while_a_new_setting_runs(panel):
    panel.preset("Slow")
    panel.step(-1)
    assert panel.runner.steps == ()
    panel.play()
    assert panel.wait(20)
    assert panel.frame.message == "At once. After 5 rounds."


# ---------------------------------------------------------------------------------------------------------- long use


def mine() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "fqlab-trial"]


def test_ten_runs_started_and_cancelled_leave_no_thread(panel, monkeypatch):
    monkeypatch.setattr(worker, "LINGER", 0.05)
    for _ in range(10):
        panel.set(mode="slow")
        panel.stop()
        panel.set(mode="plain")
        panel.stop()
    assert panel.wait(20)
    deadline = time.monotonic() + 20
    while mine() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not mine()
    panel.set(level=3.0)  # and a new one starts when there is work again
    assert panel.wait(20)
    assert panel.frame.pictures[Curve][-1] == 15


def test_a_closed_panel_leaves_no_thread_and_no_widget():
    def live():
        return set(_instances)

    before = live()
    for _ in range(3):
        trial = Trial()
        trial.preset("Slow")
        thread = mine()
        trial.close()
        for each in thread:
            each.join(20)
            assert not each.is_alive()
    assert live() == before


def test_a_job_that_ends_the_interpreter_ends_only_itself(panel, capsys):
    def leave(stop):
        raise SystemExit

    quiet = worker.Worker("fqlab-leaver")
    quiet.submit(leave)
    assert quiet.wait(20)
    done = threading.Event()
    quiet.submit(lambda stop: done.set())
    assert done.wait(20)
    quiet.close()


# ------------------------------------------------------------------------------------------------------------- cache


@given(st.integers(1, 4), st.lists(st.tuples(st.sampled_from(["get", "set", "has"]), st.integers(0, 6)), max_size=40))
def test_the_cache_is_a_list_of_what_was_used_last(size, moves):
    cache = LRUCache(size)
    plain = []
    for move, key in moves:
        held = key in plain
        if move == "has":
            assert (key in cache) == held
        elif move == "get":
            assert cache.get(key) == (-key if held else None)
            plain = [k for k in plain if k != key] + [key] * held
        else:
            cache[key] = -key
            plain = [*(k for k in plain if k != key), key][-size:]
        assert cache.items() == [(k, -k) for k in plain]
        assert list(cache) == plain
        assert len(cache) == len(plain)
