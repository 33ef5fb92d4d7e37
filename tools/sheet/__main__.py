"""`python -m tools.sheet`: make the sheet, or read photos of it and score the networks on them."""

from __future__ import annotations

import argparse
import glob
import os
import sys
from pathlib import Path

from course.characters import CHARACTERS
from course.paths import DATA

from tools.console import python, quoted, speak_utf8

from .drawing import make_sheet
from .folder import read_photo, save_readings
from .layout import BOXES, PAPERS, SheetError


def _make(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.sheet",
        description="Make the printable sheet for your own handwriting. To read photos of it: "
        "python -m tools.sheet read --help",
    )
    add = parser.add_argument
    add("--paper", choices=PAPERS, default="A4")
    add("--characters", default=CHARACTERS, help="the characters, 11 a page (default: the course's)")
    add("--out", help="the PDF to write (default: handwriting-sheet-A4.pdf)")
    trace = f"boxes a character with a faint model to trace, 0 to {BOXES} (default 1)"
    add("--trace", type=int, default=1, metavar="N", help=trace)
    add("--font", help="a font file for the models (default: the course's font)")
    add("--replace", action="store_true", help="overwrite a PDF that is different")
    options = parser.parse_args(arguments)
    out = options.out or f"handwriting-sheet-{options.paper}.pdf"
    pages = make_sheet(out, options.characters, options.paper, options.trace, options.font, options.replace)
    number = f"{pages} page{'s' * (pages > 1)}"
    print(f"{out}: {number}, {options.paper}. Print it, write on it, photograph it, then run")
    print(f"  {python('tools.sheet', 'read')} PHOTO... --out data/mine")
    return 0


def _photos(names: list[str]) -> list[str]:
    # Windows leaves *.jpg to the program
    return [each for name in names
            for each in ([name] if os.path.exists(name) else sorted(glob.glob(name)) or [name])]  # fmt: skip


def _read(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.sheet read",
        description="Cut photos or scans of the sheet into one image a box, and let networks read them.",
    )
    add = parser.add_argument
    add("photos", nargs="+", metavar="PHOTO", help="JPEG, PNG, TIFF, ...")
    add("--out", type=Path, default=DATA / "mine", help="the folder (default: data/mine)")
    add("--characters", help="those of the whole sheet, where its code cannot be read in the photo")
    add("--replace", action="store_true", help="read pages anew that the folder has already")
    options = parser.parse_args(arguments)
    readings, failed = [], []

    def refused(error: SheetError) -> None:
        failed.append(error)
        print(error, file=sys.stderr)

    for photo in _photos(options.photos):
        for reading in read_photo(photo, options.characters, refused):
            print(reading, flush=True)
            if reading.written:
                readings.append(reading)
            else:
                print(f"{reading.name}: no writing found. Use a blue or black pen, not a red one.")
    count = save_readings(readings, options.out, options.replace) if readings else 0
    print(f"{count} images written to {options.out}")
    if failed:
        pages = "1 page" if len(failed) == 1 else f"{len(failed)} pages"
        print(f"{pages} could not be read, see above.", file=sys.stderr)
    if count:
        from tools.reading import ReadingError, report  # Keras takes seconds to start

        try:
            print(report(options.out))
        except ReadingError as error:
            print(error, file=sys.stderr)
        print(f"Run the lecture on them: COURSE_NOTEBOOK={quoted(options.out)} make slides")
    return 1 if failed else 0


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status: 0, or 1 when something could not be done."""
    arguments = sys.argv[1:] if arguments is None else arguments
    speak_utf8()
    try:
        return _read(arguments[1:]) if arguments[:1] == ["read"] else _make(arguments)
    except SheetError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
