"""The static site and the slides: nothing is fetched from elsewhere, every link arrives, formulas are formulas."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from browser import write_notebook
from fqlab import lessons
from fqlab.errors import ConfigError, DataError
from fqlab.lessons.website import build as site
from fqlab.lessons.website import build_slides, build_website, runs
from fqlab.lessons.website.cells import Block
from fqlab.lessons.website.markup import Markup, highlight, mathml, slug
from fqlab.lessons.website.slides import cut
from fqlab.lessons.website.tables import pieces
from fqlab.panels import PANELS

pytest.importorskip("latex2mathml", reason="the site needs latex2mathml: pip install -e .[site]")
NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
LOADS = {
    ("img", "src"),
    ("script", "src"),
    ("link", "href"),
    ("iframe", "src"),
    ("source", "srcset"),
    ("object", "data"),
}


class Links(HTMLParser):
    """What a page loads, where it links to, and which names it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads = []
        self.links = []
        self.names = []
        self.alts = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.loads += [given[name] for kind, name in LOADS if kind == tag and given.get(name)]
        self.links += [given["href"]] if tag == "a" and given.get("href") else []
        self.names += [given["id"]] if "id" in given else []
        self.alts += [given.get("alt")] if tag == "img" else []


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("site") / "site"
    build_website(NOTEBOOKS, out, run=False)
    return out


@pytest.fixture(scope="module")
def decks(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("slides") / "slides"
    build_slides(NOTEBOOKS, out, run=False)
    return out


def test_every_notebook_and_text_has_its_page(built):
    wanted = {path.stem for path in (*NOTEBOOKS.glob("*.ipynb"), *NOTEBOOKS.glob("*.md"))}
    assert {path.stem for path in built.glob("*.html")} == wanted | {"index"}
    assert {f"{stem}.html" for stem in wanted} <= set(Links((built / "index.html").read_text()).links)


def test_pages_load_nothing_from_elsewhere_and_all_links_arrive(built, decks):
    pages = {path: Links(path.read_text()) for path in (*built.rglob("*.html"), *decks.glob("*.html"))}
    for path, page in pages.items():
        for address in page.loads:
            assert address.startswith("data:") or (path.parent / address).is_file(), f"{path.name} loads {address[:80]}"
        assert all(page.alts), f"{path.name} has a picture without words"
        assert len(page.names) == len(set(page.names)), f"{path.name} names two things alike"
        if path.parent != built:
            continue
        for link in page.links:
            if not link.startswith(("http:", "https:")):
                target, _, name = link.partition("#")
                other = pages.get(built / target) if target else page
                assert other is not None, f"{path.name} links to {link}"
                state = name.partition("-")[0] in PANELS  # the panel follows it: tests/lessons/test_moving_prose.py
                assert not name or state or name in other.names, f"{path.name} links to {link}"
    for sheet in built.glob("*.css"):
        assert not re.search(r"@import|url\(", sheet.read_text())


def test_the_tour_shows_its_panel_and_its_claims(built):
    text = (built / "00_tour.html").read_text()
    shown = re.search(r'<div class="panel">.*?<img loading="lazy" src="(pictures/[^"]+)"', text, re.DOTALL)
    assert shown
    assert (built / shown[1]).stat().st_size > 20_000
    assert "data:image/png" not in text
    assert re.search(r'<tr id="claim-tour-two-bits"[^>]*><td>Digits, 30 rounds, 2 bits and a sign', text)
    assert (built / "00_tour.png").read_bytes().startswith(b"\x89PNG")
    assert "mybinder.org/badge" not in text
    assert "Open in Binder</span>" in text


def test_formulas_become_mathml_or_are_named():
    assert "<mfrac>" in mathml(r"\frac{1}{2}")
    assert 'display="block"' in mathml("x^2", block=True)
    assert '<mo stretchy="false" lspace="0"' in mathml("|x|")
    assert "<mtable" in Markup().html("$$\\begin{aligned}a&=b\\\\c&=d\\end{aligned}$$")
    text = Markup().html("Price: a $x_1$ and\n\n$$\ny < 2\n$$\n\n`$z$` costs 5\\$")
    assert text.count("<math") == 2
    assert "<code>$z$</code>" in text
    for bad, words in ((r"\nosuch{x}", r"\\nosuch has no MathML"), ("x_{", "cannot be read"), (r"a & b", "& has no")):
        with pytest.raises(DataError, match=words):
            mathml(bad)


def test_markdown_of_a_lesson():
    markup = Markup()
    shown = markup.html("## In the *paper*\n## In the *paper*\n[a](03_x.ipynb#play) [b](GLOSSARY.md) [c](../README.md)")
    assert [h.anchor for h in markup.headings] == ["in-the-paper", "in-the-paper-1"]
    assert 'href="03_x.html#play"' in shown
    assert 'href="GLOSSARY.html"' in shown
    assert 'href="https://github.com/fqlab/fqlab/blob/main/README.md"' in shown
    assert slug("δ(l), the <code>x</code>-axis") == "δl-the-x-axis"
    assert "<script" not in highlight("<script>")
    assert [
        'class="claims"' in Markup().html(f"| {head} | b |\n|---|---|\n| x | y |") for head in ("claim", "word")
    ] == [True, False]


def test_slides_are_cut_by_rule():
    prose = " ".join(["word"] * 59) + "."
    blocks = [
        Block("text", "", f"# Title\n\n*Promise.*\n\n## One\n\n{prose}\n\n{prose}\n\n{prose}"),
        Block("code", "<details><summary>Imports</summary></details>", "import x"),
        Block("code", "<pre>panel</pre>", "panel"),
        Block("panel", "<figure>P</figure>", "panel"),
        Block("text", "", "After.\n\n### Two\n\n$$\na\n\n= b\n$$"),
    ]
    slides = cut(blocks)
    assert [(s.heading, s.level, s.again) for s in slides] == [
        ("Title", 1, False), ("One", 2, False), ("One", 2, True), ("One", 2, True), ("One", 2, True), ("Two", 3, False)
    ]  # fmt: skip
    assert slides[3].parts == ['<div class="panel"><figure>P</figure></div>']
    assert "panel" not in "".join(slides[2].parts)
    assert "Imports" not in "".join(part for s in slides for part in s.parts)
    assert slides[5].parts[0].count("<math") == 1


def test_code_stays_with_its_output_and_a_figure_with_its_caption():
    output = '<pre class="out">6</pre>'
    blocks = [
        Block("text", "", "## One\n\n" + "word " * 100 + "."),
        Block("code", '<pre class="code">print(2 * 3)</pre>', "print(2 * 3)"),
        Block("output", output, "print(2 * 3)"),
        Block("text", "", "The figure shows it."),
        Block("code", '<pre class="code">figure(1)</pre>', "figure(1)"),
        Block("output", '<div class="out"><img alt="a"></div>', "figure(1)"),
        Block("asking", "<section>1</section>\n<section>2</section>\n<section>3</section>\n", "quiz('03')"),
    ]
    parts = [slide.parts for slide in cut(blocks)]
    assert [len(part) for part in parts] == [1, 1, 1, 2, 1]
    assert parts[1] == [f'<div class="shown"><pre class="code">print(2 * 3)</pre>{output}</div>']
    assert re.fullmatch(r'<div class="figure"><p>The figure shows it.</p>.*<img alt="a">.*', parts[2][0], re.DOTALL)


def test_a_paragraph_that_leads_to_something_stays_with_it():
    full = "word " * 90 + "."
    items = "\n".join(f"{n}. {'word ' * 20}" for n in range(1, 6))
    code = [
        Block("code", f"<pre>{'x' * 9}</pre>", "\n".join("x" * 9)),
        Block("output", '<pre class="out">6</pre>', "\n".join("x" * 9)),
    ]
    for lead, rest in (
        ("Four things to find:", [Block("text", "", items)]),
        ("The library's half is", code),
        ("After each round\n\n$$a = b,$$", [Block("text", "", "with $a$ the price. " + "word " * 80 + ".")]),
    ):
        parts = [slide.parts for slide in cut([Block("text", "", f"## One\n\n{full}\n\n{lead}"), *rest])]
        assert len(parts) == 2, lead
        assert len(parts[0]) == 1
        assert len(parts[1]) > 1
        assert lead.partition("\n")[0].replace("'", "’")[:5] in parts[1][0]
    panel = Block("panel", "<figure>P</figure>", "panel")
    assert [len(slide.parts) for slide in cut([Block("text", "", "## One\n\nHere it is:"), panel])] == [1, 1]
    whole = cut([Block("text", "", f"## One\n\nFour things to find:\n\n{items}")])
    assert len(whole) == 1, "drawn smaller, rather than a slide with four words"


def test_a_caption_in_italics_stays_with_its_figure():
    blocks = [
        Block("text", "", "## One\n\nThe figure shows it."),
        Block("code", "<pre>figures.figure(1)</pre>", "figures.figure(1)"),
        Block("output", '<div class="out"><img alt="a"></div>', "figures.figure(1)"),
        Block("text", "", "*Ours: digits.*\n\n*Not* a caption."),
    ]
    first, second = cut(blocks)
    assert "figures.figure" not in first.parts[0]
    assert '<div class="caption"><p><em>Ours: digits.</em></p>' in first.parts[0]
    assert second.parts == ['<div class="text"><p><em>Not</em> a caption.</p>\n</div>']


def test_a_long_table_of_claims_is_cut_between_rows():
    rows = [f"<tr><td>{n}</td><td>{'word ' * 30}</td></tr>" for n in range(20)]
    head = '<table class="claims"><thead><tr><th>claim</th></tr></thead><tbody>'
    found = pieces(
        f'<div class="statements"><div class="source"><p>Paper</p></div>{head}{"".join(rows)}</tbody></table></div>'
    )
    assert len(found) > 3
    assert all(piece.count(head) == 1 and piece.count("<tr><td>") < 8 for piece in found)
    assert re.findall(r"<td>(\d+)</td>", "".join(found)) == [str(n) for n in range(20)]
    shares = [piece.count("<tr><td>") for piece in found]
    assert max(shares) - min(shares) <= 1, "no row stands alone behind full slides"
    assert [piece.count("Paper") for piece in found] == [1] + [0] * (len(found) - 1)
    assert pieces("<p>No table</p>") == ["<p>No table</p>"]


def test_each_deck_is_one_file_with_every_section(decks):
    text = (decks / "00_tour.html").read_text()
    for heading in ("Predict", "Play", "Explain", "Check", "Paper", "Quiz", "Remember", "Next"):
        assert f"<h2>{heading}</h2>" in text
    assert Links(text).loads
    assert all(address.startswith("data:") for address in Links(text).loads)
    assert text.count("<section") > 10
    assert "sets the panel above" in (NOTEBOOKS / "00_tour.py").read_text()
    assert "sets the panel above" not in text


def test_a_notebook_is_run_for_a_reader_and_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "_digest", lambda files: "the same code")
    asked = "from fqlab.lessons import card\nprint('reading', card.reading())"
    path = write_notebook(tmp_path / "99_trial.ipynb", [asked, "import os; print(os.environ['FQLAB_PROGRESS'])"])
    (book,) = runs.run_all([path], tmp_path / "kept")
    assert book.cells[0].outputs[0].text == "reading True\n"
    assert not Path(book.cells[1].outputs[0].text.strip()).parent.exists()
    (kept,) = (tmp_path / "kept").iterdir()
    kept.write_text(kept.read_text().replace("reading True", "from the cache"))
    assert "from the cache" in runs.run_all([path], tmp_path / "kept")[0].cells[0].outputs[0].text
    with pytest.raises(DataError, match="99_bad.ipynb fails: ZeroDivisionError: division by zero"):
        runs.run_all([write_notebook(tmp_path / "99_bad.ipynb", ["1 / 0"])], tmp_path / "kept")


def test_a_panel_that_was_run_stands_on_its_page_once(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "_digest", lambda files: "the same code")
    path = write_notebook(
        tmp_path / "99_trial.ipynb",
        ["from fqlab.panels import quantizer", "quantizer()", "import os; os.environ['FQLAB_UNHURRIED']"],
    )
    (book,) = runs.run_all([path], tmp_path / "kept")
    assert [len(cell.outputs) for cell in book.cells] == [0, 1, 1]
    assert book.cells[2].outputs[0].data["text/plain"] == "'1'"
    assert "fqlab-still" not in book.cells[1].outputs[0].data["text/html"]
    (again,) = runs.run_all([path], tmp_path / "kept")
    assert again == book


def test_a_claim_that_no_table_of_its_lesson_has_is_cited_from_the_page_of_claims(built):
    links = Links((built / "05_clipped_federation.html").read_text())
    everything = Links((built / "CLAIMS.html").read_text())
    elsewhere = [link for link in links.links if link.startswith("CLAIMS.html#claim-")]
    assert elsewhere
    assert all(link.partition("#")[2] in everything.names for link in elsewhere)
    assert all(link[1:] in links.names for link in links.links if link.startswith("#claim-"))


def test_bad_folders_are_one_sentence(tmp_path, capsys):
    assert site.main(["--notebooks", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    write_notebook(tmp_path / "99_trial.ipynb", ["1"])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    assert site.main(["--notebooks", str(tmp_path), "--out", str(tmp_path / "mine"), "--stored"]) == 2
    (tmp_path / "98_bad.ipynb").write_text("{")
    assert site.main(["--notebooks", str(tmp_path), "--out", str(tmp_path / "out"), "--stored"]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 3
    assert "holds no notebook" in said[0]
    assert "must be a new or empty folder" in said[1]
    assert "can't be read" in said[2]
    assert (tmp_path / "mine" / "thesis.txt").exists()
    with pytest.raises(ConfigError):
        build_website(tmp_path / "none", tmp_path / "out")


def test_a_reader_opens_answers_instead_of_being_asked(monkeypatch, tmp_path):
    monkeypatch.setenv("FQLAB_PROGRESS", str(tmp_path / "progress.json"))
    prediction = lessons.lesson("03").predictions[0]
    exercise = lessons.lesson("03").exercises[0]
    assert "<details>" not in lessons.reveal(prediction.id)._repr_html_()
    assert "<details>" not in lessons.check(exercise.id, ...)._repr_html_()
    monkeypatch.setenv("FQLAB_READING", "1")
    assert f"It is {float(prediction.result()):.4g}" in lessons.reveal(prediction.id)._repr_html_()
    assert lessons.check(exercise.id, ...)._repr_html_().count("<details>") == 4
    page = lessons.quiz("03").without_kernel()["text/html"]
    assert page.count("<details>") == sum(len(q.options) for q in lessons.lesson("03").questions)
    assert page.count("✓") == 3


@pytest.mark.parametrize("width", [1200, 390])
def test_in_a_browser_without_network(browser, built, width):
    page = browser.new_page(viewport={"width": width, "height": 800})
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    for name in ("index.html", "00_tour.html", "03_optimal_clipping.html"):
        page.goto((built / name).as_uri())
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{name} scrolls sideways"
        broken = "[...document.images].filter(i => i.loading !== 'lazy' && !(i.complete && i.naturalWidth)).length"
        assert page.evaluate(broken) == 0
    assert page.evaluate("document.querySelector('math').getBoundingClientRect().height") > 8
    assert [url for url in asked if not url.startswith((built.as_uri(), "data:"))] == []
    page.close()


COVERED = """[...document.querySelectorAll('table:has(thead)')].filter((table) => {
    const [head, row] = [table.tHead.rows[0].cells[0], table.tBodies[0] && table.tBodies[0].rows[0]];
    return row && row.offsetParent && head.getBoundingClientRect().bottom > row.getBoundingClientRect().top + 2;
}).map((table) => table.innerText.slice(0, 40))"""
"""Tables whose head lies over their first row, on a page that was not scrolled."""


@pytest.mark.parametrize("width", [360, 320])
def test_no_page_is_wider_than_a_phone(browser, built, width):
    """Wide formulas and tables scroll in boxes of their own."""
    page = browser.new_page(viewport={"width": width, "height": 740})
    pages = sorted(built.glob("*.html"))
    assert len(pages) > 15
    wide = "[document.documentElement.scrollWidth, document.body.scrollWidth]"
    for path in pages:
        page.goto(path.as_uri())
        page.wait_for_load_state("load")
        assert max(page.evaluate(wide)) <= width, path.name
        assert page.evaluate(COVERED) == [], path.name
    page.goto((built / "01_federated_averaging.html").as_uri())
    box = "box => [box.clientWidth, box.scrollWidth]"
    boxes = [formula.evaluate(box) for formula in page.locator(".formula").all()]
    assert any(inside < whole for inside, whole in boxes), "the one that was wider than the page"
    page.close()


def test_slides_turn_by_keys_and_fit(browser, decks):
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.goto((decks / "00_tour.html").as_uri())
    top = "Math.round(scrollY / innerHeight)"
    assert page.evaluate(top) == 0
    for key, place in (("ArrowRight", 1), ("PageDown", 2), ("ArrowLeft", 1), ("End", None), ("Home", 0)):
        page.keyboard.press(key)
        wanted = page.evaluate("document.querySelectorAll('.slide').length - 1") if place is None else place
        page.wait_for_function(f"{top} === {wanted}")
    page.close()


TALL = "[...document.querySelectorAll('.slide')].filter(s => s.scrollHeight > s.clientHeight + 2).map(s => s.id)"
OUT = """[...document.querySelectorAll('td')].filter(td => {
    const cell = td.getBoundingClientRect(), table = td.closest('table').getBoundingClientRect();
    return cell.bottom > table.bottom + 2 || cell.right > table.right + 2;
}).map(td => td.textContent)"""
CUT = "[...document.querySelectorAll('pre')].filter(p => p.scrollWidth > p.clientWidth).map(p => p.textContent)"
LONE = """[...document.querySelectorAll('.slide')].filter((slide, k, all) => {
    const parts = slide.querySelector('.parts'), next = all[k + 1] && all[k + 1].querySelector('.parts > :first-child');
    const leads = parts.innerText.trim().endsWith(':') && parts.querySelectorAll('.text').length === parts.children.length;
    return leads && !(next.matches('.panel') || next.querySelector('.claims'));
}).map((slide) => slide.innerText)"""
SIZES = "[...document.querySelectorAll('pre')].map(p => parseFloat(getComputedStyle(p).fontSize))"


@pytest.mark.parametrize(("width", "height", "which"), [(1280, 720, "*"), (1024, 768, "0[37]_*")])
def test_no_slide_is_cut_off(browser, decks, width, height, which):
    page = browser.new_page(viewport={"width": width, "height": height})
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    for deck in sorted(decks.glob(f"{which}.html")):
        page.goto(deck.as_uri())
        page.wait_for_load_state("load")
        assert page.evaluate(OUT) == [], f"{deck.name} has cells outside their tables"
        assert page.evaluate(CUT) == [], f"{deck.name} cuts lines of code off"
        assert page.evaluate(LONE) == [], f"{deck.name} has words on a slide that lead to the next one"
        assert page.evaluate(TALL) == [], f"{deck.name} has slides that are too tall"
        assert min(page.evaluate(SIZES)) >= 11, f"{deck.name} has code too small to read"
    assert wrong == []
    page.close()


def test_a_prediction_is_played_on_a_slide(browser, decks):
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.goto((decks / "00_tour.html").as_uri())
    page.get_by_role("textbox", name="Your guess (%)").fill("50")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Show the answer").click()
    page.get_by_text("You said 50 %, it is 10 %").wait_for()
    page.close()
