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
    parser.add_argument("--characters", required=True, help="the characters to write, in one string: 人从众")
    numbers = {
        "writers": (150, MAX_WRITERS, "people who write Train"),
        "test-writers": (36, MAX_WRITERS, "other people, who write Test"),
        "seed": (1, 2**32 - 1, "the same seed gives the same pixels"),
    }
    for name, (default, _, text) in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{text} (%(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="new or empty folder to write to")
    parser.add_argument(
        "--strokes",
        type=Path,
        default=STROKES,
        help="folder of hanzi-writer-data JSON files, for characters that do not ship with the course",
    )
    parser.add_argument(
        "--scan", choices=sorted(SCANS), default="course", help="style of the scans (%(default)s)"
    )
    choices = parser.parse_args(arguments)
    for name, (_, high, _) in numbers.items():
        value = getattr(choices, name.replace("-", "_"))
        if not 0 <= value <= high:
            parser.error(f"--{name}: {value} is not between 0 and {high}")
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
    choices = parse(arguments)
    try:
        tasks = plan(
            choices.characters,
            choices.writers,
            choices.test_writers,
            choices.seed,
            scan=choices.scan,
            strokes=choices.strokes,
        )
        images = write_folder(choices.out, tasks)
    except (StrokeDataError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; nothing was kept.", file=sys.stderr)
        return 130
    print(f"{choices.out}: {images:,} images of {len(choices.characters)} characters by simulated writers")
    return 0


if __name__ == "__main__":
    sys.exit(main())
