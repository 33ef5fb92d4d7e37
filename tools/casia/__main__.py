"""Import CASIA-HWDB files, adopt an unpacked folder, check or read one:

    python -m tools.casia SOURCE ...     .gnt files of HWDB1.0, 1.1 and 1.2, folders, zip or tar archives,
                                         into Train/<character>/*.png and Test/<character>/*.png;
                                         their names tell training (trn, Train) from test
    python -m tools.casia adopt FOLDER   one already in this layout (as on Kaggle): check it and write its
                                         manifest, in place, or with --out into a copy
    python -m tools.casia check FOLDER   compare every image with the manifest
    python -m tools.casia read FOLDER    print how well lecture 4's networks, fitted to simulated writing
                                         alone, read the course's characters in it, and their errors

Exit status: 0 all is well; 1 something could not be imported (0 with --keep-going if the rest was)
or a file could not be read or written; 2 the request cannot be carried out; 130 interrupted.
"""

import argparse
import sys
from pathlib import Path

from course.characters import CHARACTERS
from course.paths import DATA

from tools.casia.adopt import adopt
from tools.casia.importer import import_gnt
from tools.casia.layout import MADE_BY, TERMS, CasiaError, Result, check
from tools.console import quoted, speak_utf8

OUT = DATA / "casia"
_SHOWN = 20


def _characters(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys("".join(text.split()).replace(",", "")))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=MADE_BY, description=__doc__, epilog=TERMS, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sources", nargs="*", metavar="SOURCE", help="as above")
    for split, purpose in (("--train", "training"), ("--test", "testing")):
        options = {"nargs": "+", "action": "extend", "default": [], "metavar": "SOURCE"}
        parser.add_argument(split, help=f"sources for {purpose}, whatever their names", **options)
    parser.add_argument("--out", type=Path, help=f"new folder; default of an import: {OUT}")
    choice = parser.add_mutually_exclusive_group()
    only = "only these, written together; default: the course's 55"
    choice.add_argument("--characters", type=_characters, default=CHARACTERS, metavar="人从众", help=only)
    every = "every character there is"
    choice.add_argument("--all", dest="characters", action="store_const", const=None, help=every)
    keep_going = "exit status 0 although parts could not be imported (they are reported all the same)"
    parser.add_argument("--keep-going", action="store_true", help=keep_going)
    parser.add_argument("--restart", action="store_true", help=argparse.SUPPRESS)  # as always now
    return parser


def _print_result(result: Result, keep_going: bool) -> int:
    for note in result.notes:
        print(note)
    for problem in result.reports[:_SHOWN]:
        print(f"  {problem}", file=sys.stderr)
    if result.problems:
        listed = ", ".join(f"{count:,} × {kind}" for kind, count in sorted(result.kinds.items()))
        print(f"{result.problems:,} problems: {listed}.", file=sys.stderr)
    if result.folder is None:
        print("Nothing was imported.", file=sys.stderr)
        return 1
    images, characters = result.manifest["images"], f"{len(result.manifest['characters']):,} characters"
    number = f"{images['Train']:,} training and {images['Test']:,} test images"
    print(f"{number} of {characters} in {result.folder}")
    if all(images.values()):
        print(f"Use them with: COURSE_DATA={quoted(result.folder)} make slides")
    print(TERMS)
    return 1 if result.problems and not keep_going else 0


def _run(command: str, options: argparse.Namespace) -> int:
    """Carry out a command; returns the exit status."""
    if command == "import":
        given = {"train": options.train, "test": options.test, "characters": options.characters}
        result = import_gnt(options.sources, options.out or OUT, **given)
        return _print_result(result, options.keep_going)
    if len(options.sources) != 1:
        raise CasiaError(f"{command} takes one folder, not {len(options.sources)}.")
    folder = Path(options.sources[0])
    if command == "adopt":
        all_in_place = options.out is None and options.characters is CHARACTERS  # none were named
        chosen = None if all_in_place else options.characters
        return _print_result(adopt(folder, options.out, characters=chosen), options.keep_going)
    if command == "read":
        from tools.reading import ReadingError, report  # Keras takes seconds to start

        try:
            print(report(folder))
        except ReadingError as error:
            raise CasiaError(str(error)) from error
        return 0
    faults = check(folder)
    for fault in faults[:100]:
        print(fault, file=sys.stderr)
    print(f"{len(faults):,} differences." if faults else "All images are as in the manifest.")
    return 1 if faults else 0


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    speak_utf8()
    options, command = _parser().parse_intermixed_args(arguments), "import"
    if options.sources and options.sources[0] in ("adopt", "check", "read"):
        command = options.sources.pop(0)
    try:
        return _run(command, options)
    except (CasiaError, FileExistsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error}. Nothing was kept; mend this and run the command again.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; nothing was kept. The same command starts anew.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
