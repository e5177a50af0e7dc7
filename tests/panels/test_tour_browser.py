"""The tour in JupyterLab in Chromium, by keyboard: the right picture and the right words change."""

from __future__ import annotations

import pytest

from browser import Lab, Sheet


@pytest.fixture(scope="module")
def sheet(lab: Lab) -> Sheet:
    opened = lab.open("00_tour")
    opened.wait_text("fqlab-status", "after 30 rounds", timeout=60)
    return opened


@pytest.mark.parametrize(
    "control, key, picture, words",
    [
        ("clip", "ArrowRight", "levels", "clipped at"),
        ("bits", "ArrowRight", "levels", "levels"),
        ("epsilon", "ArrowRight", "planedensity", "ε = 0.005"),
    ],
)
def test_each_slider_moves_its_picture_and_the_curve(
    sheet: Sheet, control: str, key: str, picture: str, words: str
) -> None:
    before = sheet.image_bytes(f"fqlab-p-{picture}")
    sheet.press(f"fqlab-c-{control}", key)
    after = sheet.wait_change(f"fqlab-p-{picture}", before)
    assert len(after) > 2000
    sheet.wait_text("fqlab-status", "after 30 rounds", timeout=30)
    alt = sheet.image(f"fqlab-p-{picture}").get_attribute("alt")
    assert words in alt


def test_sliders_have_names_and_the_curve_follows(sheet: Sheet) -> None:
    page = sheet.page
    for name in ("Clip (× the rule's)", "Bits per weight (bit)", "Prune threshold ε (share of weights)"):
        assert page.get_by_role("slider", name=name).count() == 1
    before = sheet.image_bytes("fqlab-p-trainingcurve")
    sheet.press("fqlab-c-bits", "Home")
    sheet.wait_change("fqlab-p-trainingcurve", before, timeout=30)


def test_nothing_leaves_the_machine_and_nothing_broke(sheet: Sheet) -> None:
    assert sheet.outside == []
    assert sheet.page_errors == []
    assert sheet.errors() == []
