"""What tests/site sees on one screen, seen on another: decks on a large screen, pages on a phone."""

from __future__ import annotations

import pytest

from tests.site.checks import PHONE, Findings, check_deck, look_at_page, opened
from tests.site.test_site import LECTURES, PAGES, assert_sound

LARGE = (1920, 1080)


@pytest.mark.parametrize("lecture", LECTURES)
def test_every_slide_fits_a_large_screen(browser, site, lecture) -> None:
    findings = Findings()
    path = site / "lectures" / f"{lecture}.slides.html"
    with opened(browser, path, findings, *LARGE) as page:
        check_deck(page, findings, path.name, fit_only=True)
    assert_sound(site, findings)


@pytest.mark.parametrize("name", PAGES)
def test_every_page_opens_on_a_phone(browser, site, name) -> None:
    """The walk makes an open page narrow; here it is narrow from the start."""
    findings = Findings()
    with opened(browser, site / f"{name}.html", findings, PHONE, 800) as page:
        look_at_page(page, findings, name)
    assert_sound(site, findings)
