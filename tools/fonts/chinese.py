"""Build the font Course Kai: the Chinese characters that this repository's text uses.

    python -m tools.fonts.chinese [path of LXGWWenKai-Regular.ttf]

Run it when a test says that a character is missing. The source font is LXGW WenKai 1.250
(https://github.com/lxgw/LxgwWenKai; Debian and Ubuntu: `apt install fonts-lxgw-wenkai`).
Its licence, the SIL Open Font License 1.1, reserves its names, so the subset is renamed.
Writes course-kai.ttf (for matplotlib) and course-kai.woff2 (for the pages). Also writes
course-sans-400.ttf and course-sans-600.ttf: two weights of the pages' course-sans.woff2, for
matplotlib, which reads neither woff2 nor variable fonts.
"""

import argparse
import io
import sys
import unicodedata
from pathlib import Path

from course.store.files import write_whole

from fontTools import subset
from fontTools.ttLib import TTFont
from fontTools.varLib.instancer import instantiateVariableFont

from tools.ledger import repository_files

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = REPOSITORY / "assets" / "fonts"
SOURCES = (
    Path("/usr/share/fonts/truetype/lxgw-wenkai/LXGWWenKai-Regular.ttf"),
    Path.home() / "Library/Fonts/LXGWWenKai-Regular.ttf",
    Path("/Library/Fonts/LXGWWenKai-Regular.ttf"),
)
FAMILY = "Course Kai"
COPYRIGHT = (
    "Course Kai is a renamed subset of another font. Copyright 2021-2023 LXGW "
    "(https://github.com/lxgw/LxgwWenKai), with Reserved Font Names. Copyright 2020 The Klee "
    "Project Authors (https://github.com/fontworks-fonts/Klee)."
)
LICENSE = (
    "This Font Software is licensed under the SIL Open Font License, Version 1.1. This "
    "license is available with a FAQ at: https://scripts.sil.org/OFL"
)
TEXTS = tuple(".qmd .py .md .ipynb .js .css .scss .html .yml .toml .txt .svg".split())
# Ideographic punctuation, the strokes of characters, and full-width forms that prose uses.
EXTRA = "".join(map(chr, [*range(0x3000, 0x3020), *range(0x31C0, 0x31E4)])) + "！（），：；？～"
LATIN = "".join(map(chr, range(0x20, 0x7F))) + "·–—‘’“”…×→"


def is_chinese(character: str) -> bool:
    """Whether a character is a Chinese one, as opposed to Latin, Greek or a symbol."""
    return unicodedata.name(character, "").startswith(("CJK UNIFIED", "CJK COMPATIBILITY IDEO"))


def characters_in_repository() -> set[str]:
    """Every Chinese character in the text files that git tracks or would track.

    Those of tests are left out: they are compared, not shown.
    """
    found: set[str] = set()
    for name in repository_files():
        if name.endswith(TEXTS) and not name.startswith(("tests/", "cache/", "data/")):
            text = (REPOSITORY / name).read_text(encoding="utf-8", errors="ignore")
            found |= set(filter(is_chinese, text))
    return found


def build(source: Path) -> None:
    """Write course-kai.ttf and course-kai.woff2."""
    lines = (FOLDER / "characters.txt").read_text(encoding="utf-8").splitlines()
    listed = "".join(line for line in lines if not line.startswith("#"))
    wanted = characters_in_repository() | set(listed) | set(EXTRA) | set(LATIN)
    font = TTFont(source)
    known = font.getBestCmap()
    if missing := sorted(each for each in wanted if is_chinese(each) and ord(each) not in known):
        print(f"{source.name} has no {''.join(missing)}", file=sys.stderr)
    options = subset.Options(
        layout_features=[],
        hinting=False,
        name_IDs=["*"],
        name_languages=["*"],
        glyph_names=False,
        notdef_outline=True,
        drop_tables=["BASE", "GSUB", "GDEF", "vhea", "vmtx", "gasp"],
    )
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=map(ord, wanted))
    subsetter.subset(font)
    rename(font)
    font["head"].modified = font["head"].created  # the same input gives the same bytes
    font.recalcTimestamp = False
    count = sum(is_chinese(chr(code)) for code in font.getBestCmap())
    for flavor, name in ((None, "course-kai.ttf"), ("woff2", "course-kai.woff2")):
        font.flavor = flavor
        size = write_font(font, FOLDER / name)
        print(f"{name}: {count} Chinese characters, {size / 1e3:.0f} kB")


def build_plot_weights() -> None:
    """Write two weights of course-sans.woff2 as fonts that matplotlib can read."""
    for weight, style in ((400, "Regular"), (600, "SemiBold")):
        font = TTFont(FOLDER / "course-sans.woff2", recalcTimestamp=False)
        font.flavor = None
        font = instantiateVariableFont(font, {"wght": weight, "opsz": 14})
        font["OS/2"].usWeightClass = weight
        names = {2: style, 4: f"Course Sans {style}", 6: f"CourseSans-{style}", 17: style}
        for name_id, text in names.items():
            font["name"].setName(text, name_id, 3, 1, 0x409)
        write_font(font, FOLDER / f"course-sans-{weight}.ttf")


def rename(font: TTFont) -> None:
    """Replace every name record: none may carry the reserved names but the copyright."""
    names = font["name"]
    names.names = []
    for name_id, text in {
        0: COPYRIGHT,
        1: FAMILY,
        2: "Regular",
        3: f"{FAMILY}: Version 1.250 subset",
        4: FAMILY,
        5: "Version 1.250",
        6: "CourseKai-Regular",
        13: LICENSE,
        14: "https://scripts.sil.org/OFL",
    }.items():
        names.setName(text, name_id, 3, 1, 0x409)
        names.setName(text, name_id, 1, 0, 0)
    font["OS/2"].achVendID = "    "


def write_font(font: TTFont, target: Path) -> int:
    """Write a font, whole; returns its size in bytes."""
    stream = io.BytesIO()
    font.save(stream)
    write_whole(target, stream.getvalue())
    return len(stream.getvalue())


def main() -> None:
    """Read the command line and build the fonts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    where = "LXGWWenKai-Regular.ttf; by default where systems install it"
    parser.add_argument("source", type=Path, nargs="?", help=where)
    given = parser.parse_args().source
    source = next((path for path in ([given] if given else SOURCES) if path.exists()), None)
    if source is None:
        sys.exit("LXGWWenKai-Regular.ttf not found: give its path, or install the package fonts-lxgw-wenkai.")
    build(source)
    build_plot_weights()


if __name__ == "__main__":
    main()
