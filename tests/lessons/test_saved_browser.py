"""A copy that was played with and saved, opened again in JupyterLab where its widgets are gone."""

from __future__ import annotations

from browser import Lab


def test_a_saved_copy_shows_its_pictures_without_its_kernel(lab: Lab) -> None:
    lab.write(
        "99_copy", ["from fqlab.lessons import quiz\nfrom fqlab.panels import quantizer", "quantizer()", 'quiz("02")']
    )
    page = lab.open("99_copy").page
    page.locator(".fqlab-panel, .widget-vbox").first.wait_for(timeout=30_000)
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    page.wait_for_timeout(500)
    sheet = lab.open("99_copy", run=False)
    page = sheet.page
    still = page.locator(".jp-OutputArea-output figure img")
    still.wait_for(timeout=30_000)
    assert still.is_visible()
    assert "levels" in still.get_attribute("alt")
    assert page.locator("figcaption", has_text="Uniform quantization").is_visible()
    page.get_by_text("1. ").first.wait_for()
    assert page.get_by_text("Error displaying widget").count() == 0
    assert page.get_by_text("Loading widget").count() == 0
    assert sheet.page_errors == []
