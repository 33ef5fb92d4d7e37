"""Build the font Course Kai: the Chinese characters that this repository's text uses.

    python -m tools.fonts.chinese [path of LXGWWenKai-Regular.ttf]

Run it when a test says that a character is missing. The source font is LXGW WenKai 1.250
(https://github.com/lxgw/LxgwWenKai; Debian and Ubuntu: `apt install fonts-lxgw-wenkai`).
Its licence, the SIL Open Font License 1.1, reserves its names, so the subset is renamed.
Writes course-kai.ttf (for matplotlib) and course-kai.woff2 (for the pages).
"""

import argparse
import sys
import unicodedata
from pathlib import Path

from course.paths import REPOSITORY

from fontTools.ttLib import TTFont

from tools.fonts import FOLDER, subset_of, write
from tools.ledger import repository_files

SOURCE = Path("/usr/share/fonts/truetype/lxgw-wenkai/LXGWWenKai-Regular.ttf")
NAMES = {
    0: "Course Kai is a renamed subset of another font. Copyright 2021-2023 LXGW "
    "(https://github.com/lxgw/LxgwWenKai), with Reserved Font Names. Copyright 2020 The Klee "
    "Project Authors (https://github.com/fontworks-fonts/Klee).",
    1: "Course Kai",
    2: "Regular",
    3: "Course Kai: Version 1.250 subset",
    4: "Course Kai",
    5: "Version 1.250",
    6: "CourseKai-Regular",
    13: "This Font Software is licensed under the SIL Open Font License, Version 1.1. This "
    "license is available with a FAQ at: https://scripts.sil.org/OFL",
    14: "https://scripts.sil.org/OFL",
}
TEXTS = tuple(".qmd .py .md .ipynb .js .css .scss .html .yml .toml .txt .svg".split())
# Ideographic punctuation, the strokes of characters, and full-width forms that prose uses.
EXTRA = "".join(map(chr, [*range(0x3000, 0x3020), *range(0x31C0, 0x31E4)])) + "！（），：；？～"
LATIN = "".join(map(chr, range(0x20, 0x7F))) + "·–—‘’“”…×→"
DROPPED = ["BASE", "GSUB", "GDEF", "vhea", "vmtx", "gasp"]


def is_chinese(character: str) -> bool:
    """Whether a character is a Chinese one, as opposed to Latin, Greek or a symbol."""
    return unicodedata.name(character, "").startswith(("CJK UNIFIED", "CJK COMPATIBILITY IDEO"))


def characters_in_repository() -> set[str]:
    """Every Chinese character in the repository's texts; those of tests are compared, not shown."""
    found: set[str] = set()
    for name in repository_files():
        if name.endswith(TEXTS) and not name.startswith(("tests/", "cache/", "data/")):
            text = (REPOSITORY / name).read_text(encoding="utf-8", errors="ignore")
            found |= set(filter(is_chinese, text))
    return found


def main() -> None:
    """Build the font from the source that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    where = "path of LXGWWenKai-Regular.ttf; by default where Debian and Ubuntu install it"
    parser.add_argument("source", type=Path, nargs="?", default=SOURCE, help=where)
    source = parser.parse_args().source
    if not source.is_file():
        sys.exit(f"{source} not found: give the font's path, or install the package fonts-lxgw-wenkai.")
    lines = (FOLDER / "characters.txt").read_text(encoding="utf-8").splitlines()
    listed = "".join(line for line in lines if not line.startswith("#"))
    wanted = characters_in_repository() | set(listed) | set(EXTRA) | set(LATIN)
    known = TTFont(source).getBestCmap()
    if missing := sorted(each for each in wanted if is_chinese(each) and ord(each) not in known):
        print(f"{source.name} has no {''.join(missing)}", file=sys.stderr)
    font = subset_of(source, map(ord, wanted), layout_features=[], notdef_outline=True, drop_tables=DROPPED)
    font["name"].names = []  # none may carry the reserved names but the copyright
    for name_id, text in NAMES.items():
        font["name"].setName(text, name_id, 3, 1, 0x409)
        font["name"].setName(text, name_id, 1, 0, 0)
    font["OS/2"].achVendID = "    "
    font["head"].modified = font["head"].created  # the same input gives the same bytes
    for name in ("course-kai.ttf", "course-kai.woff2"):
        write(font, name)


if __name__ == "__main__":
    main()
