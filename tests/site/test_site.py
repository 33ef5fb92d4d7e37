"""Every slide, the notes and the index, as a browser shows them from disk.

The site is brought up to date first; COURSE_SITE=<folder> names one that is already built.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from .checks import DECK_SIZES, Findings, characters_of_font, check_deck, check_page

REPOSITORY = Path(__file__).resolve().parents[2]
LECTURES = sorted(path.stem for path in (REPOSITORY / "lectures").glob("*.qmd"))
if os.environ.get("COURSE_SITE"):
    LECTURES = sorted(
        path.name.removesuffix(".slides.html")
        for path in Path(os.environ["COURSE_SITE"]).glob("lectures/*.slides.html")
    )


def assert_sound(findings: Findings) -> None:
    """Fail with every problem, one a line."""
    if findings.problems:
        count = len(findings.problems)
        pytest.fail(f"{count} problem(s)\n" + "\n".join(findings.problems), pytrace=False)


def assert_font_covers(site: Path, characters: set[str]) -> None:
    """The shipped font has each Chinese character, so that no system font is needed."""
    missing = characters - characters_of_font(site / "assets/fonts/course-kai.woff2")
    assert not missing, f"Course Kai lacks {''.join(sorted(missing))}: run python -m tools.fonts.chinese"


def test_there_are_lectures() -> None:
    assert LECTURES, "lectures/ holds no .qmd file"


@pytest.mark.parametrize("lecture", LECTURES)
@pytest.mark.parametrize("size", DECK_SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_every_slide_fits(browser, site, lecture, size) -> None:
    findings = check_deck(browser, site / "lectures" / f"{lecture}.slides.html", (size,))
    assert_sound(findings)
    assert len(findings.slides) > 1
    assert_font_covers(site, findings.characters)


@pytest.mark.parametrize("page", ["index", *(f"lectures/{each}" for each in LECTURES)])
def test_pages_read_on_a_desk_and_on_a_phone(browser, site, page) -> None:
    findings = check_page(browser, site / f"{page}.html")
    assert_sound(findings)
    assert_font_covers(site, findings.characters)


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
