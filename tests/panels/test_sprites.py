"""Words drawn as sprites are the words that Matplotlib draws."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from fqlab.panels.sprites import Sprites
from fqlab.plots.style import axes, figure, note, title

BOX = {"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.85}


@pytest.fixture
def page():
    fig = figure(338, 280)
    canvas = FigureCanvasAgg(fig)
    ax = axes(fig, 40, 40, 250, 200)
    words = [  # all at whole pixels, where a word stands once it is a sprite
        title(fig, "Rounding noise rules: 3.5 σ"),
        note(ax, "with a halo", x=0.5, y=0.5, color="#0072B2"),
        note(ax, "to the right", x=0.932, y=0.8, ha="right", halo=False),
        note(ax, "boxed", x=0.2, y=0.2, bbox=BOX),
        note(ax, "turned", x=0.7, y=0.3, rotation=90, halo=False),
        note(ax, "over the edge of the page", x=1.1, y=0.2),
        note(ax, "", x=0.1, y=0.1),
    ]
    for word in words:
        word.set_animated(True)
    canvas.draw()
    return canvas, words


def drawn(canvas, draw, words):
    background = canvas.copy_from_bbox(canvas.figure.bbox)
    for word in words:
        draw(word, canvas.get_renderer())
    pixels = np.asarray(canvas.buffer_rgba()).astype(int)
    canvas.restore_region(background)
    return pixels


def test_sprites_are_what_matplotlib_draws_the_first_time_and_every_other(page):
    canvas, words = page
    wanted = drawn(canvas, lambda word, renderer: word.draw(renderer), words)
    assert (wanted != drawn(canvas, lambda *_: None, words)).any()
    sprites = Sprites()
    for _ in range(2):
        assert np.abs(wanted - drawn(canvas, sprites.draw, words)).max() <= 2


def test_a_word_moves_with_its_anchor_and_changes_with_its_style(page):
    canvas, words = page
    sprites = Sprites()
    drawn(canvas, sprites.draw, words)
    words[1].set(x=0.3, y=0.7, color="#D55E00")
    words[2].set_text("something else")
    words[4].set_visible(False)
    wanted = drawn(canvas, lambda word, renderer: word.draw(renderer), words)
    pixels = drawn(canvas, sprites.draw, words)
    assert np.mean(np.abs(wanted - pixels)) < 0.5  # a halo may sit half a pixel aside


def test_a_handful_of_words_is_kept_not_all(page, monkeypatch):
    canvas, words = page
    monkeypatch.setattr("fqlab.panels.sprites.MOST", 5)
    sprites = Sprites()
    for i in range(20):
        words[0].set_text(f"number {i}")
        drawn(canvas, sprites.draw, words[:1])
    assert len(sprites) == 5


def test_a_word_looks_the_same_whatever_was_drawn_before(page):
    canvas, words = page
    rows = []
    for first in (0.5, 0.5013):  # the second stands a third of a pixel aside
        sprites = Sprites()
        words[1].set(x=first)
        drawn(canvas, sprites.draw, words)
        words[1].set(x=0.5)
        rows.append(drawn(canvas, sprites.draw, words))
    assert np.array_equal(*rows)
