"""Build the Latin, code and mathematics fonts of the pages: Course Sans, Mono and Math.

    python -m tools.fonts.latin FOLDER

FOLDER holds the source fonts, anywhere below it, under the names in SOURCES:
- Inter 4.1.1: the npm package `inter-ui` (npm pack inter-ui@4.1.1);
- JetBrains Mono 2.242: Debian's fonts-jetbrains-mono (apt-get download, dpkg -x);
- STIX Math 1.1.1: Debian's fonts-stix.
All three are under the SIL Open Font License 1.1, whose text is in course-latin-OFL.txt. The
subsets are renamed, so that they are never taken for the originals. Each source is checked
against its hash. Also writes two weights of Course Sans as ttf, for matplotlib, which reads neither
woff2 nor variable fonts.
"""

import argparse
import hashlib
import sys
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont
from fontTools.varLib.instancer import instantiateVariableFont

from tools.fonts import FOLDER, subset_of, write

SOURCES = {
    "InterVariable.woff2": "693b77d4f32ee9b8bfc995589b5fad5e99adf2832738661f5402f9978429a8e3",
    "InterVariable-Italic.woff2": "e564f652916db6c139570fefb9524a77c4d48f30c92928de9db19b6b5c7a262a",
    "JetBrainsMono-Regular.ttf": "a3014fb90ae8ddfbdfc778de75f95b49a857947fde5335ab3f50b6d56eb517be",
    "JetBrainsMono-Bold.ttf": "3481028266ee80741bfa96beaa4ce2ea1c6beebf89979d3e64e039c4d83822d1",
    "STIXMath-Regular.otf": "ffa86ff85660f452fe916ada2805026bde5b9b0d1e6ffafb5f73972675ecfd40",
}
# Latin with the tone marks of pinyin, Greek, punctuation, arrows and common operators.
TEXT = (
    "U+20-7E,U+A0-17F,U+1CD-1DC,U+2B0,U+2BC,U+2C6-2DD,U+300-30C,U+391-3A9,U+3B1-3C9,"
    "U+2002-200B,U+2010-2027,U+202F-203A,U+2044,U+2070-209C,U+20AC,U+2113,U+211D,U+2122,"
    "U+2190-2199,U+21D2,U+2202,U+2206,U+2208,U+220F,U+2211-2213,U+2215,U+2217,U+221A,U+221E,"
    "U+2229-222B,U+2248,U+2260-2265,U+22C5,U+22C6,U+2308-230B,U+2318,U+25A0-25A1,U+25B2,"
    "U+25B6,U+25BC,U+25C6,U+25CB,U+25CF,U+2605,U+2713,U+2717,U+FB01-FB02"
)
# Summaries of Keras models and progress bars are drawn with boxes and blocks.
CODE = TEXT + ",U+2500-259F"
MATHEMATICS = (
    "U+20-7E,U+A0-FF,U+131,U+237,U+2C6-2DD,U+300-315,U+338,U+391-3F6,U+2010-2037,U+203E,"
    "U+2057,U+2061-2064,U+2070-209C,U+20D0-20E1,U+2102-214F,U+2190-21FF,U+2200-22FF,"
    "U+2308-230B,U+2320-2321,U+239B-23B1,U+23D0,U+23DC-23E1,U+25A1,U+2A2F,U+27E6-27EF,"
    "U+27F5-27FA,U+2A7D-2A7E,U+1D400-1D503,U+1D538-1D56B,U+1D6A4-1D755,"
    "U+1D7CE-1D7D7"
)
TEXT_FEATURES = ["kern", "calt", "ccmp", "locl", "mark", "mkmk", "tnum", "case", "rvrn"]
CODE_FEATURES = ["ccmp", "locl", "mark", "mkmk"]  # no ligatures: code shows what was typed
MATHEMATICS_FEATURES = ["ssty", "ccmp", "mark", "mkmk"]
NAME_IDS = [0, 1, 2, 3, 4, 5, 6, 7, 13, 14, 16, 17, 25]
SANS, ITALIC = {"wght": (400, 700), "opsz": (14, 32)}, {"wght": (400, 700), "opsz": 14}
# name, source, family, characters, features, limits of the axes of a variable font
FONTS = (
    ("course-sans", "InterVariable.woff2", "Course Sans", TEXT, TEXT_FEATURES, SANS),
    ("course-sans-italic", "InterVariable-Italic.woff2", "Course Sans", TEXT, TEXT_FEATURES, ITALIC),
    ("course-mono", "JetBrainsMono-Regular.ttf", "Course Mono", CODE, CODE_FEATURES, None),
    ("course-mono-bold", "JetBrainsMono-Bold.ttf", "Course Mono", CODE, CODE_FEATURES, None),
    ("course-math", "STIXMath-Regular.otf", "Course Math", MATHEMATICS, MATHEMATICS_FEATURES, None),
)


def find_source(folder: Path, name: str) -> Path:
    """The source font `name` below `folder`."""
    for path in folder.rglob(name):
        if hashlib.sha256(path.read_bytes()).hexdigest() == SOURCES[name]:
            return path
    sys.exit(f"{folder} holds no {name} of the right version. The head of this script says where to get it.")


def rename(font: TTFont, family: str, name: str) -> None:
    """Give the font another name, so that it is never taken for the original."""
    texts = {1: family, 3: name, 4: f"{family} ({name})", 6: name, 16: family, 25: name}
    for record in font["name"].names:
        record.string = texts.get(record.nameID, record.string)
    if "CFF " in font:
        table = font["CFF "].cff
        table.fontNames = [name]
        table.topDictIndex[0].FamilyName = table.topDictIndex[0].FullName = family


def build_plot_weights() -> None:
    """Write two weights of course-sans.woff2 as fonts that matplotlib can read."""
    for weight, style in ((400, "Regular"), (600, "SemiBold")):
        font = TTFont(FOLDER / "course-sans.woff2", recalcTimestamp=False)
        font = instantiateVariableFont(font, {"wght": weight, "opsz": 14})
        font["OS/2"].usWeightClass = weight
        names = {2: style, 4: f"Course Sans {style}", 6: f"CourseSans-{style}", 17: style}
        for name_id, text in names.items():
            font["name"].setName(text, name_id, 3, 1, 0x409)
        write(font, f"course-sans-{weight}.ttf")


def main() -> None:
    """Write every font of FONTS, and the weights for plots."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the source fonts are")
    folder = parser.parse_args().folder
    dropped = [*subset.Options().drop_tables, "FFTM"]
    how = {"desubroutinize": True, "drop_tables": dropped, "name_IDs": NAME_IDS}
    for name, source, family, characters, features, limits in FONTS:
        unicodes = subset.parse_unicodes(characters)
        font = subset_of(find_source(folder, source), unicodes, layout_features=features, **how)
        if limits:
            font = instantiateVariableFont(font, limits)
        rename(font, family, name)
        write(font, f"{name}.woff2")
    build_plot_weights()


if __name__ == "__main__":
    main()
