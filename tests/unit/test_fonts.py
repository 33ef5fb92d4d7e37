"""Chinese characters are drawn in the course's own font, on any system."""

import logging
import warnings
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from course import fonts
from course.characters import CHARACTERS
from course.paths import ASSETS

import matplotlib.pyplot as plt
import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTFont
from matplotlib import font_manager
from matplotlib.textpath import TextPath

from tools.fonts import chinese

RARE = chr(0x9F98)  # in no font of the course


@pytest.fixture
def no_system_fonts(monkeypatch):
    """matplotlib as on a system without a Chinese font: only its own fonts and the course's."""
    fonts.register()
    manager = font_manager.fontManager
    bundled = Path(matplotlib.get_data_path())
    kept = [
        font
        for font in manager.ttflist
        if bundled in Path(font.fname).parents or ASSETS in Path(font.fname).parents
    ]
    assert {"DejaVu Sans", fonts.FAMILY} <= {font.name for font in kept}
    monkeypatch.setattr(manager, "ttflist", kept)
    _forget()
    with matplotlib.rc_context():
        yield manager
    _forget()


def _forget():
    font_manager.fontManager._findfont_cached.cache_clear()
    for cached in (fonts._system_font_with, fonts._warn_of_missing_characters):
        cached.cache_clear()


def _draw(text: str, **properties) -> np.ndarray:
    figure = plt.figure(figsize=(2, 1), dpi=60)
    figure.text(0.5, 0.5, text, fontsize=24, ha="center", va="center", **properties)
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba()).copy()
    plt.close(figure)
    return pixels


# --- The font files ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["course-kai.ttf", "course-kai.woff2"])
def test_the_font_holds_every_chinese_character_that_may_be_shown(name):
    builder = chinese
    needed = builder.characters_in_repository()
    assert set(CHARACTERS) <= needed
    with TTFont(ASSETS / "fonts" / name) as font:
        missing = {c for c in needed if ord(c) not in font.getBestCmap()}
    assert not missing, f"run `python -m tools.fonts.chinese`: {''.join(sorted(missing))}"


@pytest.mark.parametrize("name", ["course-kai.ttf", "course-kai.woff2"])
def test_the_font_is_small_renamed_and_licensed(name):
    path = ASSETS / "fonts" / name
    assert path.stat().st_size < 250_000
    with TTFont(path) as font:
        records = {record.nameID: str(record) for record in font["name"].names}
    assert records[1] == records[4] == fonts.FAMILY
    for name_id, text in records.items():
        if name_id != 0:  # the copyright line alone may name the original
            assert "LXGW" not in text.upper() and "霞鹜" not in text and "Klee" not in text
    licence = (ASSETS / "fonts" / "course-kai-OFL.txt").read_text(encoding="utf-8")
    for words in ("Copyright 2021-2023 LXGW", "Copyright 2020 The Klee Project Authors"):
        assert words in records[0] and words in licence
    assert "SIL OPEN FONT LICENSE Version 1.1" in licence and "Open Font License" in records[13]


def test_both_formats_hold_the_same_characters():
    with TTFont(ASSETS / "fonts/course-kai.ttf") as one, TTFont(ASSETS / "fonts/course-kai.woff2") as other:
        assert one.getBestCmap() == other.getBestCmap()


# --- What is drawn -----------------------------------------------------------------------


def test_every_label_is_drawn_in_the_courses_font(no_system_fonts):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for character in CHARACTERS:
            assert _draw(character).min() < 128, f"{character} leaves no ink"
            drawn, expected = (
                TextPath((0, 0), character, size=24, prop=font_manager.FontProperties(**options))
                for options in ({}, {"fname": fonts.FONT_FILE})
            )
            np.testing.assert_array_equal(drawn.vertices, expected.vertices)


def test_bold_labels_are_drawn_without_complaint(no_system_fonts, caplog):
    from course import plots  # its style has bold titles

    with warnings.catch_warnings(), caplog.at_level(logging.WARNING), matplotlib.rc_context(plots._STYLE):
        warnings.simplefilter("error")
        _draw("真 not 假 (97 %)", fontweight="bold")
    assert caplog.records == []


def test_latin_text_keeps_its_font(no_system_fonts):
    with_fallback = _draw("Accuracy")
    with matplotlib.rc_context({"font.family": ["sans-serif"]}):
        np.testing.assert_array_equal(with_fallback, _draw("Accuracy"))


def test_registering_again_adds_nothing(no_system_fonts):
    fonts.register()
    families, known = matplotlib.rcParams["font.family"], len(no_system_fonts.ttflist)
    fonts.register()
    assert matplotlib.rcParams["font.family"] == families
    assert len(no_system_fonts.ttflist) == known
    assert families.count(fonts.FAMILY) == 1


def test_a_missing_font_file_is_named(no_system_fonts, monkeypatch, tmp_path):
    monkeypatch.setattr(fonts, "FONT_FILE", tmp_path / "course-kai.ttf")
    with pytest.raises(FileNotFoundError, match="course-kai.ttf"):
        fonts.register()


# --- Characters beyond the font ----------------------------------------------------------


def test_without_any_font_a_code_point_is_drawn_and_said_once(no_system_fonts):
    with pytest.warns(UserWarning, match=f"No font here has {RARE}.*Install"):
        assert fonts.drawable(f"人{RARE}x") == "人U+9F98x"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fonts.drawable(RARE) == "U+9F98"
        assert fonts.drawable("人 not 大, café → 5 %") == "人 not 大, café → 5 %"
        _draw(fonts.drawable(RARE))


def test_a_script_that_no_font_here_has_is_said_too(no_system_fonts):
    with pytest.warns(UserWarning, match="No font here has ก"):
        assert fonts.drawable("ก_2") == "U+0E01_2"
    assert fonts.drawable("Дом, $5 and $6") == r"Дом, \$5 and \$6"


def _font_with(character: str, path: Path) -> None:
    """A font of one square glyph, under the name of a font that systems have."""
    pen = TTGlyphPen(None)
    for x, y in ((100, 0), (100, 800), (900, 800), (900, 0)):
        (pen.lineTo if pen.points else pen.moveTo)((x, y))
    pen.closePath()
    square = pen.glyph()
    font = FontBuilder(1000)
    font.setupGlyphOrder([".notdef", "square"])
    font.setupCharacterMap({ord(character): "square"})
    font.setupGlyf({".notdef": square, "square": square})
    font.setupHorizontalMetrics({".notdef": (1000, 0), "square": (1000, 0)})
    font.setupHorizontalHeader(ascent=900, descent=-100)
    font.setupNameTable({"familyName": "Noto Sans CJK SC", "styleName": "Regular"})
    font.setupOS2()
    font.setupPost()
    font.save(path)


def test_a_system_font_serves_for_other_characters(no_system_fonts, tmp_path):
    _font_with(RARE, tmp_path / "system.ttf")
    no_system_fonts.addfont(str(tmp_path / "system.ttf"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fonts.drawable(f"人{RARE}") == f"人{RARE}"
        assert matplotlib.rcParams["font.family"][-1] == "Noto Sans CJK SC"
        assert _draw(RARE).min() < 128
