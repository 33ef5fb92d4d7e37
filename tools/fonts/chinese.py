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
import os
import subprocess
import sys
import tempfile
import unicodedata
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont
from fontTools.varLib.instancer import instantiateVariableFont

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
TEXT_SUFFIXES = {
    ".qmd",
    ".py",
    ".md",
    ".ipynb",
    ".js",
    ".css",
    ".scss",
    ".html",
    ".yml",
    ".toml",
    ".txt",
    ".svg",
}
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
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
    ).stdout
    found = set()
    for name in filter(None, listed.split(b"\0")):
        path = REPOSITORY / os.fsdecode(name)
        if name.startswith((b"tests/", b"cache/", b"data/")):
            continue
        if path.suffix in TEXT_SUFFIXES and path.is_file():
            found |= set(filter(is_chinese, path.read_text(encoding="utf-8", errors="ignore")))
    return found


def build(source: Path) -> None:
    listed = "".join(
        line
        for line in (FOLDER / "characters.txt").read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    )
    wanted = characters_in_repository() | set(listed) | set(EXTRA) | set(LATIN)
    font = TTFont(source)
    missing = sorted(
        character for character in filter(is_chinese, wanted) if ord(character) not in font.getBestCmap()
    )
    if missing:
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
    for flavor, name in ((None, "course-kai.ttf"), ("woff2", "course-kai.woff2")):
        font.flavor = flavor
        save(font, FOLDER / name)
    print(
        f"{FAMILY}: {len(list(filter(is_chinese, map(chr, font.getBestCmap()))))} Chinese "
        f"characters, {(FOLDER / 'course-kai.ttf').stat().st_size / 1e3:.0f} kB, as woff2 "
        f"{(FOLDER / 'course-kai.woff2').stat().st_size / 1e3:.0f} kB"
    )


def build_plot_weights() -> None:
    for weight, style in ((400, "Regular"), (600, "SemiBold")):
        font = TTFont(FOLDER / "course-sans.woff2", recalcTimestamp=False)
        font.flavor = None
        font = instantiateVariableFont(font, {"wght": weight, "opsz": 14})
        font["OS/2"].usWeightClass = weight
        for name_id, text in {
            2: style,
            4: f"Course Sans {style}",
            6: f"CourseSans-{style}",
            17: style,
        }.items():
            font["name"].setName(text, name_id, 3, 1, 0x409)
        save(font, FOLDER / f"course-sans-{weight}.ttf")


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


def save(font: TTFont, target: Path) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, suffix=target.suffix)
    os.close(descriptor)
    try:
        font.save(temporary)
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "source", type=Path, nargs="?", help="LXGWWenKai-Regular.ttf; by default where systems install it"
    )
    source = parser.parse_args().source
    if source is None:
        source = next((path for path in SOURCES if path.exists()), None)
    if source is None or not source.exists():
        sys.exit("LXGWWenKai-Regular.ttf not found: give its path, or install the package fonts-lxgw-wenkai.")
    build(source)
    build_plot_weights()


if __name__ == "__main__":
    main()
