"""Light and dark pages: as the system is set, as the reader chooses, and always light on paper.

That each page has the switch, and keeps its contrast at night, is part of the walk in test_site.py.
"""

from __future__ import annotations

import re
from contextlib import contextmanager

import pytest

from .test_site import BRIGHTNESS, LECTURES, PAGES, is_dark

FORBIDDEN = "storage is forbidden to pages on the disk"
NO_STORAGE = f"""Object.defineProperty(window, "localStorage", {{
  get() {{ throw new DOMException("{FORBIDDEN}", "SecurityError"); }} }});"""
# The theme at the moment when the first of the page's content exists, before any paint.
AT_FIRST = """new MutationObserver(() => {
  if (document.body && !window.atFirst) {
    window.atFirst = document.documentElement.dataset.theme || "none"; }
}).observe(document, {childList: true, subtree: true});"""


@contextmanager
def opened(browser, path, scheme="light", script=""):
    """A page from disk, on a system that is set to `scheme`; `script` runs before its own.

    Afterwards no script of the page may have failed, apart from Quarto's own, which need storage.
    """
    context = browser.new_context(viewport={"width": 1280, "height": 720}, color_scheme=scheme)
    try:
        page = context.new_page()
        page.errors = []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.add_init_script(AT_FIRST + script)
        page.goto(path.resolve().as_uri())
        yield page
        assert [each for each in page.errors if each != FORBIDDEN] == []
    finally:
        context.close()


def test_until_it_is_pressed_the_system_decides(browser, site) -> None:
    with opened(browser, site / "index.html", "dark") as page:
        assert is_dark(page) and page.evaluate("atFirst") == "dark"
        page.emulate_media(color_scheme="light")
        page.wait_for_function("document.documentElement.dataset.theme === 'light'")
        assert not is_dark(page)
        page.get_by_role("button", name="Dark colours").click()
        for scheme in ("dark", "light"):
            page.emulate_media(color_scheme=scheme)
            page.evaluate("new Promise((done) => requestAnimationFrame(done))")
            assert is_dark(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_choice_is_remembered_on_other_pages(browser, site, scheme) -> None:
    other = {"light": "dark", "dark": "light"}[scheme]
    with opened(browser, site / "index.html", scheme) as page:
        page.get_by_role("button", name="Dark colours").click()
        page.goto((site / f"{PAGES[1]}.html").as_uri())
        assert page.evaluate("atFirst") == other, "a flash of the wrong colours"
        assert is_dark(page) == (other == "dark")
        page.reload()
        assert page.evaluate("atFirst") == other
        assert is_dark(page) == (other == "dark")


def test_it_works_by_keyboard(browser, site) -> None:
    with opened(browser, site / "index.html") as page:
        for _ in range(8):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.className") == "theme-switch":
                break
        else:
            pytest.fail("Tab does not reach the switch in the bar")
        page.keyboard.press("Space")
        assert is_dark(page)
        page.keyboard.press("Enter")
        assert not is_dark(page)


def test_it_works_where_pages_may_store_nothing(browser, site) -> None:
    with opened(browser, site / "index.html", script=NO_STORAGE) as page:
        page.get_by_role("button", name="Dark colours").click()
        assert is_dark(page)


def test_what_others_left_in_the_storage_is_no_theme(browser, site) -> None:
    spoilt = "try { localStorage.setItem('course-theme', 'mauve'); } catch {}"
    with opened(browser, site / "index.html", "dark", spoilt) as page:
        assert is_dark(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_paper_is_always_light(browser, site, scheme) -> None:
    with opened(browser, site / f"{PAGES[1]}.html", scheme) as page:
        if scheme == "light":
            page.get_by_role("button", name="Dark colours").click()
        assert is_dark(page)
        page.emulate_media(media="print")
        assert page.evaluate(BRIGHTNESS, "body") > 250
        ink = page.evaluate("getComputedStyle(document.querySelector('main section p')).color")
        assert max(map(int, re.findall(r"\d+", ink))) < 60
        assert not page.get_by_role("button", name="Dark colours").is_visible()


@pytest.mark.parametrize("deck", LECTURES[:1])
def test_slides_are_always_light(browser, site, deck) -> None:
    """A projector needs the light; the print of a slide, too."""
    with opened(browser, site / "lectures" / f"{deck}.slides.html", "dark") as page:
        page.evaluate("try { localStorage.setItem('course-theme', 'dark'); } catch {}")
        page.reload()
        assert page.evaluate(BRIGHTNESS, "body") > 250
