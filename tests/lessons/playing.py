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


STATE = "fqlab.players[0].now"
# The newest wish is drawn, in every picture.
WHOLE = """() => fqlab.players[0].painted === fqlab.players[0].asked
    && [...document.querySelectorAll('.fq-picture canvas')].every((sheet) => sheet.width > 300 || sheet.height > 150)"""
# Milliseconds from the change of a slider to the drawn pictures of the next state, for every stop it can reach.
LATENCY = """async (name) => {
    const player = fqlab.players[0], row = document.querySelector(`[data-control="${name}"] input[type=range]`), taken = [];
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
}"""


class Played:
    """One panel on one page, moved by hand.

    Attributes:
        page: the Playwright page.
        about: the specification in the panel's script file.
        errors: uncaught errors of scripts.
        outside: addresses that the page asked for outside its folder.
    """

    def __init__(self, page: Any, site: Path) -> None:
        self.page = page
        self.errors: list[str] = []
        self.outside: list[str] = []
        page.on("pageerror", lambda wrong: self.errors.append(str(wrong)))
        page.on("request", lambda asked: self._asked(asked.url, site.as_uri()))

    def _asked(self, url: str, home: str) -> None:
        if not url.startswith((home, "data:")):
            self.outside.append(url)

    def wait(self) -> None:
        """Until the panel stands and its pictures are drawn."""
        self.page.wait_for_function("() => window.fqlab && fqlab.players && fqlab.players[0] && fqlab.players[0].now")
        self.page.wait_for_function(WHOLE)
        self.about = self.page.evaluate("fqlab.players[0].about")

    @property
    def place(self) -> list[int]:
        """Positions of all controls in the state that is shown."""
        return self.page.evaluate(f"{STATE}.entry.place")

    @property
    def status(self) -> str:
        return self.page.locator(".fq-status").inner_text()

    def press_presets(self) -> None:
        """Press every preset: its state is shown, whole."""
        for number, name in enumerate(self.about["presets"], 1):
            button = self.page.locator(".fq-presets button").nth(number - 1)
            button.click()
            self._until(self.about["bases"][number])
            assert self.status, f"{name} says nothing"
            assert not self.page.locator(".fq-stale").count(), f"{name} shows a pale picture"
            pressed = self.page.locator('.fq-presets [aria-pressed="true"]')
            assert pressed.count() == 1

    def slide_to_both_ends(self) -> None:
        """From the default state, every slider that acts to its ends by the keyboard."""
        for number, control in enumerate(self.about["controls"]):
            if "words" in control or control["box"]:
                continue
            self.reset()
            field = self.page.locator(f'[data-control="{control["name"]}"] input')
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
                field = self.page.locator(f'[data-control="{control["name"]}"] select')
                if field.is_disabled():
                    break
                wanted = list(self.place)
                wanted[number] = at
                field.select_option(label=words)
                self._until(wanted)

    def reset(self) -> None:
        """Press Reset."""
        self.page.get_by_role("button", name="Reset").click()
        self._until(self.about["bases"][0])

    def latency(self, name: str) -> list[float]:
        """Milliseconds until the pictures are drawn, for every stop of a slider."""
        return self.page.evaluate(LATENCY, name)

    def _until(self, place: list[int]) -> None:
        self.page.wait_for_function(f"place => String({STATE}.entry.place) === String(place)", arg=place)
        self.page.wait_for_function(WHOLE)


def open_panel(context: Any, site: Path, stem: str, anchor: str = "") -> Played:
    """Open a page of the site from its file, without network."""
    context.set_offline(True)
    played = Played(context.new_page(), site)
    played.page.goto((site / f"{stem}.html").as_uri() + anchor)
    played.wait()
    return played
