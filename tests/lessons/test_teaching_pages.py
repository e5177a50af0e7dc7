"""What instructors and readers are told: each word is explained once, each link arrives, each named button exists."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import jupytext
import pytest

from fqlab import panels
from fqlab.lessons import LESSONS, contents
from fqlab.lessons.classroom import gather
from fqlab.lessons.website.markup import slug
from fqlab.panels.state import controls

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
GLOSSARY = (FOLDER / "GLOSSARY.md").read_text(encoding="utf-8")
INSTRUCTORS = (FOLDER / "INSTRUCTORS.md").read_text(encoding="utf-8")
TEXTS = sorted((*FOLDER.glob("*.py"), *FOLDER.glob("*.md")))
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")


def prose(path: Path) -> str:
    if path.suffix == ".md":
        return re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    return "\n\n".join(cell.source for cell in jupytext.read(path).cells if cell.cell_type == "markdown")


def names(path: Path) -> set[str]:
    """What one can link to in a text: its headings and its named places."""
    source = path.with_suffix(".py") if path.suffix == ".ipynb" else path
    text = prose(source)
    return {slug(h) for h in re.findall(r"^#+ +(.+)$", text, re.MULTILINE)} | set(re.findall(r'id="([^"]+)"', text))


def rows() -> list[list[str]]:
    tables = GLOSSARY.partition("## Letters that papers share")[0]
    lines = [line for line in tables.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row[0] != "word" and not set(row[0]) <= {"-"}]


def test_every_word_symbol_and_name_is_there_once():
    for row in rows():
        assert len(row) == 3, f"a bar too many in {row[0]}"
        assert re.match(r'<a id="[a-z0-9-]+"></a>\w', row[0]), f"no name to link to: {row[0]}"
        assert row[2].endswith("."), row[0]
    words = [word.strip().lower() for row in rows() for word in re.sub(r"<[^>]*>", "", row[0]).split(", ")]
    symbols = [symbol.strip() for row in rows() for symbol in row[1].split(",") if symbol.strip()]
    anchors = [re.search(r'id="([^"]+)"', row[0])[1] for row in rows()]
    for entries in (words, symbols, anchors):
        assert [x for x in entries if entries.count(x) > 1] == []
    assert {"b", "s", "Δ", "ε", "δ(l)", "λ", "α", "σ"} <= set(symbols)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_links_arrive(path: Path):
    for target, name in LINK.findall(prose(path)):
        if name.startswith("claim-"):
            continue  # tests/papers holds these
        if name.partition("-")[0] in panels.PANELS:
            continue  # the ticket of a panel: test_moving_prose.py
        page = (FOLDER / target).resolve() if target else path
        assert page.exists(), f"{path.name} links to {target}, which is not there"
        if name:
            assert name in names(page), f"{path.name} links to {target}#{name}, which is not there"


def sections() -> dict[str, str]:
    parts = re.split(r"^### (\d\d) · .*$", INSTRUCTORS, flags=re.MULTILINE)
    return dict(zip(parts[1::2], (part.partition("\n## ")[0] for part in parts[2::2]), strict=True))


def test_every_lesson_has_its_beats():
    assert list(sections()) == list(LESSONS)
    for number, text in sections().items():
        assert len(re.findall(r"^\d\. ", text, re.MULTILINE)) == 3, number


def panel_of(number: str) -> type | None:
    """The panel that a lesson plays with; None while the lesson is not there."""
    for path in FOLDER.glob(f"{number}_*.py"):
        shown = re.search(r"^panel = (\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE)
        if shown and shown[1] in panels.PANELS:
            return getattr(panels, shown[1])
    return None


@pytest.mark.parametrize("number", LESSONS)
def test_named_presets_are_buttons_in_this_order(number: str):
    line = re.search(r"^\*\*Presets\*\* (.+)$", sections()[number], re.MULTILINE)
    panel = panel_of(number)
    if panel is None or line is None:
        pytest.skip("no panel or no presets yet")
    said = re.findall(r"`([^`]+)`", line[1])
    there = list(panel.presets)
    assert [preset for preset in there if preset in said] == said, (
        f"INSTRUCTORS.md, lesson {number}: {panel.name} has {there}"
    )


@pytest.mark.parametrize(
    ("number", "words", "identity", "low", "high"),
    [
        ("00", "The answer is 10 %", "00-one-bit", 5, 15),
        ("05", "says 99 %", "05-one-fine-device", 98.5, 99.5),
        ("10", "375 is the wrong right answer", "10-thousand-codes", 376, 1000),
    ],
)
def test_answers_said_are_the_answers(number: str, words: str, identity: str, low: float, high: float):
    assert words in sections()[number]
    assert low <= contents.prediction(identity).result() <= high


def test_the_tour_closes_with_its_bytes():
    """Sixteen times fewer up, less than twice fewer in all; the packets' headers are counted."""
    assert "sixteen times fewer up, less than twice fewer in all" in sections()["00"]
    kilobytes = []
    for preset in ("Float", "1 bit, clip × 1.5"):
        panel = panels.tour()
        panel.preset(preset)
        assert panel.wait(60)
        kilobytes.append(
            [float(x) for x in re.search(r"([\d.]+) kB up.*?([\d.]+) kB down", panel.description).groups()]
        )
        panel.close()
    (up, down), (up_1, down_1) = kilobytes
    assert 15.5 < up / up_1 < 16
    assert 1.8 < (up + down) / (up_1 + down_1) < 2


def test_the_examples_work():
    codes = re.search(r'classroom\("([^"]+)", """(.*?)"""', INSTRUCTORS, re.DOTALL)
    guesses, left_out = gather(codes[1], codes[2])
    assert guesses == (4.0, 1.5)
    assert left_out == ""
    hidden = re.findall(r'"(\w+)"', re.search(r"teach\(hide=\(([^)]*)\)", INSTRUCTORS)[1])
    assert set(hidden) <= {c.name for c in controls(panels.tour.State)}
    for call, identity in re.findall(r'\b(predict|hint)\("([^"]+)"', INSTRUCTORS):
        if importlib.util.find_spec(f"fqlab.lessons.content.lesson_{identity[:2]}"):
            (contents.prediction if call == "predict" else contents.exercise)(identity)
