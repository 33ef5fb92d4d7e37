"""`python -m tools.sheet`: make the sheet, or read photos of it."""

from __future__ import annotations

import argparse
import glob
import os
import sys
from pathlib import Path

from course.characters import CHARACTERS
from course.paths import DATA

from .drawing import make_sheet
from .folder import PageReading, read_photo, save_readings
from .layout import BOXES, PAPERS, SheetError


def _make(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.sheet",
        description="Make the printable sheet for your own handwriting. To read photos of it: "
        "python -m tools.sheet read --help",
    )
    parser.add_argument("--paper", choices=PAPERS, default="A4")
    parser.add_argument(
        "--characters", default=CHARACTERS, help="the characters, 11 a page (default: the course's)"
    )
    parser.add_argument("--out", help="the PDF to write (default: handwriting-sheet-A4.pdf)")
    parser.add_argument(
        "--trace", type=int, default=1, metavar="N",
        help=f"boxes a character with a faint model to trace, 0 to {BOXES} (default 1)",
    )  # fmt: skip
    parser.add_argument("--font", help="a font file for the models (default: the course's font)")
    parser.add_argument("--replace", action="store_true", help="overwrite a PDF that is different")
    options = parser.parse_args(arguments)
    out = options.out or f"handwriting-sheet-{options.paper}.pdf"
    pages = make_sheet(out, options.characters, options.paper, options.trace, options.font, options.replace)
    number = f"{pages} page{'s' * (pages > 1)}"
    print(f"{out}: {number}, {options.paper}. Print it, write on it, photograph it, then run")
    print("  python -m tools.sheet read PHOTO... --out data/mine")
    return 0


def _photos(names: list[str]) -> list[str]:
    # Windows leaves *.jpg to the program
    expanded: list[str] = []
    for name in names:
        matches = [] if os.path.exists(name) else sorted(glob.glob(name))
        expanded += matches or [name]
    return expanded


def _read(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.sheet read",
        description="Cut photos or scans of the sheet into one image a box.",
    )
    parser.add_argument("photos", nargs="+", metavar="PHOTO", help="JPEG, PNG, TIFF, ...")
    parser.add_argument("--out", default=DATA / "mine", help="the folder (default: data/mine)")
    parser.add_argument(
        "--characters", help="those of the whole sheet, where its code cannot be read in the photo"
    )
    parser.add_argument("--replace", action="store_true", help="read pages anew that the folder has already")
    options = parser.parse_args(arguments)
    readings: list[PageReading] = []
    failed = 0
    photos = _photos(options.photos)
    for photo in photos:
        try:
            reading = read_photo(photo, options.characters)
        except SheetError as error:
            failed += 1
            print(error, file=sys.stderr)
            continue
        print(reading, flush=True)
        if not reading.written:
            print(f"{photo}: no writing found. Use a blue or black pen, not a red one.")
            continue
        reading.found.release()
        readings.append(reading)
    count = save_readings(readings, options.out, options.replace) if readings else 0
    print(f"{count} images written to {Path(options.out)}")
    if failed:
        print(f"{failed} of {len(photos)} photos could not be read, see above.", file=sys.stderr)
    if count:
        print(f"Run the lecture on them: COURSE_NOTEBOOK={options.out} make slides")
    return 1 if failed else 0


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status: 0, or 1 when something could not be done."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # LANG=C has no Chinese characters
            stream.reconfigure(errors="backslashreplace")
    try:
        return _read(arguments[1:]) if arguments[:1] == ["read"] else _make(arguments)
    except SheetError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
