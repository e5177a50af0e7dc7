"""Two panels played in a browser from files, with the network off: presets, sliders, tickets, what is not stored, small screens."""

from __future__ import annotations

import base64
import io
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playing import Played, assert_alike, open_panel

from fqlab import panels
from fqlab.lessons.website import assets, build_website
from fqlab.lessons.website.play import clicks, states
from fqlab.lessons.website.play.store import specification
from fqlab.lessons.website.play.visit import SHARP
from fqlab.panels import ticket
from fqlab.panels.canvas import Canvas
from fqlab.panels.state import changed, controls

pytest.importorskip("latex2mathml", reason="the site needs latex2mathml: pip install -e .[site]")
NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
PLAYS = ("quantizer", "drift")
STEMS = ("02_uniform_quantization", "01_federated_averaging")
FIRST_LOAD = 300_000
"""Bytes of a page, its script, its style and the first pictures."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The site as its files say, with two panels that play; sliders thinned to few stops, so that building takes seconds."""
    out = tmp_path_factory.mktemp("played") / "site"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(states, "MOST", 3)
        patch.setattr(states, "BOX", 2)
        patch.setattr(panels.drift, "handles", ("participants",))
        patch.setattr(panels.quantizer, "handles", ("bits",))
        patch.setattr(clicks, "_starts", lambda panel: [(0, panel.State())])
        _forget()
        build_website(NOTEBOOKS, out, run=False, plays=PLAYS)
        yield out
    _forget()


def _forget() -> None:
    for each in (states.stops, states.sweeps, states.swept, states.opened, states.trained, clicks.clicks):
        each.cache_clear()


@pytest.fixture
def played(context: Any, site: Path) -> Iterator[Played]:
    panel = open_panel(context, site, STEMS[0])
    yield panel
    assert panel.errors == []
    assert panel.outside == []


@pytest.mark.parametrize("stem", STEMS)
def test_every_preset_slider_and_choice_plays(context, site, stem):
    panel = open_panel(context, site, stem)
    panel.press_presets()
    panel.slide_to_both_ends()
    panel.choose_everything()
    assert panel.errors == []
    assert panel.outside == []


@pytest.mark.parametrize("stem", STEMS)
def test_the_first_picture_is_small(site, stem):
    name = dict(zip(STEMS, PLAYS, strict=True))[stem]
    files = [site / f"{stem}.html", site / "fqlab.js", site / "style.css", site / "play" / f"{name}.js"]
    assert sum(file.stat().st_size for file in files) < FIRST_LOAD


def test_what_is_drawn_is_what_the_live_panel_draws(played):
    kind = panels.quantizer
    panel = kind(bits=8)
    played.page.locator('[data-control="bits"] input').press("End")
    played.page.wait_for_function("() => fqlab.players[0].now.entry.place[0] === 7")
    assert played.page.locator(".fq-before").count() == 0
    drawn = played.page.evaluate(
        "() => [...document.querySelectorAll('.fq-picture')].map((box) => "
        "[box.querySelector('canvas').toDataURL('image/png'), box.getAttribute('aria-label')])"
    )
    pictures = [picture for row in kind.rows for picture in row]
    assert len(drawn) == len(pictures)
    for (address, alt), picture in zip(drawn, pictures, strict=True):
        pixels, words = Canvas(picture(), SHARP).pixels(panel.gallery.views[picture].data)
        stored = np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))).convert("RGB"))
        assert_alike(stored, pixels[..., :3])
        assert alt == words
    assert played.status.startswith(panel.frame.message[:40])
    panel.close()


def test_a_ticket_is_a_link(context, site):
    state = changed(panels.quantizer.State(), {"bits": 8})
    code = ticket.write("quantizer", panels.quantizer.version, state)
    panel = open_panel(context, site, STEMS[0], f"#{code}")
    assert panel.place == list(states.places(state))
    assert panel.page.locator("#fq-ticket-quantizer").input_value() == code
    assert panel.page.evaluate("document.querySelector('section.fq-panel').getBoundingClientRect().top") < 400
    other = ticket.write("quantizer", panels.quantizer.version, panels.quantizer.State(bits=1))
    panel.page.evaluate(f"location.hash = '{other}'")
    panel.page.wait_for_function("() => fqlab.players[0].now.entry.place[0] === 0")
    live = panels.quantizer()
    live.restore(panel.page.url.replace(other, code))
    assert live.state == state
    live.close()
    assert panel.errors == []


def test_a_link_of_the_text_sets_the_panel_as_often_as_it_is_followed(played):
    link = played.page.locator("a", has_text="1.3-fold")
    wanted = changed(panels.quantizer.State(), panels.quantizer.presets["By levels"])
    for _ in range(2):
        link.click()
        played.page.wait_for_function("place => String(fqlab.players[0].now.entry.place) === place", arg=joined(wanted))
        played.reset()


def test_a_ticket_can_be_pasted_and_a_wrong_one_is_refused(played):
    field = played.page.locator("#fq-ticket-quantizer")
    before = field.input_value()
    for wrong in ("quantizer-0-0000", "tour-352CZ8-YD12", "nonsense"):
        field.fill(wrong)
        field.press("Enter")
        assert played.status.startswith("⚠ The ticket is mistyped")
    code = ticket.write("quantizer", panels.quantizer.version, panels.quantizer.State(bits=1))
    field.fill(f"https://fqlab.github.io/fqlab/02_uniform_quantization.html#{code.lower()}")
    field.press("Enter")
    played.page.wait_for_function("() => fqlab.players[0].now.entry.place[0] === 0")
    assert field.input_value() == code != before


TIP = "() => { const t = document.querySelector('.fqlab-tip'); return t && t.style.visibility === 'visible' ? t.innerText : null; }"


def on_picture(played: Played, name: str, x: float, y: float) -> tuple[float, float]:
    """A place of a picture, in its pixels, in the window."""
    box = played.page.locator(f".fq-p-{name.lower()}")
    box.scroll_into_view_if_needed()
    room = box.bounding_box()
    kind = next(p for row in panels.quantizer.rows for p in row if p.__name__ == name)
    return room["x"] + x * room["width"] / kind.width, room["y"] + y * room["height"] / kind.height


def test_a_spot_says_what_it_is_and_a_click_goes_there(played):
    live = panels.quantizer()
    fair = live.rows[1][1]
    spot = next(s for s in live.gallery.spots[fair] if s.tip.changes == {"grid": "midrise", "bits": 1})
    size = played.page.locator("section.fq-panel").bounding_box()
    x, y = on_picture(played, "Fair", spot.x, spot.y)
    assert played.page.evaluate(TIP) is None
    played.page.mouse.move(x + 3, y)
    assert played.page.wait_for_function(TIP).json_value() == spot.tip.label
    assert played.page.locator("section.fq-panel").bounding_box()["height"] == size["height"]
    played.page.mouse.click(x, y)
    wanted = changed(panels.quantizer.State(), spot.tip.changes)
    assert wanted in states.bases(panels.quantizer)
    played.page.wait_for_function("place => String(fqlab.players[0].now.entry.place) === place", arg=joined(wanted))
    assert played.page.locator('[data-control="bits"] output').inner_text() == "1"
    played.page.keyboard.press("Escape")
    assert played.page.evaluate(TIP) is None
    live.close()


def test_every_mark_leads_where_it_says(played):
    shown = panels.quantizer()
    marks = [spot for spots in shown.gallery.spots.values() for spot in spots if spot.tip.changes]
    shown.close()
    assert len(marks) > 20
    for spot in marks:
        wanted = changed(panels.quantizer.State(), spot.tip.changes)
        played.reset()
        played.page.evaluate(
            CLICK, [[k, c.index(getattr(wanted, c.name))] for k, c in enumerate(SETTINGS) if c.name in spot.tip.changes]
        )
        played.page.wait_for_function("place => String(fqlab.players[0].now.entry.place) === place", arg=joined(wanted))
        assert played.page.locator(".fq-snap").count() == 0


CLICK = "changes => { fqlab.players[0].hand(0).click(0, [0, 0, '', changes]) }"
SETTINGS = controls(panels.quantizer.State)


def test_what_differs_only_where_it_does_not_act_is_no_other_state(context, site):
    played = open_panel(context, site, STEMS[0])
    about = played.about
    clip = [c["name"] for c in about["controls"]].index("clip")
    own = next(base for base in about["bases"] if base[clip - 1] != about["bases"][0][clip - 1])
    wanted = list(own)
    wanted[clip] = own[clip] + 1
    played.page.evaluate("place => { fqlab.players[0].go(place) }", wanted)
    played._until(own)
    assert played.section.locator('[data-control="clip"] input').is_disabled()
    assert "Nearest stored state" not in played.status


def joined(state: Any) -> str:
    return ",".join(map(str, states.places(state)))


def test_a_drag_moves_its_control_from_stop_to_stop(played):
    x, y = on_picture(played, "Ladders", 400, 200)
    played.page.mouse.move(x, y)
    played.page.mouse.down()
    played.page.mouse.move(x + 300, y, steps=10)
    stop = max(states.stops(panels.quantizer, 4))
    played.page.wait_for_function("stop => fqlab.players[0].now.entry.place[4] === stop", arg=stop)
    played.page.mouse.move(x - 500, y, steps=10)
    played.page.wait_for_function("() => fqlab.players[0].now.entry.place[4] === 0")
    played.page.mouse.up()
    assert played.page.locator('[data-control="weight"] output').inner_text() == "-4.00"
    assert played.page.locator(".fq-snap").count() == 0


TURN = """([start, rate, way]) => {
    const wanted = [], stops = [0, 9, 18, 27], now = { entry: { place: [5, start] }, off: new Set() };
    const about = { controls: [{}, { count: 36, stops }] };
    const player = { about, now, show: (place) => wanted.push(place[1]), expect: () => null };
    fqlab.players[0].pull.call(player, [[1, rate, true], 0], 7, way, 99, true);
    return wanted[0];
}"""


@pytest.mark.parametrize(("way", "stop"), [(0, 27), (4, 27), (5, 0), (14, 9), (-40, 27), (41, 0)])
def test_a_drag_goes_round_in_a_circle(played, way, stop):
    """From position 27 of 36; the stop nearest in the circle."""
    assert played.page.evaluate(TURN, [27, 1, way]) == stop


def test_a_finger_asks_first_and_goes_with_its_second_tap(browser, site):
    context = browser.new_context(has_touch=True, viewport={"width": 390, "height": 844})
    panel = open_panel(context, site, STEMS[0])
    live = panels.quantizer()
    spot = next(s for s in live.gallery.spots[live.rows[1][1]] if s.tip.changes == {"grid": "midrise", "bits": 1})
    x, y = on_picture(panel, "Fair", spot.x, spot.y)
    panel.page.touchscreen.tap(x, y)
    assert panel.page.wait_for_function(TIP).json_value() == spot.tip.label
    assert panel.place[0] == 1
    panel.page.touchscreen.tap(x, y)
    panel.page.wait_for_function("() => fqlab.players[0].now.entry.place[0] === 0")
    panel.page.touchscreen.tap(5, 5)
    assert panel.page.evaluate(TIP) is None
    x, y = on_picture(panel, "Staircase", 200, 120)
    finger = context.new_cdp_session(panel.page)
    for kind, way in (("touchStart", 0), *(("touchMove", -20 * k) for k in range(1, 8)), ("touchEnd", None)):
        points = [] if way is None else [{"x": x + way, "y": y}]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    panel.page.wait_for_function("() => fqlab.players[0].now.entry.place[4] === 0")
    assert panel.errors == []
    live.close()
    context.close()


def test_what_is_not_stored_shows_the_nearest_and_says_how_to_see_it(played):
    state = changed(panels.quantizer.State(), {"bits": 8, "law": "laplace", "grid": "octav"})
    code = ticket.write("quantizer", panels.quantizer.version, state)
    played.page.evaluate(f"location.hash = '{code}'")
    played.page.locator(".fq-snap").wait_for()
    assert "Nearest stored state" in played.status
    assert f"ticket {code} in Binder" in played.status
    assert "not Laplace" in played.status or "not OCTAV" in played.status or "not 8 bit" in played.status
    link = played.page.locator(".fq-snap a").get_attribute("href")
    assert link.startswith("https://mybinder.org/")
    assert link.endswith("02_uniform_quantization.ipynb")
    played.reset()
    assert "Nearest" not in played.status


def test_what_a_hand_moves_stays_where_it_was_put(played):
    played.page.locator(".fq-presets button").nth(2).click()
    played.page.locator('[data-control="law"] select').select_option(index=2)
    number = [c.name for c in controls(panels.quantizer.State)].index("law")
    played.page.wait_for_function(f"() => fqlab.players[0].now.entry.place[{number}] === 2")


def test_the_state_before_is_a_grey_shadow(context, site):
    panel = open_panel(context, site, STEMS[1])
    grey = "sheet => { const p = sheet.getContext('2d').getImageData(0, 0, sheet.width, sheet.height).data; let n = 0; \
        for (let k = 0; k < p.length; k += 4) n += p[k] === 154 && p[k + 1] === 161 && p[k + 2] === 169; return n; }"
    sheet = panel.page.locator(".fq-p-progress canvas")
    assert panel.page.locator(".fq-before").count() == 0
    alone = sheet.evaluate(grey)
    panel.page.locator(".fq-presets button").nth(2).click()
    panel.page.locator(".fq-p-progress.fq-before").wait_for()
    assert sheet.evaluate(grey) > alone + 100


@pytest.mark.parametrize("name", panels.PANELS)
def test_tickets_are_written_and_read_as_in_the_lab(browser, name):
    kind = getattr(panels, name)
    page = browser.new_page()
    page.add_script_tag(content=assets.joined(("base32.js", "play/states.js")))
    draws = random.Random(name)
    drawn = [[draws.randrange(c.count) for c in controls(kind.State)] for _ in range(60)]
    about = specification(kind)
    written = page.evaluate("([about, all]) => all.map((place) => fqlab.states.ticket(about, place))", [about, drawn])
    for place, code in zip(drawn, written, strict=True):
        wanted = kind.State(**{c.name: c.at(at) for c, at in zip(controls(kind.State), place, strict=True)})
        assert code == ticket.write(kind.name, kind.version, wanted)
    spelled = [code.lower().replace("1", "l").replace("0", "o") for code in written]
    read = page.evaluate("([about, all]) => all.map((code) => fqlab.states.place(about, code))", [about, spelled])
    assert read == drawn
    broken = [code[:-1] + ("0" if code[-1] != "0" else "1") for code in written]
    assert (
        page.evaluate("([about, all]) => all.map((code) => fqlab.states.place(about, code))", [about, broken])
        == [None] * 60
    )
    page.close()


@pytest.mark.parametrize(
    ("width", "height", "scheme"), [(1280, 720, "light"), (390, 844, "dark"), (1920, 1080, "dark")]
)
def test_a_panel_fits_every_screen(browser, site, width, height, scheme):
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    panel = open_panel(context, site, STEMS[0])
    size = panel.page.evaluate(
        "(({width, height}) => [width, height])(document.querySelector('.fq-stage').getBoundingClientRect())"
    )
    assert panel.page.evaluate("document.querySelector('section.fq-panel').getBoundingClientRect().right") <= width
    assert size[0] <= min(960, width) + 1
    if width >= 1280:
        assert size[1] <= 600
        assert not panel.page.locator(".fq-narrow").count()
    else:
        top = "selector => document.querySelector(selector).getBoundingClientRect().top"
        assert panel.page.evaluate(top, ".fq-gallery") < panel.page.evaluate(top, ".fq-column")
    ink, paper = panel.page.evaluate(
        "[getComputedStyle(document.querySelector('.fq-slider label')).color, getComputedStyle(document.body).backgroundColor]"
    )
    assert ink != paper
    assert (sum(map(int, ink[4:-1].split(","))) > 384) == (scheme == "dark")
    context.close()


CUT = """([abouts]) => abouts.flatMap((about) => {
    const { section, constructor: Player } = fqlab.players[0];
    const stage = new Player(section, { ...about, sweeps: [], clicks: [] }, null).stage, cut = [];
    for (const button of stage.querySelectorAll('.fq-presets button')) {
        for (const pressed of ['true', 'false']) {
            button.setAttribute('aria-pressed', pressed);
            if (button.scrollWidth > button.clientWidth) cut.push(button.innerText);
        }
    }
    for (const label of stage.querySelectorAll('label, output, h4, .fq-buttons button'))
        if (label.scrollWidth > label.clientWidth + 1) cut.push(label.innerText);
    for (const select of stage.querySelectorAll('select')) {
        const free = select.cloneNode(true);  // as wide as its longest option
        free.style.cssText = 'width: max-content; position: absolute;';
        select.parentNode.append(free);
        if (free.offsetWidth > select.offsetWidth)
            cut.push([...select.options].map((o) => o.text).sort((a, b) => b.length - a.length)[0]);
        free.remove();
    }
    return cut.map((words) => `${about.name}: ${words}`);
})"""


@pytest.mark.parametrize("width", [1440, 1280, 390])
def test_no_word_of_a_control_is_cut_off(browser, site, width):
    """Of any panel: all are built here without their states."""
    context = browser.new_context(viewport={"width": width, "height": 800})
    page = open_panel(context, site, STEMS[0]).page
    assert page.evaluate(CUT, [[specification(getattr(panels, name)) for name in panels.PANELS]]) == []
    context.close()


def test_a_pressed_preset_is_as_wide_as_before(played):
    widths = "() => [...document.querySelectorAll('.fq-presets button')].map((button) => button.offsetWidth)"
    before = played.page.evaluate(widths)
    for button in played.page.locator(".fq-presets button").all():
        button.click()
        played.page.wait_for_function("() => document.querySelector('.fq-presets [aria-pressed=true]')")
        assert played.page.evaluate(widths) == before


def test_a_projector_gets_the_whole_window(context, site):
    panel = open_panel(context, site, STEMS[0])
    panel.page.get_by_role("button", name="Large").click()
    box = panel.page.locator(".fq-stage").bounding_box()
    assert box["height"] == pytest.approx(720 - 16, abs=1), "as large as the window, and no larger"
    assert box["width"] == pytest.approx(960 * 704 / 560, abs=1)
    panel.page.keyboard.press("Escape")
    assert panel.page.locator(".fq-large").count() == 0


def test_without_its_files_the_still_picture_stays(context, site, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(site, copy, ignore=shutil.ignore_patterns("play"))
    context.set_offline(True)
    page = context.new_page()
    page.goto((copy / f"{STEMS[0]}.html").as_uri())
    page.wait_for_timeout(500)
    assert page.locator("section.fq-panel img").first.is_visible()


def test_names_for_screen_readers(played):
    tree = played.page.locator("section.fq-panel")
    assert tree.get_attribute("aria-label") == panels.quantizer.title
    for control in controls(panels.quantizer.State):
        assert tree.get_by_label(control.title, exact=True).count() == 1
    assert played.page.locator('.fq-status[aria-live="polite"][role="status"]').count() == 1
    assert all(played.page.locator(".fq-picture").nth(k).get_attribute("aria-label") for k in range(3))


def test_a_panel_plays_whole_on_its_slide_and_keys_still_turn(context, site):
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto((site / "slides" / f"{STEMS[0]}.html").as_uri())
    presets = page.locator(".fq-presets button")
    presets.first.wait_for()
    slide = page.locator(".slide", has=page.locator(".fq-panel"))
    number = int(slide.get_attribute("id"))
    slide.evaluate("slide => slide.scrollIntoView()")
    before = page.locator(".fq-status").inner_text()
    presets.nth(1).click()
    page.wait_for_function("before => document.querySelector('.fq-status').innerText !== before", arg=before)
    assert slide.evaluate(
        "slide => slide.scrollHeight <= slide.clientHeight + 2 && slide.scrollWidth <= slide.clientWidth"
    )
    page.keyboard.press("PageDown")
    page.wait_for_function("number => Math.round(scrollY / innerHeight) === number", arg=number)
    page.keyboard.press("PageUp")
    page.locator('[data-control="bits"] input').press("ArrowRight")
    assert page.evaluate("Math.round(scrollY / innerHeight)") == number - 1
    assert wrong == []


def test_the_page_reads_base_85_as_python_writes_it(context):
    page = context.new_page()
    page.add_script_tag(content=assets.joined(("base85.js",)))
    texts = [bytes([255] * 9), bytes(range(256)), *(bytes(range(7, 7 + size)) for size in range(9))]
    read = "texts => texts.map((text) => [...fqlab.base85.decode(text)].map((each) => each.charCodeAt(0)))"
    assert page.evaluate(read, [base64.b85encode(text).decode() for text in texts]) == [list(text) for text in texts]
    page.close()
