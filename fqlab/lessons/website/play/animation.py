"""``python -m fqlab.lessons.website.play.animation``: the tour being dragged, for the README, and the picture that links show.

Both are taken from a built site, whose stored states answer at once, in a Chromium that a driver moves.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from fqlab.errors import ConfigError, FqlabError, shown

__all__ = ["film", "main", "scenes", "social"]

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SIZE = (960, 560)
CARD = (1280, 640)
"""The size that link previews are cut to."""
STORY = "See, touch and reproduce quantized federated learning"
LARGEST = 2_000_000
"""Bytes of the animation."""

Scene = tuple[str, Any, int]
"""What a hand does (``slide NAME``, ``press NAME``), how (a stop, or nothing), and how long the picture stays (ms)."""

POINTER = """
const dot = document.createElement('div');
dot.id = 'pointer';
dot.style.cssText = 'position:fixed;z-index:99;width:18px;height:18px;border-radius:9px;background:#d55e00aa;pointer-events:none';
document.body.append(dot);
document.documentElement.style.colorScheme = 'light';
window.point = (box, share) => {
  dot.style.left = `${box.left + 8 + (box.width - 16) * share - 9}px`;
  dot.style.top = `${box.top + box.height / 2 - 9}px`;
};
document.querySelector('section.fq-panel').classList.add('fq-large');
fqlab.players[0].fit();
"""
SLIDE = """async ([name, stop]) => {
  const field = document.querySelector(`[data-control="${name}"] input`);
  field.value = stop;
  point(field.getBoundingClientRect(), stop / field.max);
  field.dispatchEvent(new Event('input'));
}"""
STOPS = """() => Object.fromEntries([...document.querySelectorAll('[data-control]')].map((row) =>
  [row.dataset.control, Number((row.querySelector('input[type=range]') || {}).max)]))"""
PRESS = """(name) => {
  const button = [...document.querySelectorAll('.fq-presets button')].find((each) => each.textContent === name);
  point(button.getBoundingClientRect(), 0.5);
  button.click();
}"""
READY = "() => fqlab.players[0].painted === fqlab.players[0].asked"
TITLE = """(story) => {
  document.getElementById('pointer').remove();
  const head = document.createElement('div');
  head.innerHTML = '<b style="font-size:40px">fqlab</b> <span style="font-size:25px; margin-left:14px"></span>';
  head.lastChild.textContent = story;
  head.style.cssText = 'position:fixed; z-index:99; top:0; left:0; right:0; padding:10px 170px; background:#fff; color:#1f2328';
  document.body.append(head);
  const section = document.querySelector('section.fq-panel');
  section.style.cssText = 'padding:86px 0 0 0';
  document.querySelector('.fq-stage').style.zoom = 0.94;
}"""


def scenes(stops: dict[str, int]) -> Iterator[Scene]:
    """The ten seconds: bits up and down, the clip too wide and too tight, then four presets.

    Args:
        stops: name of a slider -> its last stop; a stop in the middle of the film is a share of it.
    """
    bits, clip = stops["bits"], stops["clip"]
    yield "press Stochastic", None, 900
    yield from (("slide bits", stop, 160) for stop in (*range(1, bits + 1), *reversed(range(1, bits))))
    middle = clip // 3
    yield from (
        ("slide clip", stop, 70) for stop in (*range(middle, clip + 1), *reversed(range(clip)), *range(middle + 1))
    )
    for preset, stays in (("2-bit max-abs", 1100), ("2-bit OCTAV", 900), ("Stochastic", 900), ("Clip × 1.3", 1400)):
        yield f"press {preset}", None, stays


def film(site: Path, out: Path) -> int:
    """Write the animation as WebP; returns its milliseconds.

    Raises:
        ConfigError: if there is no built site, no browser or no Playwright, or the file grows too large.
    """
    frames: list[Image.Image] = []
    times: list[int] = []
    with _page(site, SIZE) as page:
        for doing, how, stays in scenes(page.evaluate(STOPS)):
            _do(page, doing, how)
            frames.append(_seen(page))
            times.append(stays)
    body = io.BytesIO()
    frames[0].save(
        body,
        "WEBP",
        save_all=True,
        append_images=frames[1:],
        duration=times,
        loop=0,
        lossless=True,
        quality=60,
        method=4,
    )
    if len(body.getvalue()) > LARGEST:
        raise ConfigError(f"The animation has {len(body.getvalue()):,} bytes, but must have at most {LARGEST:,}.")
    out.write_bytes(body.getvalue())
    return sum(times)


def social(site: Path, out: Path) -> None:
    """Write the picture of 1280 x 640 pixels that stands for the site where it is linked, as PNG.

    Raises:
        ConfigError: as :func:`film`.
    """
    with _page(site, CARD) as page:
        for preset in ("2-bit max-abs", "Clip × 1.3"):
            _do(page, f"press {preset}", None)
        page.evaluate(TITLE, STORY)
        image = _seen(page).quantize(256, dither=Image.Dither.NONE)
    image.save(out, "PNG", optimize=True)


def _do(page: Any, doing: str, how: Any) -> None:
    verb, _, name = doing.partition(" ")
    page.evaluate(SLIDE, [name, how]) if verb == "slide" else page.evaluate(PRESS, name)
    page.wait_for_function(READY)


def _seen(page: Any) -> Image.Image:
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


@contextlib.contextmanager
def _page(site: Path, size: tuple[int, int]) -> Iterator[Any]:
    """The tour's page in a browser of its own, the panel as large as the window."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise ConfigError("The animation needs Playwright: pip install playwright") from None
    browser = next((path for path in map(shutil.which, BROWSERS) if path), None)
    if browser is None or not (site / "play" / "tour.js").exists():
        raise ConfigError(
            f"site is {shown(str(site))}, but must be a built site (make site), and Chromium be on the path."
        )
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        page = started.new_page(viewport={"width": size[0], "height": size[1]})
        page.goto((site / "00_tour.html").resolve().as_uri())
        page.wait_for_function("() => window.fqlab && fqlab.players[0] && fqlab.players[0].now")
        page.evaluate(POINTER)
        yield page
        started.close()


def main(argv: Sequence[str] | None = None) -> int:
    """Entry of ``python -m fqlab.lessons.website.play.animation``; an error is one sentence, and status 2."""
    parser = argparse.ArgumentParser(
        prog="python -m fqlab.lessons.website.play.animation",
        description="The README's animation and the site's picture.",
    )
    parser.add_argument("--site", type=Path, default=Path("build/site"), help="the built site")
    parser.add_argument("--film", type=Path, default=Path("notebooks/tour.webp"))
    parser.add_argument("--social", type=Path, default=Path("notebooks/social.png"))
    chosen = parser.parse_args(argv)
    try:
        lasts = film(chosen.site, chosen.film)
        social(chosen.site, chosen.social)
    except FqlabError as wrong:
        print(f"fqlab.lessons.website.play.animation: {wrong}", file=sys.stderr)
        return 2
    size = chosen.film.stat().st_size
    print(
        f"{chosen.film}: {lasts / 1000:.1f} s, {size / 1e6:.2f} MB; {chosen.social}: {chosen.social.stat().st_size / 1e3:.0f} kB"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
