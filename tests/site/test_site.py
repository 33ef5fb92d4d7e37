"""Every slide, the notes and the index, as a browser shows them from disk: one walk over each.

The site is brought up to date first; COURSE_SITE=<folder> names one that is already built.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from .checks import (
    COLOURS,
    ROUTE,
    STATE,
    Findings,
    characters_of_font,
    check_deck,
    check_page,
    grave_problems,
    opened,
    press,
)

REPOSITORY = Path(__file__).resolve().parents[2]
LECTURES = sorted(path.stem for path in (REPOSITORY / "lectures").glob("*.qmd"))
if os.environ.get("COURSE_SITE"):
    LECTURES = sorted(
        path.name.removesuffix(".slides.html")
        for path in Path(os.environ["COURSE_SITE"]).glob("lectures/*.slides.html")
    )
PAGES = ("index", *(f"lectures/{each}" for each in LECTURES), "glossary")
BRIGHTNESS = """(selector) => getComputedStyle(document.querySelector(selector)).backgroundColor
  .match(/[\\d.]+/g).slice(0, 3).map(Number).reduce((a, b) => a + b) / 3"""


def assert_sound(site: Path, findings: Findings) -> None:
    """Fail with every problem, one a line; the shipped font has each Chinese character that was seen."""
    missing = findings.characters - characters_of_font(site / "assets/fonts/course-kai.woff2")
    if missing:
        lacking = "".join(sorted(missing))
        findings.add("fonts", f"Course Kai lacks {lacking}: run python -m tools.fonts.chinese")
    if findings.problems:
        count = len(findings.problems)
        pytest.fail(f"{count} problem(s)\n" + "\n".join(findings.problems), pytrace=False)


def is_dark(page) -> bool:
    """Whether the paper is dark; the button must say the same."""
    dark = page.evaluate(BRIGHTNESS, "body") < 60
    pressed = page.get_by_role("button", name="Dark colours").get_attribute("aria-pressed")
    assert pressed == str(dark).lower()
    return dark


def test_there_are_lectures() -> None:
    assert LECTURES, "lectures/ holds no .qmd file"


@pytest.mark.parametrize("lecture", LECTURES)
def test_every_slide(browser, site, lecture) -> None:
    findings = Findings()
    path = site / "lectures" / f"{lecture}.slides.html"
    with opened(browser, path, findings) as page:
        check_deck(page, findings, path.name)
        assert len(findings.slides) > 1
        assert_sound(site, findings)
        keys_lead_about(page)
    assert_sound(site, findings)


def keys_lead_about(page) -> None:
    """From the last slide: back, to both ends, the overview, the help, the speaker's window."""
    route, last = page.evaluate(ROUTE), page.evaluate(STATE)
    page.keyboard.press("ArrowRight")
    assert page.evaluate(STATE) == last, "the deck has no end"
    assert press(page, "ArrowLeft") != last
    press(page, "PageUp")
    press(page, "PageDown")
    assert press(page, "Space") == last
    assert press(page, "Home").startswith(route[0])
    # reveal.js: to the last section
    assert press(page, "End").split(",")[0] == route[-1].split(",")[0]
    page.keyboard.press("Escape")
    assert page.evaluate("Reveal.isOverview()")
    page.keyboard.press("Escape")
    assert not page.evaluate("Reveal.isOverview()")
    page.keyboard.press("Shift+?")
    page.locator(".r-overlay-help, .overlay-help").wait_for(state="visible", timeout=5_000)
    page.keyboard.press("Escape")
    with page.expect_popup() as notes:
        page.keyboard.press("s")
    notes.value.locator("#speaker-controls, .speaker-controls").first.wait_for()


@pytest.mark.parametrize("name", PAGES)
def test_every_page(browser, site, name) -> None:
    findings = Findings()
    with opened(browser, site / f"{name}.html", findings) as page:
        assert page.locator("#quarto-header button.theme-switch").count() == 1
        assert not is_dark(page)
        the_first_tab_skips_the_navigation(page)
        page.get_by_role("button", name="Dark colours").click()
        assert is_dark(page)
        findings.add(f"{name} at night", *grave_problems(page, rules=COLOURS))
        page.evaluate("document.querySelector('.skip-link').focus()")
        findings.add(f"{name} at night", *grave_problems(page, ":focus", without="main"))
        page.get_by_role("button", name="Dark colours").click()
        assert not is_dark(page)
        check_page(page, findings, name)
    assert_sound(site, findings)


def the_first_tab_skips_the_navigation(page) -> None:
    """A page just opened: Tab shows a link that leads to the content."""
    page.keyboard.press("Tab")
    link = page.locator(":focus")
    assert link.inner_text() == "Skip to content"
    box = link.bounding_box()
    assert box["x"] >= 0 and box["y"] >= 0, "it is focused and not seen"
    assert grave_problems(page, ":focus", without="main") == []
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")


def test_index_lists_each_lecture_with_its_minutes(site) -> None:
    """The index has a row for each lecture, linking what exists, with the lecture's own budget."""
    index = (REPOSITORY / "index.qmd").read_text(encoding="utf-8")
    rows = re.findall(r"^\|[^|]*\|\s*(\d+)\s*\|.*\((lectures/[\w-]+)\.qmd\)", index, flags=re.MULTILINE)
    by_lecture = {target: int(minutes) for minutes, target in rows}
    sources = sorted((REPOSITORY / "lectures").glob("*.qmd"))
    assert sorted(by_lecture) == [f"lectures/{path.stem}" for path in sources]
    for path in sources:
        budget = re.search(
            r"^: Lecture \d+ in (\d+) minutes", path.read_text(encoding="utf-8"), flags=re.MULTILINE
        )
        assert budget, f"{path.name} has no line ': Lecture N in M minutes'"
        assert by_lecture[f"lectures/{path.stem}"] == int(budget[1]), path.name
        assert (site / f"lectures/{path.stem}.slides.html").is_file()
        assert (site / f"lectures/{path.stem}.html").is_file()
