"""The fonts of pages and plots: renamed subsets, the same bytes whoever makes them."""

import io
from collections.abc import Iterable
from pathlib import Path

from course.paths import ASSETS
from course.store.files import write_whole

from fontTools import subset
from fontTools.ttLib import TTFont

FOLDER = ASSETS / "fonts"


def subset_of(source: Path, unicodes: Iterable[int], **options) -> TTFont:
    """A font with the glyphs of some characters alone."""
    font = TTFont(source, recalcTimestamp=False)
    subsetter = subset.Subsetter(subset.Options(hinting=False, **options))
    subsetter.populate(unicodes=unicodes)
    subsetter.subset(font)
    return TTFont(io.BytesIO(_saved(font, None)), recalcTimestamp=False)  # what is left can be instantiated


def _saved(font: TTFont, flavor: str | None) -> bytes:
    font.flavor = flavor
    stream = io.BytesIO()
    font.save(stream)
    return stream.getvalue()


def write(font: TTFont, name: str) -> None:
    """Write a font into assets/fonts; the ending of the name says in which format."""
    content = _saved(font, "woff2" if name.endswith(".woff2") else None)
    write_whole(FOLDER / name, content)
    print(f"{name}: {len(font.getBestCmap())} characters, {len(content) / 1e3:.0f} kB")
