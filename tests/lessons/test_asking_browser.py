"""A guess in JupyterLab in Chromium: by keyboard on the slider, a button, and the answer in the next cell."""

from __future__ import annotations

from browser import Lab


def test_a_guess_is_made_without_typing(lab: Lab) -> None:
    lab.write("99_guess", ["from fqlab.lessons import predict, reveal", 'predict("02-levels")', 'reveal("02-levels")'])
    sheet = lab.open("99_guess")
    page = sheet.page
    slider = page.get_by_role("slider", name="Your guess (levels)")
    slider.wait_for(timeout=20_000)
    button = page.get_by_role("button", name="This is my guess")
    assert button.is_disabled()
    assert "move the slider" in page.locator(".fqlab-ask").inner_text()
    slider.press("ArrowRight")
    slider.press("ArrowRight")
    page.get_by_text("4 levels", exact=True).wait_for(timeout=10_000)
    button.click()
    page.get_by_text("Noted: 4 levels").wait_for(timeout=10_000)
    sheet.run_all()
    page.get_by_text("You said 4 levels, it is 7 levels").wait_for(timeout=20_000)
    assert sheet.page_errors == []
    assert sheet.outside == []
