"""The style sheets: contrast, documented classes, and nothing fetched from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

STYLES = Path(__file__).resolve().parents[2] / "assets/styles"
SHEETS = sorted(STYLES.glob("*.css"))
AA = 4.5  # WCAG 2.2, contrast of text to its background, level AA

PAPERS = ("paper", "panel")
ON_PAPER = (
    "ink",
    "ink-soft",
    "accent",
    "accent-strong",
    "set-train",
    "set-validation",
    "set-test",
    "set-notebook",
    "error",
    "tip",
    "warning",
    "important",
)
CODE = ("code-ink", "code-keyword", "code-string", "code-number", "code-comment", "code-function")
ON_WASH = tuple(
    (kind, f"{kind}-wash") for kind in ("note", "tip", "warning", "caution", "important", "error")
)
PAIRS = (
    *((text, "paper") for text in ON_PAPER),
    *((text, "panel") for text in CODE),
    *ON_WASH,
    *(("ink", wash) for _, wash in ON_WASH),
)


def colours(block: str) -> dict[str, str]:
    """The custom properties of a rule that are colours written as #rrggbb."""
    return dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]{6});", block))


def themes() -> dict[str, dict[str, str]]:
    """The colours by day, and by night (those of the day where the night changes nothing)."""
    light = colours((STYLES / "tokens.css").read_text(encoding="utf-8"))
    notes = (STYLES / "notes.css").read_text(encoding="utf-8")
    dark = notes[notes.index(':root[data-theme="dark"] {') : notes.index("@media print")]
    return {"light": light, "dark": light | colours(dark)}


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb, 0 to 1 (WCAG 2.2)."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, two: str) -> float:
    """Contrast ratio of two colours, 1 to 21 (WCAG 2.2)."""
    low, high = sorted((luminance(one), luminance(two)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_of_known_colours() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_can_be_read_on_its_background(theme) -> None:
    by_name = themes()[theme]
    poor = {
        f"{text} on {ground}": round(contrast(by_name[text], by_name[ground]), 2)
        for text, ground in PAIRS
        if contrast(by_name[text], by_name[ground]) < AA
    }
    assert not poor


def test_the_night_changes_the_paper() -> None:
    assert luminance(themes()["dark"]["paper"]) < 0.05 < luminance(themes()["light"]["paper"])


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
        assert (path.parent / target).is_file(), target


@pytest.mark.parametrize("path", SHEETS, ids=lambda path: path.name)
def test_braces_are_balanced(path) -> None:
    """A lost brace would silence every rule after it."""
    text = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    depth = 0
    for character in text:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert 0 <= depth <= 2
    assert depth == 0
