"""Command line: ``python -m tools.handwriting``."""

from __future__ import annotations

import argparse
import sys
import unicodedata
from pathlib import Path

from tools.handwriting.generate import MAX_WRITERS, plan, write_folder
from tools.handwriting.proportions import ProportionsError
from tools.handwriting.scan import SCANS
from tools.handwriting.strokes import STROKES, StrokeDataError


def _number(low: int, high: int):
    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number") from None
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{value} is not between {low} and {high}")
        return value

    return convert


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; ends the program with a message when it is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.handwriting",
        description="Write characters by simulated people, in CASIA's folder layout: "
        "Train/<character>/<writer>.png and Test/<character>/<writer>.png.",
    )
    parser.add_argument("--characters", required=True, help="the characters to write, in one string: 人从众")
    parser.add_argument(
        "--writers", type=_number(0, MAX_WRITERS), default=150, help="people who write Train (%(default)s)"
    )
    parser.add_argument(
        "--test-writers",
        type=_number(0, MAX_WRITERS),
        default=36,
        help="other people, who write Test (%(default)s)",
    )
    parser.add_argument(
        "--learners",
        type=_number(0, MAX_WRITERS),
        default=0,
        help="learners, who fill seven sheets of a Notebook each (%(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=_number(0, 2**32 - 1),
        default=1,
        help="the same seed gives the same pixels (%(default)s)",
    )
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
    parser.add_argument(
        "--workers",
        type=_number(1, 1024),
        default=None,
        help="processes (one a core); the pixels do not depend on it",
    )
    choices = parser.parse_args(arguments)
    characters = "".join(dict.fromkeys(choices.characters))
    wrong = [c for c in characters if unicodedata.category(c)[0] in "CZ" or c in '/\\.:*?"<>|']
    if not characters or wrong:
        parser.error(f"--characters: {wrong[0]!r} cannot be written" if wrong else "--characters is empty")
    if not choices.strokes.is_dir():
        parser.error(f"--strokes: {choices.strokes} is not a folder")
    if not choices.writers + choices.test_writers + choices.learners:
        parser.error("nobody writes: --writers, --test-writers and --learners are all 0")
    choices.characters = characters
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
            learners=choices.learners,
            scan=choices.scan,
            strokes=choices.strokes,
        )
        images = write_folder(choices.out, tasks, workers=choices.workers)
    except (StrokeDataError, ProportionsError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; nothing was kept.", file=sys.stderr)
        return 130
    print(f"{choices.out}: {images:,} images of {len(choices.characters)} characters by simulated writers")
    return 0


if __name__ == "__main__":
    sys.exit(main())
