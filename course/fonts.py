"""Chinese characters in plots, on any system.

`register()` makes matplotlib fall back to Course Kai, which holds the characters of the course, so that
labels need no special care. `drawable()` is for texts that somebody else chose, such as names of classes.
"""

import dataclasses
import functools
import warnings

from course.paths import ASSETS

import matplotlib
from matplotlib import font_manager

FAMILY = "Course Kai"
FONT_FILE = ASSETS / "fonts" / "course-kai.ttf"
# The Latin font of the pages, for plots in the course's style.
SANS_FAMILY = "Course Sans"
_SANS_FILES = tuple(ASSETS / "fonts" / f"course-sans-{weight}.ttf" for weight in (400, 600))

# Fonts with many thousand Chinese characters, as the usual systems name them.
_SYSTEM_FONTS = (
    *("Noto Sans CJK", "Noto Sans SC", "Noto Serif CJK", "Source Han", "PingFang", "Heiti", "STHeiti"),
    *("Hiragino Sans GB", "Songti", "STSong", "Microsoft YaHei", "Microsoft JhengHei", "SimHei"),
    *("SimSun", "NSimSun", "KaiTi", "DengXian", "WenQuanYi", "LXGW", "AR PL", "Droid Sans Fallback"),
    "Arial Unicode",
)


def register() -> None:
    """Make Course Kai the fallback of matplotlib's current font family.

    Latin text keeps the font that it has. Calling this again does no harm, as after a style has reset the
    family. FileNotFoundError names a font that is missing from assets/fonts.
    """
    known = {font.fname for font in font_manager.fontManager.ttflist}
    for file in (FONT_FILE, *_SANS_FILES):
        if str(file) not in known:
            font_manager.fontManager.addfont(str(file))
            if file != _SANS_FILES[0]:
                # They serve as bold too, or matplotlib would log that it found none.
                entry = font_manager.fontManager.ttflist[-1]
                font_manager.fontManager.ttflist.append(dataclasses.replace(entry, weight=700))
    _add_fallback(FAMILY)


def _add_fallback(family: str) -> None:
    families = [*matplotlib.rcParams["font.family"], family]
    matplotlib.rcParams["font.family"] = list(dict.fromkeys(families))


def drawable(text: str) -> str:
    """`text` as it can be drawn: with a system font where Course Kai is not enough, and no sign read as TeX.

    It stays a fallback for later plots, until a style resets the fonts. A character that no font here has is
    written as its code point, such as U+9F98, and a warning says once what to install.
    """
    register()
    missing = set()
    for character in set(text) - _always_there():
        if (family := _system_font_with(character)) is None:
            missing.add(character)
        else:
            _add_fallback(family)
    if missing:
        _warn_of_missing_characters("".join(sorted(missing)))
    shown = {character: f"U+{ord(character):04X}" for character in missing} | {"$": r"\$"}
    return "".join(shown.get(character, character) for character in text)


@functools.cache
def _always_there() -> set[str]:
    """What the fonts have that every plot falls back to: matplotlib's own and Course Kai."""
    files = font_manager.findfont("DejaVu Sans"), str(FONT_FILE)
    return {chr(code) for file in files for code in font_manager.get_font(file).get_charmap()}


@functools.cache
def _system_font_with(character: str) -> str | None:
    """The name of an installed font that has `character`, or None."""
    for font in font_manager.fontManager.ttflist:
        if font.name.startswith(_SYSTEM_FONTS):
            try:
                if ord(character) in font_manager.get_font(font.fname).get_charmap():
                    return font.name
            except (OSError, RuntimeError):
                continue  # listed, but removed or unreadable since
    return None


@functools.cache
def _warn_of_missing_characters(characters: str) -> None:
    more = f" and {len(characters) - 10} more" if len(characters) > 10 else ""
    warnings.warn(
        f"No font here has {', '.join(characters[:10])}{more}; code points are drawn instead. "
        "Install one that has them (Noto Sans CJK for Chinese), delete matplotlib's font cache folder "
        f"({matplotlib.get_cachedir()}) and restart Python.",
        stacklevel=3,
    )
