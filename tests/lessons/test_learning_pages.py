"""Learning on a page without a kernel, in Chromium from ``file://`` with the network off: guesses, quizzes, codes, search."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest

from fqlab.errors import ConfigError, DataError
from fqlab.lessons import code, contents, store
from fqlab.lessons.classroom import gather
from fqlab.lessons.number import understood
from fqlab.lessons.website import build_website
from fqlab.lessons.website.learn.asking import part, stub
from fqlab.lessons.website.learn.words import Words, glossary
from fqlab.papers.claims.table import Line, Table

pytest.importorskip("latex2mathml", reason="the site needs latex2mathml: pip install -e .[site]")
NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
LESSON = "03_optimal_clipping"
GUESS = "03-clip-gain"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two lessons and the texts beside them, with the outputs that their files have."""
    folder = tmp_path_factory.mktemp("some") / "notebooks"
    folder.mkdir()
    for source in (*NOTEBOOKS.glob("0[23]_*.ipynb"), *NOTEBOOKS.glob("*.md")):
        shutil.copy(source, folder)
    _with_claims(folder / "99_claims.ipynb")
    out = folder.parent / "site"
    build_website(folder, out, run=False)
    return out


def _with_claims(path: Path) -> None:
    """A notebook with a ledger of every verdict, longer than a telephone is wide."""
    verdicts = ("holds", "weaker", "holds", "not seen", "opposite", "not run", "not comparable")
    lines = [
        Line(f"made-{n}", "made", f"A sentence about {n}. " * 4, str(n), "printed", "Table 1", f"{-n * n + 9 * n}.5 ± 1", "demo",
             verdict, "Our set-up differs in this and that.")
        for n, verdict in enumerate(verdicts)
    ]  # fmt: skip
    ledger = Table("Made up", (), "", lines)._repr_html_()
    output = nbformat.v4.new_output("execute_result", {"text/html": ledger}, execution_count=1)
    cell = nbformat.v4.new_code_cell('table("octav")', outputs=[output], metadata={"tags": ["nbval-check-output"]})
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Claims"), cell]), path)


class Reader:
    """Somebody with a browser of their own, and what went wrong in it."""

    def __init__(self, browser: Any, site: Path, **settings: Any) -> None:
        self.site = site
        self.context = browser.new_context(offline=True, accept_downloads=True, **settings)
        self.page = self.context.new_page()
        self.wrong: list[str] = []
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", lambda request: self._asked(request.url))

    def _asked(self, url: str) -> None:
        if not url.startswith((self.site.as_uri(), "data:", "blob:")):
            self.wrong.append(f"asked for {url}")

    def open(self, name: str = LESSON) -> Any:
        self.page.goto((self.site / f"{name}.html").as_uri())
        return self.page

    def stored(self) -> dict[str, Any]:
        return json.loads(self.page.evaluate("fqlab.learn.progress.file()"))


@pytest.fixture
def reader(browser: Any, site: Path) -> Iterator[Reader]:
    somebody = Reader(browser, site, viewport={"width": 1280, "height": 720})
    yield somebody
    somebody.context.close()
    assert somebody.wrong == []


def test_a_prediction_is_played(reader: Reader) -> None:
    page = reader.open()
    field = page.get_by_role("textbox", name="Your guess (×)")
    guess = page.get_by_role("button", name="This is my guess")
    answer = page.get_by_role("button", name="Show the answer")
    assert guess.is_disabled()
    assert answer.is_disabled()
    assert "2.861" not in page.locator("main").inner_text()
    field.fill("a lot")
    guess.click()
    assert "A guess is one number from 0.2 to 10" in page.locator(".learn-predict").inner_text()
    assert answer.is_disabled()
    page.get_by_role("slider").press("End")
    assert field.input_value() == "10"
    field.fill("2,4 ×")
    field.press("Enter")
    assert "Noted: 2.4 ×" in page.locator(".learn-predict").inner_text()
    assert code.write(GUESS, 2.4) in page.locator(".learn-predict").inner_text()
    answer.click()
    told = page.locator(".learn-reveal").inner_text()
    truth = contents.truth(GUESS)
    assert f"You said 2.4 ×, it is {truth:.4g} ×: close enough." in told
    assert "Because the step shrinks with the clip" in told
    assert field.is_disabled()
    assert reader.stored()["guesses"] == {GUESS: 2.4}
    assert reader.stored()["results"][GUESS] == pytest.approx(truth)
    page.reload()
    assert "a guess does not count now. Your guess was 2.4 ×" in page.locator(".learn-predict").inner_text()
    assert field.is_disabled()
    assert "close enough" in page.locator(".learn-reveal").inner_text()


def test_a_quiz_answers_and_keeps_the_first_answer(reader: Reader) -> None:
    page = reader.open()
    question = contents.lesson("03").questions[0]
    wrong, right = (next(o for o in question.options if o.right is wanted) for wanted in (False, True))
    box = page.locator(".learn-quiz").first
    for option, words in ((wrong, "✗"), (right, "Your first answer counts.")):
        box.get_by_role("button", name=option.text, exact=True).click()
        assert option.feedback in box.inner_text()
        assert words in box.inner_text()
    assert reader.stored()["answers"] == {"03-1": False}
    page.locator(".learn-quiz").nth(1).get_by_role("button", name="moves out").press("Enter")
    assert reader.stored()["answers"] == {"03-1": False, "03-2": True}
    page.reload()
    assert "Answered right before" in page.locator(".learn-quiz").nth(1).inner_text()


def test_hints_unfold_one_by_one_and_code_is_one_click_away(reader: Reader) -> None:
    page = reader.open()
    box = page.locator(".learn-exercise").first
    exercise = contents.exercise("03-octav-step")
    assert exercise.task in box.inner_text()
    for n in (1, 2, 3):
        shown = [box.get_by_text(f"Hint {k}", exact=True).is_visible() for k in (1, 2, 3)]
        assert shown == [k <= n for k in (1, 2, 3)]
        box.get_by_text(f"Hint {n}", exact=True).click()
        box.get_by_text(exercise.hints[n - 1]).wait_for()
    box.get_by_text("Usual mistakes").click()
    assert all(mistake.message in box.inner_text() for mistake in exercise.mistakes)
    box.get_by_text("A solution").click()
    assert exercise.solution in box.locator("pre").inner_text()
    assert exercise.then in box.inner_text()
    links = [link.get_attribute("href") for link in box.get_by_role("link").all()]
    assert links[0].startswith("https://mybinder.org/")
    assert all(link.endswith(f"{LESSON}.ipynb") for link in links)


def test_an_exercise_on_paper_is_checked_on_the_page(reader: Reader) -> None:
    page = reader.open()
    box = page.locator(".learn-exercise").nth(1)
    exercise = contents.exercise("03-constant")
    field = box.get_by_label("Your answer")
    wrong = {"": "one number", "1/2/3": "one number", "1/0": "one number", "x": "one number", "0,9": "0.9 is not it."}
    for typed, words in (wrong | {"1/12": exercise.mistakes[0].message}).items():
        field.fill(typed)
        box.get_by_role("button", name="Check").click()
        assert words in box.locator(".learn-said").inner_text()
        assert reader.stored()["solved"] == {}
    for typed in ("1/6", "0.167"):
        field.fill(typed)
        field.press("Enter")
        assert f"Right. {exercise.then}" in box.locator(".learn-said").inner_text()
    assert reader.stored()["solved"] == {exercise.id: True}


def test_progress_is_the_notebooks_file(reader: Reader, tmp_path: Path) -> None:
    page = reader.open()
    page.evaluate("fqlab.learn.progress.record('guesses', '03-clip-gain', 4)")
    page.evaluate("fqlab.learn.progress.record('answers', '03-1', true)")
    reader.open("index")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Export to a file").click()
    saved.value.save_as(tmp_path / "page.json")
    mine = store.empty() | {"guesses": {GUESS: 4}, "answers": {"03-1": True}}
    assert store.load(tmp_path / "page.json") == mine
    notebook = tmp_path / "notebook.json"
    other = store.empty() | {"guesses": {GUESS: 9.5, "02-levels": 7.0}, "solved": {"03-octav-step": True}}
    notebook.write_text(json.dumps(other), encoding="utf-8")
    page.locator("input[type=file]").set_input_files(notebook)
    page.get_by_text("Solved 1 exercise, answered 1 of 1 question right.").wait_for()
    assert reader.stored() == mine | {"guesses": {GUESS: 4, "02-levels": 7.0}, "solved": {"03-octav-step": True}}
    notebook.write_text('{"guesses": {}}', encoding="utf-8")
    page.locator("input[type=file]").set_input_files(notebook)
    page.get_by_text("This is no progress file").wait_for()
    reader.open()
    page.get_by_text("✓ Solved.").first.wait_for()


def test_page_and_notebook_refuse_the_same_files(reader: Reader, tmp_path: Path) -> None:
    reader.open()
    good = store.empty() | {"guesses": {"x": 1.5}, "answers": {"y": False}}
    texts = [json.dumps(good), "\ufeff" + json.dumps(good | {"more": 1}), "", "[]", "{", "null"]
    for table, value in (("guesses", True), ("guesses", "4"), ("results", None), ("solved", 1), ("answers", "yes")):
        texts.append(json.dumps(good | {table: {"x": value}}))
    texts += [json.dumps(good | {"guesses": {"x" * 101: 1}}), json.dumps(good | {"guesses": [1]})]
    texts += [json.dumps(good | {"guesses": {"x": 1e301}}), json.dumps(good).replace("1.5", "NaN"), "x" * 1_000_001]
    script = "text => { try { fqlab.learn.progress.take(text); return true; } catch { return false; } }"
    file = tmp_path / "some.json"
    taken = []
    for text in texts:
        file.write_text(text, encoding="utf-8")
        try:
            store.load(file)
            accepted = True
        except DataError:
            accepted = False
        assert reader.page.evaluate(script, text) is accepted, text[:80]
        taken.append(accepted)
    assert taken == [True, True] + [False] * (len(texts) - 2)


def test_codes_are_those_of_the_notebook(reader: Reader) -> None:
    reader.open()
    assert code.write(GUESS, 4) == "FQ03-J0-5056"
    draw = random.Random(0)
    guesses = [draw.choice((1, -1)) * 10 ** draw.uniform(-6, 6) for _ in range(400)]
    guesses += [0.0, -0.0, 4, 0.1 + 0.2, 100, 1e-21, 1e20, 1e-20, 999999.5, 99999.95]
    guesses += [k + 0.5 for k in range(100000, 100020)]  # half way between two codes
    ids = [draw.choice(("03-clip-gain", "02-levels", "13-differences")) for _ in guesses]
    pairs = [[identity, guess] for identity, guess in zip(ids, guesses, strict=True)]
    written = reader.page.evaluate("pairs => pairs.map(([id, guess]) => fqlab.learn.codes.write(id, guess))", pairs)
    assert written == [code.write(identity, guess) for identity, guess in pairs]
    read = reader.page.evaluate(
        "pairs => pairs.map(([id, code]) => fqlab.learn.codes.read(id, code))",
        [[i, c.lower()] for i, c in zip(ids, written, strict=True)],
    )
    assert read == [code.read(i, c) for i, c in zip(ids, written, strict=True)]


def test_a_class_is_counted_as_in_the_notebook(reader: Reader) -> None:
    page = reader.open("INSTRUCTORS")
    rest = (
        "FQ03-J0-5057, FQ03--, FQ03-J0, xFQ03-J0-5056 FQ03-UUUU-1234 FQ03-"
        + "Z" * 50
        + "-0000 FQ99-J0-5056 (FQ03-j0-5O56)"
    )
    said = [0.5, 1, 1, 4.2, 4.2, 4.3, 9.9, 10, 10]
    chat = "\n".join(
        [*(code.write(GUESS, guess) for guess in said), rest, code.write("02-levels", 7), code.write(GUESS, 99)]
    )
    page.get_by_label("Question").select_option(GUESS)
    page.get_by_label("The chat, with codes").fill(chat)
    guesses, left_out = gather(GUESS, chat)
    box = page.locator(".learn-poll")
    assert left_out in box.inner_text()
    assert f"{len(guesses)} guesses, median {np.median(guesses):.4g} ×" in box.inner_text()
    assert "it is" not in box.inner_text()
    page.get_by_label("Show the true value").check()
    assert f"it is {contents.truth(GUESS):.4g} ×" in box.inner_text()
    for identity, numbers in (
        (GUESS, list(guesses)),
        ("02-levels", [3.0, 4.0, 4.0, 7.0, 16.0]),
        ("02-levels", [3.5, 16.0]),
    ):
        p = contents.prediction(identity)
        script = "([low, high, guesses]) => fqlab.learn.bins({low, high}, guesses).heights"
        whole = all(float(g).is_integer() for g in numbers) and identity == "02-levels"
        edges = np.arange(p.low, p.high + 2) - 0.5 if whole else np.linspace(p.low, p.high, 21)
        assert page.evaluate(script, [p.low, p.high, numbers]) == np.histogram(numbers, edges)[0].tolist()


def test_a_flood_of_codes_is_cut_off_as_in_the_notebook(reader: Reader) -> None:
    page = reader.open("INSTRUCTORS")
    page.get_by_label("Question").select_option(GUESS)
    chat = f"FQ03-J0 {code.write(GUESS, 4.2)} " * 600
    page.get_by_label("The chat, with codes").fill(chat)
    guesses, left_out = gather(GUESS, chat)
    assert "first 1,000 codes" in left_out
    assert left_out in page.locator(".learn-poll").inner_text()
    assert f"{len(guesses)} guesses" in page.locator(".learn-poll").inner_text()


TYPED = [
    "50", " 50 ", "60 %", "60%", "93,5", "1,000", "1,000.5", ".5", "5.", "1e1", "1E1", "−3", "-3", "+3", "", " ", "x", "5 x",
    "0x10", "nan", "inf", "1e999", "0.5", "0.5 %", "101", "50 points", "50 point", "1 2", "1,2,3", "٣", "5" * 41, "0", "100",
]  # fmt: skip


@pytest.mark.parametrize("identity", ["00-one-bit", "02-levels", "03-clip-gain", "11-rare-town"])
def test_what_is_typed_means_the_same_number(reader: Reader, identity: str) -> None:
    p = contents.prediction(identity)
    item = {"low": p.low, "high": p.high, "unit": p.unit}
    script = "([item, typed]) => { try { return fqlab.learn.understood(item, typed); } catch { return null; } }"
    reader.open()
    for typed in TYPED:
        try:
            wanted = understood(p, typed)
        except ConfigError:
            wanted = None
        assert reader.page.evaluate(script, [item, typed]) == wanted, typed


def test_claims_sort_and_filter(reader: Reader) -> None:
    page = reader.open("99_claims")
    shown = page.locator("table.claims").first
    column = [head.inner_text().strip(" ↕↑↓") for head in shown.locator("th").all()].index("ours") + 1
    for order in (1, -1):
        shown.get_by_role("button", name="ours").click()
        cells = shown.locator(f"tbody td:nth-child({column})").all_inner_texts()
        values = [float(found[0]) for text in cells if (found := re.match(r"-?[\d.]+", text))]
        assert len(values) > 3
        assert values == sorted(values)[::order]
    rows = shown.locator("tbody tr")
    verdicts = [row.get_attribute("data-verdict") for row in rows.all()]
    assert len(set(verdicts)) > 1
    for verdict in sorted(set(verdicts)):
        page.get_by_role("button", name=f"{verdict} {verdicts.count(verdict)}", exact=True).click()
        seen = [row.get_attribute("data-verdict") for row in rows.all() if row.is_visible()]
        assert seen == [verdict] * verdicts.count(verdict)
    hidden = next(row.get_attribute("id") for row in rows.all() if not row.is_visible() and row.get_attribute("id"))
    page.evaluate("name => { location.hash = name; }", hidden)
    page.locator(f"#{hidden}").wait_for()
    assert rows.all()[-1].is_visible()


def test_a_verdict_needs_no_swipe(browser: Any, site: Path) -> None:
    narrow = Reader(browser, site, viewport={"width": 390, "height": 800})
    for name in ("99_claims", LESSON):
        boxes = [cell.bounding_box() for cell in narrow.open(name).locator("table.claims td").all()]
        assert len(boxes) > 10
        assert all(box["x"] >= 0 and box["x"] + box["width"] <= 390 for box in boxes), name
    assert narrow.wrong == []
    narrow.context.close()


def test_heads_of_tables_stay_in_sight(reader: Reader) -> None:
    page = reader.open("GLOSSARY")
    row = page.locator("#noise-constant")
    row.evaluate("row => scrollTo(0, row.getBoundingClientRect().top + scrollY - 300)")
    head = page.locator("thead th").first.bounding_box()
    bar = page.locator("header").bounding_box()
    assert head["y"] == pytest.approx(bar["height"], abs=2)
    page.goto((reader.site / "GLOSSARY.html").as_uri() + "#octav")
    covered = "row => row.getBoundingClientRect().top - document.querySelector('thead').getBoundingClientRect().height"
    assert page.locator("#octav").evaluate(covered) > bar["height"] - 2


def test_a_word_says_what_it_means(reader: Reader) -> None:
    page = reader.open()
    word = page.locator("a.learn-word", has_text="max-abs").first
    meaning = page.locator(".learn-meaning")
    for show, hide in (
        (word.hover, lambda: page.mouse.move(0, 0)),
        (word.focus, lambda: page.keyboard.press("Escape")),
    ):
        show()
        meaning.get_by_text("nothing is clipped").wait_for()
        box = meaning.bounding_box()
        assert 0 <= box["x"] <= box["x"] + box["width"] <= 1280
        hide()
        meaning.wait_for(state="hidden")
    assert word.get_attribute("href") == "GLOSSARY.html#max-abs"
    described = page.locator(f"#{word.get_attribute('aria-describedby')}")
    assert "largest absolute value" in described.text_content()


def test_words_are_marked_once_and_only_in_prose() -> None:
    words = Words(
        glossary('| <a id="bias"></a>bias, bent | | Mean of the *error*. |\n| <a id="code"></a>code | q | A number. |')
    )
    page = '<h2>Bias</h2><p>A <a href="x">bias</a>, <code>bias</code>, unbiased code: biases, bias and bent.</p>'
    link = '<a class="learn-word" href="GLOSSARY.html#bias" aria-describedby="word-bias">bias</a>'
    assert words.mark(page) == page.replace("biases, bias", f"biases, {link}")
    assert words.mark("bias") == "bias"
    assert words.meanings() == '<div hidden><div id="word-bias"><b>bias</b> Mean of the <em>error</em>.</div></div>'


def test_search_finds_a_section(reader: Reader) -> None:
    page = reader.open("index")
    assert page.evaluate("typeof MiniSearch") == "undefined"
    page.keyboard.press("/")
    page.keyboard.type("octav one line")
    page.locator(".find-found a").first.wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/{LESSON}.html#octav-in-one-line")
    page.locator(".find input").fill("qwertyuiop")
    page.get_by_text("0 results").wait_for()


def test_every_page_lists_all_lessons_and_leads_on(site: Path) -> None:
    lessons = sorted(path.stem for path in site.glob("0*.html"))
    assert len(lessons) == 2
    for page in site.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert all(f'href="{stem}.html"' in text for stem in lessons), page.name
    assert f'rel="next" href="{lessons[1]}.html"' in (site / f"{lessons[0]}.html").read_text(encoding="utf-8")
    assert f'rel="prev" href="{lessons[0]}.html"' in (site / f"{lessons[1]}.html").read_text(encoding="utf-8")


def test_only_a_call_that_names_its_item_is_played() -> None:
    truths = {GUESS: 2.9}
    assert 'class="learn learn-predict"' in part(f'predict("{GUESS}")', LESSON, truths)
    assert "It is 2.9 ×, because" in part(f'reveal("{GUESS}")', LESSON, truths)
    assert part('quiz("03")', LESSON, truths).count("learn-quiz") == 3
    cell = 'def f(x):\n    return ...  # TODO\n\n\ncheck("03-octav-step", f)'
    assert 'class="learn learn-exercise"' in part(cell, LESSON, truths)
    assert stub(cell) == "def f(x):\n    return ...  # TODO"
    assert stub('quiz("03")') == ""
    for other in ('x = 1\nquiz("03")', "predict()", "x = 1", "quiz(number)", "check(", 'print("03")', ""):
        assert part(other, LESSON, truths) == ""


def test_nothing_scrolls_sideways_on_a_telephone(browser: Any, site: Path) -> None:
    narrow = Reader(browser, site, viewport={"width": 390, "height": 800})
    for path in site.glob("*.html"):
        narrow.open(path.stem)
        assert narrow.page.evaluate("document.documentElement.scrollWidth") <= 390, path.name
    narrow.page.get_by_text("Lessons", exact=True).click()
    assert narrow.page.get_by_role("navigation", name="Menu").get_by_role("link").count() > 2
    assert narrow.wrong == []
    narrow.context.close()
