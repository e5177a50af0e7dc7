"""Links in a lesson's text that set its panel: the ticket is one of that panel, stored for the pages, and shows what the text says.

``[1.3-fold ▸](#quantizer-1QA00F0-KD43)``: a click sets the panel above, on a page as in the lab (``fqlab/panels/assist.py``).
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from fqlab import panels
from fqlab.lessons.website.play import clicks
from fqlab.panels import ticket
from fqlab.panels.frame import Panel
from fqlab.panels.state import Settings

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("[0-9][0-9]_*.py"))
LINK = re.compile(r"\[([^\]]*?)\u00a0▸\]\(#([a-z]+)-([0-9A-Z-]+)\)")
SIGN = "A link with ▸ sets the panel above to what it speaks of"
NUMBER = re.compile(r"\d[\d.]*")
WHERE = {
    "drift": r"in the first one the clients end ([\d.]+)",
    "robustness": r"Histogram of the first layer, kurtosis ([\d.]+)",
}
"""Panel -> where its words have the number that stands without a unit in the text."""
POINTS = 7.0
"""Percentage points by which a trained accuracy may be another on another processor (see tests/panels/test_presets.py)."""
SHARE = 0.12
"""The same for other trained numbers, as a share."""


def text_of(path: Path) -> str:
    return re.sub(r"\n# ?", " ", path.read_text(encoding="utf-8"))


def links(path: Path) -> list[tuple[str, str, str]]:
    """Text, panel and ticket of every link of a lesson."""
    return [(words, name, f"{name}-{code}") for words, name, code in LINK.findall(text_of(path))]


def own_panel(path: Path) -> str:
    """The panel that a lesson plays with."""
    return re.search(r"^panel = (\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE)[1]


def state_of(name: str, code: str) -> Settings:
    panel = getattr(panels, name)
    return ticket.read(name, panel.version, panel.State, code)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_the_explanation_moves_the_lessons_own_panel(path):
    found = links(path)
    explained = text_of(path).partition("## Explain")[2].partition("## Check")[0]
    assert LINK.search(explained)
    assert SIGN in explained
    assert {name for _, name, _ in found} - {"figures"} == {own_panel(path)}, "in its paper section those of the paper"
    assert explained.count("▸") == len(LINK.findall(explained)) + 1, "a link is written otherwise"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_link_leads_to_a_state_that_pages_have_whole(path):
    for words, name, code in links(path):
        panel = getattr(panels, name)
        kept = clicks.visits(panel)
        state = state_of(name, code)
        assert ticket.write(name, panel.version, state) == code, words
        assert kept.get(state), f"{words}: {state} is not among the stored states, or its run is not computed"


@cache
def words_of(name: str, code: str) -> str:
    """What the panel says in the state of a ticket."""
    panel = getattr(panels, name)(**vars(state_of(name, code)))
    try:
        assert panel.wait(200)
        assert panel.error is None, panel.error
        return panel.description
    finally:
        panel.close()


def numbers(said: str, name: str, code: str) -> tuple[float, list[float], float]:
    """The number in a link's text, those that the panel says in its place, and how far they may differ."""
    number = NUMBER.search(said)[0]
    unit = said.partition(number)[2].replace(" %", "%")
    pattern = WHERE[name] if not unit else rf"(?<![\d.])([\d.]+){re.escape(unit)}"
    found = [float(value) for value in re.findall(pattern, words_of(name, code))]
    trains = getattr(panels, name).run is not Panel.run
    digits = len(number.partition(".")[2])
    slack = (POINTS if unit == "%" else SHARE * float(number)) if trains else 0.0
    return float(number), found, slack + 0.5000001 * 10**-digits


NUMBERED = [(path.stem[:2], *link) for path in NOTEBOOKS for link in links(path) if NUMBER.search(link[0])]


@pytest.mark.parametrize(("lesson", "said", "name", "code"), NUMBERED, ids=lambda x: x)
def test_the_number_in_the_text_is_what_the_panel_shows(lesson, said, name, code):
    value, found, slack = numbers(said, name, code)
    assert any(abs(value - each) <= slack for each in found), (said, words_of(name, code))


def test_the_rules_can_fail():
    code = ticket.write("quantizer", panels.quantizer.version, panels.quantizer.State())
    value, found, slack = numbers("3-fold", "quantizer", code)
    assert not any(abs(value - each) <= slack for each in found)
    assert found
