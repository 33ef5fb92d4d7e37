"""The style sheets: contrast, documented classes, and nothing fetched from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.settings import contrast, hard_to_read, luminance, themes

ROOT = Path(__file__).resolve().parents[2]
STYLES = ROOT / "assets/styles"
KINDS = ("note", "tip", "warning", "caution", "important", "error")
SHIPPED = (
    *((f"set-{name}", "paper") for name in ("train", "validation", "test", "notebook")),
    *((name, "paper") for name in ("error", "tip", "warning", "important")),
    *((kind, f"{kind}-wash") for kind in KINDS),
    *(("ink", f"{kind}-wash") for kind in KINDS),
)
SHEETS = sorted(STYLES.glob("*.css"))


def test_contrast_of_known_colours() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


def test_text_can_be_read_on_its_background() -> None:
    """With the colours that ship; `make check` says it of a lecturer's own."""
    assert hard_to_read(STYLES, {}) == hard_to_read(STYLES, {}, SHIPPED) == []


@pytest.mark.parametrize("accent", ["#8a1538", "#005f3b", "#4b2e83", "#333333", "#a34a00"])
def test_a_lecturers_accent_can_be_read_by_day_and_by_night(accent) -> None:
    assert hard_to_read(STYLES, {"accent": accent}) == []


def test_a_pale_accent_is_named() -> None:
    said = hard_to_read(STYLES, {"accent": "#FFCC00"})
    assert said[0] == "accent on paper by day has a contrast of 1.5, and text needs 4.5"


def test_what_follows_from_an_accent_follows() -> None:
    by_day, own = themes(STYLES, {})["day"], themes(STYLES, {"accent": "#8a1538"})
    assert (by_day["accent"], by_day["accent-strong"]) == ("#0072b2", "#005a8d")
    assert own["day"]["accent"] == "#8a1538"
    assert luminance(own["day"]["accent-strong"]) < luminance("#8a1538") < luminance(own["night"]["accent"])


def test_the_night_changes_the_paper() -> None:
    paper = {time: luminance(colours["paper"]) for time, colours in themes(STYLES, {}).items()}
    assert paper["night"] < 0.05 < paper["day"]


def test_classes_of_the_course_are_documented_and_exist() -> None:
    """Each class listed at the head of tokens.css has a rule, so that none is a dead letter."""
    tokens = (STYLES / "tokens.css").read_text(encoding="utf-8")
    head, _ = tokens.split("*/", 1)
    lists = re.findall(r"^ \*   ((?:\.[a-z][\w-]* +)+)", head, flags=re.MULTILINE)
    documented = {name.removeprefix(".") for each in lists for name in each.split()}
    rules = "".join(
        re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL) for path in SHEETS
    )
    styled = set(re.findall(r"\.([a-z][\w-]*)", rules))
    assert {"big-number", "source-note", "simulated-note"} <= documented
    assert documented <= styled


@pytest.mark.parametrize("path", SHEETS, ids=lambda path: path.name)
def test_style_sheets_name_only_files_that_exist(path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "@import" not in text
    for target in re.findall(r"url\(\"?([^\")]+)\"?\)", text):
        assert target.startswith("data:") or (path.parent / target).is_file(), target


@pytest.mark.parametrize("path", SHEETS, ids=lambda path: path.name)
def test_braces_are_balanced(path) -> None:
    """A lost brace would silence every rule after it."""
    text = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    depth = 0
    for character in text:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert 0 <= depth <= 2
    assert depth == 0
