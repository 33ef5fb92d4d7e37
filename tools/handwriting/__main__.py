"""Command line: ``python -m tools.handwriting``."""

from __future__ import annotations

import argparse
import sys
import unicodedata
from pathlib import Path

from tools.handwriting.generate import MAX_WRITERS, plan, write_folder
from tools.handwriting.scan import SCANS
from tools.handwriting.strokes import STROKES, StrokeDataError


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; ends the program with a message when it is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.handwriting",
        description="Write characters by simulated people, in CASIA's folder layout: "
        "Train/<character>/<writer>.png and Test/<character>/<writer>.png.",
    )
    add = parser.add_argument
    add("--characters", required=True, help="the characters to write, in one string: 人从众")
    add("--writers", type=int, default=150, help="people who write Train (%(default)s)")
    add("--test-writers", type=int, default=36, help="other people, who write Test (%(default)s)")
    add("--seed", type=int, default=1, help="the same seed gives the same pixels (%(default)s)")
    add("--out", type=Path, required=True, help="new or empty folder to write to")
    where = "folder of hanzi-writer-data JSON files, for characters that do not ship with the course"
    add("--strokes", type=Path, default=STROKES, help=where)
    add("--scan", choices=sorted(SCANS), default="course", help="style of the scans (%(default)s)")
    choices = parser.parse_args(arguments)
    for name, high in {"writers": MAX_WRITERS, "test_writers": MAX_WRITERS, "seed": 2**32 - 1}.items():
        if not 0 <= getattr(choices, name) <= high:
            parser.error(f"--{name.replace('_', '-')}: not between 0 and {high}")
    choices.characters = "".join(dict.fromkeys(choices.characters))
    wrong = [c for c in choices.characters if unicodedata.category(c)[0] in "CZ" or c in '/\\.:*?"<>|']
    if not choices.characters or wrong:
        parser.error(f"--characters: {wrong[0]!r} cannot be written" if wrong else "--characters is empty")
    if not choices.strokes.is_dir():
        parser.error(f"--strokes: {choices.strokes} is not a folder")
    if not choices.writers + choices.test_writers:
        parser.error("nobody writes: --writers and --test-writers are both 0")
    return choices


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    given = parse(arguments)
    people = given.writers, given.test_writers
    try:
        tasks = plan(given.characters, *people, given.seed, scan=given.scan, strokes=given.strokes)
        images = write_folder(given.out, tasks)
    except (StrokeDataError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; nothing was kept.", file=sys.stderr)
        return 130
    print(f"{given.out}: {images:,} images of {len(given.characters)} characters by simulated writers")
    return 0


if __name__ == "__main__":
    sys.exit(main())
