"""``fqlab figures``: every figure of a paper becomes a file; a failing one is named and stops no other."""

from __future__ import annotations

import io
import sys

import matplotlib
import pytest
from PIL import Image

from fqlab import cli
from fqlab.papers import figures as registry
from fqlab.papers.figures import export as exporter
from fqlab.plots import Drawing, axes, figure, line
from fqlab.plots.picture import Picture, PictureView, mosaic, to_png, to_svg


class Trial(Picture):
    width, height = 200, 100

    def build(self, fig):
        self.line = self.live(line(axes(fig, 30, 30, 150, 60), "accuracy"))

    def update(self, data, ghost=None):
        self.line.set_data([0, 1], data)
        return f"A line from {data[0]} to {data[1]}."


def one() -> Drawing:
    return mosaic([[PictureView(Trial, (0, 1))], [PictureView(Trial, (1, 0))]])


def two() -> Drawing:
    fig = figure(100, 50)
    fig.text(0.5, 0.5, "two")
    return Drawing(fig, "The word two.")


def broken() -> Drawing:
    raise ZeroDivisionError("nothing to divide by")


@pytest.fixture
def trials(monkeypatch):
    monkeypatch.setitem(sys.modules, f"{registry.__name__}.trials", sys.modules[__name__])
    monkeypatch.setattr(registry, "FIGURES", {"99-one": "trials:one", "99-two": "trials:two"})
    return registry.FIGURES


def test_every_figure_becomes_a_file(trials, tmp_path, capsys):
    assert cli.main(["figures", "--out", str(tmp_path / "a" / "b")]) == 0
    assert sorted(p.name for p in (tmp_path / "a" / "b").iterdir()) == ["99-one.svg", "99-two.svg"]
    assert "A line from 0 to 1. A line from 1 to 0." in (tmp_path / "a" / "b" / "99-one.svg").read_text()
    assert "2 of 2 figures" in capsys.readouterr().out


def test_a_png_has_three_pixels_for_each_of_the_layout(trials, tmp_path):
    assert cli.main(["figures", "--out", str(tmp_path), "--format", "png"]) == 0
    shown = Image.open(io.BytesIO((tmp_path / "99-one.png").read_bytes())).convert("L")
    assert shown.size == (600, 630)
    upper, lower = shown.crop((0, 0, 600, 300)), shown.crop((0, 330, 600, 630))
    assert upper.getextrema()[0] < 200
    assert lower.getextrema()[0] < 200


def test_a_figure_that_fails_is_named_and_the_others_come(monkeypatch, trials, tmp_path, capsys):
    monkeypatch.setitem(trials, "99-broken", "trials:broken")
    assert cli.main(["figures", "--out", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert "figure 99-broken failed: ZeroDivisionError: nothing to divide by" in said.err
    assert "2 of 3 figures" in said.out
    assert len(list(tmp_path.iterdir())) == 2


def test_bad_input_is_one_sentence(trials, tmp_path, capsys):
    assert cli.main(["figures", "--out", str(tmp_path), "--format", "gif"]) == 2
    (tmp_path / "file").write_text("")
    assert cli.main(["figures", "--out", str(tmp_path / "file")]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[0] == "fqlab: format is 'gif', but must be one of svg, png."
    assert lines[1].startswith("fqlab: out is ")
    assert len(lines) == 2


def test_every_registered_figure_exists():
    import importlib

    for name, place in registry.FIGURES.items():
        module, _, function = place.partition(":")
        assert callable(getattr(importlib.import_module(f"fqlab.papers.figures.{module}"), function)), name
        assert name[:2].isdigit()
    assert exporter.FORMATS == ("svg", "png")


def test_a_drawing_is_sharp_in_a_notebook_and_stays_as_it_was():
    import base64
    import re

    drawing = one()
    bundle, metadata = drawing._repr_mimebundle_()
    shown = bundle["text/html"]
    picture = base64.b64decode(re.search(r'base64,([^"]+)"', shown)[1])
    assert picture == base64.b64decode(bundle["image/png"])
    assert metadata["image/png"] == {"width": 200, "height": 210}
    assert Image.open(io.BytesIO(picture)).size == (400, 420)
    assert 'width="200"' in shown
    assert drawing.figure.dpi == 72


@pytest.mark.parametrize("name", list(registry.FIGURES))
def test_a_figure_does_not_hang_on_somebodys_matplotlib(name, somebodys_matplotlib):
    drawing = registry.figure(name)
    wanted = to_svg(drawing), to_png(drawing)
    with somebodys_matplotlib():
        before = dict(matplotlib.rcParams)
        drawing = registry.figure(name)
        assert (to_svg(drawing), to_png(drawing)) == wanted
        assert dict(matplotlib.rcParams) == before, "and the settings are theirs again"
