"""What stands in `course.yml`: what still is the example's, and colours that are hard to read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import yaml

from render.project import Project

AA = 4.5  # WCAG 2.2, contrast of text to its background, level AA
# Which text stands on which background, where course.yml may set the colour of one of them.
ON_PANEL = [f"code-{name}" for name in ("ink", "keyword", "string", "number", "comment", "function")]
PAIRS = (
    *((text, "paper") for text in ("ink", "ink-soft", "accent", "accent-strong")),
    *((text, "panel") for text in (*ON_PANEL, "ink", "accent")),
    ("ink", "accent-wash"),
)
PROPERTY = re.compile(r"--([\w-]+):\s*([^;]+);")
MIX = re.compile(r"color-mix\(in srgb, (.+) ([\d.]+)%, (.+)\)")
NAMED = {"black": "#000000", "white": "#ffffff"}


def themes(styles: Path, own: dict[str, str]) -> dict[str, dict[str, str]]:
    """Every colour of the style sheets as #rrggbb, by day and by night, with the lecturer's own."""
    day = dict(PROPERTY.findall((styles / "tokens.css").read_text(encoding="utf-8")))
    day |= {f"own-{name}": str(value).lower() for name, value in own.items()}
    notes = (styles / "notes.css").read_text(encoding="utf-8")
    night = notes[notes.index(':root[data-theme="dark"] {') : notes.index("@media print")]

    def colours(known: dict[str, str]) -> dict[str, str]:
        found = {name: _colour(value, known) for name, value in known.items()}
        return {name: value for name, value in found.items() if value}

    return {"day": colours(day), "night": colours(day | dict(PROPERTY.findall(night)))}


def _colour(value: str, known: dict[str, str]) -> str | None:
    """A value of CSS as #rrggbb, or None where it is no colour."""
    if variable := re.fullmatch(r"var\(--([\w-]+)\)", value):
        return _colour(known.get(variable[1], ""), known)
    if mix := MIX.fullmatch(value):
        one, other = (_channels(_colour(each, known)) for each in (mix[1], mix[3]))
        share = float(mix[2]) / 100
        return "#" + "".join(f"{round(share * a + (1 - share) * b):02x}" for a, b in zip(one, other))
    value = NAMED.get(value, value)
    return value if re.fullmatch("#[0-9a-f]{6}", value) else None


def _channels(colour: str) -> list[int]:
    return list(bytes.fromhex(colour.removeprefix("#")))


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb, 0 to 1 (WCAG 2.2)."""
    shares = [channel / 255 for channel in _channels(colour)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, two: str) -> float:
    """Contrast ratio of two colours, 1 to 21 (WCAG 2.2)."""
    low, high = sorted((luminance(one), luminance(two)))
    return (high + 0.05) / (low + 0.05)


def hard_to_read(styles: Path, own: dict[str, str], pairs: Sequence = PAIRS) -> list[str]:
    """The texts whose contrast to their background is under AA, each in words."""
    return [
        f"{text} on {ground} by {time} has a contrast of {ratio:.1f}, and text needs {AA}"
        for time, colours in themes(styles, own).items()
        for text, ground in pairs
        if (ratio := contrast(colours[text], colours[ground])) < AA
    ]


def hints(root: Path) -> list[str]:
    """What a lecturer should look at in `course.yml`; a RenderError tells that it cannot be read."""
    project = Project.load(root)
    said, styles = [], root / "assets" / "styles"
    if not project.config.get("author"):
        said.append("`author` is empty: no title slide says who teaches")
    if "github.com/example/" in str(project.website.get("repo-url")):
        said.append("`repo-url` is the example's: no Colab badge leads anywhere")
    colours = project.config.get("colours") or {}
    known = re.findall(r"--own-([\w-]+):", (styles / "tokens.css").read_text(encoding="utf-8"))
    if wrong := [
        name for name, value in colours.items() if name not in known or not _colour(str(value).lower(), {})
    ]:
        said.append(f'`colours: {wrong[0]}` is not one of {", ".join(known)}, or not written as "#rrggbb"')
    else:
        said += hard_to_read(styles, colours)
    numbers = {int(path.name[:2]) for path in project.pages() if path.name[:2].isdigit()}
    for number, minutes in (project.config.get("minutes") or {}).items():
        if number not in numbers or not isinstance(minutes, int) or minutes < 1:
            said.append(f"`minutes: {number}: {minutes}` is no lecture's number with whole minutes")
    citation = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    if citation["title"] != project.website.get("title"):
        said.append(f'CITATION.cff cites "{citation["title"]}": leave it, or cite your own course there')
    return said
