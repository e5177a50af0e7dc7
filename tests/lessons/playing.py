"""A person at a page: every preset, every slider to both ends, every choice; shared by the small site and the whole one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Played", "assert_alike", "open_panel"]

# What a palette of 256 colours may do to a picture of some thousand: the rare shades on the edges of letters and lines move
# to a neighbour. Fixed before the first comparison: on average half a step of 255, and hardly any pixel by a quarter.
MEAN = 0.5
FAR = 64
SHARE = 0.001


def assert_alike(stored: np.ndarray, live: np.ndarray) -> None:
    """Pixels ``[height, width, 3]`` are equal up to the palette."""
    off = np.abs(stored.astype(int) - live.astype(int)).max(axis=2)
    assert off.mean() < MEAN
    assert (off > FAR).mean() < SHARE


# The player of a panel, or of the first on the page.
PLAYER = """((name) => window.fqlab && fqlab.players && fqlab.players.find(({ section }) =>
    section === document.querySelector(`section.fq-panel${name && `[data-panel="${name}"]`}`)))"""
# The newest wish is drawn, in every picture.
WHOLE = f"""(name) => {{ const player = {PLAYER}(name); return player.painted === player.asked
    && [...player.section.querySelectorAll('.fq-picture canvas')].every((sheet) => sheet.width > 300 || sheet.height > 150); }}"""
# Milliseconds from the change of a slider to the drawn pictures of the next state, for every stop it can reach.
LATENCY = """async ([panel, name]) => {
    const { section } = PLAYER(panel), row = section.querySelector(`[data-control="${name}"] input[type=range]`), taken = [];
    for (let at = 0; at <= Number(row.max); at++) {
        row.value = at;
        const began = performance.now();
        const done = new Promise((resolve) => document.addEventListener('fqlab:state', resolve, { once: true }));
        row.dispatchEvent(new Event('input'));
        await Promise.race([done, new Promise((resolve) => setTimeout(resolve, 2000))]);
        taken.push(performance.now() - began);
    }
    row.dispatchEvent(new Event('change'));
    return taken;
}""".replace("PLAYER", PLAYER)


# Labels of the marks in the state that is shown which lead to a state that is not stored.
LOST = """(name) => { const { all, now } = PLAYER(name);
    const reached = (changes) => changes.reduce((sum, [control, at]) => sum.with(control, at), now.entry.place);
    return now.pictures.flatMap(({ spots }) => spots).filter(([, , , changes]) => changes && !all.has(String(reached(changes))))
      .map(([, , label]) => label);
}""".replace("PLAYER", PLAYER)


class Played:
    """One panel on one page, moved by hand.

    Attributes:
        page: the Playwright page.
        name: of the panel; empty for the first on the page.
        section: the panel on the page.
        about: the specification in the panel's script file.
        errors: uncaught errors of scripts.
        outside: addresses that the page asked for outside its folder.
    """

    def __init__(self, page: Any, site: Path, name: str = "") -> None:
        self.page = page
        self.name = name
        self.section = page.locator(f'section.fq-panel[data-panel="{name}"]' if name else "section.fq-panel").first
        self.errors: list[str] = []
        self.outside: list[str] = []
        page.on("pageerror", lambda wrong: self.errors.append(str(wrong)))
        page.on("request", lambda asked: self._asked(asked.url, site.as_uri()))

    def _asked(self, url: str, home: str) -> None:
        if not url.startswith((home, "data:")):
            self.outside.append(url)

    def wait(self) -> None:
        """Until the panel stands and its pictures are drawn."""
        self.page.wait_for_function(f"(name) => {PLAYER}(name) && {PLAYER}(name).now", arg=self.name)
        self.page.wait_for_function(WHOLE, arg=self.name)
        self.about = self.page.evaluate(f"(name) => {PLAYER}(name).about", self.name)

    @property
    def place(self) -> list[int]:
        """Positions of all controls in the state that is shown."""
        return self.page.evaluate(f"(name) => {PLAYER}(name).now.entry.place", self.name)

    @property
    def status(self) -> str:
        return self.section.locator(".fq-status").inner_text()

    def press_presets(self) -> None:
        """Press every preset: its state is shown, whole."""
        for number, name in enumerate(self.about["presets"], 1):
            button = self.section.locator(".fq-presets button").nth(number - 1)
            button.click()
            self._until(self.about["bases"][number])
            assert self.status, f"{name} says nothing"
            assert not self.section.locator(".fq-stale").count(), f"{name} shows a pale picture"
            pressed = self.section.locator('.fq-presets [aria-pressed="true"]')
            assert pressed.count() == 1

    def slide_to_both_ends(self) -> None:
        """From the default state, every slider that acts to its ends by the keyboard."""
        for number, control in enumerate(self.about["controls"]):
            if "words" in control or control["box"]:
                continue
            self.reset()
            field = self.section.locator(f'[data-control="{control["name"]}"] input')
            if field.is_disabled():
                continue
            for key, stop in (("End", control["count"] - 1), ("Home", 0)):
                wanted = list(self.place)
                wanted[number] = stop
                field.press(key)
                self._until(wanted)
                assert field.get_attribute("aria-valuetext")

    def choose_everything(self) -> None:
        """From the default state, every option of every choice that acts."""
        for number, control in enumerate(self.about["controls"]):
            if "words" not in control:
                continue
            for at, words in enumerate(control["words"]):
                self.reset()
                field = self.section.locator(f'[data-control="{control["name"]}"] select')
                if field.is_disabled():
                    break
                wanted = list(self.place)
                wanted[number] = at
                field.select_option(label=words)
                self._until(wanted)

    def lost_marks(self) -> list[str]:
        """Labels of the marks in the state that is shown whose click would lead to a stored state beside them."""
        return self.page.evaluate(LOST, self.name)

    def reset(self) -> None:
        """Press Reset."""
        self.section.get_by_role("button", name="Reset").click()
        self._until(self.about["bases"][0])

    def latency(self, name: str) -> list[float]:
        """Milliseconds until the pictures are drawn, for every stop of a slider."""
        return self.page.evaluate(LATENCY, [self.name, name])

    def _until(self, place: list[int]) -> None:
        there = f"([name, place]) => String({PLAYER}(name).now.entry.place) === String(place)"
        self.page.wait_for_function(there, arg=[self.name, place])
        self.page.wait_for_function(WHOLE, arg=self.name)


def open_panel(context: Any, site: Path, stem: str, anchor: str = "", name: str = "") -> Played:
    """Open a page of the site from its file, without network, for the panel ``name`` on it or the first one."""
    context.set_offline(True)
    played = Played(context.new_page(), site, name)
    played.page.goto((site / f"{stem}.html").as_uri() + anchor)
    played.wait()
    return played
