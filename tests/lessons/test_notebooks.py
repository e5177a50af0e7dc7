"""Every lesson: its two files agree, its stored outputs mean something, its skeleton is whole."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Callable
from pathlib import Path

import jupytext
import nbformat
import pytest
from jupytext.compare import NotebookDifference, compare_notebooks
from nbformat import NotebookNode

from fqlab.lessons import check, lesson
from fqlab.lessons.build import build, read_source
from fqlab.lessons.contents import exercise
from fqlab.lessons.notebook import shows, tidy
from lesson_rules import BADGE, OWN_LESSON, bound, problems, seconds, stored_problems

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
SOURCES = sorted(FOLDER.glob("*.py"))
LESSONS = [path for path in SOURCES if path.stem[:2].isdigit()]
PAIRS = sorted({path.with_suffix("") for path in (*SOURCES, *FOLDER.glob("*.ipynb"))})


def same(source: Path, derived: Path) -> None:
    """Raise with a readable difference unless the two files hold the same cells, tags, ids and kernel."""
    expected = read_source(source)
    stored = nbformat.read(derived, as_version=4)
    compare_notebooks(stored, expected, fmt="py:percent")
    ids = [(cell.id, cell.source) for cell in stored.cells]
    assert ids == [(cell.id, cell.source) for cell in expected.cells], f"{derived.name} is stale: make notebooks"
    for name in ("kernelspec", "language_info"):
        assert stored.metadata.get(name) == expected.metadata.get(name), f"{derived.name}: other {name}: make notebooks"


@pytest.mark.parametrize("stem", PAIRS, ids=lambda stem: stem.name)
def test_the_two_files_of_a_pair_agree(stem: Path) -> None:
    source, derived = stem.with_suffix(".py"), stem.with_suffix(".ipynb")
    assert source.exists(), f"{derived.name} has no source: write {source.name}, and derive the notebook from it"
    assert derived.exists(), f"{source.name} has no notebook yet: make notebooks"
    same(source, derived)
    assert stored_problems(nbformat.read(derived, as_version=4), derived.stat().st_size) == []


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_has_its_skeleton(path: Path) -> None:
    assert problems(jupytext.read(path), path.stem) == []


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_no_cell_takes_the_name_of_a_learners_function(path: Path) -> None:
    defined = {
        node.name
        for exercise in lesson(path.stem[:2]).exercises
        for node in ast.parse(exercise.solution).body
        if isinstance(node, ast.FunctionDef)
    }
    assert defined
    assert bound(jupytext.read(path)) & defined == set()


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_asks_all_that_it_has_and_something_on_paper(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    whole = lesson(path.stem[:2])
    assert 2 <= len(whole.exercises) <= (4 if path.stem[:2] == OWN_LESSON else 3), (
        "in lesson 13 a class takes two steps"
    )
    for each in whole.exercises:
        assert f'check("{each.id}", ' in text
    for each in whole.predictions:
        assert f'predict("{each.id}")' in text
        assert f'reveal("{each.id}")' in text
    assert re.search(r"\bon paper\b", text.partition("## Check")[2].partition("## Paper")[0], re.IGNORECASE)


def test_all_lessons_take_five_minutes_at_most() -> None:
    assert sum(seconds(path.read_text(encoding="utf-8")) for path in LESSONS) <= 300


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_what_a_lesson_asks_and_shows_is_stored_as_it_is_now(path: Path) -> None:
    book = nbformat.read(path.with_suffix(".ipynb"), as_version=4)
    cells = [cell for cell in book.cells if cell.cell_type == "code"]
    space: dict = {}
    exec(cells[0].source, space)
    shown = [cell for cell in cells if shows(cell) and "figure(" not in cell.source]
    assert len(shown) >= 2
    for cell in shown:
        value = eval(cell.source, space)
        words = value.without_kernel() if hasattr(value, "without_kernel") else {}
        words |= {"text/markdown": value._repr_markdown_()} if hasattr(value, "_repr_markdown_") else {}
        (output,) = cell.outputs
        for kind, text in output.data.items():
            assert text == words.get(kind, repr(value)), (
                f"{path.stem}: {cell.source} is stale: python -m fqlab.lessons.build notebooks/{path.name}"
            )


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ('predict("03-clip-gain")', True),
        ('quiz("03")\n', True),
        ('figures.figure("10-uplinks")', True),
        ('show_source(METHODS["fedpaq"].encode)', True),
        ('predict("03-clip-gain", 4)', False),
        ("predict(50)", False),
        ("quiz(number)", False),
        ('x = figure("03-clips")', False),
        ("show_source(f)\nprint(1)", False),
        ('reveal("03-clip-gain")', False),
    ],
)
def test_a_cell_shows_the_same_to_everybody_or_not(source: str, shown: bool) -> None:
    assert shows({"source": source}) is shown
    picture = {"output_type": "display_data", "metadata": {"image/png": {"width": 9}, "x": 1}}
    picture["data"] = {"text/html": "<img>", "image/png": "AAAA", "application/vnd.jupyter.widget-view+json": {}}
    aside = {"output_type": "stream", "name": "stdout", "text": "an aside"}
    cell = {"cell_type": "code", "metadata": {}, "source": source, "outputs": [aside, picture]}
    tidy({"metadata": {}, "cells": [cell]})
    kept = {"output_type": "display_data", "metadata": {"image/png": {"width": 9}}, "data": {"image/png": "AAAA"}}
    assert cell["outputs"] == ([kept] if shown else [])


NAME = "03_optimal_clipping"
GOOD = f"""# %% [markdown]
# # 03 · Optimal clipping
# *Throw away the largest weights and gain.*
#
# [![Binder](https://mybinder.org/badge_logo.svg)]({BADGE.format(name=NAME)})
#
# **Goals**
# - see both errors
# - find the optimum,
#   with its formula
# - know its limits
#
# **Needs** lesson 02. **Minutes** 20 to read, about 4 seconds to run in 300 MB of memory.

# %%
import statistics

from fqlab.lessons import check, hint, predict, quiz, reveal, solution

# %% [markdown]
# ## Predict
# ## Play with the clip

# %% tags=["panel"]
from_the_panel = statistics.mean([1, 2])
from_the_panel

# %% [markdown]
# ## Explain
# ## Check
# ## In the paper

# %% tags=["nbval-check-output"]
print("4 bit: 0.25")

# %% [markdown]
# ## Quiz
# ## Remember
# ## Next
"""


def good() -> NotebookNode:
    return nbformat.from_dict(jupytext.reads(GOOD, fmt="py:percent"))


def test_a_good_lesson_passes() -> None:
    assert problems(good(), NAME) == []


def code(source: str) -> Callable[[str], str]:
    return lambda text: text + f"\n# %%\n{source}\n"


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda text: text.replace("# # 03 · Optimal clipping", "# # Optimal clipping"), "title"),
        (lambda text: text.replace("# *Throw away the largest weights and gain.*\n", ""), "promise"),
        (lambda text: text.replace("notebooks/03_", "notebooks/02_"), "Binder badge"),
        (lambda text: text.replace("# - know its limits\n", ""), "three goals"),
        (
            lambda text: text.replace("# - know its limits\n", "# - know its limits\n# - and more\n"),
            "three goals",
        ),
        (lambda text: text.replace("**Needs** lesson 02.", ""), "needs"),
        (
            lambda text: text.replace("**Minutes** 20 to read, about 4 seconds to run in 300 MB of memory", ""),
            "minutes",
        ),
        (
            lambda text: text.replace(
                "**Minutes** 20 to read, about 4 seconds to run in 300 MB of memory", "**Minutes** few"
            ),
            "minutes",
        ),
        (lambda text: text.replace("about 4 seconds", "4 s"), "how many seconds"),
        (lambda text: text.replace("about 4 seconds", "about 61 seconds"), "at most 60"),
        (lambda text: text.replace("300 MB", "much"), "how much memory"),
        (lambda text: text.replace("300 MB", "900 MB"), "at most 800 MB"),
        (lambda text: text.replace("# ## Quiz\n", ""), "no section headed: quiz"),
        (lambda text: text.replace("# ## Quiz\n# ## Remember", "# ## Remember\n# ## Quiz"), "order"),
        (lambda text: re.sub(r"^(import|from) .*$", "x = 1", text, flags=re.MULTILINE), "import cell"),
        (lambda text: text.replace("hint, ", ""), "does not bring hint"),
        (
            lambda text: text.replace("import statistics\n", "import math, statistics\n"),
            "imports math and never uses it",
        ),
        (lambda text: text.replace(' tags=["panel"]', ""), "tagged panel"),
        (code("import math"), "imports; all imports"),
        (code("def f():\n    pass"), "defines"),
        (code("class C:\n    pass"), "defines"),
        (code("\n".join(f"x{i} = {i}" for i in range(9))), "9 lines"),
        (code("# only a comment"), "is empty"),
        (code("x ="), "not plain Python"),
        (lambda text: text + "\n# %%\nx = 1\n" * 40, "45 is the limit"),
    ],
)
def test_each_rule_of_the_skeleton_can_fail(spoil: Callable[[str], str], complaint: str) -> None:
    spoilt = spoil(GOOD)
    assert spoilt != GOOD
    found = problems(nbformat.from_dict(jupytext.reads(spoilt, fmt="py:percent")), NAME)
    assert any(complaint in problem for problem in found), found


OWN = '\n# %% tags=["your-method"]\n{}\n'
ONE_CLASS = "class Mine:\n    def upload(self):\n        pass"


def test_the_learners_own_cell_may_define_a_class() -> None:
    text = GOOD.replace("03_", "13_").replace("# # 03", "# # 13")

    def read(source: str) -> NotebookNode:
        return nbformat.from_dict(jupytext.reads(source, fmt="py:percent"))

    assert problems(read(text + OWN.format(ONE_CLASS)), "13_optimal_clipping") == []
    spoilt = {
        "0 cells are tagged your-method": text,
        "2 cells are tagged your-method": text + 2 * OWN.format(ONE_CLASS),
        "holds one class": text + OWN.format(ONE_CLASS + "\nmine = Mine()"),
        "15 lines; 14 is the limit": text + OWN.format(ONE_CLASS + "\n        pass" * 12),
        "defines a function or a class": text + OWN.format(ONE_CLASS) + "\n# %%\n" + ONE_CLASS + "\n",
    }
    for complaint, source in spoilt.items():
        found = problems(read(source), "13_optimal_clipping")
        assert any(complaint in problem for problem in found), (complaint, found)
    assert any("the others none" in problem for problem in problems(read(GOOD + OWN.format(ONE_CLASS)), NAME))


def own_cell() -> str:
    book = jupytext.read(FOLDER / "13_your_method.py")
    return next(cell.source for cell in book.cells if "your-method" in cell.metadata.get("tags", []))


def judged(source: str) -> str:
    """What the check says to the class of a cell."""
    book = jupytext.read(FOLDER / "13_your_method.py")
    space: dict = {"__name__": "__main__"}
    exec(next(cell.source for cell in book.cells if cell.cell_type == "code"), space)
    exec(source, space)
    return check("13-method", space["MyMethod"]).text


def test_the_learners_cell_runs_as_it_comes_and_two_lines_make_it_right() -> None:
    """The named mistakes are those of a cell with no TODO done, the server's alone undone, the clients' alone undone."""
    cell = own_cell()
    assert cell.count("# TODO") == 2
    client = cell.replace("{n: params[n] for", "{n: params[n] - problem.params[n] for")
    both, server = (
        source.replace("{n: mean[n] for", "{n: server.weights[n] + mean[n] for") for source in (client, cell)
    )
    messages = [mistake.message for mistake in exercise("13-method").mistakes]
    for source, message in zip((cell, client, server), messages, strict=False):
        assert message in judged(source)
    assert judged(both).startswith("Right")


TRIAL = """# %% [markdown]
# # Trial

# %%
import ipywidgets as w
from IPython.display import display

# %% tags=["panel"]
class Shown(w.VBox):
    def _repr_mimebundle_(self, **kwargs):
        live = super()._repr_mimebundle_(**kwargs)
        return live | {"text/html": "<p>default state</p>", "text/plain": "a panel"}
Shown([w.IntSlider()])

# %% tags=["nbval-check-output"]
print("claim 0.25")

# %%
print("an aside"); display(w.IntSlider())

# %%
print("an aside"); display(w.IntSlider())
"""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    source = tmp_path_factory.mktemp("pair") / "99_trial.py"
    source.write_text(TRIAL, encoding="utf-8")
    assert build(source)
    return source, source.with_suffix(".ipynb")


def test_the_builder_keeps_claims_and_static_pictures_only(pair: tuple[Path, Path]) -> None:
    source, derived = pair
    same(source, derived)
    book = nbformat.read(derived, as_version=4)
    assert stored_problems(book, derived.stat().st_size) == []
    outputs = [cell.outputs for cell in book.cells if cell.cell_type == "code"]
    assert [len(kept) for kept in outputs] == [0, 1, 1, 0, 0]
    assert outputs[1][0].data == {"text/html": "<p>default state</p>", "text/plain": "a panel"}
    assert outputs[2][0].text == "claim 0.25\n"


def test_building_twice_gives_the_same_bytes(pair: tuple[Path, Path]) -> None:
    source, derived = pair
    before = derived.read_bytes()
    assert not build(source)
    assert derived.read_bytes() == before


def test_a_failing_cell_writes_nothing(tmp_path: Path) -> None:
    source = tmp_path / "99_broken.py"
    source.write_text("# %%\n1 / 0\n", encoding="utf-8")
    with pytest.raises(Exception, match="ZeroDivisionError"):
        build(source)
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('print(\\"claim 0.25\\")', 'print(\\"claim 0.26\\")'),
        ("# Trial", "# Another trial"),
        ('"nbval-check-output"', '"nbval-ignore-output"'),
        ('"display_name": "Python 3"', '"display_name": "mine"'),
    ],
)
def test_a_pair_that_disagrees_is_found(pair: tuple[Path, Path], tmp_path: Path, old: str, new: str) -> None:
    source, derived = pair
    text = derived.read_text(encoding="utf-8")
    assert old in text
    changed = tmp_path / derived.name
    changed.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises((NotebookDifference, AssertionError)):
        same(source, changed)


def test_each_rule_of_stored_outputs_can_fail(pair: tuple[Path, Path]) -> None:
    book = nbformat.read(pair[1], as_version=4)
    claim = book.cells[3]
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "x"}}
    spoilt = {
        "metadata.widgets": lambda b: b.metadata.update(widgets={}),
        "no kernelspec": lambda b: b.metadata.pop("kernelspec"),
        "tagged neither": lambda b: b.cells[4].update(outputs=copy.deepcopy(claim.outputs), execution_count=1),
        "live widget": lambda b: b.cells[2].outputs[0].data.update(view),
        "no execution count": lambda b: b.cells[3].update(execution_count=None),
        "claims nothing": lambda b: b.cells[3].update(outputs=[]),
        "shows nothing": lambda b: b.cells[2].update(outputs=[]),
        "stores an error": lambda b: b.cells[3].outputs[0].update(output_type="error"),
    }
    assert stored_problems(book, 300_001) == ["300001 bytes; 300 000 is the limit"]
    for complaint, spoil in spoilt.items():
        worse = copy.deepcopy(book)
        spoil(worse)
        assert any(complaint in problem for problem in stored_problems(worse, 1)), complaint


def test_a_stream_is_stored_in_one_piece() -> None:
    pieces = [("stdout", "a\n"), ("stdout", ["b\n", "c"]), ("stderr", "x"), ("stdout", "d")]
    outputs = [{"output_type": "stream", "name": name, "text": text} for name, text in pieces]
    cell = {"cell_type": "code", "metadata": {"tags": ["nbval-check-output"]}, "source": "", "outputs": outputs}
    tidy({"metadata": {}, "cells": [cell]})
    assert [(o["name"], o["text"]) for o in cell["outputs"]] == [
        ("stdout", "a\nb\nc"),
        ("stderr", "x"),
        ("stdout", "d"),
    ]
