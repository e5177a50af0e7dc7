"""Each preset's headline, the number that its lesson talks about, lies where the lesson says, on every processor.

A row is a pattern of the status line, and the range of the number in it. The ranges hold the values of several seeds
under the newest and the oldest kernels, with a margin: a preset that needs a narrower one hangs on last bits.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from pathlib import Path

import pytest
from wording import outside

from fqlab import panels
from fqlab.federation import Federation
from fqlab.panels.frame import Panel

ACCURACY = r"[Aa]ccuracy ([\d.]+)%"
REACHES = r"reaches ([\d.]+)%"
WEAK = r"own model ([\d.]+)%"
SEVENS = r"of the sevens ([\d.]+)%"
ROUNDED = r"rounded to \d bit ([\d.]+)%"
OWN = r"its own digits a client reads ([\d.]+)% right"
TOWNS = r"Mean of all towns ([\d.]+)%"
RUN = r"Your run: ([\d.]+)%"
BITS = r"([\d.]+) bits a weight and a sign"
ERROR = r"error ([\d.]+) σ²"
ROUNDING = r"rounding ([\d.]+)"
POINT = r": ([\d.]+)(?: ± [\d.]+| \(\w+\))?\.$"
UP = r"([\d.]+) bit a value up"

HEADLINES: dict[str, dict[str, tuple[str, float, float]]] = {
    "tour": {
        "Float": (ACCURACY, 92, 98),
        "2-bit max-abs": (ACCURACY, 35, 65),
        "2-bit OCTAV": (ACCURACY, 70, 83),
        "Stochastic": (ACCURACY, 83, 91),
        "Clip × 1.3": (ACCURACY, 89, 98),
        "1 bit": (ACCURACY, 5, 20),
        "1 bit, clip × 1.5": (ACCURACY, 81, 94),
        "Differences": (ACCURACY, 92, 98),
        "ε = 0.1": (ACCURACY, 90, 97),
    },
    "drift": {
        "Even labels": (REACHES, 89, 97),
        "Skewed": (REACHES, 82, 95),
        "10 epochs": (REACHES, 86, 97),
        "Even, 10 epochs": (REACHES, 93, 99),
        "Own starts": (REACHES, 93, 99),
        "2 clients a round": (REACHES, 35, 82),
    },
    "quantizer": {
        "2 bit": (ROUNDING, 0.142, 0.148),
        "1 bit": (ROUNDING, 1.75, 1.85),
        "Out of reach": (ROUNDING, 0.066, 0.070),
        "Own clips": (ROUNDING, 0.080, 0.088),
        "As stored": (ROUNDING, 0.080, 0.088),
        "By levels": (ROUNDING, 0.080, 0.088),
        "Δ²/12": (ROUNDING, 0.000244, 0.000254),
    },
    "clipping": {
        "Never clip": (ERROR, 0.027, 0.030),
        "Too tight": (ERROR, 0.097, 0.103),
        "OCTAV, step 2": (ERROR, 0.025, 0.027),
        "Bad start": (ERROR, 0.027, 0.030),
        "Textbook c": (ERROR, 0.26, 0.28),
        "Outliers": (ERROR, 0.49, 0.53),
        "A trained layer": (ERROR, 0.012, 0.016),
    },
    "rounding": {
        "One client": (UP, 1, 1),
        "30 clients": (UP, 30, 30),
        "One draw for all": (UP, 30, 30),
        "Clients differ": (UP, 90, 90),
        "Clip too tight": (UP, 200, 200),
        "A wave, 2 bits": (UP, 20, 20),
    },
    "clipped": {
        "All 2 bit": (SEVENS, 80, 100),
        "One 8-bit device": (SEVENS, 80, 100),
        "... without a 7": (SEVENS, 0, 15),
        "Average by samples": (SEVENS, 80, 100),
        "At most 10": (SEVENS, 55, 100),
        "8-bit output layer": (SEVENS, 30, 95),
        "Only it saw a 7": (SEVENS, 85, 100),
    },
    "robustness": {
        "FedAvg": (ROUNDED, 10, 60),
        "KURE": (ROUNDED, 84, 96),
        "FedAvg, MSE range": (ROUNDED, 84, 96),
        "KURE, MSE range": (ROUNDED, 84, 96),
        "QAT at 2 bit": (ROUNDED, 55, 93),
        "Wrong range": (ROUNDED, 10, 60),
        "MQAT": (ROUNDED, 84, 96),
    },
    "planes": {
        "At the start": (BITS, 4.3, 4.9),
        "A little penalty": (BITS, 7.0, 7.3),
        "Half the bits": (BITS, 4.3, 4.9),
        "Two bits": (BITS, 1.9, 3.0),
        "Too much": (BITS, 0.0, 1.2),
        "Never cut": (BITS, 8.0, 8.0),
        "All layers alike": (BITS, 7.0, 8.0),
    },
    "precision": {
        "Fixed": (WEAK, 60, 88),
        "Dealt": (WEAK, 60, 90),
        "... move by move": (WEAK, 60, 90),
        "Fixed, latent": (WEAK, 40, 97),
        "Dealt, latent": (WEAK, 20, 97),
        "Stored: fixed": (WEAK, 66, 69),
        "Stored: dealt": (WEAK, 66, 70),
    },
    "lottery": {
        "A tenth": (OWN, 85, 97),
        "A third": (OWN, 91, 99),
        "Half": (OWN, 91, 99),
        "No rewind": (OWN, 88, 98),
        "No gate": (OWN, 75, 92),
        "Five digits each": (OWN, 83, 97),
    },
    "packet": {
        "40 weights": ("(3): every checksum holds", 3, 3),
        "A plane": ("(3): every checksum holds", 3, 3),
        "Flip a bit": ("client (3): the codes of 'fc1.weight' cannot be used", 3, 3),
        "... in the header": ("client (3): the header cannot be used", 3, 3),
        "Cut a plane": ("(3): every checksum holds", 3, 3),
        "Entropy coded": ("(3): every checksum holds", 3, 3),
        "Paper's CNN": ("(3): every checksum holds", 3, 3),
    },
    "fleet": {
        "Motorway": (TOWNS, 88, 97),
        "Forest": (TOWNS, 88, 97),
        "Fog": (TOWNS, 88, 97),
        "High scanner": (TOWNS, 88, 97),
        "3 bit, nearest": (TOWNS, 65, 95),
        "3 bit, stochastic": (TOWNS, 86, 97),
    },
    "frontier": {
        "Bytes up": (RUN, 90, 98),
        "Up and down": (RUN, 90, 98),
        "At least 94 %": (RUN, 90, 98),
        "Cap of 500 kB": (RUN, 90, 98),
        "Two digits each": (RUN, 78, 96),
        "... by their own": (RUN, 78, 96),
        "FedAvg again": (RUN, 92, 98),
        "FedPAQ, 1 bit": (RUN, 92, 98),
    },
    "figures": {
        "OCTAV": (POINT, 0.38, 0.45),
        "Clipped": (POINT, 85.4, 85.6),
        "Robust": (POINT, 90, 95),
        "BSQ": (POINT, 8, 8),
        "FedMPQ": (POINT, 10, 70),
        "LotteryFL": (POINT, 90.72, 90.72),
    },
}  # fmt: skip


INSTRUCTORS = Path(__file__).resolve().parents[2] / "notebooks" / "INSTRUCTORS.md"


@pytest.fixture(scope="module", params=list(HEADLINES))
def panel(request: pytest.FixtureRequest) -> Iterator[Panel]:
    panel = getattr(panels, request.param)()
    yield panel
    panel.close()


def test_every_panel_and_every_preset_has_a_headline() -> None:
    assert set(HEADLINES) == set(panels.PANELS)
    for name, rows in HEADLINES.items():
        assert list(rows) == list(getattr(panels, name).presets), name


def test_the_five_minutes_say_numbers_of_these_ranges() -> None:
    text = INSTRUCTORS.read_text(encoding="utf-8")
    table = text.partition("### Five minutes")[2].partition("### Ninety minutes")[0]
    said = re.findall(r"\*([^*]+)\*(?:, 1 bit)?: (\d+) %", table)
    assert [preset for preset, _ in said] == list(HEADLINES["tour"])[1:8]
    for preset, percent in said:
        _, low, high = HEADLINES["tour"][preset]
        assert low <= int(percent) <= high, preset


def test_headlines(panel: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no preset trains what another one has trained already: it shows the same run in another light."""
    broken: dict[str, str] = {}
    trained: set[Hashable] = set()
    rounds: list[Federation] = []
    step = Federation.step
    monkeypatch.setattr(Federation, "step", lambda federation: (rounds.append(federation), step(federation))[1])
    for preset, (pattern, low, high) in HEADLINES[panel.name].items():
        rounds.clear()
        panel.preset(preset)
        assert panel.wait(300), preset
        assert panel.error is None, panel.error
        training = type(panel).training(panel.state)
        if rounds and training in trained:
            broken[f"{preset}, trained again"] = f"{len(rounds)} rounds"
        trained.add(training)
        number = re.search(pattern, panel.frame.message)
        if number is None or not low <= float(number[1]) <= high:
            broken[preset] = panel.frame.message
        if cut := outside(panel):
            broken[f"{preset}, words cut off"] = "; ".join(cut)
    assert not broken
