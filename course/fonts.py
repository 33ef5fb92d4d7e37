"""Chinese characters in plots, on any system.

`register()` makes matplotlib fall back to Course Kai, which holds the characters of the course, so that
labels need no special care. `drawable()` is for characters that may lie beyond it.
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
    """`text` as it can be drawn: with a system font where Course Kai is not enough.

    It stays a fallback for later plots, until a style resets the fonts. A character that no font here has is
    written as its code point, such as U+9F98, and a warning says once what to install.
    """
    register()
    missing, ours = set(), font_manager.get_font(str(FONT_FILE)).get_charmap()
    for character in set(text):
        if ord(character) < 0x2E80 or ord(character) in ours:
            continue
        if (family := _system_font_with(character)) is None:
            missing.add(character)
        else:
            _add_fallback(family)
    if missing:
        _warn_of_missing_characters("".join(sorted(missing)))
    return "".join(f"U+{ord(character):04X}" if character in missing else character for character in text)


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
        "Install a Chinese font (Noto Sans CJK, say), delete matplotlib's font cache folder "
        f"({matplotlib.get_cachedir()}) and restart Python.",
        stacklevel=3,
    )
